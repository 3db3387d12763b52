// Which parts of dirty regions are to be copied: a map against a plain model of blocks, and the memory that it costs.

import t from 'tap';
import { DIRTY_PAGE_BYTES, DirtyMap } from '../../src/core/dirty-map.js';
import { RegionParts } from '../../src/core/region-parts.js';
import { Random } from '../helpers/random.js';

const BLOCK = 4096;
const PAGE_REGIONS = 8 * DIRTY_PAGE_BYTES;

/** Parts of each region that are to be copied, and that a copy under way has. */
class Model {
  readonly left: Set<number>[][];
  readonly copying: boolean[][];
  /** What the copy under way has. */
  readonly taken = new Map<string, number[]>();
  readonly parts: number;

  constructor(regions: readonly number[], parts: number) {
    this.parts = parts;
    this.left = regions.map((count) => Array.from({ length: count }, () => new Set<number>()));
    this.copying = regions.map((count) => new Array<boolean>(count).fill(false));
  }

  mark(volume: number, firstPart: number, lastPart: number): void {
    for (let part = firstPart; part <= lastPart; part++) {
      this.left[volume]?.[Math.floor(part / this.parts)]?.add(part % this.parts);
    }
  }

  markRegion(volume: number, region: number): void {
    this.mark(volume, region * this.parts, (region + 1) * this.parts - 1);
  }

  get leftParts(): number {
    return this.left.flat().reduce((sum, region) => sum + region.size, 0);
  }
}

for (const regionBytes of [BLOCK, 4 * BLOCK, 16 * BLOCK, 256 * BLOCK]) {
  t.test(`regions of ${regionBytes} bytes: the parts that a copy takes are those that were marked since the last one`, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const partBytes = new RegionParts(regionBytes, PAGE_REGIONS).partBytes;
    const regions = [40, 3, PAGE_REGIONS + 20];
    const map = new DirtyMap(
      regions.map((count) => count * regionBytes),
      regionBytes,
    );
    const model = new Model(regions, regionBytes / partBytes);
    t.equal(map.partBytes, partBytes);
    let taken = 0;
    let partial = 0;
    let problem = '';
    for (let step = 0; step < 4000 && problem === ''; step++) {
      const volume = random.below(regions.length);
      const count = regions[volume] as number;
      const region = random.chance(30) ? random.below(count) : Math.max(0, count - 1 - random.below(8));
      const what = random.below(100);
      if (what < 50) {
        const first = region * model.parts + random.below(model.parts);
        const last = Math.min(first + random.below(random.chance(10) ? 3 * model.parts + 1 : 2), count * model.parts - 1);
        map.mark(volume, first * partBytes + random.below(8) * 512, (last - first) * partBytes + 512);
        model.mark(volume, first, last);
      } else if (what < 75) {
        const next = map.nextPending(volume, region);
        if (next < 0) continue;
        const wanted = [...(model.left[volume]?.[next] ?? [])].reduce((mask, part) => mask + 2 ** part, 0);
        const isWhole = map.isWhole(volume, next);
        const mask = map.take(volume, next);
        if (mask !== wanted || isWhole !== (mask === 2 ** model.parts - 1)) problem = `${step}: region ${next} has ${mask}, not ${wanted}`;
        model.taken.set(`${volume} ${next}`, [...(model.left[volume]?.[next] ?? [])]);
        model.left[volume]?.[next]?.clear();
        (model.copying[volume] as boolean[])[next] = true;
        taken++;
        if (!isWhole) partial++;
      } else if (what < 95) {
        map.done(volume, region);
        (model.copying[volume] as boolean[])[region] = false;
      } else if (what < 98) {
        map.retryAll();
        for (const [v, copying] of model.copying.entries()) {
          for (const [r, isCopied] of copying.entries())
            if (isCopied) for (const part of model.taken.get(`${v} ${r}`) ?? []) model.left[v]?.[r]?.add(part);
          copying.fill(false);
        }
      } else if (step % 7 === 0) {
        // The page of the third volume that is not whole, and the pages of the small ones.
        const page = [0, 1, 3][volume] as number;
        map.markPage(page);
        for (let r = page === 3 ? PAGE_REGIONS : 0; r < count; r++) model.markRegion(volume, r);
      }
      if (step % 50 === 0 && map.pendingBytes !== model.leftParts * partBytes) {
        problem = `${step}: ${map.pendingBytes} bytes are pending, not ${model.leftParts * partBytes}`;
      }
    }
    t.equal(problem, '');
    t.ok(taken > 100 && (model.parts === 1) === (partial === 0), `${taken} copies, ${partial} of a part of a region`);
  });
}

t.test('a first mark that covers whole regions and parts of others counts both', async (t) => {
  for (const [offset, length] of [
    [0, 17 * BLOCK],
    [15 * BLOCK, 17 * BLOCK],
    [15 * BLOCK, 18 * BLOCK],
  ] as const) {
    const map = new DirtyMap([48 * BLOCK], 16 * BLOCK);
    map.mark(0, offset, length);
    t.equal(map.pendingBytes, length);
    map.mark(0, 0, 48 * BLOCK);
    t.equal(map.pendingBytes, 48 * BLOCK);
  }
});

t.test('what a copy that came to nothing took is to be copied again, in the second page as well', async (t) => {
  const map = new DirtyMap([(PAGE_REGIONS + 1) * 16 * BLOCK], 16 * BLOCK);
  map.mark(0, PAGE_REGIONS * 16 * BLOCK + BLOCK, BLOCK);
  t.equal(map.take(0, PAGE_REGIONS), 2);
  t.equal(map.pendingBytes, 0);
  map.retryAll();
  t.equal(map.pendingBytes, BLOCK);
  t.equal(map.take(0, PAGE_REGIONS), 2);
});

t.test('a copy of a whole region that began before any part was marked is done again as a whole', async (t) => {
  const map = new DirtyMap([4 * 16 * BLOCK], 16 * BLOCK);
  map.mark(0, 0, 16 * BLOCK);
  map.take(0, 0);
  map.mark(0, 16 * BLOCK, BLOCK);
  map.retryAll();
  t.equal(map.pendingBytes, 17 * BLOCK);
  t.equal(map.take(0, 0), 0xffff);
});

t.test('regions that are marked as a whole cost nothing', async (t) => {
  const parts = new RegionParts(16 * BLOCK, PAGE_REGIONS);
  const pending = new Uint8Array(2 * DIRTY_PAGE_BYTES);
  t.equal(parts.mark(pending, 0, 64 * BLOCK), 0);
  t.equal(parts.markByte(pending, 4, 0xff), 0);
  pending[0] = 0x0f;
  t.equal(parts.mark(pending, BLOCK, BLOCK), 0, 'nor those that are pending already');
  t.equal(parts.mark(pending, 16 * BLOCK * PAGE_REGIONS, BLOCK), 15);
});

t.test('a record over many regions costs nothing for each of them where nothing was marked in part', async (t) => {
  const regions = 32 * PAGE_REGIONS;
  const parts = new RegionParts(16 * BLOCK, PAGE_REGIONS);
  const pending = new Uint8Array(regions / 8);
  const timed = (): number => {
    const began = performance.now();
    for (let i = 0; i < 20; i++) parts.mark(pending, 0, regions * 16 * BLOCK);
    return performance.now() - began;
  };
  t.ok(Math.min(...Array.from({ length: 5 }, timed)) < 20, 'a million regions, twenty times');
});

t.test('a region of which a part is marked leaves its neighbours, which are pending as a whole, as they are', async (t) => {
  const regionBytes = 4 * BLOCK;
  const map = new DirtyMap([8 * regionBytes], regionBytes);
  map.mark(0, regionBytes, regionBytes);
  map.mark(0, 2 * regionBytes, BLOCK);
  t.same([map.isWhole(0, 1), map.isWhole(0, 2)], [true, false]);
  t.equal(map.pendingBytes, regionBytes + BLOCK);
});
