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
