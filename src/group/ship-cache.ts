// Batches that are on the volumes already, kept in memory because they have not been sent to a connected site yet: what is sent from here
// need not be read back from the log, which would take disk time from the log's writer.
//
// Order: LSN order, without gaps except where writers needed the memory back (evict()); a site reads the log for what lies in a gap.
// Nothing depends on what is kept: it is released on every change of role and given up whenever memory is short.

import { assert } from '../core/assert.js';
import { findBatch, type LogBatch } from '../disk/log-batch.js';
import type { Sites } from './sites.js';

/** One per group. Holds each kept batch once. */
export class ShipCache {
  // Kept batches are #batches[#head...]; the front is dropped in one piece now and then.
  readonly #batches: (LogBatch | undefined)[] = [];
  #head = 0;

  /** Takes a hold of a batch that follows all kept before. */
  keep(batch: LogBatch): void {
    const last = this.#batches.at(-1);
    assert(last === undefined || last.lastLsn < batch.firstLsn, 'batches are kept in LSN order');
    batch.hold();
    this.#batches.push(batch);
  }

  /** The kept batch with `lsn`, if any. */
  find(lsn: number): LogBatch | undefined {
    return findBatch(this.#batches, this.#head, lsn);
  }

  /** Every connected site has been sent everything up to `lsn`. */
  releaseTo(lsn: number): void {
    while (this.#head < this.#batches.length && (this.#batches[this.#head] as LogBatch).lastLsn <= lsn) this.#releaseOldest();
  }

  /**
   * Gives up the batch that is needed last; false when there is none. Sites are sent batches in LSN order, so that is the newest one: to
   * give up the oldest would be to give up each just before its turn. What a site that has been sent all up to `fastestLsn` needs no more
   * goes first: a slower one reads it from the log rather than that a site which keeps up is made to.
   */
  evict({ fastestLsn }: Pick<Sites, 'fastestLsn'>): boolean {
    if (this.#head === this.#batches.length) return false;
    const at = this.#countTo(fastestLsn) - 1;
    const [batch] = this.#batches.splice(at < this.#head ? this.#batches.length - 1 : at, 1);
    this.#tidy();
    (batch as LogBatch).release();
    return true;
  }

  #releaseOldest(): void {
    const batch = this.#batches[this.#head] as LogBatch;
    this.#batches[this.#head++] = undefined;
    this.#tidy();
    batch.release();
  }

  /** Drops what is empty at the front, when it is all there is or a lot. */
  #tidy(): void {
    if (this.#head < this.#batches.length && this.#head < 1024) return;
    this.#batches.splice(0, this.#head);
    this.#head = 0;
  }

  /** Batches of the array, from its start, that lie at or before `lsn`. */
  #countTo(lsn: number): number {
    let low = this.#head;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#batches[middle] as LogBatch).lastLsn <= lsn) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
