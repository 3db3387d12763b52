// Sealed batches on their way into the ring, in order: several are written at a time, and what has ended is told in the order of the log.
//
// Order of durability. A batch is written with O_DIRECT and RWF_DSYNC, and only below the high-water mark; it counts as durable when it and
// all before it have ended. After a failed write nothing is told any more.

import type { LvrError } from '../core/errors.js';
import { LOG_WRITES_IN_FLIGHT_MAX } from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import type { Device, IoTarget } from '../core/ports.js';
import type { Ring } from '../core/ring.js';
import { batchBytes } from '../format/batch.js';
import { RING_START } from '../format/superblock.js';
import type { HighWater } from './high-water.js';
import type { LogBatch } from './log-batch.js';
import { deviceError } from './promises.js';

// Batches sealed but not yet durable; bounded by the pool they come from.
const QUEUE_SLOTS = 512;

/** Told by the queue. */
export interface WriteQueueOwner {
  /** `batch` and everything before it would survive a power cut. The queue lets go of it after this call. */
  batchWritten(batch: LogBatch): void;
  /** Some were told of, and no more can be now. */
  writesEnded(): void;
  /** A write has failed; it is for the owner to call stop(). */
  writeFailed(error: LvrError): void;
}

export class WriteQueue implements IoTarget {
  readonly #device: Device;
  readonly #ring: Ring;
  readonly #highWater: HighWater;
  readonly #owner: WriteQueueOwner;
  // Counters over a ring of slots: head <= submitted <= due <= tail.
  readonly #queue: (LogBatch | undefined)[] = new Array<LogBatch | undefined>(QUEUE_SLOTS).fill(undefined);
  readonly #done = new Uint8Array(QUEUE_SLOTS);
  #head = 0;
  #submitted = 0;
  #due = 0;
  #tail = 0;
  #stopped = false;

  constructor(device: Device, ring: Ring, highWater: HighWater, owner: WriteQueueOwner) {
    this.#device = device;
    this.#ring = ring;
    this.#highWater = highWater;
    this.#owner = owner;
  }

  /** Log writes submitted and not completed. */
  get inFlight(): number {
    return this.#submitted - this.#head;
  }

  /** Batches pushed and not yet durable. */
  get undurable(): number {
    return this.#tail - this.#head;
  }

  get isFull(): boolean {
    return this.undurable === QUEUE_SLOTS;
  }

  /** Batches pushed and not yet to be written. */
  get unsubmitted(): number {
    return this.#tail - this.#due;
  }

  /** Takes a hold of a sealed batch. */
  push(batch: LogBatch): void {
    batch.hold();
    this.#queue[this.#tail % QUEUE_SLOTS] = batch;
    this.#tail++;
  }

  /** What was pushed is to be written, as soon as it may be. */
  submit(): void {
    this.#due = this.#tail;
    this.resume();
  }

  /** Writes what may be written now of what is due. */
  resume(): void {
    let submitted = false;
    while (this.#submitted < this.#due && this.inFlight < LOG_WRITES_IN_FLIGHT_MAX && !this.#stopped) {
      const slot = this.#submitted % QUEUE_SLOTS;
      const batch = this.#queue[slot] as LogBatch;
      const bytes = batchBytes(batch.payloadBytes);
      if (batch.position + bytes > this.#highWater.limit) break;
      this.#done[slot] = 0;
      this.#submitted++;
      const offset = RING_START + this.#ring.offset(batch.position);
      this.#device.write(batch.arena, batch.start, bytes, offset, PLANTED !== 'log-without-flush', this, slot);
      submitted = true;
    }
    if (submitted) this.#device.kick();
  }

  ioDone(slot: number, error: number): void {
    if (error !== 0 && PLANTED !== 'failed-log-write-ignored') {
      this.#owner.writeFailed(deviceError('write log', this.#device.path, error));
      return;
    }
    this.#done[slot] = 1;
    if (this.#stopped) return;
    while (this.#head < this.#submitted && this.#done[this.#head % QUEUE_SLOTS] === 1) {
      const at = this.#head % QUEUE_SLOTS;
      const batch = this.#queue[at] as LogBatch;
      this.#queue[at] = undefined;
      this.#head++;
      this.#owner.batchWritten(batch);
      batch.release();
    }
    this.resume();
    this.#owner.writesEnded();
  }

  /** Nothing is written or told of any more. */
  stop(): void {
    this.#stopped = true;
  }
}
