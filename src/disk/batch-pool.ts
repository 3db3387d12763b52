// The memory of a group: a fixed number of slabs. Each serves as one large batch (one long write) or as four small ones (many short
// writes), as the load asks for it; some are kept for each, so that neither starves. When none is free, writers wait; that is the bound on
// unapplied payload.

import { assert } from '../core/assert.js';
import { BLOCK_BYTES, GROUP_PAYLOAD_BYTES, SLAB_LARGE_PAYLOAD_BYTES, SLAB_SMALL_PAYLOAD_BYTES } from '../core/limits.js';
import type { Arena } from '../core/ports.js';
import { LogBatch } from './log-batch.js';

/** Small batches of a slab. */
const SMALL_PER_SLAB = 4;
/**
 * Slabs that only large batches get, at least half of all: one that is split is whole again only when its small ones are all free at once.
 * A client that stops in the middle of a long write holds one, and a site that takes nothing some more.
 */
const LARGE_SLABS_MIN = 8;
/** Slabs that only small batches get, at least an eighth of all. */
const SMALL_SLABS_MIN = 2;

const LARGE_BYTES = BLOCK_BYTES + SLAB_LARGE_PAYLOAD_BYTES;
const SMALL_BYTES = BLOCK_BYTES + SLAB_SMALL_PAYLOAD_BYTES;
const SLAB_BYTES = SMALL_PER_SLAB * SMALL_BYTES;
assert(SLAB_BYTES >= LARGE_BYTES, 'a slab has room for a large batch');

/** Makes page-aligned memory of this many bytes. */
export type CreateArena = (bytes: number) => Arena;

/** A slab of the pool. It is free as a whole, in use as a large batch, or split: then some of its small batches are in use. */
class PoolSlab {
  readonly large: LogBatch;
  readonly small: LogBatch[] = [];
  /** Where it stands among the split slabs that have something free; -1: not there. */
  at = -1;

  constructor(arena: Arena, start: number, pool: BatchPool, isSplittable: boolean) {
    this.large = new LogBatch(arena, start, SLAB_LARGE_PAYLOAD_BYTES, () => pool.largeReleased(this));
    const release = (batch: LogBatch): void => pool.smallReleased(this, batch);
    for (let i = isSplittable ? SMALL_PER_SLAB - 1 : -1; i >= 0; i--)
      this.small.push(new LogBatch(arena, start + i * SMALL_BYTES, SLAB_SMALL_PAYLOAD_BYTES, release));
  }
}

export class BatchPool {
  /** Large batches there can be at once. */
  readonly size: number;
  readonly #isSplittable: boolean;
  readonly #largeMax: number;
  readonly #splitMax: number;
  readonly #free: PoolSlab[] = [];
  /** Split slabs with a free small batch. */
  readonly #open: PoolSlab[] = [];
  #largeUsed = 0;
  #smallUsed = 0;
  #split = 0;
  /** Called when a batch came back while someone may be waiting. */
  onFree: (() => void) | undefined;
  /** Called when nothing is free: gives up memory that is only kept to save reads; false when there is none. */
  reclaim: (() => boolean) | undefined;

  /** Slabs in about `bytes` (default GROUP_PAYLOAD_BYTES), for both sizes or for large batches only. Memory is touched only when used. */
  constructor(createArena: CreateArena, bytes = GROUP_PAYLOAD_BYTES, sizes: 'both' | 'large' = 'both') {
    this.#isSplittable = sizes === 'both';
    const slabBytes = this.#isSplittable ? SLAB_BYTES : LARGE_BYTES;
    const count = Math.max(LARGE_SLABS_MIN + (this.#isSplittable ? SMALL_SLABS_MIN : 0), Math.floor(bytes / slabBytes));
    this.#largeMax = this.#isSplittable ? count - Math.max(SMALL_SLABS_MIN, count >> 3) : count;
    this.#splitMax = this.#isSplittable ? count - Math.max(LARGE_SLABS_MIN, count >> 1) : 0;
    this.size = this.#largeMax;
    const arena = createArena(count * slabBytes);
    for (let i = count - 1; i >= 0; i--) this.#free.push(new PoolSlab(arena, i * slabBytes, this, this.#isSplittable));
  }

  /** Large slabs only, in memory that is there already: at least eight of them fit. */
  static within(arena: Arena): BatchPool {
    assert(arena.bytes.length >= LARGE_SLABS_MIN * LARGE_BYTES, 'a pool has some slabs');
    return new BatchPool(() => arena, arena.bytes.length, 'large');
  }

  /** An empty batch with room for at least `payloadBytes` of payload, held once; undefined when there is none. */
  take(payloadBytes: number): LogBatch | undefined {
    const isSmall = this.#isSplittable && payloadBytes <= SLAB_SMALL_PAYLOAD_BYTES;
    // Bounded by what reclaim() has to give up.
    for (;;) {
      const batch = isSmall ? this.#takeSmall() : this.#takeLarge();
      if (batch !== undefined) batch.reset();
      if (batch !== undefined || this.reclaim?.() !== true) return batch;
    }
  }

  /** Batches in use. */
  get used(): number {
    return this.#largeUsed + this.#smallUsed;
  }

  #takeLarge(): LogBatch | undefined {
    const slab = this.#largeUsed < this.#largeMax ? this.#free.pop() : undefined;
    if (slab === undefined) return undefined;
    this.#largeUsed++;
    return slab.large;
  }

  #takeSmall(): LogBatch | undefined {
    const slab = this.#open.at(-1) ?? this.#splitOne();
    if (slab === undefined) return undefined;
    const batch = slab.small.pop();
    if (slab.small.length === 0) this.#close(slab);
    this.#smallUsed++;
    return batch;
  }

  #splitOne(): PoolSlab | undefined {
    const slab = this.#split < this.#splitMax ? this.#free.pop() : undefined;
    if (slab === undefined) return undefined;
    this.#split++;
    slab.at = this.#open.push(slab) - 1;
    return slab;
  }

  /** Takes a slab out of the split ones that have something free. */
  #close(slab: PoolSlab): void {
    const last = this.#open.pop() as PoolSlab;
    if (last !== slab) {
      this.#open[slab.at] = last;
      last.at = slab.at;
    }
    slab.at = -1;
  }

  /** For the slab's large batch: nobody holds it any more. */
  largeReleased(slab: PoolSlab): void {
    this.#largeUsed--;
    this.#free.push(slab);
    this.onFree?.();
  }

  /** For a small batch of the slab: nobody holds it any more. A slab whose small batches are all back is whole again. */
  smallReleased(slab: PoolSlab, batch: LogBatch): void {
    this.#smallUsed--;
    slab.small.push(batch);
    if (slab.at === -1) slab.at = this.#open.push(slab) - 1;
    if (slab.small.length === SMALL_PER_SLAB) {
      this.#close(slab);
      this.#split--;
      this.#free.push(slab);
    }
    this.onFree?.();
  }
}
