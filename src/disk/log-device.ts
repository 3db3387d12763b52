// The device of a log that can be given up under a log in use: the log goes on, but its records are kept nowhere any more.
//
//   whole ── a write or flush fails, and the owner takes it over ──> failing ── resume() ──> givenUp
//                                                                       │
//                                                                       └──── giveUp() ──> dead: nothing is written any more
//
// While failing, writes of records wait, and superblocks already go to the spare device. Once given up, a write of records is answered when
// what gate() waits for is durable: from then on they may be applied, and only the volumes have them. Reads of the ring go to the old
// device, which has what was written before; without one there is nothing.
//
// Owner: this owns both devices. Which of them counts at the next start is decided by a mark on the spare, passthrough-state.ts.

import { assert } from '../core/assert.js';
import { LvrError } from '../core/errors.js';
import type { Arena, Device, ExtentRun, IoTarget } from '../core/ports.js';
import { RING_START } from '../format/superblock.js';

const EIO = 5;

type Operation = {
  readonly kind: 'write' | 'sync' | 'zero';
  readonly arena: Arena | undefined;
  readonly start: number;
  readonly length: number;
  readonly offset: number;
  readonly target: IoTarget;
  readonly tag: number;
};

/** Hears of a device that fails; true: it takes care, and calls resume() or giveUp(). */
export interface LogDeviceOwner {
  deviceFailing(errno: number): boolean;
  /** Resolves when everything is durable that must be before records that are being written reach a volume. */
  gate(): Promise<void>;
}

export class LogDevice implements Device, IoTarget {
  readonly path: string;
  sizeBytes: number;
  readonly blockBytes: number;
  /** Only while it is whole. */
  readonly resize?: (sizeBytes: number) => Promise<void>;
  readonly #device: Device | undefined;
  readonly #spare: Device;
  #owner: LogDeviceOwner | undefined;
  #state: 'whole' | 'failing' | 'givenUp' | 'dead';
  /** Operations on the device, by tag. */
  readonly #running = new Map<number, Operation>();
  #nextTag = 1;
  /** Writes of records that wait for resume(), or for the gate. */
  #waiting: Operation[] = [];
  #atGate = false;

  /** `device` undefined: it was given up by an earlier process, and cannot be used still; `sizeBytes` is its size. */
  constructor(device: Device | undefined, spare: Device, path: string, sizeBytes: number) {
    this.#device = device;
    this.#spare = spare;
    this.#state = device === undefined ? 'givenUp' : 'whole';
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.blockBytes = device?.blockBytes ?? spare.blockBytes;
    if (device?.resize !== undefined) this.resize = (bytes) => this.#resize(device, bytes);
  }

  /** Records are kept nowhere but on the volumes. */
  get isGivenUp(): boolean {
    return this.#state === 'givenUp';
  }

  /** Where superblocks go from a failure on, and the mark. */
  get spare(): Device {
    return this.#spare;
  }

  setOwner(owner: LogDeviceOwner): void {
    this.#owner = owner;
  }

  /** From now on records are answered by the gate. */
  resume(): void {
    assert(this.#state === 'failing', 'a device that fails is given up');
    this.#state = 'givenUp';
    this.#pump();
  }

  /**
   * The device cannot be done without: what waits hears of the failure. Final, because superblocks that only the spare has may have been
   * acted upon.
   */
  giveUp(errno: number): void {
    assert(this.#state === 'failing', 'a device that fails is given up');
    this.#state = 'dead';
    for (const { target, tag } of this.#waiting.splice(0)) target.ioDone(tag, errno);
  }

  read(arena: Arena, start: number, length: number, offset: number, target: IoTarget, tag: number): void {
    if (offset < RING_START && (this.#state === 'failing' || this.#state === 'givenUp'))
      return this.#spare.read(arena, start, length, offset, target, tag);
    if (this.#device !== undefined) return this.#device.read(arena, start, length, offset, target, tag);
    arena.bytes.fill(0, start, start + length);
    answerLater(target, tag, 0);
  }

  write(arena: Arena, start: number, length: number, offset: number, durable: boolean, target: IoTarget, tag: number): void {
    const operation: Operation = { kind: 'write', arena, start, length, offset, target, tag };
    if (this.#state !== 'whole') return this.#replace(operation);
    this.#device?.write(arena, start, length, offset, durable, this, this.#run(operation));
  }

  sync(target: IoTarget, tag: number): void {
    const operation: Operation = { kind: 'sync', arena: undefined, start: 0, length: 0, offset: 0, target, tag };
    if (this.#state !== 'whole') return this.#replace(operation);
    this.#device?.sync(this, this.#run(operation));
  }

  zero(offset: number, length: number, mayUnmap: boolean, target: IoTarget, tag: number): void {
    const operation: Operation = { kind: 'zero', arena: undefined, start: 0, length, offset, target, tag };
    if (this.#state !== 'whole') return this.#replace(operation);
    this.#device?.zero(offset, length, mayUnmap, this, this.#run(operation));
  }

  extents(offset: number, length: number, max: number): ExtentRun[] {
    return this.#device?.extents(offset, length, max) ?? [{ length, zero: false }];
  }

  kick(): void {
    this.#device?.kick();
    if (this.#state !== 'whole') this.#spare.kick();
    this.#pump();
  }

  async close(): Promise<void> {
    // What a device that has failed says at its end is no news.
    const closed = this.#device?.close().catch((error: unknown) => {
      if (this.#state === 'whole') throw error;
    });
    await Promise.all([closed, this.#spare.close()]);
  }

  async #resize(device: Device, sizeBytes: number): Promise<void> {
    if (this.#state !== 'whole') {
      throw new LvrError('LOG_FAILED', `log ${this.path} has failed and keeps its size`, { hint: 'repair it, then restart the agent' });
    }
    await device.resize?.(sizeBytes);
    this.sizeBytes = device.sizeBytes;
  }

  ioDone(running: number, errno: number): void {
    const operation = this.#running.get(running) as Operation;
    this.#running.delete(running);
    const isOurs = errno !== 0 && this.#state !== 'dead' && (this.#state !== 'whole' || this.#takeOver(errno));
    if (!isOurs) return operation.target.ioDone(operation.tag, errno);
    this.#replace(operation);
    this.#spare.kick();
    this.#pump();
  }

  #run(operation: Operation): number {
    const tag = this.#nextTag++;
    this.#running.set(tag, operation);
    return tag;
  }

  /** The owner may ask for what is the case now, and everything that comes from here on must wait already. */
  #takeOver(errno: number): boolean {
    this.#state = 'failing';
    if (this.#owner?.deviceFailing(errno) === true) return true;
    this.#state = 'whole';
    return false;
  }

  /** What becomes of an operation that does not go to the device. */
  #replace(operation: Operation): void {
    const { kind, arena, start, length, offset, target, tag } = operation;
    if (this.#state === 'dead') return answerLater(target, tag, EIO);
    if (kind === 'sync') this.#spare.sync(target, tag);
    else if (offset >= RING_START) this.#waiting.push(operation);
    else this.#spare.write(arena as Arena, start, length, offset, true, target, tag);
  }

  /** Answers what waits as soon as the gate is open; what comes meanwhile goes through it next. */
  #pump(): void {
    const owner = this.#owner;
    if (this.#state !== 'givenUp' || this.#atGate || this.#waiting.length === 0 || owner === undefined) return;
    this.#atGate = true;
    const operations = this.#waiting;
    this.#waiting = [];
    const answer = (errno: number): void => {
      this.#atGate = false;
      for (const { target, tag } of operations) target.ioDone(tag, errno);
      this.#pump();
    };
    owner.gate().then(
      () => answer(0),
      () => answer(EIO),
    );
  }
}

function answerLater(target: IoTarget, tag: number, errno: number): void {
  void Promise.resolve().then(() => target.ioDone(tag, errno));
}
