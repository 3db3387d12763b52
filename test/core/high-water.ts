// The arithmetic of the high-water mark: it stays ahead of the writer, one superblock for each step is enough, and it never goes back.

import t from 'tap';
import { highWaterStep, isHighWaterDue, lookBehindEnd, nextHighWater } from '../../src/core/high-water.js';
import { GIB, LOG_BYTES_MIN, MIB } from '../../src/core/limits.js';

const RINGS = [4096, 24 * 1024, LOG_BYTES_MIN - 64 * 1024, 17 * MIB + 4096, 512 * MIB, 3 * GIB, 1024 * GIB];

t.test('a step is an eighth of the ring, 64 MiB at most, and its half whole blocks', async (t) => {
  for (const ring of RINGS) {
    const step = highWaterStep(ring);
    t.ok(step > 0 && step % 8192 === 0, `${ring}: ${step}`);
    t.ok(step <= 64 * MIB);
    t.ok(step <= Math.max(8192, ring / 8));
    t.ok(nextHighWater(undefined, 8192, ring) % 4096 === 0);
  }
  t.equal(highWaterStep(3 * GIB), 64 * MIB);
  t.equal(highWaterStep(64 * MIB), 8 * MIB);
});

t.test('a writer that never waits needs one superblock for each step, and never comes closer than half of one', async (t) => {
  for (const ring of RINGS.filter((bytes) => bytes >= 15 * MIB)) {
    const step = highWaterStep(ring);
    let older = nextHighWater(undefined, 0, ring);
    let newer = older;
    let writes = 0;
    let closest = Number.POSITIVE_INFINITY;
    const laps = 40 * step;
    for (let position = 0; position < laps; position += 4096 * 3) {
      if (isHighWaterDue(Math.min(older, newer), position, ring)) {
        [older, newer] = [newer, nextHighWater(newer, position, ring)];
        writes++;
      }
      closest = Math.min(closest, older - position);
    }
    t.ok(writes >= 38 && writes <= 40, `${writes} superblocks for 40 steps`);
    t.ok(closest >= step / 2 - 4096 * 3, `${closest} of ${step}`);
    t.ok(newer - laps <= 2.5 * step, 'a start has little to look at');
  }
});

t.test('it never goes back, wherever the log is cut', async (t) => {
  t.equal(nextHighWater(GIB, 0, 64 * MIB), GIB);
  t.equal(nextHighWater(GIB, GIB, 64 * MIB), GIB + 20 * MIB);
});

t.test('a scan looks behind its end up to the mark, and without one that counts up to the end of the ring', async (t) => {
  t.equal(lookBehindEnd(20, 10, 100), 20);
  t.equal(lookBehindEnd(120, 10, 100), 100, 'the ring ends before it');
  t.equal(lookBehindEnd(undefined, 10, 100), 100, 'a log that has none');
  t.equal(lookBehindEnd(9, 10, 100), 100, 'something was written beyond it');
  t.equal(lookBehindEnd(10, 10, 100), 100);
});
