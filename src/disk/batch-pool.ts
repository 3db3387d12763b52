// The memory of a group: a fixed number of slabs of two sizes. When none is free, writers wait; that is the bound on unapplied payload.

import { assert } from '../core/assert.js';
import { BLOCK_BYTES, GROUP_PAYLOAD_BYTES, SLAB_LARGE_PAYLOAD_BYTES, SLAB_SMALL_PAYLOAD_BYTES } from '../core/limits.js';
import type { Arena } from '../core/ports.js';
import { LogBatch } from './log-batch.js';

/** Least number of slabs of a size. */
const SLABS_MIN = 8;

/** Makes page-aligned memory of this many bytes. */
export type CreateArena = (bytes: number) => Arena;

export class BatchPool {
  readonly #small: LogBatch[] = [];
  readonly #large: LogBatch[] = [];
  readonly #total: number;
  readonly #hasSmall: boolean;
  /** Called when a batch came back while someone may be waiting. */
  onFree: (() => void) | undefined;
  /** Called when nothing is free: gives up memory that is only kept to save reads; false when there is none. */
  reclaim: (() => boolean) | undefined;

  /** Splits `bytes` (default GROUP_PAYLOAD_BYTES) evenly between small and large slabs. The memory is touched only when used. */
  constructor(createArena: CreateArena, bytes = GROUP_PAYLOAD_BYTES, sizes: 'both' | 'large' = 'both') {
    this.#hasSmall = sizes === 'both';
    if (this.#hasSmall) this.#fill(createArena, this.#small, SLAB_SMALL_PAYLOAD_BYTES, bytes / 2);
    this.#fill(createArena, this.#large, SLAB_LARGE_PAYLOAD_BYTES, this.#hasSmall ? bytes / 2 : bytes);
    this.#total = this.#small.length + this.#large.length;
  }

  /** Large slabs only, in memory that is there already: at least eight of them fit. */
  static within(arena: Arena): BatchPool {
    assert(arena.bytes.length >= SLABS_MIN * (BLOCK_BYTES + SLAB_LARGE_PAYLOAD_BYTES), 'a pool has some slabs');
    return new BatchPool(() => arena, arena.bytes.length, 'large');
  }

  #fill(createArena: CreateArena, list: LogBatch[], payloadBytes: number, budget: number): void {
    const slabBytes = BLOCK_BYTES + payloadBytes;
    const count = Math.max(SLABS_MIN, Math.floor(budget / slabBytes));
    const arena = createArena(count * slabBytes);
    const release = (batch: LogBatch): void => {
      list.push(batch);
      this.onFree?.();
    };
    for (let i = count - 1; i >= 0; i--) list.push(new LogBatch(arena, i * slabBytes, payloadBytes, release));
  }

  /** An empty batch with room for at least `payloadBytes` of payload, held once; undefined when there is none. */
  take(payloadBytes: number): LogBatch | undefined {
    const list = this.#hasSmall && payloadBytes <= SLAB_SMALL_PAYLOAD_BYTES ? this.#small : this.#large;
    while (list.length === 0 && this.reclaim?.() === true);
    const batch = list.pop();
    batch?.reset();
    return batch;
  }

  /** All batches there are. */
  get size(): number {
    return this.#total;
  }

  /** Batches in use. */
  get used(): number {
    return this.#total - this.#small.length - this.#large.length;
  }
}
