// One flipped bit anywhere in a log: it is found at the next start and by every reader, and a record is never taken in changed form.

import t from 'tap';
import type { LvrError } from '../../src/core/errors.js';
import { RING_START, SUPERBLOCK_BYTES } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { SimLog, SimMemory, superblocksOf, verdictOf } from '../helpers/sim-log.js';

const MIB = 1 << 20;
const memory = new SimMemory();

/** Three batches; the third was appended when the first two were known durable. */
async function threeBatches(): Promise<{ disk: SimDisk; ends: number[] }> {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await SimLog.open(disk, memory);
  const writer = await site.lead();
  const ends: number[] = [];
  const append = async (records: { kind?: 'write' | 'zero' | 'trim'; bytes: number }[]): Promise<void> => {
    const batch = site.append(writer, records);
    await site.settle();
    ends.push(batch.position + 4096 + Math.ceil(batch.payloadBytes / 4096) * 4096);
  };
  await append([{ bytes: 512 }, { kind: 'zero', bytes: 4096 }]);
  await append([{ bytes: 512 }, { kind: 'trim', bytes: 65536 }, { kind: 'zero', bytes: 512 }]);
  await append([{ bytes: 512 }]);
  return { disk, ends };
}

t.test('a flip in a record, a payload or a batch header ends the log only when nothing shows that it was durable', async (t) => {
  const { disk, ends } = await threeBatches();
  t.same(await verdictOf(disk), 'end 6');
  const before = disk.durable.slice();
  const loaded = await superblocksOf(disk);
  const counts = new Map<string, number>();
  const wrong: string[] = [];
  const starts = [0, ...ends.slice(0, -1)];
  const payload = [512, 512, 512];
  for (const [b, start] of starts.entries()) {
    const records = [2, 3, 1][b] as number;
    for (let bit = 0; bit < (64 + records * 96) * 8; bit++) await flip(RING_START + start, bit, b);
    for (let bit = 0; bit < (payload[b] as number) * 8; bit++) await flip(RING_START + start + 4096, bit, b);
  }
  async function flip(base: number, bit: number, b: number): Promise<void> {
    disk.corrupt(base + (bit >> 3), bit & 7);
    const got = await verdictOf(disk, loaded);
    // Batches 1 and 2 are vouched for by batch 3; batch 3 was not known durable to anyone, so it may be cut off.
    const fine = b < 2 ? got === 'LOG_CORRUPT' : got === 'end 5';
    if (!fine) wrong.push(`batch ${b + 1} bit ${bit} at ${base}: ${got}`);
    counts.set(got, (counts.get(got) ?? 0) + 1);
    disk.corrupt(base + (bit >> 3), bit & 7);
  }
  t.same(wrong.slice(0, 10), []);
  t.ok((counts.get('LOG_CORRUPT') ?? 0) > 12_000 && (counts.get('end 5') ?? 0) > 5000);
  t.ok(Buffer.compare(before, disk.durable) === 0, 'no start changed anything');
});

t.test('once the superblock knows a record durable, a flip in the last batch is refused as well', async (t) => {
  const { disk } = await threeBatches();
  const site = await SimLog.open(disk, memory, 'primary', false);
  const writer = await site.lead();
  t.equal(site.log.store.current.durableLsn, 6);
  const last = site.append(writer, [{ bytes: 512 }]);
  await site.settle();
  await site.lead();
  for (const byte of [0, 5, 9, 70, 150, 4096, 4500]) {
    disk.corrupt(RING_START + last.position + byte, byte & 7);
    t.equal(await verdictOf(disk), 'LOG_CORRUPT', `byte ${byte}`);
    disk.corrupt(RING_START + last.position + byte, byte & 7);
  }
});

t.test('a reader refuses every flipped bit of a batch', async (t) => {
  const { disk, ends } = await threeBatches();
  const site = await SimLog.open(disk, memory, 'primary', false);
  const start = RING_START + (ends[0] as number);
  site.device.immediate = true;
  const wrong: number[] = [];
  const bits = [
    ...Array.from({ length: (64 + 3 * 96) * 8 }, (_, bit) => bit),
    ...Array.from({ length: 512 * 8 }, (_, bit) => 4096 * 8 + bit),
  ];
  for (const bit of bits) {
    disk.corrupt(start + (bit >> 3), bit & 7);
    const refused = await site.log.reader.readBatch(3).then(
      (batch) => {
        batch.release();
        return false;
      },
      (error: LvrError) => error.code === 'LOG_CORRUPT',
    );
    if (!refused) wrong.push(bit);
    disk.corrupt(start + (bit >> 3), bit & 7);
  }
  // The fields of the local log in a record header are no part of the identity, but of the header's sum.
  t.same(wrong, []);
  t.same(await site.records(), [1, 2, 3, 4, 5, 6]);
});

t.test('a flip in one superblock slot leaves the other one in charge, flips in both are refused', async (t) => {
  const { disk } = await threeBatches();
  const newest = await SimLog.open(disk, memory, 'primary', false);
  const { sequence, incarnation } = newest.log.store.current;
  for (const slot of [0, 1]) {
    for (const byte of [0, 8, 12, 16, 30, 60, 130, 190, 201, 208, 220, 241, 290, 520, 9000, SUPERBLOCK_BYTES - 1]) {
      disk.corrupt(slot * SUPERBLOCK_BYTES + byte, byte & 7);
      const site = await SimLog.open(disk, memory, 'primary', false);
      const loaded = site.log.store.current.sequence;
      t.ok(loaded === sequence || loaded === sequence - 1, `slot ${slot} byte ${byte}`);
      t.equal(site.log.appendedLsn, 6);
      disk.corrupt((1 - slot) * SUPERBLOCK_BYTES + byte, byte & 7);
      t.equal(await verdictOf(disk), 'LOG_SUPERBLOCK', `byte ${byte} of both`);
      disk.corrupt((1 - slot) * SUPERBLOCK_BYTES + byte, byte & 7);
      disk.corrupt(slot * SUPERBLOCK_BYTES + byte, byte & 7);
    }
  }
  t.ok(incarnation > 0);
});

t.test('a reader of headers refuses every flipped bit of one, and does not look at payload', async (t) => {
  const { disk, ends } = await threeBatches();
  const site = await SimLog.open(disk, memory, 'primary', false);
  const start = RING_START + (ends[0] as number);
  site.device.immediate = true;
  let visited = 0;
  const verdict = (): Promise<string> =>
    site.log.reader
      .visitHeaders(3, 5, () => visited++)
      .then(
        () => 'good',
        (error: LvrError) => error.code,
      );
  const wrong: number[] = [];
  for (let bit = 0; bit < (64 + 3 * 96) * 8; bit++) {
    disk.corrupt(start + (bit >> 3), bit & 7);
    if ((await verdict()) !== 'LOG_CORRUPT') wrong.push(bit);
    disk.corrupt(start + (bit >> 3), bit & 7);
  }
  t.same([wrong, visited], [[], 0]);
  disk.corrupt(start + 4096, 0);
  t.same([await verdict(), visited], ['good', 3]);
});
