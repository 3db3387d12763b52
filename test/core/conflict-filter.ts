// The filter of overlapping ranges: it may say "perhaps" for nothing, but never "no" for an overlap.

import t from 'tap';
import { ConflictFilter } from '../../src/core/conflict-filter.js';
import { Random } from '../helpers/random.js';

type Range = { volume: number; offset: number; length: number };

t.test('an overlap with a range in flight is never missed, and an empty filter is free', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const filter = new ConflictFilter();
  const inFlight: Range[] = [];
  let missed = 0;
  let falseHits = 0;
  let asked = 0;
  for (let run = 0; run < 30_000; run++) {
    const length = random.below(50) === 0 ? (1 + random.below(200)) * 2 ** 20 : (1 + random.below(64)) * 4096;
    const range = { volume: random.below(3), offset: random.below(2 ** 20) * 4096, length };
    if (inFlight.length > 0 && random.below(3) === 0) {
      const near = inFlight[random.below(inFlight.length)] as Range;
      range.volume = near.volume;
      range.offset = Math.max(0, near.offset + near.length - 4096 * random.below(3));
    }
    const overlaps = inFlight.some(
      (other) => other.volume === range.volume && other.offset < range.offset + range.length && range.offset < other.offset + other.length,
    );
    const isFree = filter.isFree(range.volume, range.offset, range.length);
    asked++;
    if (isFree && overlaps) missed++;
    if (!isFree && !overlaps) falseHits++;
    if (isFree) {
      filter.add(range.volume, range.offset, range.length);
      inFlight.push(range);
    }
    while (inFlight.length > random.below(40)) {
      const [done] = inFlight.splice(random.below(inFlight.length), 1) as [Range];
      filter.remove(done.volume, done.offset, done.length);
    }
  }
  for (const { volume, offset, length } of inFlight) filter.remove(volume, offset, length);
  t.equal(missed, 0);
  t.ok(falseHits < asked / 4, `${falseHits} of ${asked} were refused for nothing`);
  t.ok(filter.isFree(0, 0, 2 ** 40), 'nothing is left behind');
});

t.test('a very long range conflicts with everything, also on another volume', async (t) => {
  const filter = new ConflictFilter();
  filter.add(0, 0, 128 * 2 ** 20);
  t.notOk(filter.isFree(1, 2 ** 40, 4096));
  filter.remove(0, 0, 128 * 2 ** 20);
  t.ok(filter.isFree(1, 2 ** 40, 4096));
  filter.add(0, 0, 4096);
  t.notOk(filter.isFree(1, 2 ** 40, 128 * 2 ** 20), 'and is held back by anything');
});
