// The bytes of every released format, in test/fixtures: what was written once must be read the same way for ever. A test that fails here
// means
// that a format changed: that needs a new version, and a new fixture beside the old one.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { type BatchHeader, putBatchHeader, readBatchHeader } from '../../src/format/batch.js';
import { BITMAP_BITS_AT, BITMAP_PAGE_BYTES, decodeBitmapPage, encodeBitmapPage } from '../../src/format/bitmap-page.js';
import { putUuid } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { isHeaderValid, putIdentity, type RecordIdentity, readIdentity, sealHeader, sealIdentity } from '../../src/format/record.js';
import { decodeSuperblock, encodeSuperblock, SUPERBLOCK_BYTES, type Superblock } from '../../src/format/superblock.js';
import { putUndoEntry, putUndoHeader, readUndoEntry, readUndoHeader, type UndoEntry } from '../../src/format/undo-entry.js';
import { type Ack, decodeAck, encodeAck } from '../../src/format/wire.js';

const FIXTURES = new URL('../../../test/fixtures/', import.meta.url);

/** A fixture as bytes: hex digits, white space ignored, trailing zeroes up to `length` left out. */
function fixture(name: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(Buffer.from(readFileSync(fileURLToPath(new URL(name, FIXTURES)), 'utf8').replace(/\s/g, ''), 'hex'));
  return bytes;
}

const UUID = '00112233445566778899aabbccddeeff';
const uuidBytes = new Uint8Array(16);
putUuid(uuidBytes, 0, UUID);

const record: RecordIdentity = {
  lsn: 4_294_967_297,
  epoch: 3,
  incarnation: 5_242_881,
  offset: 1_099_511_627_776,
  length: 65_536,
  volume: 1,
  kind: 'trim',
  mayUnmap: true,
  payloadCrc: 0,
  prevChain: 0xdead_beef,
  timeUs: 1_763_856_000_000_000,
};

t.test('a record header of version 1', async (t) => {
  const bytes = new Uint8Array(96);
  putIdentity(bytes, 0, record);
  sealIdentity(bytes, 0, record.payloadCrc, record.prevChain);
  sealHeader(bytes, 0, 4_294_967_296, uuidBytes);
  const stored = fixture('record-v1.hex', 96);
  t.same(bytes, stored, 'is written as it was');
  t.ok(isHeaderValid(stored, 0));
  t.same(readIdentity(stored, 0), record, 'is read as it was');
});

const batch: BatchHeader = {
  position: 123_456_782_336,
  totalBytes: 12_288,
  payloadBytes: 8_192,
  count: 2,
  firstLsn: 4_294_967_297,
  primaryDurableLsn: 4_294_967_290,
};

t.test('a batch header of version 1', async (t) => {
  const bytes = new Uint8Array(4096);
  putBatchHeader(bytes, 0, batch, uuidBytes);
  const stored = fixture('batch-v1.hex', 4096);
  t.same(bytes, stored, 'is written as it was');
  t.same(readBatchHeader(stored, 0, uuidBytes), batch, 'is read as it was');
});

const superblock: Superblock = {
  sequence: 77,
  logUuid: UUID,
  groupUuid: 'ffeeddccbbaa99887766554433221100',
  group: 'app',
  site: 'a',
  ringBytes: 1_073_676_288,
  epoch: 3,
  incarnation: 5_242_881,
  role: 'primary',
  bornZero: true,
  trimmedLsn: 100,
  trimmedPosition: 123_456_782_336,
  trimmedChain: 0x0102_0304,
  appliedLsn: 120,
  durableLsn: 130,
  voidAfter: { lsn: 99, epoch: 3, incarnation: 5_242_880 },
  primaryDurableLsn: 110,
  volumes: [
    { name: 'data', sizeBytes: 268_435_456, blockBytes: 512 },
    { name: 'wal', sizeBytes: 33_554_432, blockBytes: 4096 },
  ],
  sites: [{ name: 'b', ackedLsn: 98 }],
  lineage: [
    { epoch: 1, incarnation: 1_048_577, startLsn: 1, own: false },
    { epoch: 3, incarnation: 5_242_881, startLsn: 50, own: true },
  ],
};

t.test('a superblock of version 1, which knew no bitmaps', async (t) => {
  t.same(decodeSuperblock(fixture('superblock-v1.hex', SUPERBLOCK_BYTES)), { kind: 'valid', superblock }, 'is read as it was');
});

const withBitmaps: Superblock = {
  ...superblock,
  sites: [
    { name: 'b', ackedLsn: 98, bitmap: { uuid: UUID, slot: 3, base: 98, isKept: true } },
    { name: 'c', ackedLsn: 0, bitmap: { uuid: UUID, slot: 0, base: undefined, isKept: false } },
    { name: 'd', ackedLsn: 97 },
  ],
  resync: { uuid: 'ffeeddccbbaa99887766554433221100', fromLsn: 4_294_967_299, fromChain: 0x0a0b_0c0d, endLsn: 4_294_967_400, undo: UUID },
};

t.test('a superblock of version 2, which knew no high-water mark', async (t) => {
  const stored = fixture('superblock-v2.hex', SUPERBLOCK_BYTES);
  t.same(decodeSuperblock(stored), { kind: 'valid', superblock: withBitmaps }, 'is read as it was');
});

t.test('a superblock of version 3', async (t) => {
  const superblock: Superblock = {
    ...withBitmaps,
    ringChange: { base: 123_456_770_048, from: 123_456_778_240, oldBytes: 536_870_912, oldBase: 4096 },
    highWater: 123_624_554_496,
  };
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  encodeSuperblock(superblock, bytes);
  const stored = fixture('superblock-v3.hex', SUPERBLOCK_BYTES);
  t.same(bytes, stored, 'is written as it was');
  t.same(decodeSuperblock(stored), { kind: 'valid', superblock }, 'is read as it was');
});

t.test('a page of a dirty bitmap of version 1', async (t) => {
  const page = { page: 515, regionBytes: 65_536, uuid: uuidBytes };
  const bits = new Uint8Array(BITMAP_PAGE_BYTES - BITMAP_BITS_AT);
  bits.set([0x01, 0x80, 0xff, 0x00, 0x3c]);
  const bytes = new Uint8Array(BITMAP_PAGE_BYTES);
  encodeBitmapPage(bytes, 0, page, bits, crc32cSmall);
  const stored = fixture('bitmap-page-v1.hex', BITMAP_PAGE_BYTES);
  t.same(bytes, stored, 'is written as it was');
  t.equal(decodeBitmapPage(stored, 0, page, crc32cSmall), 'valid');
  t.same(stored.subarray(BITMAP_BITS_AT), bits, 'is read as it was');
});

const undoEntry: UndoEntry = {
  sequence: 4_294_967_297,
  durable: 4_294_967_290,
  volume: 31,
  offset: 1_099_511_627_776,
  length: 65_024,
  payloadCrc: 0xdead_beef,
};

t.test('the headers of an undo store of version 1', async (t) => {
  const bytes = new Uint8Array(4096);
  putUndoHeader(bytes, 0, uuidBytes, 65_536);
  const header = fixture('undo-header-v1.hex', 4096);
  t.same(bytes, header, 'is written as it was');
  t.equal(readUndoHeader(header, 0, uuidBytes), 65_536, 'is read as it was');
  putUndoEntry(bytes, 0, undoEntry, uuidBytes);
  const entry = fixture('undo-entry-v1.hex', 4096);
  t.same(bytes, entry, 'is written as it was');
  t.same(readUndoEntry(entry, 0, uuidBytes), undoEntry, 'is read as it was');
});

t.test('an ack message of protocol version 1', async (t) => {
  const ack: Ack = { received: 4_294_967_297, logged: 300, applied: 0 };
  const stored = fixture('ack-v1.hex', encodeAck(ack.received, ack.logged, ack.applied).length);
  t.same(Uint8Array.from(encodeAck(ack.received, ack.logged, ack.applied)), stored, 'is written as it was');
  t.same(decodeAck(stored), ack, 'is read as it was');
});

t.test('a superblock with a ring in two layouts goes round', async (t) => {
  const changed: Superblock = { ...withBitmaps, ringChange: { base: 8192, from: 4096, oldBytes: 16_711_680, oldBase: 0 } };
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  encodeSuperblock(changed, bytes);
  t.same(decodeSuperblock(bytes), { kind: 'valid', superblock: changed });
});
