// The map of dirty regions against a plain model, and the rule of take, mark and done.

import t, { type Test } from 'tap';
import { DIRTY_PAGE_BYTES, DirtyMap, dirtyPages, isRegionBytes, REGIONS_PER_VOLUME_MAX } from '../../src/core/dirty-map.js';
import { Random } from '../helpers/random.js';

const REGION = 4096;
const PAGE_REGIONS = 8 * DIRTY_PAGE_BYTES;

type Region = { dirty: boolean; pending: boolean; copying: boolean; bytes: number };

/** The same with one object a region. */
class Model {
  readonly volumes: Region[][];

  constructor(volumeBytes: readonly number[], regionBytes: number) {
    this.volumes = volumeBytes.map((bytes) =>
      Array.from({ length: Math.ceil(bytes / regionBytes) }, (_, i) => ({
        dirty: false,
        pending: false,
        copying: false,
        bytes: Math.min(regionBytes, bytes - i * regionBytes),
      })),
    );
  }

  get all(): Region[] {
    return this.volumes.flat();
  }

  counters(): [number, number, number] {
    const dirty = this.all.filter((region) => region.dirty);
    return [dirty.length, this.all.filter((region) => region.pending).length, dirty.reduce((sum, region) => sum + region.bytes, 0)];
  }
}

function countersOf(map: DirtyMap): [number, number, number] {
  return [map.dirtyRegions, map.pendingRegions, map.dirtyBytes];
}

/** All pending regions of a volume, by walking. */
function walk(map: DirtyMap, volume: number): number[] {
  const found: number[] = [];
  for (let region = map.nextPending(volume, 0); region >= 0; region = map.nextPending(volume, region + 1)) found.push(region);
  return found;
}

t.test('whatever is marked, taken, done and retried, the map answers like a plain model', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  // One region, a short last one, one that ends with a word, and one of several pages.
  const sizes = [512, 100 * REGION + 512, 64 * REGION, (2 * PAGE_REGIONS + 5) * REGION];
  const map = new DirtyMap(sizes, REGION);
  const model = new Model(sizes, REGION);
  const taken: [number, number][] = [];
  let cleared = 0;
  let problem = '';
  const expect = (what: string, found: unknown, wanted: unknown): void => {
    if (problem === '' && JSON.stringify(found) !== JSON.stringify(wanted)) problem = `${what}: ${JSON.stringify(found)}, not ${wanted}`;
  };
  for (let step = 0; step < 3000 && problem === ''; step++) {
    const volume = random.below(sizes.length);
    const regions = model.volumes[volume] as Region[];
    const region = random.below(regions.length);
    const at = regions[region] as Region;
    const what = random.below(100);
    if (what < 45) {
      const offset = random.below((sizes[volume] as number) / 512) * 512;
      const longest = ((sizes[volume] as number) - offset) / 512;
      const length = Math.min(longest, 1 + random.below(random.chance(3) ? 2000 : 40)) * 512;
      map.mark(volume, offset, length);
      for (let i = Math.floor(offset / REGION); i * REGION < offset + length; i++) {
        Object.assign(regions[i] as object, { dirty: true, pending: true });
      }
    } else if (what < 70) {
      const next = map.nextPending(volume, region);
      expect(
        `${step} nextPending`,
        next,
        regions.findIndex((other, i) => i >= region && other.pending && !other.copying),
      );
      if (next >= 0) {
        map.take(volume, next);
        Object.assign(regions[next] as Region, { pending: false, copying: true });
        taken.push([volume, next]);
      }
    } else if (what < 98) {
      const [v, r] = taken.length > 0 && random.chance(70) ? (taken[random.below(taken.length)] as [number, number]) : [volume, region];
      const answered = (model.volumes[v] as Region[])[r] as Region;
      const isCleared = answered.copying && !answered.pending;
      expect(`${step} done`, map.done(v, r), isCleared);
      if (isCleared) answered.dirty = false;
      if (isCleared) cleared++;
      answered.copying = false;
    } else if (random.chance(30)) {
      map.retryAll();
      for (const other of model.all) Object.assign(other, { pending: other.dirty, copying: false });
    }
    expect(`${step} isDirty`, map.isDirty(volume, region), at.dirty);
    const last = Math.min(regions.length, region + 1 + (step % 7)) - 1;
    const bytes = (last - region) * REGION + 512;
    const isAny = regions.slice(region, last + 1).some(({ dirty }) => dirty);
    expect(`${step} isDirtyIn`, map.isDirtyIn(volume, region * REGION, bytes), isAny);
    if (step % 100 === 0) expect(`${step} counters`, countersOf(map), model.counters());
  }
  t.equal(problem, '');
  t.ok(cleared > 50, `${cleared} regions became clean`);
  for (const volume of sizes.keys()) {
    const wanted = (model.volumes[volume] as Region[]).flatMap(({ pending, copying }, i) => (pending && !copying ? [i] : []));
    t.same(walk(map, volume), wanted, `volume ${volume}`);
  }
});

t.test('a region marked between take and done stays dirty', async (t) => {
  const map = new DirtyMap([10 * REGION], REGION);
  map.mark(0, 3 * REGION, REGION);
  t.notOk(map.done(0, 3), 'nothing was copied yet');
  map.take(0, 3);
  t.equal(map.nextPending(0, 0), -1);
  map.mark(0, 4 * REGION - 512, 512);
  t.equal(map.nextPending(0, 0), -1, 'one copy at a time');
  t.throws(() => map.take(0, 3), /one at a time/);
  t.notOk(map.done(0, 3), 'the copy is older than the write');
  t.ok(map.isDirty(0, 3));
  t.equal(map.nextPending(0, 0), 3, 'and it is copied again');
  map.take(0, 3);
  t.ok(map.done(0, 3));
  t.same(countersOf(map), [0, 0, 0]);
  t.notOk(map.done(0, 3), 'a second answer clears nothing');
});

t.test('what a session left taken is pending again in the next one', async (t) => {
  const map = new DirtyMap([10 * REGION], REGION);
  map.mark(0, 0, 3 * REGION);
  for (const region of [0, 1, 2]) map.take(0, region);
  map.done(0, 1);
  map.retryAll();
  t.same(walk(map, 0), [0, 2]);
  t.same(countersOf(map), [2, 2, 2 * REGION]);
  t.notOk(map.done(0, 0), 'an answer of the session before clears nothing');
});

t.test('everything dirty is as many bytes as the volumes have, and no bit behind the last region', async (t) => {
  const sizes = [512, PAGE_REGIONS * REGION, PAGE_REGIONS * REGION + 1024, 7 * REGION];
  const map = new DirtyMap(sizes, REGION);
  t.same(
    [0, 1, 2, 3].map((volume) => map.regions(volume)),
    [1, PAGE_REGIONS, PAGE_REGIONS + 1, 7],
  );
  map.markAll();
  t.equal(
    map.dirtyBytes,
    sizes.reduce((sum, bytes) => sum + bytes),
  );
  t.equal(map.dirtyRegions, 1 + PAGE_REGIONS + PAGE_REGIONS + 1 + 7);
  t.equal(map.nextPending(3, 7), -1);
  t.same([...map.pageBits(4).subarray(0, 2)], [0x7f, 0]);
  t.same(map.takeChangedPages(), [0, 1, 2, 3, 4]);
  map.markAll();
  t.same(map.takeChangedPages(), [], 'nothing changed');
});

t.test('pages whose dirty bits changed are told once', async (t) => {
  const map = new DirtyMap([3 * PAGE_REGIONS * REGION, REGION], REGION);
  t.equal(map.pageCount, 4);
  t.equal(dirtyPages([3 * PAGE_REGIONS * REGION, REGION], REGION), 4);
  map.mark(1, 0, 512);
  map.mark(0, PAGE_REGIONS * REGION - 512, 1024);
  t.same(map.takeChangedPages(), [0, 1, 3]);
  map.mark(0, 0, REGION);
  map.take(0, 0);
  map.retryAll();
  t.same(map.takeChangedPages(), [0]);
  map.mark(0, 0, REGION);
  map.take(0, 0);
  t.same(map.takeChangedPages(), [], 'pending bits are nothing that lasts');
  map.done(0, 0);
  t.same(map.takeChangedPages(), [0], 'a cleared bit is a change');
  map.touchPage(2);
  map.touchPage(2);
  t.same(map.takeChangedPages(), [2]);
});

t.test('pages can be carried over to another map, garbage behind the last region aside', async (t) => {
  const from = new DirtyMap([(PAGE_REGIONS + 9) * REGION, 5 * REGION], REGION);
  from.mark(0, 0, REGION);
  from.mark(0, (PAGE_REGIONS + 8) * REGION, 512);
  from.mark(1, 2 * REGION, 2 * REGION);
  const to = new DirtyMap([(PAGE_REGIONS + 9) * REGION, 5 * REGION], REGION);
  for (let page = 0; page < from.pageCount; page++) {
    const bytes = new Uint8Array(10 + DIRTY_PAGE_BYTES);
    bytes.set(from.pageBits(page), 10);
    to.mergePage(page, bytes, 10);
  }
  t.same(countersOf(to), countersOf(from));
  t.same(
    [walk(to, 0), walk(to, 1)],
    [
      [0, PAGE_REGIONS + 8],
      [2, 3],
    ],
  );
  to.mergePage(2, new Uint8Array(DIRTY_PAGE_BYTES).fill(0xff), 0);
  t.same(walk(to, 1), [0, 1, 2, 3, 4]);
  to.markPage(1);
  t.equal(to.dirtyRegions, 1 + 9 + 5);
});

t.test('offsets beyond 32 bits, and a mark of nothing', async (t) => {
  const map = new DirtyMap([2 ** 44], 64 * 1024);
  map.mark(0, 2 ** 44 - 512, 512);
  map.mark(0, 2 ** 40, 0);
  t.equal(map.nextPending(0, 5), 2 ** 28 - 1);
  t.equal(map.nextPending(0, 2 ** 28 - 1), 2 ** 28 - 1);
  t.equal(map.dirtyBytes, 65536);
});

t.test('what lies outside is a defect', async (t) => {
  const throwsAll = (t: Test, calls: (() => unknown)[]): void => {
    for (const call of calls) t.throws(call, { name: 'AssertionError' });
  };
  const map = new DirtyMap([10 * REGION], REGION);
  throwsAll(t, [
    () => map.mark(0, 10 * REGION - 512, 1024),
    () => map.mark(0, -512, 512),
    () => map.mark(1, 0, 512),
    () => map.take(0, 10),
    () => map.take(0, 1),
    () => map.done(0, -1),
    () => map.isDirty(0, 10),
    () => map.pageBits(1),
    () => new DirtyMap([2 ** 20], 3 * REGION),
    () => new DirtyMap([(REGIONS_PER_VOLUME_MAX + 1) * REGION], REGION),
  ]);
  t.equal(map.dirtyRegions, 0);
  t.same([2048, 4096, 6144, 65536, 4 << 20, 8 << 20, 4096.5].map(isRegionBytes), [false, true, false, true, true, false, false]);
});
