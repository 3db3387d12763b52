// A batch in memory: one slab whose first block is the header block of the batch and whose data area holds the payloads, exactly as they
// stand in the log. The same bytes serve the log write, the device writes, the overlay of reads and the link; the slab returns to its pool
// when the last holder lets go.

import { assert } from '../core/assert.js';
import { DOUBLE_ZERO } from '../core/doubles.js';
import { BATCH_RECORDS_MAX, BLOCK_BYTES } from '../core/limits.js';
import type { Arena, Slab } from '../core/ports.js';
import { recordHeaderAt } from '../format/batch.js';
import { recordHasPayload, recordLength } from '../format/record.js';

export class LogBatch implements Slab {
  readonly arena: Arena;
  /** Start of the header block in the arena. */
  readonly start: number;
  readonly dataStart: number;
  readonly dataCapacity: number;
  readonly #release: (batch: LogBatch) => void;
  #holders = 0;

  count = 0;
  payloadBytes = 0;
  firstLsn = DOUBLE_ZERO;
  /** Position in the log; set when the batch is sealed. */
  position = DOUBLE_ZERO;
  /** What the batch header says is durable at the primary; set when the batch is sealed. */
  primaryDurableLsn = DOUBLE_ZERO;
  /** For the owner: when it was sealed (ms of its clock). */
  sealedMs = DOUBLE_ZERO;
  /** For the owner: records not yet applied. */
  unapplied = 0;

  constructor(arena: Arena, start: number, dataCapacity: number, release: (batch: LogBatch) => void) {
    this.arena = arena;
    this.start = start;
    this.dataStart = start + BLOCK_BYTES;
    this.dataCapacity = dataCapacity;
    this.#release = release;
  }

  get lastLsn(): number {
    return this.firstLsn + this.count - 1;
  }

  /** Makes a batch taken from the pool empty, with its taker as the only holder. */
  reset(): void {
    assert(this.#holders === 0, 'a pooled batch has no holder');
    this.#holders = 1;
    this.count = 0;
    this.payloadBytes = 0;
    this.firstLsn = 0;
    this.position = 0;
    this.primaryDurableLsn = 0;
    this.unapplied = 0;
  }

  hold(): void {
    assert(this.#holders > 0, 'only a held batch can be shared');
    this.#holders++;
  }

  release(): void {
    assert(this.#holders > 0, 'a batch is released once per hold');
    if (--this.#holders === 0) this.#release(this);
  }

  hasRoom(payloadBytes: number): boolean {
    return this.count < BATCH_RECORDS_MAX && this.payloadBytes + payloadBytes <= this.dataCapacity;
  }

  /** Arena offset of the header of record `index`. */
  headerAt(index: number): number {
    return this.start + recordHeaderAt(index);
  }

  /** Payload bytes of the records before `index`: where the payload of record `index` starts, from dataStart. */
  payloadOffset(index: number): number {
    let sum = 0;
    for (let i = 0; i < index; i++) {
      const header = this.headerAt(i);
      if (recordHasPayload(this.arena.bytes, header)) sum += recordLength(this.arena.bytes, header);
    }
    return sum;
  }
}

/** The batch with `lsn` among batches[from...], which are in LSN order; undefined when it is in none of them. */
export function findBatch(batches: readonly (LogBatch | undefined)[], from: number, lsn: number): LogBatch | undefined {
  let low = from;
  let high = batches.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const batch = batches[middle] as LogBatch;
    if (lsn < batch.firstLsn) high = middle - 1;
    else if (lsn > batch.lastLsn) low = middle + 1;
    else return batch;
  }
  return undefined;
}
