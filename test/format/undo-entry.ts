// Headers of an undo store: every field comes back, every flipped bit is seen, another undo and impossible fields are refused.

import t from 'tap';
import { BLOCK_BYTES, VOLUMES_PER_GROUP_MAX } from '../../src/core/limits.js';
import { isZero, putU16, putU32, putUuid } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import {
  putUndoEntry,
  putUndoHeader,
  readUndoEntry,
  readUndoHeader,
  UNDO_ENTRIES_AT,
  type UndoEntry,
  undoCapacity,
  undoEntryBytes,
} from '../../src/format/undo-entry.js';
import { flipBit } from '../helpers/bits.js';

const START = BLOCK_BYTES;
const uuid = new Uint8Array(16);
putUuid(uuid, 0, 'fedcba9876543210fedcba9876543210');
const other = uuid.slice();
other[0] = 0;

const ENTRY: UndoEntry = { sequence: 2 ** 33, durable: 2 ** 33 - 3, volume: 31, offset: 2 ** 44, length: 65536, payloadCrc: 0xffff_fffe };

function entryBlock(): Uint8Array {
  const bytes = new Uint8Array(3 * BLOCK_BYTES).fill(0x55);
  putUndoEntry(bytes, START, ENTRY, uuid);
  return bytes;
}

function headerBlock(regionBytes = 65536): Uint8Array {
  const bytes = new Uint8Array(3 * BLOCK_BYTES).fill(0x55);
  putUndoHeader(bytes, START, uuid, regionBytes);
  return bytes;
}

/** With a right checksum again. */
function resealed(bytes: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  change(bytes);
  putU32(bytes, START + 4, crc32cSmall(bytes, START + 8, 56));
  return bytes;
}

t.test('both headers come back and fill their block, nothing beside it', async (t) => {
  t.same(readUndoEntry(entryBlock(), START, uuid), ENTRY);
  t.equal(readUndoHeader(headerBlock(), START, uuid), 65536);
  for (const bytes of [entryBlock(), headerBlock()]) {
    t.ok(isZero(bytes, START + 64, START + BLOCK_BYTES));
    t.same([bytes[START - 1], bytes[START + BLOCK_BYTES]], [0x55, 0x55]);
  }
});

t.test('every single-bit flip in a header is seen', async (t) => {
  const missed: string[] = [];
  const entry = entryBlock();
  const header = headerBlock();
  for (let bit = 0; bit < 64 * 8; bit++) {
    flipBit(entry, START, bit);
    flipBit(header, START, bit);
    if (readUndoEntry(entry, START, uuid) !== undefined) missed.push(`entry ${bit}`);
    if (readUndoHeader(header, START, uuid) !== undefined) missed.push(`header ${bit}`);
    flipBit(entry, START, bit);
    flipBit(header, START, bit);
  }
  t.same(missed, []);
});

t.test('another undo, the other kind of header and impossible fields are refused', async (t) => {
  t.equal(readUndoEntry(entryBlock(), START, other), undefined);
  t.equal(readUndoHeader(headerBlock(), START, other), undefined);
  t.equal(readUndoEntry(headerBlock(), START, uuid), undefined);
  t.equal(readUndoHeader(entryBlock(), START, uuid), undefined);
  t.equal(readUndoHeader(headerBlock(65537), START, uuid), undefined);
  t.equal(
    readUndoHeader(
      resealed(headerBlock(), (bytes) => bytes.fill(1, START + 60, START + 61)),
      START,
      uuid,
    ),
    undefined,
  );
  const wrong: ((bytes: Uint8Array) => void)[] = [
    (bytes) => putU32(bytes, START + 36, 0x7f),
    (bytes) => bytes.fill(0xff, START + 24, START + 32),
    (bytes) => bytes.fill(0xff, START + 40, START + 48),
    (bytes) => putU32(bytes, START + 48, 0),
    (bytes) => putU16(bytes, START + 56, VOLUMES_PER_GROUP_MAX),
    (bytes) => putU16(bytes, START + 62, 1),
  ];
  for (const [i, change] of wrong.entries()) t.equal(readUndoEntry(resealed(entryBlock(), change), START, uuid), undefined, `case ${i}`);
});

t.test('a store holds whole entries only', async (t) => {
  t.equal(undoEntryBytes(65536), 69632);
  t.same(
    [0, UNDO_ENTRIES_AT, UNDO_ENTRIES_AT + 69631, UNDO_ENTRIES_AT + 69632, UNDO_ENTRIES_AT + 3 * 69632].map((bytes) =>
      undoCapacity(bytes, 65536),
    ),
    [0, 0, 0, 1, 3],
  );
});
