// The ring log in one process: order, room, trimming, cutting, failures.

import t from 'tap';
import { LOG_WRITES_IN_FLIGHT_MAX } from '../../src/core/limits.js';
import { loadSuperblock } from '../../src/disk/superblock-store.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { Random } from '../helpers/random.js';
import { type Content, drive, SimLog, SimMemory } from '../helpers/sim-log.js';

const MIB = 1 << 20;
const memory = new SimMemory();
const blank = (): SimDisk => new SimDisk('log', 16 * MIB);

function randomRecords(random: Random): Content[] {
  const kind = random.below(8);
  if (kind === 0) return [{ bytes: MIB }];
  const count = 1 + random.below(kind === 1 ? 42 : 5);
  return Array.from({ length: count }, () => {
    const bytes = 512 * (1 + random.below(11));
    return random.below(6) === 0 ? { kind: random.below(2) === 0 ? 'zero' : 'trim', bytes } : { bytes };
  });
}

const payloadOf = (records: readonly Content[]): number =>
  records.reduce((sum, r) => sum + ((r.kind ?? 'write') === 'write' ? (r.bytes ?? 0) : 0), 0);

t.test('many laps of batches of any size come back from the ring and from a new start', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const disk = blank();
  let site = await SimLog.open(disk, memory);
  let writer = await site.lead();
  const model = new Map<number, number>();
  let refused = 0;
  for (let turn = 0; turn < 800; turn++) {
    const records = randomRecords(random);
    if (!site.log.hasRoom(payloadOf(records))) {
      refused++;
      t.ok(site.log.usedBytes > site.log.ring.bytes - 3 * MIB, 'room is refused only when the ring is nearly full');
      await site.settle();
      await site.trim(site.log.trimmedLsn + 1 + random.below(site.log.durableLsn - site.log.trimmedLsn));
      continue;
    }
    const batch = site.append(writer, records);
    for (let lsn = batch.firstLsn; lsn <= site.log.appendedLsn; lsn++) model.set(lsn, writer.incarnation);
    if (site.log.undurable > 2 || random.below(4) === 0) await site.settle();
    t.ok(site.log.usedBytes <= site.log.ring.bytes);
    if (random.below(60) !== 0) continue;
    await site.settle();
    const { trimmedLsn } = site.log;
    disk.crash('power', random);
    site = await SimLog.open(disk, memory, 'primary', false);
    const expected = [...model].filter(([lsn]) => lsn > trimmedLsn);
    t.same([...(await site.writers())], expected);
    writer = await site.lead();
  }
  await site.settle();
  t.ok(site.log.appendedLsn > 1000 && refused > 3, `${site.log.appendedLsn} records, ${refused} times full`);
  t.ok(site.log.index.at(0).position > 2 * site.log.ring.bytes, 'several laps');
  memory.recycle();
});

t.test('a ring takes batches up to its last block, and after a restart as well', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory);
  const writer = await site.lead();
  while (site.log.ring.bytes - site.log.usedBytes >= 2 * MIB) {
    site.append(writer, [{ bytes: MIB }]);
    await site.settle();
  }
  while (site.log.hasRoom(512)) {
    site.append(writer, [{ bytes: 512 }]);
    await site.settle();
  }
  const left = site.log.ring.bytes - site.log.usedBytes;
  t.ok(left < 8192, `${left} bytes left`);
  if (left === 4096) {
    t.ok(site.log.hasRoom(0), 'a batch without payload has one block');
    site.append(writer, [{ kind: 'zero', bytes: 4096 }]);
    await site.settle();
  }
  t.equal(site.log.usedBytes, site.log.ring.bytes);
  t.notOk(site.log.hasRoom(0));
  t.throws(() => site.append(writer, [{ kind: 'zero' }]), /does not overwrite/);
  const again = await SimLog.open(disk, memory, 'primary', false);
  t.equal(again.log.usedBytes, again.log.ring.bytes);
  t.notOk(again.log.hasRoom(0));
  const last = again.log.appendedLsn;
  await again.trim(last);
  t.equal(again.log.usedBytes, 0);
  t.same(await again.records(), []);
  const third = await SimLog.open(disk, memory, 'primary', false);
  t.same(
    [third.log.appendedLsn, third.log.trimmedLsn, third.log.chain],
    [last, last, site.log.store.current.trimmedChain || third.log.chain],
  );
  third.append(await third.lead(), [{ bytes: MIB }]);
  await third.settle();
  t.same(await third.records(), [last + 1]);
  memory.recycle();
});

t.test('space is reused only after the superblock that no longer needs it is durable', async (t) => {
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  while (site.log.hasRoom(MIB)) {
    site.append(writer, [{ bytes: MIB }]);
    await site.settle();
  }
  const trimmed = site.log.trimmedAt(5);
  t.equal(trimmed.trimmedLsn, 5);
  site.device.stopped = true;
  const update = site.log.store.update((current) => ({ ...current, ...trimmed }));
  await new Promise((resolve) => setImmediate(resolve));
  site.log.free();
  t.notOk(site.log.hasRoom(MIB), 'written, but not durable');
  site.device.stopped = false;
  await drive([site.device], update);
  t.notOk(site.log.hasRoom(MIB), 'durable, but not freed');
  site.log.free();
  t.ok(site.log.hasRoom(MIB));
  t.equal(site.log.trimmedLsn, 5);
  t.equal(await site.log.chainAt(5), trimmed.trimmedChain);
  await t.rejects(site.log.chainAt(4), { code: 'NOT_FOUND' });
  await t.rejects(site.log.reader.readBatch(4), { code: 'NOT_FOUND' });
  memory.recycle();
});

t.test('trimming stops at whole batches and at what is durable', async (t) => {
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  site.append(writer, [{}, {}, {}]);
  site.append(writer, [{}, {}]);
  await site.settle();
  site.append(writer, [{}]);
  t.same(
    [0, 2, 3, 4, 5, 6, 99].map((lsn) => site.log.trimmedAt(lsn).trimmedLsn),
    [0, 0, 3, 3, 5, 5, 5],
  );
  await site.settle();
  t.equal(site.log.trimmedAt(6).trimmedPosition, 3 * 8192);
  memory.recycle();
});

t.test('durable moves in order, however the writes complete', async (t) => {
  const random = new Random();
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  site.device.shuffle = random;
  const ends: number[] = [];
  for (let i = 0; i < 60; i++) {
    site.append(
      writer,
      Array.from({ length: 1 + random.below(3) }, () => ({})),
    );
    ends.push(site.log.appendedLsn);
    t.ok(site.log.inFlight <= LOG_WRITES_IN_FLIGHT_MAX);
    if (site.log.undurable > 10) await site.settle();
  }
  await site.settle();
  t.same(site.durable, ends);
  memory.recycle();
});

t.test('what was appended is written when somebody says so or wants to know that it is durable', async (t) => {
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  for (let i = 0; i < 3; i++) {
    const batch = site.batch(writer, [{}]);
    site.log.appendOwn(batch);
    batch.release();
  }
  t.match(site.log, { unsubmitted: 3, undurable: 3, inFlight: 0 });
  site.log.submit();
  t.match(site.log, { unsubmitted: 0, undurable: 3, inFlight: 3 });
  await site.settle();
  const batch = site.batch(writer, [{}]);
  site.log.appendOwn(batch);
  batch.release();
  while (site.device.step());
  t.equal(site.log.undurable, 1);
  const reached = site.log.reached(4);
  t.equal(site.log.unsubmitted, 0);
  await drive([site.device], reached);
  t.equal(site.log.durableLsn, 4);
  memory.recycle();
});

t.test('a failed write is final: nothing behind it becomes durable, and the owner hears once', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory);
  const writer = await site.lead();
  site.append(writer, [{}]);
  await site.settle();
  site.device.intercept = (op) => (op.kind === 'write' && op.offset === RING_START + 8192 ? 5 : 0);
  for (let i = 0; i < 6; i++) site.append(writer, [{}]);
  await t.rejects(drive([site.device], site.log.quiet()), { code: 'LOG_FAILED' });
  while (site.device.step());
  site.device.intercept = undefined;
  while (site.device.step());
  t.same(site.durable, [1]);
  t.equal(site.failures, 1);
  t.match(site.log.failed, { code: 'LOG_FAILED', hint: /restart/ });
  await t.rejects(site.log.quiet(), { code: 'LOG_FAILED' });
  const again = await SimLog.open(disk, memory, 'primary', false);
  t.equal(again.log.appendedLsn, 1, 'what followed the gap is no evidence');
  memory.recycle();
});

t.test('a failed superblock write fails the log, and no later one is tried', async (t) => {
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  site.append(writer, [{}, {}, {}]);
  await site.settle();
  site.device.intercept = (op) => (op.kind === 'write' && op.offset < RING_START ? 28 : 0);
  await t.rejects(drive([site.device], site.log.cut(2)), { code: 'DISK_FULL' });
  site.device.intercept = undefined;
  t.equal(site.failures, 1);
  t.equal(site.log.appendedLsn, 3, 'nothing was cut');
  let queued = 0;
  site.device.onQueued = () => void queued++;
  await t.rejects(drive([site.device], site.log.beginWriting({ epoch: 1, incarnation: 9 }, {})), { code: 'DISK_FULL' });
  t.equal(queued, 0);
  memory.recycle();
});

t.test('the log knows its room with every slot of its queue in use', async (t) => {
  const site = await SimLog.open(blank(), memory, 'primary', true, 300 * MIB);
  const writer = await site.lead();
  site.device.stopped = true;
  let appended = 0;
  for (; site.log.hasRoom(0) && appended < 1000; appended++) site.append(writer, [{ kind: 'zero' }]);
  t.equal(appended, 512);
  site.device.stopped = false;
  await site.settle();
  t.equal(site.durable.length, 512);
  memory.recycle();
});

t.test('an error names the log and its cause', async (t) => {
  const device = blank().open();
  device.intercept = () => 5;
  const failing = drive([device], loadSuperblock(device, { bytes: new Uint8Array(65536), address: 0 }));
  await t.rejects(failing, { code: 'DEVICE_FAILED', message: /read log.*errno 5/ });
});
