// Batches that are on the volumes already, kept in memory because a connected site has not received them yet: what is sent from here need
// not be read back from the log, which would take disk time from the log's writer.
//
// Order: LSN order, without gaps except where writers needed the memory back (evict()); a site that falls behind that far reads the log.
// Nothing depends on what is kept: it is released on every change of role and given up whenever memory is short.

import { assert } from '../core/assert.js';
import { findBatch, type LogBatch } from '../disk/log-batch.js';

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

  /** Every connected site has received everything up to `lsn`. */
  releaseTo(lsn: number): void {
    while (this.#head < this.#batches.length && (this.#batches[this.#head] as LogBatch).lastLsn <= lsn) this.evict();
  }

  /** Gives up the oldest batch; false when there is none. */
  evict(): boolean {
    const batch = this.#batches[this.#head];
    if (batch === undefined) return false;
    this.#batches[this.#head++] = undefined;
    if (this.#head === this.#batches.length) {
      this.#batches.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1024) {
      this.#batches.splice(0, this.#head);
      this.#head = 0;
    }
    batch.release();
    return true;
  }
}
