// The store of old content on simulated disks: saves in order, room, failures, damage that is found, and the end of every story: the
// volumes are as they were.

import t, { type Test } from 'tap';
import type { LvrError } from '../../src/core/errors.js';
import { BLOCK_BYTES } from '../../src/core/limits.js';
import { crc32c } from '../../src/disk/memory.js';
import { UNDO_IN_FLIGHT_MAX } from '../../src/disk/undo-reader.js';
import { UndoStore } from '../../src/disk/undo-store.js';
import { UNDO_ENTRIES_AT, undoEntryBytes } from '../../src/format/undo-entry.js';
import { type SimDevice, SimDisk } from '../../src/sim/disk.js';
import { Random } from '../helpers/random.js';
import { drive } from '../helpers/sim-log.js';

const REGION = 4096;
const ENTRY = undoEntryBytes(REGION);
const UUID = 'ab'.repeat(16);
const OTHER = 'cd'.repeat(16);
const REGIONS = 40;
/** Saves that may wait at the same time. */
const SLOTS = 64;
const memory = { createArena: (bytes: number) => ({ bytes: new Uint8Array(bytes), address: 0 }), crc32c };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A volume whose content differs everywhere; the last region is short. */
function volume(name: string, regions: number, random: Random): SimDisk {
  const disk = new SimDisk(name, regions * REGION - 1536);
  const bytes = new Uint8Array(disk.sizeBytes).map(() => random.below(256));
  disk.put(0, bytes, true);
  return disk;
}

/** An undo store and one volume, both open. */
class Site {
  readonly undo: SimDevice;
  readonly volume: SimDevice;
  readonly store: UndoStore;
  readonly saved: string[] = [];
  readonly #arena = { bytes: new Uint8Array(SLOTS * UNDO_IN_FLIGHT_MAX * ENTRY), address: 0 };
  #slot = 0;

  constructor(undo: SimDisk, disk: SimDisk) {
    this.undo = undo.open();
    this.volume = disk.open();
    this.store = new UndoStore(this.undo, memory);
  }

  drive<Value>(work: Promise<Value>): Promise<Value> {
    return drive([this.undo, this.volume], work);
  }

  open(uuid = UUID): Promise<boolean> {
    return this.drive(this.store.open(uuid, [this.volume], (v, offset, length) => this.saved.push(`${v} ${offset} ${length}`)));
  }

  rollback(): Promise<void> {
    return this.drive(this.store.rollback([this.volume]));
  }

  /** Queues the save of regions as the disk has them now, with one write. */
  save(...regions: number[]): Promise<void> {
    const { disk } = this.volume;
    // Turn about, as saves may wait for each other.
    const slot = this.#slot++ % SLOTS;
    const start = slot * UNDO_IN_FLIGHT_MAX * ENTRY;
    const ranges = regions.map((region, i) => {
      const offset = region * REGION;
      const length = Math.min(REGION, disk.sizeBytes - offset);
      this.#arena.bytes.set(disk.view.subarray(offset, offset + length), start + i * ENTRY + BLOCK_BYTES);
      return { volume: 0, offset, length };
    });
    return this.store.save(ranges, this.#arena, start);
  }
}

function undoDisk(entries = REGIONS): SimDisk {
  return new SimDisk('undo', UndoStore.sizeBytes(entries, REGION));
}

function overwrite(disk: SimDisk, region: number, durable: boolean): void {
  const offset = region * REGION;
  disk.put(
    offset,
    disk.view.slice(offset, Math.min(disk.sizeBytes, offset + REGION)).map((byte) => byte ^ 0xff),
    durable,
  );
}

/** All regions saved and overwritten. */
async function overwritten(random = new Random(1)): Promise<{ undo: SimDisk; disk: SimDisk; before: Uint8Array }> {
  const undo = undoDisk();
  const disk = volume('volume', REGIONS, random);
  const before = disk.durable.slice();
  const site = new Site(undo, disk);
  await site.drive(site.store.begin(UUID, REGION));
  for (let region = 0; region < REGIONS; region += 4) {
    await site.drive(site.save(region, region + 1, region + 2, region + 3));
    for (const i of [0, 1, 2, 3]) overwrite(disk, region + i, true);
  }
  return { undo, disk, before };
}

function isAt(disk: SimDisk, content: Uint8Array): boolean {
  return Buffer.compare(disk.durable, content) === 0 && Buffer.compare(disk.view, content) === 0;
}

t.test('what was saved is told after a start, and a rollback brings all of it back durably', async (t) => {
  const { undo, disk, before } = await overwritten();
  t.notOk(isAt(disk, before));
  const site = new Site(undo, disk);
  t.ok(await site.open());
  t.equal(site.store.entries, REGIONS);
  t.same(
    site.saved,
    Array.from({ length: REGIONS }, (_, i) => `0 ${i * REGION} ${i === REGIONS - 1 ? REGION - 1536 : REGION}`),
  );
  await site.rollback();
  t.ok(isAt(disk, before));
});

t.test('saves are answered in order, however the device ends them, one write for each, and a few are in flight', async (t) => {
  const sizes = [1, UNDO_IN_FLIGHT_MAX, 3, 7, UNDO_IN_FLIGHT_MAX - 10, 5];
  const firsts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
  const site = new Site(undoDisk(4 * UNDO_IN_FLIGHT_MAX), volume('volume', 4 * UNDO_IN_FLIGHT_MAX, new Random(2)));
  await site.drive(site.store.begin(UUID, REGION));
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  site.undo.shuffle = random;
  const written: (readonly [offset: number, length: number])[] = [];
  site.undo.onQueued = (op) => written.push([op.offset, op.length]);
  const answered: number[] = [];
  const saves = sizes.map((size, i) =>
    site.save(...Array.from({ length: size }, (_, k) => (firsts[i] as number) + k)).then(() => {
      t.ok(site.store.entries >= (firsts[i] as number) + size);
      answered.push(i);
    }),
  );
  const pending: number[] = [];
  while (answered.length < sizes.length) {
    if (pending.at(-1) !== site.undo.pending) pending.push(site.undo.pending);
    site.undo.step();
    await turn();
  }
  await Promise.all(saves);
  t.same(answered, [0, 1, 2, 3, 4, 5]);
  t.same(
    written,
    firsts.map((first, i) => [UNDO_ENTRIES_AT + first * ENTRY, (sizes[i] as number) * ENTRY]),
  );
  // Save 1 alone, then 2, 3 and 4, and 5 when 2 is answered.
  t.equal(Math.max(...pending), 3);
});

t.test('a full store refuses, keeps what it has, and is empty for the next undo', async (t) => {
  const undo = undoDisk(3);
  const disk = volume('volume', REGIONS, new Random(3));
  const before = disk.durable.slice();
  const site = new Site(undo, disk);
  await site.drive(site.store.begin(UUID, REGION));
  t.equal(site.store.capacity, 3);
  await site.drive(site.save(5, 6));
  await t.rejects(site.save(7, 8), { code: 'UNDO_FULL', message: /undo undo: all 3 places/ });
  await site.drive(site.save(7));
  await t.rejects(site.save(8), { code: 'UNDO_FULL' });
  t.equal(site.store.failed, undefined);
  for (const region of [5, 6, 7]) overwrite(disk, region, false);
  await site.rollback();
  t.ok(isAt(disk, before));
  await site.drive(site.store.begin(OTHER, REGION));
  await site.drive(site.save(0));
  const next = new Site(undo, disk);
  t.notOk(await next.open(UUID), 'the one before is gone');
  t.ok(await next.open(OTHER));
  t.same(next.saved, [`0 0 ${REGION}`]);
  const small = new Site(new SimDisk('undo', 4096), disk);
  t.notOk(await small.open());
  await t.rejects(small.store.begin(UUID, REGION), { code: 'UNDO_FULL' });
});

t.test('a failed write is final for saves, but not for what was saved before', async (t) => {
  const disk = volume('volume', REGIONS, new Random(4));
  const before = disk.durable.slice();
  const site = new Site(undoDisk(), disk);
  await site.drive(site.store.begin(UUID, REGION));
  await site.drive(site.save(0));
  overwrite(disk, 0, true);
  site.undo.intercept = (op) => (op.offset === UNDO_ENTRIES_AT + 2 * ENTRY ? 5 : 0);
  const codes = await site.drive(
    Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        site.save(i + 1).then(
          () => 'saved',
          (error: LvrError) => error.code,
        ),
      ),
    ),
  );
  t.same(new Set(codes.slice(1)), new Set(['DEVICE_FAILED']), 'nothing behind the failed one is answered');
  site.undo.intercept = undefined;
  await t.rejects(site.save(35), { code: 'DEVICE_FAILED' });
  await t.rejects(site.store.begin(OTHER, REGION), { code: 'DEVICE_FAILED' });
  t.equal(site.undo.pending, 0);
  await site.rollback();
  t.ok(isAt(disk, before));
});

t.test('damage of a durable entry is always found, and nothing is changed then', async (t) => {
  const { undo, disk, before } = await overwritten();
  const after = disk.durable.slice();
  const verdict = async (): Promise<string> => {
    const site = new Site(undo, disk);
    try {
      await site.open();
      await site.rollback();
    } catch (error) {
      return (error as LvrError).code;
    }
    return `rolled back ${site.store.entries}`;
  };
  const unexpected: string[] = [];
  for (let entry = 0; entry < REGIONS; entry++) {
    const length = entry === REGIONS - 1 ? REGION - 1536 : REGION;
    for (const at of [0, 5, 9, 30, 45, 55, 4096, 4096 + length - 1]) {
      const place = UNDO_ENTRIES_AT + entry * ENTRY + at;
      undo.corrupt(place, at & 7);
      const got = await verdict();
      // Behind the last entry stands nothing that could tell of it.
      const isLastHeader = entry === REGIONS - 1 && at < 64;
      if (isLastHeader) disk.put(0, after, true);
      else if (!isAt(disk, after)) unexpected.push(`entry ${entry} at ${at}: changed`);
      if (got !== (isLastHeader ? `rolled back ${REGIONS - 1}` : 'UNDO_CORRUPT')) unexpected.push(`entry ${entry} at ${at}: ${got}`);
      undo.corrupt(place, at & 7);
    }
  }
  t.same(unexpected, []);
  t.equal(await verdict(), `rolled back ${REGIONS}`);
  t.ok(isAt(disk, before));
});

t.test('an entry that a crash left behind the end does not pass for evidence after the next start', async (t) => {
  const undo = undoDisk();
  const disk = volume('volume', REGIONS, new Random(7));
  const before = disk.durable.slice();
  const first = new Site(undo, disk);
  await first.drive(first.store.begin(UUID, REGION));
  await first.drive(first.save(20, 21, 22));
  // As a power cut may leave the write, before anybody heard of it: entry 2 is there, entries 0 and 1 are not.
  undo.put(UNDO_ENTRIES_AT, new Uint8Array(2 * ENTRY), true);
  const second = new Site(undo, disk);
  t.ok(await second.open());
  t.same(second.saved, []);
  await second.drive(second.save(22));
  overwrite(disk, 22, true);
  const third = new Site(undo, disk);
  t.ok(await third.open());
  t.same(third.saved, [`0 ${22 * REGION} ${REGION}`]);
  await third.rollback();
  t.ok(isAt(disk, before));
});

t.test('one damaged copy of the store header costs nothing, without both there is no undo', async (t) => {
  const { undo, disk } = await overwritten();
  undo.corrupt(10, 0);
  t.ok(await new Site(undo, disk).open());
  undo.corrupt(4096 + 10, 0);
  t.notOk(await new Site(undo, disk).open());
  undo.corrupt(10, 0);
  t.ok(await new Site(undo, disk).open());
});

t.test('a volume that is not there, or too small, makes its entries damage', async (t) => {
  const { undo } = await overwritten();
  const small = volume('volume', 3, new Random(5));
  const site = new Site(undo, small);
  await t.rejects(site.open(), { code: 'UNDO_CORRUPT', message: /does not exist on volume 0/ });
  t.ok(Buffer.compare(small.durable, volume('volume', 3, new Random(5)).durable) === 0);
});

t.test('what the rules forbid is a defect', async (t) => {
  const site = new Site(undoDisk(), volume('volume', REGIONS, new Random(6)));
  t.throws(() => site.save(0), /has begun/);
  await t.rejects(site.store.begin(UUID, 3 * REGION), { name: 'AssertionError' });
  await site.drive(site.store.begin(UUID, REGION));
  await t.rejects(site.open(), { name: 'AssertionError' });
  const save = site.save(0);
  await t.rejects(site.store.rollback([site.volume]), { name: 'AssertionError' });
  await t.rejects(site.store.begin(OTHER, REGION), { name: 'AssertionError' });
  await site.drive(save);
});

/** One life of a site in mid-resync, ended by a power cut after some steps. Returns false when there was nothing left to do. */
async function live(t: Test, undo: SimDisk, disk: SimDisk, random: Random, overwrittenRegions: Set<number>): Promise<void> {
  const site = new Site(undo, disk);
  site.undo.shuffle = random;
  site.volume.shuffle = random;
  t.ok(await site.open(), 'the undo is there');
  const saved = new Set(site.saved.map((text) => Number(text.split(' ')[1]) / REGION));
  for (const region of overwrittenRegions) if (!saved.has(region)) t.fail(`region ${region} was overwritten and is not saved`);
  const target = { ioDone: (): void => undefined };
  const arena = { bytes: new Uint8Array(REGION).fill(0xee), address: 0 };
  const copied = (region: number): void => {
    overwrittenRegions.add(region);
    const length = Math.min(REGION, disk.sizeBytes - region * REGION);
    site.volume.write(arena, 0, length, region * REGION, false, target, 0);
    if (random.chance(10)) site.volume.sync(target, 0);
    site.volume.kick();
  };
  for (let steps = random.below(90); steps > 0; steps--) {
    const first = random.below(REGIONS);
    if (saved.has(first) && random.chance(20) && overwrittenRegions.has(first)) copied(first);
    const regions = Array.from({ length: 1 + random.below(6) }, (_, i) => (first + i) % REGIONS).filter((region) => !saved.has(region));
    if (regions.length > 0 && steps % 4 === 0) {
      for (const region of regions) saved.add(region);
      void site.save(...regions).then(() => regions.forEach(copied));
    }
    for (let i = random.below(5); i > 0; i--) site.undo.step();
    for (let i = random.below(3); i > 0; i--) site.volume.step();
    await turn();
  }
  undo.crash('power', random);
  disk.crash('power', random);
}

t.test('after power cuts at any moment, one after another, the volume can be taken back to where it was', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  let wrong = 0;
  let lives = 0;
  let most = 0;
  for (let run = 0; run < 40; run++) {
    const undo = undoDisk();
    const disk = volume('volume', REGIONS, random);
    const before = disk.durable.slice();
    const first = new Site(undo, disk);
    await first.drive(first.store.begin(UUID, REGION));
    const overwrittenRegions = new Set<number>();
    for (let life = random.below(5); life >= 0; life--) {
      await live(t, undo, disk, random, overwrittenRegions);
      lives++;
    }
    most = Math.max(most, overwrittenRegions.size);
    // The rollback is cut off a few times as well.
    for (let cut = random.below(4); cut > 0; cut--) {
      const site = new Site(undo, disk);
      await site.open();
      const rollback = site.store.rollback([site.volume]).catch((error: Error) => t.fail(error.message));
      for (let steps = random.below(60); steps > 0; steps--) {
        site.undo.step();
        site.volume.step();
        await turn();
      }
      undo.crash('power', random);
      disk.crash('power', random);
      void rollback;
    }
    const last = new Site(undo, disk);
    t.ok(await last.open());
    await last.rollback();
    if (!isAt(disk, before)) wrong++;
  }
  t.equal(wrong, 0);
  t.ok(lives > 60 && most > 30, `${lives} lives, up to ${most} regions overwritten`);
});

t.test('space is given back piece by piece, and the next undo does not wait for all of it', async (t) => {
  const site = new Site(undoDisk(), volume('volume', REGIONS, new Random(8)));
  await site.drive(site.store.begin(UUID, REGION));
  await site.drive(site.save(0, 1, 2));
  let given = 0;
  site.undo.onQueued = ({ kind, length }) => {
    if (kind === 'zero' && length === BLOCK_BYTES) given++;
  };
  // A file system may count in smaller pieces than the device.
  site.undo.extents = () => [{ length: 512, zero: false }];
  const pieces = site.undo.sizeBytes / BLOCK_BYTES;
  site.store.discard();
  await turn();
  await site.drive(site.store.begin(OTHER, REGION));
  t.ok(given >= 1 && given < pieces / 2, `${given} pieces of ${pieces}`);
  await site.drive(site.save(3));
  await site.drive(site.store.end());
  const again = new Site(site.undo.disk, volume('volume', REGIONS, new Random(8)));
  t.equal(await again.open(OTHER), true);
  t.equal(again.saved.length, 1);
});

t.test('a device that has no space to give back is not written to', async (t) => {
  const site = new Site(undoDisk(), volume('volume', REGIONS, new Random(8)));
  await site.drive(site.store.begin(UUID, REGION));
  Object.defineProperty(site.undo, 'discard', { value: undefined });
  let operations = 0;
  site.undo.onQueued = () => void operations++;
  site.store.discard();
  await site.drive(site.store.end());
  t.equal(operations, 0);
});
