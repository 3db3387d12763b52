// The flush of a buffered device, begun gently: what the page cache holds of it goes to the disk a few MiB at a time before fdatasync
// ends the matter. One fdatasync over hundreds of MiB fills the queue of the disk, and log writes, for which clients wait, stand behind
// all of it.
//
// Owner: each flush is a job with some writebacks in flight, or its fdatasync. Order of durability: none comes from the writebacks. What
// was written is only a hint where to begin; the fdatasync behind them covers everything that was written before the job started.

import { constants } from 'node:os';
import { MIB } from '../core/limits.js';
import type { IoTarget } from '../core/ports.js';
import type { IoEngine, OpenFile } from './engine.js';
import { OP } from './native.js';

/** A device is written back in pieces of this length. */
const PIECE_BYTES = 4 * MIB;
/** Dirty bytes that are on their way to the disk at once, and how many pieces they may come from. */
const DIRTY_IN_FLIGHT_MAX = 8 * MIB;
const PIECES_IN_FLIGHT_MAX = 16;

const { ENOSYS, EOPNOTSUPP, EPERM, ESPIPE } = constants.errno;
/** Answers of kernels, filters and files that know no writeback of a range. */
const UNSUPPORTED: readonly number[] = [ENOSYS, EOPNOTSUPP, EPERM, ESPIPE];

interface Job {
  readonly target: IoTarget;
  readonly tag: number;
  /** Pieces before this one were looked at. */
  next: number;
  inFlight: number;
  dirtyInFlight: number;
  /** The first error of a writeback: the flush has failed, and no fdatasync may say otherwise. */
  error: number;
}

export class PacedFlush {
  readonly #ring: IoEngine;
  readonly #file: OpenFile;
  /** Bytes written to each piece since it was last written back; more than a piece holds when it was written repeatedly. */
  #dirty: Float64Array;
  #canWriteBack = true;

  constructor(ring: IoEngine, file: OpenFile, sizeBytes: number) {
    this.#ring = ring;
    this.#file = file;
    this.#dirty = new Float64Array(Math.ceil(sizeBytes / PIECE_BYTES));
  }

  /** The device has another size. */
  resize(sizeBytes: number): void {
    const before = this.#dirty;
    this.#dirty = new Float64Array(Math.ceil(sizeBytes / PIECE_BYTES));
    this.#dirty.set(before.subarray(0, this.#dirty.length));
  }

  /** The range is being written. */
  mark(offset: number, length: number): void {
    const dirty = this.#dirty;
    const end = offset + length;
    for (let piece = Math.floor(offset / PIECE_BYTES), at = offset; at < end; piece++) {
      const next = Math.min(end, (piece + 1) * PIECE_BYTES);
      dirty[piece] = (dirty[piece] as number) + next - at;
      at = next;
    }
  }

  /** Flushes; the target hears once, with 0 or an errno, and then everything written before this call is durable. */
  start(target: IoTarget, tag: number): void {
    this.#go({ target, tag, next: 0, inFlight: 0, dirtyInFlight: 0, error: 0 });
  }

  #go(job: Job): void {
    const dirty = this.#dirty;
    while (job.inFlight < PIECES_IN_FLIGHT_MAX && job.dirtyInFlight < DIRTY_IN_FLIGHT_MAX && job.error === 0 && this.#canWriteBack) {
      while (job.next < dirty.length && dirty[job.next] === 0) job.next++;
      if (job.next >= dirty.length) break;
      this.#writeBack(job, job.next++);
    }
    if (job.inFlight > 0) return;
    if (job.error === 0) this.#ring.queue(OP.datasync, this.#file, undefined, 0, 0, 0, job.target, job.tag);
    else job.target.ioDone(job.tag, job.error);
  }

  #writeBack(job: Job, piece: number): void {
    const bytes = Math.min(this.#dirty[piece] as number, PIECE_BYTES);
    this.#dirty[piece] = 0;
    job.inFlight++;
    job.dirtyInFlight += bytes;
    const ended = (_: number, error: number): void => {
      job.inFlight--;
      job.dirtyInFlight -= bytes;
      if (UNSUPPORTED.includes(error)) this.#canWriteBack = false;
      else if (job.error === 0) job.error = error;
      this.#go(job);
    };
    this.#ring.queue(OP.writeBack, this.#file, undefined, 0, PIECE_BYTES, piece * PIECE_BYTES, { ioDone: ended }, 0);
  }
}
