// Bitmaps on a simulated disk: what was flushed is there after any power cut, damage reads as dirty, failures are final.

import t from 'tap';
import { DIRTY_PAGE_BYTES, DirtyMap } from '../../src/core/dirty-map.js';
import { BitmapStore } from '../../src/disk/bitmap-store.js';
import { crc32c } from '../../src/disk/memory.js';
import { type SimDevice, SimDisk } from '../../src/sim/disk.js';
import { Random } from '../helpers/random.js';
import { drive } from '../helpers/sim-log.js';

const REGION = 4096;
const PAGE = 4096;
const PAGE_REGIONS = 8 * DIRTY_PAGE_BYTES;
/** Three pages, one, and one. */
const VOLUMES = [(2 * PAGE_REGIONS + 100) * REGION, 512, 9 * REGION];
const PAGES = 5;
const UUID = 'ab'.repeat(16);
const OTHER = 'cd'.repeat(16);
const memory = { createArena: (bytes: number) => ({ bytes: new Uint8Array(bytes), address: 0 }), crc32c };

function blank(): SimDisk {
  return new SimDisk('bitmap', BitmapStore.sizeBytes(VOLUMES, REGION));
}

function open(disk: SimDisk): { device: SimDevice; store: BitmapStore } {
  const device = disk.open();
  return { device, store: new BitmapStore(device, memory, VOLUMES, REGION) };
}

function emptyMap(): DirtyMap {
  return new DirtyMap(VOLUMES, REGION);
}

async function loaded(disk: SimDisk, slot: number, uuid = UUID): Promise<{ map: DirtyMap; badPages: number }> {
  const { device, store } = open(disk);
  const map = emptyMap();
  const { badPages } = await drive([device], store.load(slot, map, uuid));
  return { map, badPages };
}

/** Dirty regions as `volume:region`. */
function dirtyOf(map: DirtyMap): Set<string> {
  const found = new Set<string>();
  for (const volume of VOLUMES.keys()) {
    for (let region = map.nextPending(volume, 0); region >= 0; region = map.nextPending(volume, region + 1))
      found.add(`${volume}:${region}`);
  }
  return found;
}

function clean(map: DirtyMap, volume: number, region: number): void {
  map.take(volume, region);
  map.done(volume, region);
}

t.test('what was created and flushed is loaded again, each slot by itself', async (t) => {
  const disk = blank();
  const { device, store } = open(disk);
  const first = emptyMap();
  const second = emptyMap();
  first.mark(0, 5 * REGION, REGION);
  await drive([device], store.create(0, UUID, first));
  await drive([device], store.create(15, OTHER, second));
  first.mark(0, 2 * PAGE_REGIONS * REGION, 100 * REGION);
  first.mark(2, 8 * REGION, 512);
  clean(first, 0, 5);
  second.mark(1, 0, 512);
  await drive([device], Promise.all([store.flush(0, first, UUID), store.flush(15, second, OTHER)]));
  const again = await loaded(disk, 0);
  t.equal(again.badPages, 0);
  t.same(dirtyOf(again.map), dirtyOf(first));
  t.equal(again.map.dirtyBytes, 101 * REGION);
  t.same([...dirtyOf((await loaded(disk, 15, OTHER)).map)], ['1:0']);
});

t.test('a flush writes changed pages only, neighbours at once, and begins copy B when copy A is durable', async (t) => {
  const disk = blank();
  const { device, store } = open(disk);
  const map = emptyMap();
  await drive([device], store.create(3, UUID, map));
  const slot = 3 * 2 * PAGES * PAGE;
  const queued: [number, number, boolean][] = [];
  device.onQueued = (op) => queued.push([(op.offset - slot) / PAGE, op.length / PAGE, op.durable]);
  map.mark(0, 0, 512);
  map.mark(0, PAGE_REGIONS * REGION, 512);
  map.mark(2, 0, 512);
  const flush = store.flush(3, map, UUID);
  await new Promise((resolve) => setImmediate(resolve));
  const copyA = [
    [0, 2, true],
    [4, 1, true],
  ];
  t.same(queued, copyA);
  device.step();
  await new Promise((resolve) => setImmediate(resolve));
  t.same(queued, copyA, 'half of copy A is not enough');
  await drive([device], flush);
  t.same(queued, [...copyA, [5, 2, true], [9, 1, true]]);
  await drive([device], store.flush(3, map, UUID));
  t.equal(queued.length, 4, 'nothing changed, nothing is written');
});

t.test('calls wait for each other, and what changes during a flush belongs to the next one', async (t) => {
  const disk = blank();
  const { device, store } = open(disk);
  const map = emptyMap();
  await drive([device], store.create(0, UUID, map));
  map.mark(0, 0, 512);
  const ended: string[] = [];
  const first = store.flush(0, map, UUID).then(() => void ended.push('first'));
  await new Promise((resolve) => setImmediate(resolve));
  map.mark(2, 0, 512);
  const second = store.flush(0, map, UUID).then(() => void ended.push('second'));
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  while (ended.length === 0) {
    device.step();
    await settle();
  }
  await first;
  t.same(ended, ['first']);
  // The first one wrote page 0 in two copies; the second one has only queued its first write.
  t.same([...dirtyOf((await loaded(disk.clone(), 0)).map)], ['0:0']);
  await drive([device], second);
  t.same([...dirtyOf((await loaded(disk, 0)).map)], ['0:0', '2:0']);
});

t.test('one damaged copy of a page costs nothing, two make it all dirty and are counted', async (t) => {
  const disk = blank();
  const { device, store } = open(disk);
  const map = emptyMap();
  map.mark(0, 7 * REGION, 512);
  map.mark(2, 3 * REGION, 512);
  await drive([device], store.create(1, UUID, map));
  const at = (copy: number, page: number): number => (1 * 2 * PAGES + copy * PAGES + page) * PAGE;
  for (const copy of [0, 1]) {
    disk.corrupt(at(copy, 0) + 2000, 3);
    const one = await loaded(disk, 1);
    t.same([one.badPages, ...dirtyOf(one.map)], [0, '0:7', '2:3']);
    t.same(one.map.takeChangedPages(), [0, 4], 'and is written anew by the next flush');
    if (copy === 0) disk.corrupt(at(copy, 0) + 2000, 3);
  }
  disk.corrupt(at(0, 1) + 70, 0);
  disk.corrupt(at(1, 1) + 4000, 7);
  const reopened = open(disk);
  const both = emptyMap();
  const { badPages } = await drive([reopened.device], reopened.store.load(1, both, UUID));
  t.same([badPages, both.dirtyRegions], [1, PAGE_REGIONS + 2]);
  await drive([reopened.device], reopened.store.flush(1, both, UUID));
  const healed = await loaded(disk, 1);
  t.same([healed.badPages, healed.map.dirtyRegions], [0, PAGE_REGIONS + 2], 'said once');
});

t.test('a load writes a damaged copy B anew, so that the flush that follows may tear copy A', async (t) => {
  const disk = blank();
  const { device, store } = open(disk);
  const map = emptyMap();
  map.mark(0, 7 * REGION, 512);
  await drive([device], store.create(0, UUID, map));
  disk.corrupt(PAGES * PAGE + 500, 0);
  await loaded(disk, 0);
  disk.corrupt(500, 0);
  const { map: again, badPages } = await loaded(disk, 0);
  t.same([badPages, ...dirtyOf(again)], [0, '0:7']);
});

t.test('pages of another bitmap, or never written, read as dirty', async (t) => {
  const disk = blank();
  const { device, store } = open(disk);
  await drive([device], store.create(0, UUID, emptyMap()));
  for (const [slot, uuid] of [
    [0, OTHER],
    [2, UUID],
  ] as const) {
    const { map, badPages } = await loaded(disk, slot, uuid);
    t.equal(badPages, PAGES);
    t.equal(
      map.dirtyBytes,
      VOLUMES.reduce((sum, bytes) => sum + bytes),
    );
  }
});

t.test('a failed flush is final, whichever copy it was', async (t) => {
  for (const copy of [0, 1]) {
    const disk = blank();
    const { device, store } = open(disk);
    const map = emptyMap();
    await drive([device], store.create(0, UUID, map));
    const heard: string[] = [];
    store.onFailed = (error) => void heard.push(error.code);
    device.intercept = (op) => (op.kind === 'write' && op.offset >= copy * PAGES * PAGE ? 28 : 0);
    map.mark(0, 0, 512);
    const flush = store.flush(0, map, UUID);
    const next = store.flush(0, map, UUID);
    await t.rejects(drive([device], flush), { code: 'DISK_FULL', message: /bitmap/ });
    device.intercept = undefined;
    await t.rejects(next, { code: 'DISK_FULL' });
    await t.rejects(store.create(1, OTHER, map), { code: 'DISK_FULL' });
    t.equal(store.failed?.code, 'DISK_FULL');
    t.same(heard, ['DISK_FULL']);
    t.ok([...dirtyOf((await loaded(disk, 0)).map)].every((region) => region === '0:0'));
  }
});

t.test('a slot that does not exist and a map of other volumes are defects', async (t) => {
  const { store, device } = open(blank());
  await t.rejects(store.flush(16, emptyMap(), UUID), { name: 'AssertionError' });
  await t.rejects(store.load(0, new DirtyMap([512], REGION), UUID), { name: 'AssertionError' });
  t.equal(device.pending, 0);
  t.throws(() => new BitmapStore(new SimDisk('small', PAGE).open(), memory, VOLUMES, REGION), /fit the device/);
});

t.test('power cuts at any moment, one after another: every flushed bit is there, and no page is bad', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const disk = blank();
  const begun = open(disk);
  const start = emptyMap();
  await drive([begun.device], begun.store.create(0, UUID, start));
  /** Durably dirty: a flush after they were marked has ended, and nothing cleared them. */
  let promised = new Set<string>();
  /** Dirty at some moment since what the last load saw. */
  let possible = new Set<string>();
  let badPages = 0;
  let lost = 0;
  let invented = 0;
  let cuts = 0;
  let torn = 0;
  for (let life = 0; life < 400; life++) {
    const { device, store } = open(disk);
    device.shuffle = random;
    const map = emptyMap();
    let stepsLeft = random.below(24);
    /** Runs the device; false when the power goes. */
    const until = async (work: Promise<unknown>): Promise<boolean> => {
      let isDone = false;
      void work.then(() => {
        isDone = true;
      });
      for (;;) {
        for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
        if (isDone) return true;
        if (stepsLeft-- <= 0) return false;
        device.step();
      }
    };
    // The load must end once in a while, so that there is something to cut.
    if (random.chance(80)) stepsLeft += 4;
    let isAlive = await until(store.load(0, map, UUID).then((found) => (badPages += found.badPages)));
    if (isAlive) {
      const seen = dirtyOf(map);
      for (const region of promised) if (!seen.has(region)) lost++;
      for (const region of seen) if (!possible.has(region)) invented++;
      possible = seen;
    }
    while (isAlive) {
      for (let i = random.below(4); i >= 0; i--) {
        const volume = random.pick([0, 0, 0, 2]);
        const region = random.below(map.regions(volume));
        if (random.chance(60) || map.nextPending(volume, 0) < 0) {
          map.mark(volume, region * REGION, 512);
          possible.add(`${volume}:${region}`);
        } else {
          const dirty = map.nextPending(volume, map.nextPending(volume, region) < 0 ? 0 : region);
          clean(map, volume, dirty);
          promised.delete(`${volume}:${dirty}`);
        }
      }
      const flushed = dirtyOf(map);
      isAlive = await until(store.flush(0, map, UUID));
      if (isAlive) promised = flushed;
    }
    const before = disk.volatileSectors + device.pending;
    disk.crash('power', random);
    cuts++;
    if (before > 0) torn++;
  }
  t.same({ badPages, lost, invented }, { badPages: 0, lost: 0, invented: 0 });
  t.ok(promised.size > 20, `${promised.size} regions were promised at the end`);
  t.ok(torn > 130, `${torn} of ${cuts} power cuts came during a write or a read`);
});
