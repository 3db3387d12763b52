// Batches that are read back from the log for one site, because they have left memory: a few at a time, handed out in LSN order.
//
// Owner of every batch from its read until take() hands it out; what is not handed out is released by stop(). Order: the reads are of
// batches that follow each other, and one that failed is reported when its turn has come, so that all before it is sent.

import { assert } from '../core/assert.js';
import type { LogBatch } from '../disk/log-batch.js';
import type { ShipSource } from './ports.js';

/** A batch on its way from the log; `lastLsn` is known from the index before the batch is here. */
type Read = { readonly firstLsn: number; readonly lastLsn: number; batch: LogBatch | undefined; error: unknown };

/** What batches are read from. */
export type ReadSource = Pick<ShipSource, 'holdBatch' | 'readBatch' | 'lastOfBatch'>;

/** Told when the read whose turn it is has ended; may be called at any time outside the calls of ReadAhead. */
export type ReadAheadOwner = { readEnded(): void };

/** One per session. */
export class ReadAhead {
  readonly #source: ReadSource;
  readonly #owner: ReadAheadOwner;
  readonly #reads: Read[] = [];
  readonly #going = new Set<Promise<void>>();
  #stopped = false;

  constructor(source: ReadSource, owner: ReadAheadOwner) {
    this.#source = source;
    this.#owner = owner;
  }

  /** Reads going on, and batches that wait for take(). */
  get count(): number {
    return this.#reads.length;
  }

  /** Starts reads until there are `max`, up to `endLsn` or a batch that is in memory; behind those there are, or from `lsn` on. */
  fill(lsn: number, endLsn: number, max: number): void {
    let next = this.#reads.length === 0 ? lsn : (this.#reads.at(-1) as Read).lastLsn + 1;
    while (this.#reads.length < max && next <= endLsn && !this.#isInMemory(next)) {
      const read: Read = { firstLsn: next, lastLsn: this.#source.lastOfBatch(next) ?? next, batch: undefined, error: undefined };
      this.#reads.push(read);
      this.#start(read);
      next = read.lastLsn + 1;
    }
  }

  /** The next batch, held for the caller; undefined while it is being read. Throws why it cannot be. */
  take(lsn: number): LogBatch | undefined {
    const read = this.#reads[0];
    assert(read?.firstLsn === lsn, 'batches that were read are sent in order');
    if (read.error !== undefined) throw read.error;
    if (read.batch === undefined) return undefined;
    this.#reads.shift();
    return read.batch;
  }

  /** Nothing is handed out any more. */
  stop(): void {
    this.#stopped = true;
    for (const { batch } of this.#reads.splice(0)) batch?.release();
  }

  /** Behind stop(): resolves when no read of the log is going on. */
  async settled(): Promise<void> {
    await Promise.all(this.#going);
  }

  #isInMemory(lsn: number): boolean {
    const batch = this.#source.holdBatch(lsn);
    batch?.release();
    return batch !== undefined;
  }

  #start(read: Read): void {
    const going = this.#source.readBatch(read.firstLsn).then(
      (batch) => {
        this.#going.delete(going);
        if (this.#stopped) return batch.release();
        read.batch = batch;
        this.#ended(read);
      },
      (error: unknown) => {
        this.#going.delete(going);
        read.error = error ?? new Error('a read failed');
        if (!this.#stopped) this.#ended(read);
      },
    );
    this.#going.add(going);
  }

  #ended(read: Read): void {
    if (this.#reads[0] === read) this.#owner.readEnded();
  }
}
