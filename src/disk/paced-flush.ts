// The flush of a buffered device, begun gently: what the page cache holds of it goes to the disk a few MiB at a time before fdatasync
// ends the matter. One fdatasync over hundreds of MiB fills the queue of the disk, and log writes, for which clients wait, stand behind
// all of it.
//
// Owner: one flush at a time, with some writebacks in flight, or its fdatasync; later ones wait. Order of durability: none comes from the
// writebacks. What was written is only a hint where to begin; the fdatasync behind them covers everything that was written before the
// flush started. The kernel tells each error of writing back to one call only, so a flush that waited for a failed one has failed too.

import { MIB } from '../core/limits.js';
import type { IoTarget } from '../core/ports.js';
import type { IoEngine, OpenFile } from './engine.js';
import { binding, OP } from './native.js';

/** A device is written back in pieces of this length. */
const PIECE_BYTES = 4 * MIB;
/** Dirty bytes that are on their way to the disk at once, and how many pieces they may come from. */
const DIRTY_IN_FLIGHT_MAX = 8 * MIB;
const PIECES_IN_FLIGHT_MAX = 16;
/** The tag of fdatasync; those of writebacks are numbers of pieces. */
const SYNC = -1;

interface Flush {
  readonly target: IoTarget;
  readonly tag: number;
}

export class PacedFlush implements IoTarget {
  readonly #ring: IoEngine;
  readonly #file: OpenFile;
  readonly #piecesMax: number;
  /** Bytes written to each piece since it was last written back; more than a piece holds when it was written repeatedly. */
  #dirty: Float64Array;
  /** The first one runs. */
  #flushes: Flush[] = [];
  /** Pieces before this one were looked at. */
  #next = 0;
  /** Dirty bytes of the pieces in flight. */
  readonly #inFlight = new Map<number, number>();
  #dirtyInFlight = 0;
  #error = 0;

  /** `canWriteBack`: the kernel lets itself be asked for it, otherwise fdatasync does everything. */
  constructor(ring: IoEngine, file: OpenFile, sizeBytes: number, canWriteBack: boolean) {
    this.#ring = ring;
    this.#file = file;
    // Each holds up a thread of the pool, which log writes need too.
    this.#piecesMax = !canWriteBack ? 0 : ring.kind === 'threads' ? 1 : PIECES_IN_FLIGHT_MAX;
    this.#dirty = new Float64Array(Math.ceil(sizeBytes / PIECE_BYTES));
  }

  /** Of an open device. */
  static of(ring: IoEngine, file: OpenFile, sizeBytes: number): PacedFlush {
    return new PacedFlush(ring, file, sizeBytes, binding.canWriteBack(file.fd));
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

  /** Flushes; the target hears once, with 0 or an errno. After 0 everything whose write had ended before this call is durable. */
  start(target: IoTarget, tag: number): void {
    this.#flushes.push({ target, tag });
    if (this.#flushes.length === 1) this.#begin();
  }

  /** A writeback, or the fdatasync, of the running flush has ended. */
  ioDone(tag: number, error: number): void {
    if (this.#error === 0) this.#error = error;
    if (tag === SYNC) return this.#end();
    this.#dirtyInFlight -= this.#inFlight.get(tag) as number;
    this.#inFlight.delete(tag);
    this.#goOn();
  }

  #begin(): void {
    this.#next = 0;
    this.#error = 0;
    this.#goOn();
  }

  #goOn(): void {
    const dirty = this.#dirty;
    while (this.#inFlight.size < this.#piecesMax && this.#dirtyInFlight < DIRTY_IN_FLIGHT_MAX && this.#error === 0) {
      while (this.#next < dirty.length && dirty[this.#next] === 0) this.#next++;
      if (this.#next >= dirty.length) break;
      this.#writeBack(this.#next++);
    }
    if (this.#inFlight.size > 0) return;
    if (this.#error === 0) this.#ring.queue(OP.datasync, this.#file, undefined, 0, 0, 0, this, SYNC);
    else this.#end();
  }

  #writeBack(piece: number): void {
    const bytes = Math.min(this.#dirty[piece] as number, PIECE_BYTES);
    this.#dirty[piece] = 0;
    this.#inFlight.set(piece, bytes);
    this.#dirtyInFlight += bytes;
    this.#ring.queue(OP.writeBack, this.#file, undefined, 0, PIECE_BYTES, piece * PIECE_BYTES, this, piece);
  }

  /** Tells the running flush how it ended, and if it failed all that waited for it. */
  #end(): void {
    const error = this.#error;
    const ended = this.#flushes.splice(0, error === 0 ? 1 : this.#flushes.length);
    if (this.#flushes.length > 0) this.#begin();
    for (const { target, tag } of ended) target.ioDone(tag, error);
  }
}
