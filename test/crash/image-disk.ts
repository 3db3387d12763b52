// A disk of one image: what is certain at an instant of the trace, plus what was chosen of the rest. It is also the device on which
// recovery runs. reset() takes an image back, so that thousands of them cost only what differs.

import type { Arena, Device, ExtentRun, IoTarget } from '../../src/core/ports.js';
import { SECTOR_BYTES } from './recorded-disks.js';
import type { WriteEntry } from './trace.js';

/** Power for the disks of one image: it goes off after `left` operations, the last of which is done in part. */
export class Power {
  left = Number.POSITIVE_INFINITY;
  onOff: () => void = () => {};

  /** False: the power is off. */
  take(): boolean {
    if (this.left <= 0) return false;
    this.left--;
    if (this.left === 0) this.onOff();
    return true;
  }
}

export class ImageDisk implements Device {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes = SECTOR_BYTES;
  /** The image. */
  readonly bytes: Uint8Array;
  /** Writes that may or may not survive, in order. */
  readonly pending: { readonly at: number; readonly write: WriteEntry }[] = [];
  power = new Power();
  /** When given: calls its function at the time at which operations end; otherwise they end inside kick(). */
  schedule: ((end: () => void) => void) | undefined;
  /** Device operations since reset(), and whether one of them changed something. */
  operations = 0;
  changed = false;
  readonly #certain: Uint8Array;
  readonly #touched: number[] = [];
  #done: { target: IoTarget; tag: number }[] = [];
  #dispatching = false;

  /** `content`: what it holds before the first entry; zeroes when it is not given. */
  constructor(path: string, sizeBytes: number, content: Uint8Array = new Uint8Array(sizeBytes)) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.bytes = content.slice();
    this.#certain = content.slice();
  }

  /** Entry `at` of the trace wrote. */
  written(at: number, write: WriteEntry): void {
    this.pending.push({ at, write });
  }

  /** What was written before entry `covers` has become certain. Only on a disk that was reset. */
  flushed(covers: number): void {
    while (this.pending[0] !== undefined && this.pending[0].at < covers) {
      const { offset, length, bytes } = (this.pending.shift() as { write: WriteEntry }).write;
      for (const disk of [this.#certain, this.bytes]) {
        if (bytes === undefined) disk.fill(0, offset, offset + length);
        else disk.set(bytes, offset);
      }
    }
  }

  /** [from, to) of a write survives in this image. */
  keep(write: WriteEntry, from = 0, to = write.length): void {
    const { offset, bytes } = write;
    this.#touch(offset + from, to - from);
    if (bytes === undefined) this.bytes.fill(0, offset + from, offset + to);
    else this.bytes.set(bytes.subarray(from, to), offset + from);
  }

  /** Back to what is certain. */
  reset(): void {
    for (let i = 0; i < this.#touched.length; i += 2) {
      const [offset, length] = [this.#touched[i] as number, this.#touched[i + 1] as number];
      this.bytes.set(this.#certain.subarray(offset, offset + length), offset);
    }
    this.#touched.length = 0;
    this.#done = [];
    this.operations = 0;
    this.changed = false;
  }

  /** A new process begins: what the one before had under way never ends. */
  restart(power: Power): void {
    this.power = power;
    this.#done = [];
  }

  read(arena: Arena, start: number, length: number, offset: number, target: IoTarget, tag: number): void {
    arena.bytes.set(this.bytes.subarray(offset, offset + length), start);
    this.#end(target, tag);
  }

  write(arena: Arena, start: number, length: number, offset: number, _durable: boolean, target: IoTarget, tag: number): void {
    this.#perform(arena.bytes.subarray(start, start + length), offset, length, target, tag);
  }

  zero(offset: number, length: number, _mayUnmap: boolean, target: IoTarget, tag: number): void {
    this.#perform(undefined, offset, length, target, tag);
  }

  sync(target: IoTarget, tag: number): void {
    this.#perform(undefined, 0, 0, target, tag);
  }

  extents(_offset: number, length: number): ExtentRun[] {
    return [{ length, zero: false }];
  }

  kick(): void {
    if (this.schedule !== undefined) {
      const batch = this.#done.splice(0);
      if (batch.length > 0) this.schedule(() => batch.forEach(({ target, tag }) => void target.ioDone(tag, 0)));
      return;
    }
    if (this.#dispatching) return;
    this.#dispatching = true;
    for (let batch = this.#done; batch.length > 0; batch = this.#done) {
      this.#done = [];
      for (const { target, tag } of batch) target.ioDone(tag, 0);
    }
    this.#dispatching = false;
  }

  async close(): Promise<void> {}

  #perform(bytes: Uint8Array | undefined, offset: number, length: number, target: IoTarget, tag: number): void {
    this.operations++;
    if (!this.power.take()) return;
    const isLast = this.power.left === 0;
    const done = isLast ? Math.floor(length / 2 / SECTOR_BYTES) * SECTOR_BYTES : length;
    if (done > 0) {
      const content = bytes?.subarray(0, done) ?? new Uint8Array(done);
      if (!this.changed) this.changed = Buffer.compare(this.bytes.subarray(offset, offset + done), content) !== 0;
      this.#touch(offset, done);
      this.bytes.set(content, offset);
    }
    if (!isLast) this.#end(target, tag);
  }

  #end(target: IoTarget, tag: number): void {
    if (this.power.left > 0) this.#done.push({ target, tag });
  }

  #touch(offset: number, length: number): void {
    this.#touched.push(offset, length);
  }
}
