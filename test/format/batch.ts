// Batch headers: every field comes back, every flipped bit is seen, nothing impossible is read.

import t from 'tap';
import { BATCH_RECORDS_MAX, BLOCK_BYTES, SLAB_LARGE_PAYLOAD_BYTES } from '../../src/core/limits.js';
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  batchBytes,
  putBatchHeader,
  readBatchHeader,
  recordHeaderAt,
} from '../../src/format/batch.js';
import { isZero, putU32, putUuid } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { RECORD_HEADER_BYTES } from '../../src/format/record.js';
import { flipBit } from '../helpers/bits.js';

const START = BLOCK_BYTES;
const uuid = new Uint8Array(16);
putUuid(uuid, 0, 'fedcba9876543210fedcba9876543210');

function sealed(fields: Partial<BatchHeader> = {}): { bytes: Uint8Array; header: BatchHeader } {
  const payloadBytes = fields.payloadBytes ?? 5000;
  const header = {
    position: 2 ** 40,
    totalBytes: batchBytes(payloadBytes),
    payloadBytes,
    count: 2,
    firstLsn: 9,
    primaryDurableLsn: 8,
    ...fields,
  };
  const bytes = new Uint8Array(3 * BLOCK_BYTES).fill(0x55);
  putBatchHeader(bytes, START, header, uuid);
  return { bytes, header };
}

t.test('a batch header comes back, and what follows the record headers is zero', async (t) => {
  for (const count of [1, 2, BATCH_RECORDS_MAX]) {
    const { bytes, header } = sealed({ count });
    t.same(readBatchHeader(bytes, START, uuid), header);
    t.ok(isZero(bytes, START + recordHeaderAt(count), START + BLOCK_BYTES));
    t.equal(bytes[START - 1], 0x55);
    t.equal(bytes[START + BATCH_HEADER_BYTES], 0x55, 'record headers are left alone');
    t.equal(bytes[START + BLOCK_BYTES], 0x55, 'so is the payload');
  }
});

t.test('a header block holds the batch header and the most records', async (t) => {
  t.ok(recordHeaderAt(BATCH_RECORDS_MAX) <= BLOCK_BYTES);
  t.equal(recordHeaderAt(1), BATCH_HEADER_BYTES + RECORD_HEADER_BYTES);
  t.same([0, 1, 4096, 4097].map(batchBytes), [4096, 8192, 8192, 12288]);
});

t.test('every single-bit flip in a batch header is seen', async (t) => {
  const { bytes } = sealed();
  const missed: number[] = [];
  for (let bit = 0; bit < BATCH_HEADER_BYTES * 8; bit++) {
    flipBit(bytes, START, bit);
    if (readBatchHeader(bytes, START, uuid) !== undefined) missed.push(bit);
    flipBit(bytes, START, bit);
  }
  t.same(missed, []);
});

t.test('another log and impossible fields are refused even with a good checksum', async (t) => {
  const other = uuid.slice();
  other[15] = 0;
  t.equal(readBatchHeader(sealed().bytes, START, other), undefined);
  const bad: Partial<BatchHeader>[] = [{ count: 0 }, { count: BATCH_RECORDS_MAX + 1 }, { firstLsn: 0 }, { totalBytes: 4096 }];
  for (const fields of bad) {
    const { bytes } = sealed({ ...fields, count: 1 });
    for (const [name, at] of [
      ['count', 24],
      ['firstLsn', 32],
      ['totalBytes', 16],
    ] as const) {
      if (fields[name] !== undefined) putU32(bytes, START + at, name === 'count' ? (fields[name] as number) : (fields[name] as number));
    }
    putU32(bytes, START + 4, crc32cSmall(bytes, START + 8, BATCH_HEADER_BYTES - 8));
    t.equal(readBatchHeader(bytes, START, uuid), undefined, JSON.stringify(fields));
  }
  for (const at of [8, 32, 40]) {
    const { bytes } = sealed();
    bytes.fill(0xff, START + at, START + at + 8);
    putU32(bytes, START + 4, crc32cSmall(bytes, START + 8, BATCH_HEADER_BYTES - 8));
    t.equal(readBatchHeader(bytes, START, uuid), undefined, `u64 at ${at} beyond safe integers`);
  }
  t.not(readBatchHeader(sealed({ payloadBytes: SLAB_LARGE_PAYLOAD_BYTES }).bytes, START, uuid), undefined);
  t.equal(readBatchHeader(sealed({ payloadBytes: SLAB_LARGE_PAYLOAD_BYTES + 1 }).bytes, START, uuid), undefined, 'too much payload');
  const { bytes } = sealed();
  bytes[START + 28] = 1;
  putU32(bytes, START + 4, crc32cSmall(bytes, START + 8, BATCH_HEADER_BYTES - 8));
  t.equal(readBatchHeader(bytes, START, uuid), undefined, 'reserved bytes');
});
