// Slabs that serve as one large batch or as four small ones. That a batch is given once and comes back is in log-index.ts.

import t from 'tap';
import { BLOCK_BYTES, MIB, SLAB_SMALL_PAYLOAD_BYTES } from '../../src/core/limits.js';
import { BatchPool } from '../../src/disk/batch-pool.js';
import type { LogBatch } from '../../src/disk/log-batch.js';
import { Random } from '../../src/sim/random.js';

const createArena = (bytes: number) => ({ bytes: { length: bytes } as Uint8Array, address: 0 });
const [SMALL, LARGE] = [SLAB_SMALL_PAYLOAD_BYTES, MIB];

/** Takes batches of a size until there are no more. */
function takeAll(pool: BatchPool, payloadBytes: number): LogBatch[] {
  const taken: LogBatch[] = [];
  for (let batch = pool.take(payloadBytes); batch !== undefined; batch = pool.take(payloadBytes)) taken.push(batch);
  return taken;
}

t.test('memory serves the size that is asked for, but for what is kept for the other', (t) => {
  const pool = new BatchPool(createArena, 64 * MIB);
  const slabs = Math.floor((64 * MIB) / (MIB + 4 * BLOCK_BYTES));
  for (let round = 0; round < 3; round++) {
    const small = takeAll(pool, SMALL);
    t.equal(small.length, 4 * (slabs - (slabs >> 1)));
    const large = takeAll(pool, LARGE);
    t.equal(large.length, slabs >> 1, 'long writes go on');
    t.equal(pool.used, small.length + large.length);
    for (const batch of [...large, ...small]) batch.release();
    const more = takeAll(pool, SMALL + 1);
    t.equal(more.length, slabs - (slabs >> 3));
    const rest = takeAll(pool, 0);
    t.equal(rest.length, 4 * (slabs >> 3), 'short writes go on');
    for (const batch of [...more, ...rest]) batch.release();
    t.equal(pool.used, 0);
  }
  t.end();
});

t.test('a slab is whole again when the last of its small batches is back', (t) => {
  const pool = new BatchPool(createArena, 0);
  const small = takeAll(pool, SMALL);
  t.equal(small.length, 8);
  const [first, ...rest] = small;
  for (const batch of rest) batch.release();
  const again = takeAll(pool, SMALL);
  t.equal(again.length, 7);
  for (const batch of again) batch.release();
  t.equal(takeAll(pool, LARGE).length, 8);
  first?.release();
  t.equal(pool.take(LARGE), undefined, 'two slabs are for small ones');
  t.end();
});

t.test('what is only kept is given up until there is what was asked for', (t) => {
  const pool = new BatchPool(createArena, 16 * MIB);
  const kept = takeAll(pool, SMALL);
  const large = takeAll(pool, LARGE);
  let asked = 0;
  pool.reclaim = () => {
    asked++;
    const batch = kept.pop();
    batch?.release();
    return batch !== undefined;
  };
  t.ok(pool.take(LARGE));
  t.equal(asked, 4, 'all that stood in one slab');
  while (pool.take(LARGE) !== undefined);
  t.equal(kept.length, 0);
  t.equal(large.length, 8);
  t.end();
});

t.test('no two batches that are in use have memory in common, whatever is taken and given back', (t) => {
  const random = new Random(7);
  for (const sizes of ['both', 'large'] as const) {
    const pool = new BatchPool(createArena, 24 * MIB, sizes);
    const taken: LogBatch[] = [];
    for (let step = 0; step < 20_000; step++) {
      const batch = random.chance(50) ? pool.take(random.chance(60) ? SMALL : LARGE) : undefined;
      if (batch !== undefined) {
        const end = (one: LogBatch): number => one.dataStart + one.dataCapacity;
        const shared = taken.find((other) => batch.start < end(other) && other.start < end(batch));
        if (shared !== undefined) t.fail(`${batch.start} and ${shared.start}`);
        if (end(batch) > batch.arena.bytes.length) t.fail('outside of the arena');
        taken.push(batch);
      } else if (taken.length > 0) {
        const at = random.below(taken.length);
        taken.splice(at, 1)[0]?.release();
      }
      if (pool.used !== taken.length) t.fail(`${pool.used} in use, not ${taken.length}`);
    }
    for (const batch of taken) batch.release();
    t.equal(takeAll(pool, LARGE).length, pool.size);
  }
  t.end();
});
