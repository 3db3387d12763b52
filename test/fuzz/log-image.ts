// Whole logs at rest, as images in memory: valid ones out of drawn data, with leftovers of an earlier lap, and where everything in them
// stands, so that damage can be put into each part and sealed again with right sums.

import fc from 'fast-check';
import type { Lsn } from '../../src/core/ids.js';
import { BATCH_RECORDS_MAX, BLOCK_BYTES } from '../../src/core/limits.js';
import { extendLineage, type Lineage } from '../../src/core/lineage.js';
import { Ring } from '../../src/core/ring.js';
import { batchBytes, putBatchHeader, recordHeaderAt } from '../../src/format/batch.js';
import { getU16, getU32, putU32, putUuid } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { chainOf, putIdentity, RECORD_HEADER_BYTES, type RecordKind, sealHeader, sealIdentity } from '../../src/format/record.js';
import { encodeSuperblock, RING_START, SUPERBLOCK_BYTES, type Superblock } from '../../src/format/superblock.js';
import type { Field } from './mutate.js';

/** One record as drawn. */
type DrawnRecord = { readonly kind: number; readonly sectors: number; readonly offset: number };

/** A log as drawn. */
export type DrawnLog = {
  readonly ringBlocks: number;
  readonly startBlocks: number;
  readonly firstLsn: number;
  readonly batches: readonly { readonly records: readonly DrawnRecord[]; readonly newWriter: boolean; readonly lag: number }[];
  /** Batches that a reader may find, counted from the end. */
  readonly retained: number;
  readonly durableLag: number;
  /** Blocks from the end to the high-water mark; 0: the log has none. */
  readonly highWaterBlocks?: number;
};

export const arbitraryLog: fc.Arbitrary<DrawnLog> = fc.record({
  ringBlocks: fc.integer({ min: 6, max: 24 }),
  startBlocks: fc.nat(100),
  firstLsn: fc.integer({ min: 1, max: 100_000 }),
  batches: fc.array(
    fc.record({
      records: fc.array(fc.record({ kind: fc.nat(2), sectors: fc.integer({ min: 1, max: 6 }), offset: fc.nat(2000) }), {
        minLength: 1,
        maxLength: 6,
      }),
      newWriter: fc.boolean(),
      lag: fc.nat(5),
    }),
    { minLength: 1, maxLength: 9 },
  ),
  retained: fc.integer({ min: 1, max: 5 }),
  durableLag: fc.nat(8),
  highWaterBlocks: fc.nat(12),
});

const KINDS: readonly RecordKind[] = ['write', 'zero', 'trim'];
export const VOLUME_BYTES = 1 << 20;
const LOG_UUID = 'c0'.repeat(16);
const uuid = new Uint8Array(16);
putUuid(uuid, 0, LOG_UUID);

/** Where a batch stands in the image, and what it holds. */
export type PlacedBatch = { readonly at: number; readonly bytes: number; readonly firstLsn: number; readonly count: number };

/** An image of a log, its superblock, and the retained batches in order. */
export type LogImage = {
  readonly bytes: Uint8Array;
  readonly superblock: Superblock;
  readonly batches: readonly PlacedBatch[];
  readonly fields: readonly Field[];
  readonly lastLsn: number;
};

/** Makes the image of a drawn log. Batches that older ones would be overwritten by are left out, as trimming would have it. */
export function imageOf(drawn: DrawnLog): LogImage {
  const ring = new Ring(drawn.ringBlocks * BLOCK_BYTES);
  const bytes = new Uint8Array(RING_START + ring.bytes);
  let position = drawn.startBlocks * BLOCK_BYTES;
  let lsn = drawn.firstLsn;
  let chain = lsn === 1 ? 0 : 0x1234_5678;
  let writer = { epoch: 1, incarnation: 1 };
  let lineage: Lineage = [{ ...writer, startLsn: 1, own: true }];
  const placed: (PlacedBatch & { position: number; next: number; chain: number; lineage: Lineage })[] = [];
  let before = { lsn: lsn - 1, position, chain, lineage };
  for (const batch of drawn.batches) {
    if (batch.newWriter) writer = { epoch: writer.epoch + (batch.lag & 1), incarnation: writer.incarnation + 1 };
    if (lsn > 1) lineage = extendLineage(lineage, { ...writer, startLsn: lsn, own: true });
    const payloadBytes = batch.records.reduce((sum, record) => sum + (record.kind === 0 ? record.sectors * 512 : 0), 0);
    const totalBytes = batchBytes(payloadBytes);
    position = ring.place(position, totalBytes);
    // What is retained must not be overwritten.
    while (placed.length > 0 && (placed[0] as { position: number }).position + ring.bytes < position + totalBytes) {
      const gone = placed.shift() as (typeof placed)[number];
      before = { lsn: gone.firstLsn + gone.count - 1, position: gone.next, chain: gone.chain, lineage: gone.lineage };
    }
    const at = RING_START + ring.offset(position);
    const firstLsn = lsn;
    let payloadAt = at + BLOCK_BYTES;
    for (const [i, record] of batch.records.entries()) {
      const header = at + recordHeaderAt(i);
      const kind = KINDS[record.kind] as RecordKind;
      const length = record.sectors * 512;
      const offset = record.offset * 512;
      const fields = { lsn: lsn as Lsn, ...writer, offset, length, volume: 0, kind, mayUnmap: kind === 'trim', timeUs: 1000 * lsn };
      putIdentity(bytes, header, fields);
      for (let b = 0; kind === 'write' && b < length; b++) bytes[payloadAt + b] = lsn * 7 + b * 13;
      sealIdentity(bytes, header, kind === 'write' ? crc32cSmall(bytes, payloadAt, length) : 0, chain);
      chain = sealHeader(bytes, header, Math.max(0, firstLsn - 1 - batch.lag), uuid);
      if (kind === 'write') payloadAt += length;
      lsn++;
    }
    bytes.fill(0, payloadAt, at + totalBytes);
    const count = batch.records.length;
    const primaryDurableLsn = Math.max(0, firstLsn - 1 - batch.lag);
    putBatchHeader(bytes, at, { position, totalBytes, payloadBytes, count, firstLsn, primaryDurableLsn }, uuid);
    placed.push({ at, bytes: totalBytes, firstLsn, count, position, next: position + totalBytes, chain, lineage });
    position += totalBytes;
  }
  while (placed.length > drawn.retained) {
    const gone = placed.shift() as (typeof placed)[number];
    before = { lsn: gone.firstLsn + gone.count - 1, position: gone.next, chain: gone.chain, lineage: gone.lineage };
  }
  // Of the batch after the trimmed record, not of the byte after it: the end of a lap may lie between.
  before.position = (placed[0] as { position: number }).position;
  const superblock = superblockOf(drawn, ring, { ...before, end: position }, lineage, lsn - 1, writer);
  encodeSuperblock(superblock, bytes.subarray(0, SUPERBLOCK_BYTES));
  return { bytes, superblock, batches: placed, fields: placed.flatMap(fieldsOf), lastLsn: lsn - 1 };
}

function superblockOf(
  drawn: DrawnLog,
  ring: Ring,
  trimmed: { lsn: number; position: number; chain: number; lineage: Lineage; end: number },
  lineage: Lineage,
  lastLsn: number,
  writer: { epoch: number; incarnation: number },
): Superblock {
  const { highWaterBlocks = 0 } = drawn;
  return {
    sequence: 7,
    logUuid: LOG_UUID,
    groupUuid: 'ab'.repeat(16),
    group: 'app',
    site: 'a',
    ringBytes: ring.bytes,
    ...writer,
    role: 'primary',
    bornZero: true,
    trimmedLsn: trimmed.lsn,
    trimmedPosition: trimmed.position,
    trimmedChain: trimmed.chain,
    appliedLsn: trimmed.lsn,
    durableLsn: Math.max(trimmed.lsn, lastLsn - drawn.durableLag),
    voidAfter: { lsn: 0, epoch: 0, incarnation: 0 },
    primaryDurableLsn: 0,
    ...(highWaterBlocks === 0 ? {} : { highWater: trimmed.end + highWaterBlocks * BLOCK_BYTES }),
    volumes: [{ name: 'data', sizeBytes: VOLUME_BYTES, blockBytes: 512 }],
    sites: [],
    lineage,
  };
}

/** The numbers of a batch: see src/format/batch.ts and record.ts. */
function fieldsOf({ at, count }: PlacedBatch): Field[] {
  const wide = (start: number, offsets: readonly number[], bytes: 1 | 2 | 4 | 8): Field[] =>
    offsets.map((offset) => ({ at: start + offset, bytes }));
  const fields = [...wide(at, [8, 32, 40, 48], 8), ...wide(at, [0, 4, 16, 20], 4), ...wide(at, [24, 26], 2)];
  for (let i = 0; i < count; i++) {
    const header = at + recordHeaderAt(i);
    fields.push(...wide(header, [8, 16, 24, 32, 56, 64, 72, 88], 8), ...wide(header, [0, 4, 40, 48, 52], 4));
    fields.push(...wide(header, [44], 2), ...wide(header, [46, 47], 1));
  }
  return fields;
}

/** Makes header sums right again; with `deep` also payload sums and the chain, as a writer of nonsense would. */
export function reseal(bytes: Uint8Array, image: LogImage, deep: boolean): void {
  let chain = image.superblock.trimmedChain;
  for (const { at } of image.batches) {
    let payloadAt = at + BLOCK_BYTES;
    const count = Math.min(getU16(bytes, at + 24), BATCH_RECORDS_MAX);
    for (let i = 0; i < count; i++) {
      const header = at + recordHeaderAt(i);
      if (deep) {
        const length = bytes[header + 46] === 1 ? Math.min(getU32(bytes, header + 40), bytes.length - payloadAt) : 0;
        if (bytes[header + 46] === 1) putU32(bytes, header + 48, crc32cSmall(bytes, payloadAt, length));
        putU32(bytes, header + 52, chain);
        payloadAt += length;
        chain = chainOf(bytes, header);
      }
      putU32(bytes, header + 4, crc32cSmall(bytes, header + 8, RECORD_HEADER_BYTES - 8));
    }
    putU32(bytes, at + 4, crc32cSmall(bytes, at + 8, 56));
  }
}
