// Positions of a log laid over a ring.

import t from 'tap';
import { Ring } from '../../src/core/ring.js';
import { Random } from '../helpers/random.js';

const BLOCK = 4096;

t.test('a batch never crosses the end of the ring', async (t) => {
  const ring = new Ring(8 * BLOCK);
  t.equal(ring.place(6 * BLOCK, 2 * BLOCK), 6 * BLOCK, 'exactly to the end');
  t.equal(ring.place(6 * BLOCK, 3 * BLOCK), 8 * BLOCK, 'else at the next lap');
  t.equal(ring.place(8 * BLOCK, 3 * BLOCK), 8 * BLOCK);
  t.equal(ring.offset(17 * BLOCK), BLOCK);
  t.equal(ring.toEnd(17 * BLOCK), 7 * BLOCK);
  t.equal(ring.toEnd(16 * BLOCK), 8 * BLOCK);
});

t.test('a ring can be filled to the last block and no further', async (t) => {
  const ring = new Ring(8 * BLOCK);
  t.ok(ring.fits(7 * BLOCK, 0, BLOCK));
  t.notOk(ring.fits(8 * BLOCK, 0, BLOCK));
  t.ok(ring.fits(8 * BLOCK, BLOCK, BLOCK));
  t.notOk(ring.fits(7 * BLOCK, 0, 2 * BLOCK), 'the skipped rest of a lap counts as used');
  t.ok(ring.fits(7 * BLOCK, 2 * BLOCK, 2 * BLOCK));
});

t.test('what fits never touches what is still needed', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  let wrong = 0;
  for (let run = 0; run < 20_000; run++) {
    const ring = new Ring((1 + random.below(16)) * BLOCK);
    const oldest = random.below(64) * BLOCK;
    const position = oldest + random.below(ring.bytes / BLOCK + 1) * BLOCK;
    const bytes = (1 + random.below(6)) * BLOCK;
    const at = ring.place(position, bytes);
    if (bytes <= ring.bytes && Math.floor(at / ring.bytes) !== Math.floor((at + bytes - 1) / ring.bytes)) wrong++;
    // Blocks of the ring that the range [oldest, position) and the batch both use.
    const used = new Set<number>();
    for (let p = oldest; p < position; p += BLOCK) used.add(ring.offset(p));
    let overlap = false;
    for (let p = position; p < at + bytes; p += BLOCK) overlap = overlap || (p >= at && used.has(ring.offset(p)));
    if (ring.fits(position, oldest, bytes) && overlap) wrong++;
  }
  t.equal(wrong, 0);
});

t.test('a ring has whole blocks', async (t) => {
  t.throws(() => new Ring(0), /whole blocks/);
  t.throws(() => new Ring(BLOCK + 512), /whole blocks/);
});

t.test('a ring of two layouts never lays two positions in use on one place, whatever is in it', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const wrong: string[] = [];
  let changes = 0;
  for (let run = 0; run < 4000; run++) {
    const ring = new Ring((2 + random.below(12)) * BLOCK);
    // Places of all blocks in use, from oldest to newest position.
    const inUse = new Map<number, number>();
    let oldest = 0;
    let end = 0;
    for (let turn = 0; turn < 60; turn++) {
      const bytes = (1 + random.below(3)) * BLOCK;
      if (random.below(3) > 0 && ring.fits(end, oldest, bytes)) {
        const at = ring.place(end, bytes);
        for (let p = at; p < at + bytes; p += BLOCK) {
          const place = ring.offset(at) + (p - at);
          if (ring.offset(p) !== place || place + BLOCK > ring.bytes) wrong.push(`run ${run}: not in one piece`);
          if ([...inUse.values()].includes(place)) wrong.push(`run ${run}: ${place} is used twice`);
          inUse.set(p, place);
        }
        end = at + bytes;
      } else if (random.below(4) === 0 && ring.isSettled(oldest)) {
        const layout = ring.withSize((2 + random.below(12)) * BLOCK, oldest, end);
        if (layout !== undefined) {
          ring.adopt(layout);
          changes++;
        }
        for (const [p, place] of inUse) if (ring.offset(p) !== place) wrong.push(`run ${run}: position ${p} has moved`);
      } else {
        oldest = Math.min(end, oldest + random.below(4) * BLOCK);
        for (const p of inUse.keys()) if (p < oldest) inUse.delete(p);
      }
    }
  }
  t.same(wrong.slice(0, 5), []);
  t.ok(changes > 4000, `${changes} changes of size`);
});

t.test('a ring is made larger and smaller as far as what is in it fits', async (t) => {
  const ring = new Ring(8 * BLOCK);
  t.equal(ring.withSize(2 * BLOCK, 0, 3 * BLOCK), undefined, 'more is in use than a smaller one holds');
  const layout = ring.withSize(12 * BLOCK, 0, 3 * BLOCK);
  t.equal(layout?.bytes, 12 * BLOCK);
});
