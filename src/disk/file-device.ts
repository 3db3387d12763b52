// Device over a file or a block device.
//
// Owner: the device owns the descriptor and its lock until close(). A buffered device writes through the ordered writer thread and
// reads and flushes through the ring; a direct one uses the ring for everything. Nothing here orders requests among each other: the
// layers above never have two writes to the same block in flight.

import { unlinkSync } from 'node:fs';
import { assert } from '../core/assert.js';
import { MIB } from '../core/limits.js';
import type { Arena, Device, ExtentRun, IoTarget } from '../core/ports.js';
import { type Engines, type IoEngine, OpenFile } from './engine.js';
import { createArena } from './memory.js';
import { binding, type DeviceInfo, OP } from './native.js';
import { type DeviceOptions, type IoMode, openDescriptor, resizeFile } from './open-descriptor.js';
import { PacedFlush } from './paced-flush.js';
import { syncDevice, writeDurably } from './promises.js';
import { UncachedFile } from './uncached-file.js';
import { Zeroing } from './zeroing.js';

/** Most runs one call of extents() returns. */
const EXTENTS_MAX = 1024;
const extentPairs = new Float64Array(EXTENTS_MAX * 2);

/** Made by openDevice(), which checks and locks the descriptor that is handed over here. */
export class FileDevice implements Device {
  readonly path: string;
  sizeBytes: number;
  readonly blockBytes: number;
  readonly kind: DeviceInfo['kind'];
  readonly io: IoMode;
  readonly #file: OpenFile;
  readonly #ring: IoEngine;
  readonly #writer: IoEngine;
  /** Of a buffered device. */
  readonly dropCached?: () => void;
  /** Of a file. */
  readonly discard?: (offset: number, length: number, target: IoTarget, tag: number) => void;
  readonly #zeroing: Zeroing;
  /** Of a buffered device. */
  readonly #flush: PacedFlush | undefined;
  /** Of a buffered device, once it was asked for. */
  #uncached: UncachedFile | 'none' | undefined;
  #closing: Promise<void> | undefined;

  constructor(path: string, fd: number, info: DeviceInfo, io: IoMode, engines: Engines) {
    this.path = path;
    this.kind = info.kind;
    this.io = io;
    this.blockBytes = info.logicalBlockBytes;
    this.sizeBytes = info.sizeBytes - (info.sizeBytes % info.logicalBlockBytes);
    this.#file = new OpenFile(fd);
    this.#ring = engines.ring;
    this.#writer = io === 'buffered' ? engines.writer : engines.ring;
    this.#zeroing = new Zeroing(engines.ring, this.#writer, this.#file);
    if (info.kind === 'file') {
      this.discard = (offset, length, target, tag) => {
        this.#check(offset, length);
        this.#ring.queue(OP.punchHole, this.#file, undefined, 0, length, offset, target, tag);
      };
    }
    if (io === 'buffered') {
      this.#flush = PacedFlush.of(engines.ring, this.#file, this.sizeBytes);
      this.dropCached = () => binding.dropCached(fd);
    }
  }

  read(arena: Arena, start: number, length: number, offset: number, target: IoTarget, tag: number): void {
    this.#check(offset, length);
    this.#ring.queue(this.io === 'buffered' ? OP.readCached : OP.read, this.#file, arena, start, length, offset, target, tag);
  }

  readNow(bytes: Uint8Array, start: number, length: number, offset: number): boolean {
    this.#check(offset, length);
    return this.io === 'buffered' && binding.readCached(this.#file.fd, bytes, start, length, offset);
  }

  readOnce(arena: Arena, start: number, length: number, offset: number, target: IoTarget, tag: number): void {
    this.#check(offset, length);
    if (this.io === 'buffered' && this.#uncached === undefined) this.#uncached = UncachedFile.of(this.#file) ?? 'none';
    const uncached = this.#uncached === 'none' ? undefined : this.#uncached;
    if (uncached?.suits(offset, length, arena.address + start) !== true) return this.read(arena, start, length, offset, target, tag);
    this.#ring.queue(OP.read, uncached.file, arena, start, length, offset, target, tag);
  }

  write(arena: Arena, start: number, length: number, offset: number, durable: boolean, target: IoTarget, tag: number): void {
    this.#check(offset, length);
    this.#flush?.mark(offset, length);
    // A durable write waits for the disk, and would make all buffered writes behind it in the writer wait too.
    if (durable) this.#ring.queue(OP.writeDurable, this.#file, arena, start, length, offset, target, tag);
    else this.#writer.queue(this.io === 'buffered' ? OP.writeCached : OP.write, this.#file, arena, start, length, offset, target, tag);
  }

  sync(target: IoTarget, tag: number): void {
    assert(this.#closing === undefined, 'a closed device gets no I/O');
    if (this.#flush !== undefined) this.#flush.start(target, tag);
    else this.#ring.queue(OP.datasync, this.#file, undefined, 0, 0, 0, target, tag);
  }

  zero(offset: number, length: number, mayUnmap: boolean, target: IoTarget, tag: number): void {
    this.#check(offset, length);
    this.#flush?.mark(offset, length);
    this.#zeroing.start(offset, length, mayUnmap, target, tag);
  }

  extents(offset: number, length: number, max: number): ExtentRun[] {
    this.#check(offset, length);
    if (this.kind !== 'file') return [{ length, zero: false }];
    const pairs = extentPairs.subarray(0, Math.min(max, EXTENTS_MAX) * 2);
    const count = binding.extents(this.#file.fd, offset, length, pairs);
    const runs: ExtentRun[] = [];
    for (let i = 0; i < count; i++) runs.push({ length: pairs[i * 2] as number, zero: pairs[i * 2 + 1] === 1 });
    return runs;
  }

  async resize(sizeBytes: number): Promise<void> {
    const before = this.sizeBytes;
    const { fd } = this.#file;
    if (this.kind === 'file') resizeFile(this.path, fd, this.io, before, sizeBytes);
    this.sizeBytes = Math.floor(binding.deviceInfo(fd).sizeBytes / this.blockBytes) * this.blockBytes;
    this.#flush?.resize(this.sizeBytes);
    if (this.kind !== 'file' || sizeBytes <= before) return;
    try {
      await fillRange(this, before, sizeBytes);
    } catch (error) {
      this.sizeBytes = before;
      resizeFile(this.path, fd, this.io, sizeBytes, before);
      throw error;
    }
  }

  kick(): void {
    this.#ring.kick();
    if (this.#writer !== this.#ring) this.#writer.kick();
  }

  /** Rejects with the system's error when the kernel reports one at close; the descriptor and its lock are gone all the same. */
  close(): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    this.kick();
    const files = [this.#file];
    if (this.#uncached instanceof UncachedFile) files.push(this.#uncached.file);
    this.#closing = Promise.all(files.map(closeWhenIdle)).then(() => undefined);
    return this.#closing;
  }

  #check(offset: number, length: number): void {
    assert(this.#closing === undefined, 'a closed device gets no I/O');
    const fits =
      offset >= 0 && length > 0 && offset + length <= this.sizeBytes && offset % this.blockBytes === 0 && length % this.blockBytes === 0;
    if (!fits) assert(false, `I/O at ${offset}, ${length} bytes does not fit ${this.path}`);
  }
}

/** Closes a descriptor as soon as nothing uses it. Rejects with the system's error; the descriptor is gone all the same. */
function closeWhenIdle(file: OpenFile): Promise<void> {
  return new Promise((resolve, reject) => {
    const close = (): void => {
      try {
        binding.close(file.fd);
        resolve();
      } catch (error) {
        reject(error);
      }
    };
    if (file.inFlight === 0) close();
    else file.onIdle = close;
  });
}

const FILL_BYTES = 1 * MIB;

/**
 * Opens a device. Rejects with DEVICE_UNUSABLE (missing, wrong kind, too small, read-only, no O_DIRECT), DEVICE_BUSY, DISK_FULL,
 * PERMISSION or DEVICE_FAILED; a file that it made is removed then.
 */
export async function openDevice(options: DeviceOptions): Promise<FileDevice> {
  const { fd, info, filename, fill } = openDescriptor(options);
  const device = new FileDevice(options.path, fd, info, options.io, options.engines);
  if (fill === 'nothing' || options.reserve !== true) return device;
  try {
    if (fill === 'all') await fillRange(device, 0, device.sizeBytes);
    else await fillHoles(device);
  } catch (error) {
    if (fill === 'all') unlinkSync(filename);
    await device.close();
    throw error;
  }
  return device;
}

/**
 * Writes all of a new log once. Preallocated blocks are marked unwritten, and the first write to each costs a transaction of the
 * file system: a third of the speed of durable writes.
 */
async function fillRange(device: Device, from: number, to: number): Promise<void> {
  const zeroes = createArena(FILL_BYTES);
  for (let offset = from; offset < to; offset += FILL_BYTES) {
    await writeDurably(device, zeroes, 0, Math.min(FILL_BYTES, to - offset), offset);
  }
  await syncDevice(device);
}

/** The same for a file that a crash kept from being filled: only what was never written, so that nothing in it changes. */
async function fillHoles(device: Device): Promise<void> {
  for (let at = 0; at < device.sizeBytes; ) {
    const run = device.extents(at, device.sizeBytes - at, 1)[0];
    assert(run !== undefined && run.length > 0, 'the extents of a file reach its end');
    if (run.zero) await fillRange(device, at, at + run.length);
    at += run.length;
  }
}
