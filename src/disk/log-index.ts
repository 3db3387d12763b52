// Where each retained batch stands in the ring, in LSN order, with running sums of payload: answers "which batch holds this LSN" and "how
// many bytes lie between two LSNs" without reading the log. One entry per batch, in columns of numbers.

import { assert } from '../core/assert.js';
import { DOUBLE_ZERO } from '../core/doubles.js';

/** One retained batch. `payloadEnd` is the sum of all payload bytes of the index up to and including this batch. */
export type LogIndexEntry = {
  readonly firstLsn: number;
  readonly count: number;
  readonly position: number;
  readonly totalBytes: number;
  readonly payloadEnd: number;
  readonly timeUs: number;
  /** Chain value of the batch's last record. */
  readonly chain: number;
};

const COLUMNS = 7;

export class LogIndex {
  // A ring of rows over one array; capacity is a power of two and grows with the number of retained batches.
  #rows = new Float64Array(1024 * COLUMNS);
  #capacity = 1024;
  #head = 0;
  #count = 0;
  #payloadSum = DOUBLE_ZERO;
  /** payloadEnd of the last dropped batch. */
  #payloadBase = DOUBLE_ZERO;

  get count(): number {
    return this.#count;
  }

  /** LSN of the last indexed record; 0 when empty. */
  get lastLsn(): number {
    return this.#count === 0 ? 0 : this.#cell(this.#count - 1, 0) + this.#cell(this.#count - 1, 1) - 1;
  }

  push(entry: Omit<LogIndexEntry, 'payloadEnd'>, payloadBytes: number): void {
    const { firstLsn } = entry;
    assert(this.#count === 0 || firstLsn === this.lastLsn + 1, 'indexed LSNs are contiguous');
    if (this.#count === this.#capacity) this.#grow();
    const row = ((this.#head + this.#count) & (this.#capacity - 1)) * COLUMNS;
    this.#payloadSum += payloadBytes;
    this.#rows[row] = firstLsn;
    this.#rows[row + 1] = entry.count;
    this.#rows[row + 2] = entry.position;
    this.#rows[row + 3] = entry.totalBytes;
    this.#rows[row + 4] = this.#payloadSum;
    this.#rows[row + 5] = entry.timeUs;
    this.#rows[row + 6] = entry.chain;
    this.#count++;
  }

  /** The batch holding `lsn`; undefined when it is not retained. */
  find(lsn: number): LogIndexEntry | undefined {
    const i = this.#search(lsn);
    return i < 0 ? undefined : this.at(i);
  }

  /** Entry `i`, oldest first. */
  at(i: number): LogIndexEntry {
    assert(i >= 0 && i < this.#count, 'index entry exists');
    return {
      firstLsn: this.#cell(i, 0),
      // A small integer again: it becomes LogBatch.count, which loops run up to.
      count: this.#cell(i, 1) | 0,
      position: this.#cell(i, 2),
      totalBytes: this.#cell(i, 3),
      payloadEnd: this.#cell(i, 4),
      timeUs: this.#cell(i, 5),
      chain: this.#cell(i, 6),
    };
  }

  /** Drops every batch that holds only LSNs <= lsn; returns the last dropped LSN, or 0 when nothing was dropped. */
  trim(lsn: number): number {
    let dropped = 0;
    while (this.#count > 0 && this.#cell(0, 0) + this.#cell(0, 1) - 1 <= lsn) {
      dropped = this.#cell(0, 0) + this.#cell(0, 1) - 1;
      this.#payloadBase = this.#cell(0, 4);
      this.#head = (this.#head + 1) & (this.#capacity - 1);
      this.#count--;
    }
    return dropped;
  }

  /** The last LSN <= lsn that ends a batch, so that the log can be trimmed there; 0 when there is none. */
  batchEndBefore(lsn: number): number {
    let i = this.#search(Math.min(lsn, this.lastLsn));
    if (i < 0) return 0;
    if (this.#cell(i, 0) + this.#cell(i, 1) - 1 > lsn) i--;
    return i < 0 ? 0 : this.#cell(i, 0) + this.#cell(i, 1) - 1;
  }

  /**
   * Forgets every record after `lsn`, whose chain value is `chain` (the log was cut there); the last batch may become shorter. Payload
   * sums stay upper bounds.
   */
  cut(lsn: number, chain: number): void {
    while (this.#count > 0 && this.#cell(this.#count - 1, 0) > lsn) this.#count--;
    if (this.#count === 0) return;
    const row = ((this.#head + this.#count - 1) & (this.#capacity - 1)) * COLUMNS;
    this.#rows[row + 1] = Math.min(this.#rows[row + 1] as number, lsn - (this.#rows[row] as number) + 1);
    this.#rows[row + 6] = chain;
  }

  /** Payload bytes of all records after `lsn`: an upper bound at batch granularity, exact at batch ends. */
  payloadAfter(lsn: number): number {
    const i = this.#search(lsn + 1);
    if (i < 0) return lsn >= this.lastLsn ? 0 : this.#payloadSum - this.#payloadBase;
    return this.#payloadSum - this.#before(i);
  }

  /** Time of acceptance of the first record of the batch holding `lsn` (microseconds since 1970); 0 when it is not retained. */
  timeOf(lsn: number): number {
    const i = this.#search(lsn);
    return i < 0 ? 0 : this.#cell(i, 5);
  }

  #before(i: number): number {
    return i === 0 ? this.#payloadBase : this.#cell(i - 1, 4);
  }

  #search(lsn: number): number {
    if (this.#count === 0 || lsn < this.#cell(0, 0) || lsn > this.lastLsn) return -1;
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#cell(middle, 0) <= lsn) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #cell(i: number, column: number): number {
    return this.#rows[((this.#head + i) & (this.#capacity - 1)) * COLUMNS + column] as number;
  }

  #grow(): void {
    const rows = new Float64Array(this.#capacity * 2 * COLUMNS);
    const head = this.#head * COLUMNS;
    rows.set(this.#rows.subarray(head), 0);
    rows.set(this.#rows.subarray(0, head), this.#rows.length - head);
    this.#rows = rows;
    this.#head = 0;
    this.#capacity *= 2;
  }
}
