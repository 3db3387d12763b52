// Starting from a log: torn tails, ghosts, cuts, crashes at any moment, and logs that are refused as they are.

import t, { type Test } from 'tap';
import { ERRORS, type ErrorCode, LvrError } from '../../src/core/errors.js';
import { type LogIdentity, openLog } from '../../src/disk/log-open.js';
import { putU32 } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { RING_START, SUPERBLOCK_BYTES, SUPERBLOCK_VERSION } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { Random } from '../helpers/random.js';
import { drive, IDENTITY, SimLog, SimMemory } from '../helpers/sim-log.js';

const MIB = 1 << 20;
const memory = new SimMemory();
const blank = (): SimDisk => new SimDisk('log', 16 * MIB);
const reopen = (disk: SimDisk): Promise<SimLog> => SimLog.open(disk, memory, 'primary', false);

t.test('a batch torn at any sector is cut at the first record that is not whole', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory);
  const writer = await site.lead();
  site.append(writer, [{ bytes: 4096 }]);
  await site.settle();
  const before = disk.clone();
  const batch = site.append(writer, [{ bytes: 1024 }, { kind: 'zero' }, { bytes: 2048 }]);
  await site.settle();
  const from = RING_START + batch.position;
  const seen = new Set<number>();
  for (let sectors = 0; sectors < 16; sectors++) {
    const torn = before.clone();
    torn.put(from, disk.durable.subarray(from, from + 8192).subarray(0, Math.max(512, sectors * 512)), true);
    if (sectors === 0) torn.put(from, new Uint8Array(512), true);
    const again = await reopen(torn);
    // Header block: 8 sectors, of which the first holds everything; then 2 sectors of LSN 2 and 4 of LSN 4.
    t.equal(again.log.appendedLsn, sectors === 0 ? 1 : sectors < 10 ? 1 : sectors < 14 ? 3 : 4, `${sectors} sectors`);
    seen.add(again.log.appendedLsn);
    const next = await again.lead();
    again.append(next, [{ bytes: 512 }]);
    await again.settle();
    const third = await reopen(torn);
    t.same([...(await third.writers())].slice(-1), [[again.log.appendedLsn, next.incarnation]]);
    memory.recycle();
  }
  t.equal(seen.size, 3);
});

t.test('ghosts behind a cut tail never come back', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory);
  const writer = await site.lead();
  for (let i = 0; i < 8; i++) {
    site.append(writer, [{}]);
    await site.settle();
    if (i === 1) site.device.intercept = (op) => (op.offset === RING_START + 2 * 8192 ? 'hang' : 0);
    if (i === 1) for (let k = 0; k < 3; k++) site.append(writer, [{}]);
    if (i === 1) break;
  }
  while (site.device.step());
  // LSN 3 never arrived, 4 and 5 did; a new writer fills the place of 3 with a record of the same size.
  const second = await reopen(disk);
  t.equal(second.log.appendedLsn, 2);
  const next = await second.lead();
  second.append(next, [{}]);
  await second.settle();
  const third = await reopen(disk);
  t.same(
    [...(await third.writers())],
    [
      [1, 1],
      [2, 1],
      [3, 2],
    ],
  );
  const crashedAgain = await reopen(disk);
  t.equal(crashedAgain.log.appendedLsn, 3, 'a start that changed nothing can be repeated');
  memory.recycle();
});

t.test('a log cut twice inside batches opens where it was left', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory, 'secondary');
  site.receive({ epoch: 1, incarnation: 1 }, [{}, {}, {}, {}, {}, {}]);
  await site.settle();
  await drive([site.device], site.log.cut(3));
  t.same([site.log.appendedLsn, site.log.durableLsn], [3, 3]);
  site.receive({ epoch: 1, incarnation: 2 }, [{}, {}, {}, {}]);
  await site.settle();
  await drive([site.device], site.log.cut(5));
  site.receive({ epoch: 2, incarnation: 1 }, [{}, {}]);
  await site.settle();
  const expected = [
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [6, 1],
    [7, 1],
  ];
  t.same([...(await site.writers())], expected);
  const again = await reopen(disk);
  t.same([...(await again.writers())], expected);
  t.same(again.log.lineage, site.log.lineage);
  t.equal(await drive([again.device], again.log.chainAt(4)), await drive([again.device], again.log.chainAt(4)));
  t.equal(again.log.chain, site.log.chain);
  memory.recycle();
});

t.test('a cut to the trimmed end, and to where the log ends anyway', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory, 'secondary');
  site.receive({ epoch: 1, incarnation: 1 }, [{}, {}]);
  site.receive({ epoch: 1, incarnation: 1 }, [{}]);
  await site.settle();
  await site.trim(2);
  await drive([site.device], site.log.cut(3));
  t.equal(site.log.appendedLsn, 3);
  await drive([site.device], site.log.cut(2));
  t.same([site.log.appendedLsn, site.log.usedBytes, site.log.chain], [2, 0, site.log.store.current.trimmedChain]);
  t.equal((await reopen(disk)).log.appendedLsn, 2);
  memory.recycle();
});

t.test('what was durable at the primary is known after a restart, and a cut forgets what lies behind it', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory, 'secondary');
  const writer = { epoch: 1, incarnation: 1 };
  site.receive(writer, [{}, {}]);
  await site.settle();
  site.log.setPrimaryDurable(1);
  t.same([site.log.recordedPrimaryDurableLsn, site.log.primaryDurableUnrecorded], [0, true]);
  site.receive(writer, [{}]);
  t.equal(site.log.primaryDurableUnrecorded, false, 'the batch under way carries it');
  t.equal(site.log.recordedPrimaryDurableLsn, 0);
  await site.settle();
  t.equal(site.log.recordedPrimaryDurableLsn, 1);
  t.equal((await reopen(disk.clone())).log.recordedPrimaryDurableLsn, 1);
  site.log.setPrimaryDurable(3);
  await drive([site.device], site.log.recordPrimaryDurable());
  t.equal(site.log.recordedPrimaryDurableLsn, 3);
  const other = await SimLog.open(disk.clone(), memory, 'secondary', false);
  t.equal(other.log.recordedPrimaryDurableLsn, 3);
  await drive([other.device], other.log.cut(2));
  other.receive({ epoch: 2, incarnation: 1 }, [{}, {}]);
  await other.settle();
  t.equal(other.log.recordedPrimaryDurableLsn, 2, 'the promise was about records that are gone');
  const reopened = await reopen(other.device.disk);
  t.same([reopened.log.appendedLsn, reopened.log.recordedPrimaryDurableLsn], [4, 2]);
  memory.recycle();
});

t.test('what a killed process left in the cache is durable before it counts', async (t) => {
  const random = new Random(4);
  for (let run = 0; run < 20; run++) {
    const disk = blank();
    const site = await SimLog.open(disk, memory);
    const writer = await site.lead();
    site.device.stopped = true;
    for (let i = 0; i < 3; i++) site.append(writer, [{ bytes: 4096 }]);
    disk.crash('process', random);
    const second = await reopen(disk);
    const end = second.log.durableLsn;
    await second.lead();
    disk.crash('power', random);
    const third = await reopen(disk);
    t.equal(third.log.appendedLsn, end);
    memory.recycle();
  }
});

t.test('after a crash at any moment, with any part of what was not durable, the log is the longest safe prefix', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const ends = { kept: 0, cut: 0 };
  for (let run = 0; run < 6; run++) {
    const disk = blank();
    let site = await SimLog.open(disk, memory);
    let writer = await site.lead();
    let model: number[] = [];
    let floor = 0;
    for (let crash = 0; crash < 25; crash++) {
      site.device.shuffle = random;
      for (let turn = random.below(12); turn >= 0 && site.log.hasRoom(MIB); turn--) {
        site.append(
          writer,
          Array.from({ length: 1 + random.below(6) }, () => ({ bytes: 512 * (1 + random.below(20)) })),
        );
        for (let lsn = model.length + 1; lsn <= site.log.appendedLsn; lsn++) model.push(writer.incarnation);
        for (let steps = random.below(4); steps > 0; steps--) site.device.step();
        if (random.below(20) === 0) {
          await site.settle();
          await site.trim(site.log.trimmedLsn + random.below(site.log.durableLsn - site.log.trimmedLsn + 1));
        }
      }
      floor = Math.max(floor, site.log.durableLsn);
      disk.crash(random.below(3) === 0 ? 'process' : 'power', random);
      site = await reopen(disk);
      const end = site.log.appendedLsn;
      t.ok(end >= floor && end <= model.length, `LSN ${end} of ${floor}..${model.length}`);
      if (end < model.length) ends.cut++;
      else ends.kept++;
      model = model.slice(0, end);
      floor = end;
      const found = await site.writers();
      t.same([...found.values()], model.slice(site.log.trimmedLsn), 'exactly what was written');
      if (random.below(3) === 0) {
        // The recovery itself is cut off, before or in the middle of its only write.
        if (random.below(2) === 0) void site.log.beginWriting({ epoch: 1, incarnation: writer.incarnation + 1 }, {}).catch(() => undefined);
        await new Promise((resolve) => setImmediate(resolve));
        disk.crash('power', random);
        site = await reopen(disk);
        t.same([site.log.appendedLsn, site.log.chain], [end, site.log.chain], 'the same again');
      }
      writer = await site.lead();
      memory.recycle();
    }
  }
  t.ok(ends.kept > 0 && ends.cut > 10, JSON.stringify(ends));
});

async function refusal(t: Test, disk: SimDisk, code: ErrorCode, message: RegExp, identity: LogIdentity = IDENTITY, mayCreate = false) {
  const before = disk.durable.slice();
  const device = disk.open();
  let writes = 0;
  device.onQueued = (op) => {
    if (op.kind === 'write' || op.kind === 'zero') writes++;
  };
  const error = await drive([device], openLog(device, identity, 'primary', memory, mayCreate)).catch((e: unknown) => e);
  t.ok(error instanceof LvrError);
  t.match(error, { code, message, id: ERRORS[code].id });
  t.equal(writes, 0, 'nothing was written');
  t.ok(Buffer.compare(before, disk.durable) === 0, 'every byte is as it was');
  memory.recycle();
}

t.test('a log that cannot be this one is refused and left as it is', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory);
  site.append(await site.lead(), [{ bytes: 8192 }]);
  await site.settle();
  const [volume] = IDENTITY.volumes;
  if (volume === undefined) throw new Error('one volume');
  await refusal(t, disk, 'LOG_FOREIGN', /belongs to group app, not other/, { ...IDENTITY, group: 'other' });
  await refusal(t, disk, 'LOG_FOREIGN', /belongs to site a, not b/, { ...IDENTITY, site: 'b' });
  await refusal(t, disk, 'LOG_FOREIGN', /for volumes data, not data, wal/, { ...IDENTITY, volumes: [volume, { ...volume, name: 'wal' }] });
  await refusal(t, disk, 'LOG_FOREIGN', /had 1048576 bytes, its device has 512/, { ...IDENTITY, volumes: [{ ...volume, sizeBytes: 512 }] });
  const short = new SimDisk('log', 16 * MIB - 4096);
  await refusal(t, short, 'DEVICE_UNUSABLE', /too few/);
  const larger = new SimDisk('log', 17 * MIB);
  const big = await SimLog.open(larger, memory);
  t.ok(big.opened.created);
  const shortened = blank();
  shortened.put(0, larger.durable.slice(0, 16 * MIB), true);
  await refusal(t, shortened, 'LOG_FOREIGN', /bytes long, now 16777216/);
});

t.test('a blank log is created only when the group never had one, and anything else on it is refused', async (t) => {
  await refusal(t, blank(), 'LOG_FOREIGN', /blank, but group app had a log before/);
  const used = blank();
  used.put(512 * 1024, new Uint8Array(512).fill(1), true);
  await refusal(t, used, 'LOG_SUPERBLOCK', /rule L2/, IDENTITY, true);
  const foreign = blank();
  foreign.put(1024, new TextEncoder().encode('EFI PART'.padEnd(512, 'x')), true);
  await refusal(t, foreign, 'LOG_SUPERBLOCK', /rule L3/, IDENTITY, true);
  const created = await SimLog.open(blank(), memory);
  t.match(created.opened, { created: true, decision: { row: 'L1' } });
});

t.test('a log whose first superblock was torn by a power cut is created again', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const whole = await firstSuperblock();
  let torn = 0;
  for (let run = 0; run < 40; run++) {
    const disk = blank();
    let parts = 0;
    for (let at = 0; at < SUPERBLOCK_BYTES; at += 512) {
      const sector = whole.subarray(at, at + 512);
      if (random.below(2) === 0) continue;
      disk.put(at, sector, true);
      if (sector.some((byte) => byte !== 0)) parts++;
    }
    const opened = await SimLog.open(disk, memory);
    // Two of the sectors hold something: with both the superblock is whole, without either there is none.
    const { row } = opened.opened.decision;
    t.equal(row, ['L1', 'L9', 'L8'][parts]);
    if (row === 'L9') torn++;
    opened.append(await opened.lead(), [{ bytes: 512 }]);
    await opened.settle();
    t.equal((await reopen(disk)).log.appendedLsn, 1);
    memory.recycle();
  }
  t.ok(torn > 8, `${torn} were torn`);
});

/** The bytes of the first superblock that a new log gets. */
async function firstSuperblock(): Promise<Uint8Array> {
  const disk = blank();
  await SimLog.open(disk, memory);
  return disk.durable.slice(0, SUPERBLOCK_BYTES);
}

t.test('a torn superblock that may have been more than the first write of this very log is refused', async (t) => {
  const whole = await firstSuperblock();
  const torn = (): SimDisk => {
    const disk = blank();
    disk.put(0, whole.subarray(0, 512), true);
    return disk;
  };
  t.match((await SimLog.open(torn(), memory)).opened, { decision: { row: 'L9' } });
  await refusal(t, torn(), 'LOG_FOREIGN', /blank, but group app had a log before/);
  await refusal(t, torn(), 'LOG_SUPERBLOCK', /rule L3/, { ...IDENTITY, group: 'other' }, true);
  await refusal(t, torn(), 'LOG_SUPERBLOCK', /rule L3/, { ...IDENTITY, volumes: [] }, true);
  const change = (what: (disk: SimDisk) => void): SimDisk => {
    const disk = torn();
    what(disk);
    return disk;
  };
  const one = new Uint8Array(512).fill(1);
  const others = {
    'a later sequence': change((disk) => disk.corrupt(16, 1)),
    'another byte in a sector of it': change((disk) => disk.put(1024, one, true)),
    'something in the second slot': change((disk) => disk.put(SUPERBLOCK_BYTES, one, true)),
    'something in the ring': change((disk) => disk.put(RING_START, one, true)),
  };
  for (const [what, disk] of Object.entries(others)) {
    t.comment(what);
    await refusal(t, disk, 'LOG_SUPERBLOCK', /rule L3/, IDENTITY, true);
  }
});

t.test('a superblock of a newer version is refused, in whichever slot it stands', async (t) => {
  const disk = blank();
  await (await SimLog.open(disk, memory)).lead();
  for (const slot of [0, 1]) {
    const newer = disk.clone();
    const bytes = newer.durable.slice(slot * SUPERBLOCK_BYTES, (slot + 1) * SUPERBLOCK_BYTES);
    putU32(bytes, 8, SUPERBLOCK_VERSION + 1);
    putU32(bytes, 12, crc32cSmall(bytes, 16, SUPERBLOCK_BYTES - 16, crc32cSmall(bytes, 0, 12)));
    newer.put(slot * SUPERBLOCK_BYTES, bytes, true);
    await refusal(t, newer, 'LOG_VERSION', /rule L4/);
  }
});

t.test('an unreadable log is an error of the device', async (t) => {
  const device = blank().open();
  device.intercept = () => 5;
  await t.rejects(drive([device], openLog(device, IDENTITY, 'primary', memory, true)), { code: 'DEVICE_FAILED' });
});
