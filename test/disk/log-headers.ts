// Reading back which records the log holds, without their payload.

import t from 'tap';
import { BLOCK_BYTES, LINK_READ_BATCHES_MAX, SITES_PER_GROUP_MAX } from '../../src/core/limits.js';
import type { LogBatch } from '../../src/disk/log-batch.js';
import { HEADERS_BYTES, HEADERS_PIECE_BYTES } from '../../src/disk/log-headers.js';
import { recordHeaderAt } from '../../src/format/batch.js';
import { RECORD_HEADER_BYTES, recordLength, recordLsn, recordOffset } from '../../src/format/record.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { Random } from '../helpers/random.js';
import { drive, SimLog, SimMemory } from '../helpers/sim-log.js';

const MIB = 1 << 20;
const memory = new SimMemory();

const blank = (): SimDisk => new SimDisk('log', 16 * MIB);

/** So many batches of one record each, durable. */
async function fill(site: SimLog, writer: { epoch: number; incarnation: number }, batches: number, bytes: number): Promise<void> {
  for (let i = 0; i < batches; i++) {
    site.append(writer, [{ bytes }]);
    await site.settle();
  }
}

/** `LSN offset length` of each record that is visited, sorted; and how much was read for it, in how many reads. */
async function visit(site: SimLog, from: number, to: number): Promise<{ records: string[]; bytes: number; reads: number }> {
  const found: [number, string][] = [];
  let bytes = 0;
  let reads = 0;
  site.device.onQueued = (op) => {
    reads++;
    bytes += op.length;
  };
  const visiting = site.log.reader.visitHeaders(from, to, (memory, header) => {
    const lsn = recordLsn(memory, header);
    found.push([lsn, `${lsn} ${recordOffset(memory, header)} ${recordLength(memory, header)}`]);
  });
  await drive([site.device], visiting);
  site.device.onQueued = undefined;
  return { records: found.sort((x, y) => x[0] - y[0]).map(([, record]) => record), bytes, reads };
}

t.test('every record of the batches asked for is visited once, whatever their lengths and over many laps', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  /** What was appended, by LSN, and the first and last LSN of its batch. */
  const written: { record: string; first: number; last: number }[] = [];
  for (let round = 0; round < 40; round++) {
    for (let i = random.below(40); i >= 0; i--) {
      const isLong = random.below(6) === 0;
      const contents = Array.from({ length: 1 + random.below(isLong ? 2 : 42) }, () => ({
        kind: random.below(4) === 0 ? ('zero' as const) : ('write' as const),
        bytes: isLong ? 256 * 1024 : 512 * (1 + random.below(8)),
        offset: random.below(1000) * 512,
      }));
      if (!site.log.hasRoom(2 * MIB)) break;
      const { firstLsn, lastLsn } = site.append(writer, contents);
      for (const [n, { offset, bytes }] of contents.entries()) {
        written[firstLsn + n] = { record: `${firstLsn + n} ${offset} ${bytes}`, first: firstLsn, last: lastLsn };
      }
      await site.settle();
    }
    const first = site.log.trimmedLsn + 1;
    const from = first + random.below(site.log.durableLsn - first + 1);
    const to = from + random.below(site.log.durableLsn - from + 1);
    const expected = written.slice(written[from]?.first, (written[to]?.last as number) + 1).map(({ record }) => record);
    t.same((await visit(site, from, to)).records, expected);
    await site.trim(random.below(3) === 0 ? site.log.durableLsn : from);
  }
  t.ok(site.log.appendedLsn > 1000);
  t.equal(site.pool.used, 0, 'no memory is kept');
});

t.test('of long batches only the header block is read, and short ones are read together', async (t) => {
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  await fill(site, writer, 10, 512 * 1024);
  const long = await visit(site, 1, 10);
  t.same([long.records.length, long.reads, long.bytes], [10, 10, 10 * BLOCK_BYTES]);
  const perPiece = HEADERS_PIECE_BYTES / (2 * BLOCK_BYTES);
  await fill(site, writer, 10 * perPiece, 512);
  const short = await visit(site, 11, site.log.durableLsn);
  t.equal(short.records.length, 10 * perPiece);
  t.equal(short.reads, 10);
});

t.test('pieces are in flight together, and when one fails none of the others is left behind', async (t) => {
  const site = await SimLog.open(blank(), memory);
  const writer = await site.lead();
  await fill(site, writer, 20, 512 * 1024);
  let [inFlight, inFlightMax, reads] = [0, 0, 0];
  site.device.onQueued = () => {
    inFlightMax = Math.max(inFlightMax, ++inFlight);
  };
  site.device.intercept = () => {
    inFlight--;
    return ++reads === 3 ? 5 : 0;
  };
  await t.rejects(
    drive(
      [site.device],
      site.log.reader.visitHeaders(1, 20, () => undefined),
    ),
    { code: 'DEVICE_FAILED' },
  );
  t.equal(inFlightMax, HEADERS_BYTES / HEADERS_PIECE_BYTES);
  t.equal(inFlight, 0);
  t.ok(reads < 20, `${reads} reads`);
  t.equal(site.pool.used, 0);
});

t.test('a header that is valid and of an older write of the same LSN is not taken for the one that was written', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory);
  const writer = await site.lead();
  await fill(site, writer, 1, 512);
  const { position } = site.append(writer, [{ offset: 0 }, { offset: 512 }, { offset: 1024 }]);
  await site.settle();
  const block = RING_START + position;
  const old = disk.durable.slice(block, block + BLOCK_BYTES);
  await drive([site.device], site.log.cut(1));
  const next = await site.lead(2);
  t.equal(site.append(next, [{ offset: 4096 }, { offset: 8192 }, { offset: 12288 }]).position, position);
  await site.settle();
  t.equal((await visit(site, 2, 4)).records.length, 3);
  for (const at of [0, 1, 2].map(recordHeaderAt)) {
    const good = disk.durable.slice(block + at, block + at + RECORD_HEADER_BYTES);
    disk.durable.set(old.subarray(at, at + RECORD_HEADER_BYTES), block + at);
    disk.view.set(old.subarray(at, at + RECORD_HEADER_BYTES), block + at);
    await t.rejects(
      drive(
        [site.device],
        site.log.reader.visitHeaders(2, 4, () => undefined),
      ),
      { code: 'LOG_CORRUPT' },
    );
    disk.durable.set(good, block + at);
    disk.view.set(good, block + at);
  }
  t.equal((await visit(site, 2, 4)).records.length, 3);
});

t.test('readers who keep to their share never wait for each other, however many there are', async (t) => {
  const site = await SimLog.open(blank(), memory);
  const { reader } = site.log;
  const writer = await site.lead();
  await fill(site, writer, 4, 512);
  t.equal(reader.batchesEach(0), LINK_READ_BATCHES_MAX);
  for (let sites = 1; sites <= SITES_PER_GROUP_MAX; sites++) {
    const each = reader.batchesEach(sites);
    t.ok(each >= 1 && each <= LINK_READ_BATCHES_MAX, `${sites} sites: ${each} each`);
    const held: LogBatch[] = [];
    for (let i = 0; i < sites * each; i++) held.push(await drive([site.device], reader.readBatch(1 + (i % 4))));
    // Somebody who reads one besides.
    const more = await drive([site.device], reader.readBatch(1));
    for (const batch of [more, ...held]) batch.release();
  }
});

t.test('what is not retained, or is overwritten while it is read, is NOT_FOUND', async (t) => {
  const disk = blank();
  const site = await SimLog.open(disk, memory);
  const writer = await site.lead();
  await fill(site, writer, 4, 512);
  await site.trim(2);
  await t.rejects(
    drive(
      [site.device],
      site.log.reader.visitHeaders(2, 4, () => undefined),
    ),
    { code: 'NOT_FOUND' },
  );
  await t.rejects(
    drive(
      [site.device],
      site.log.reader.visitHeaders(3, 5, () => undefined),
    ),
    { code: 'NOT_FOUND' },
  );
  const { position } = site.log.index.find(3) ?? { position: -1 };
  disk.corrupt(RING_START + position + 70, 0);
  const visiting = site.log.reader.visitHeaders(3, 4, () => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  site.log.index.trim(3);
  await t.rejects(drive([site.device], visiting), { code: 'NOT_FOUND' });
  t.equal(site.pool.used, 0);
});
