// The high-water mark of a log: the writer stays below it, waits for it when it must, and a start looks no further.

import t from 'tap';
import { openLog } from '../../src/disk/log-open.js';
import { decodeSuperblock, encodeSuperblock, RING_START, SUPERBLOCK_BYTES } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { drive, IDENTITY, SimLog, SimMemory, verdictOf } from '../helpers/sim-log.js';
import { highWaterWorlds } from './high-water-worlds.js';

const MIB = 1 << 20;
const memory = new SimMemory();
const blank = (): SimDisk => new SimDisk('log', 16 * MIB, 4096);

/** Appends batches of 32 KiB until the log has come this far, each of them durable before the next. */
async function appendTo(site: SimLog, writer: { epoch: number; incarnation: number }, position: number): Promise<void> {
  while (site.log.appendPosition < position) {
    site.append(writer, [{ bytes: 32 * 1024 }]);
    await site.settle();
  }
}

t.test('whichever superblock is lost, a damaged record that a later one vouches for is found out', async (t) => {
  const { logs, starts, violation } = await highWaterWorlds();
  t.equal(violation, undefined);
  t.ok(logs === 8 && starts > 250, `${starts} starts`);
});

t.test('a writer that reaches the mark waits for a superblock, and goes on when it is durable', async (t) => {
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  const { log, device } = site;
  const mark = log.store.current.highWater as number;
  const ends: number[] = [];
  device.onQueued = ({ kind, offset, length }) => {
    if (kind === 'write' && offset >= RING_START) ends.push(offset - RING_START + length);
  };
  // The superblock is slow: everything else goes on.
  const update = log.store.update.bind(log.store);
  let asked = 0;
  let goOn: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  log.store.update = async (change) => {
    asked++;
    await held;
    return update(change);
  };
  while (log.undurable < 20) {
    site.append(writer, [{ bytes: 32 * 1024 }]);
    await new Promise((resolve) => setImmediate(resolve));
    while (device.step());
  }
  t.ok(Math.max(...ends) <= mark && Math.max(...ends) > mark - 64 * 1024, 'up to the mark it was written');
  t.equal(asked, 1, 'it is asked for once');
  goOn();
  await site.settle();
  t.equal(log.undurable, 0);
  t.ok(Math.max(...ends) > mark);
  await drive([device], log.settled());
  t.ok((log.store.older?.highWater ?? 0) >= log.appendPosition, 'both marks are ahead again');
  memory.recycle();
});

t.test('a lap costs one superblock for each step, and others take the mark along', async (t) => {
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  const before = site.log.store.current.sequence;
  await appendTo(site, writer, 14 * MIB);
  await drive([site.device], site.log.settled());
  const written = site.log.store.current.sequence - before;
  t.ok(written >= 4 && written <= 7, `${written} superblocks for seven steps`);
  const mark = site.log.store.current.highWater as number;
  await site.trim(site.log.durableLsn);
  t.ok((site.log.store.current.highWater as number) > mark, 'that of a checkpoint as well');
  memory.recycle();
});

t.test('what lies beyond the mark is not read by a start', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory);
  // So little that the first read has all of it.
  await appendTo(site, await site.lead(), 100 * 1024);
  // Remains of an earlier lap everywhere behind the end.
  disk.put(RING_START + 2 * MIB, new Uint8Array(13 * MIB).fill(0xa5), true);
  const mark = site.log.store.current.highWater as number;
  const furthest = async (copy: SimDisk): Promise<number> => {
    const device = copy.open();
    let end = 0;
    device.onQueued = ({ kind, offset, length }) => {
      if (kind === 'read') end = Math.max(end, offset + length - RING_START);
    };
    await drive([device], openLog(device, IDENTITY, 'primary', memory, false));
    memory.recycle();
    return end;
  };
  t.equal(await furthest(disk.clone()), mark);
  t.ok((await furthest(withoutMark(disk))) >= 15 * MIB, 'a log without a mark is looked through');
});

/** The log as a version without marks would have left it. */
function withoutMark(disk: SimDisk): SimDisk {
  const copy = disk.clone();
  for (const slot of [0, 1]) {
    const at = slot * SUPERBLOCK_BYTES;
    const content = decodeSuperblock(copy.durable.slice(at, at + SUPERBLOCK_BYTES));
    if (content.kind !== 'valid') continue;
    const bytes = new Uint8Array(SUPERBLOCK_BYTES);
    encodeSuperblock({ ...content.superblock, highWater: undefined }, bytes);
    copy.put(at, bytes, true);
  }
  return copy;
}

t.test('in a log without a mark a record that vouches counts wherever it stands, and the next writer gives it one', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory);
  await appendTo(site, await site.lead(), 12 * MIB);
  const old = withoutMark(disk);
  t.equal(await verdictOf(old), `end ${site.log.appendedLsn}`);
  // Everything from the second batch on up to the last two is gone.
  const last = site.log.index.find(site.log.appendedLsn - 1)?.position as number;
  const hole = old.clone();
  hole.put(RING_START + 36 * 1024, new Uint8Array(last - 36 * 1024), true);
  t.equal(await verdictOf(hole), 'LOG_CORRUPT');
  memory.recycle();
  const again = await SimLog.open(old, memory, 'primary', false);
  t.equal(again.log.store.current.highWater, undefined);
  const writer = await again.lead();
  t.ok((again.log.store.current.highWater ?? 0) > again.log.appendPosition);
  again.append(writer, [{ bytes: 512 }]);
  await again.settle();
  t.equal(await verdictOf(old), `end ${again.log.appendedLsn}`);
  memory.recycle();
});

t.test('a secondary whose log has no mark gives it one at its first record', async (t) => {
  const disk = blank();
  await SimLog.open(disk, memory, 'secondary');
  const old = withoutMark(disk);
  memory.recycle();
  const site = await SimLog.open(old, memory, 'secondary', false);
  site.receive({ epoch: 1, incarnation: 1 }, [{}]);
  await site.settle();
  await drive([site.device], site.log.settled());
  t.equal(site.log.durableLsn, 1);
  memory.recycle();
});

t.test(
  'the first mark of a log that had none is behind whatever may stand in it, so that a wipe leaves nothing that could come back',
  async (t) => {
    const disk = blank();
    const before = await SimLog.open(disk, memory);
    await appendTo(before, await before.lead(), 100 * 1024);
    const old = withoutMark(disk);
    memory.recycle();
    // As a cut by a version without marks may have left it, further away than a mark is set.
    old.put(RING_START + 10 * MIB, new Uint8Array(4096).fill(0xa5), true);
    const site = await SimLog.open(old, memory, 'primary', false);
    const { log, device } = site;
    await site.lead();
    t.equal(log.store.current.highWater, log.ring.limit(log.store.current.trimmedPosition));
    await drive([device], log.cut(log.appendedLsn - 1));
    t.ok(old.durable.subarray(RING_START + 10 * MIB, RING_START + 10 * MIB + 4096).every((byte) => byte === 0));
    memory.recycle();
  },
);
