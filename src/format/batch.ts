// A batch is the unit of group commit: one header block of 4096 bytes (batch header and up to 42 record headers), then the payloads of its
// write records, packed in record order without gaps, then zeroes up to a multiple of 4096. A batch never crosses the end of the ring.
//
//   at  size  batch header (64 bytes)
//    0    4   magic "LVRb"
//    4    4   CRC32C over bytes 8..64
//    8    8   position of the batch in the log's endless address space, bytes; its place is position modulo ring size
//   16    4   length of the batch with header block and padding, bytes
//   20    4   length of the payloads, bytes
//   24    2   number of records
//   26    6   zero
//   32    8   LSN of the first record
//   40    8   LSN known durable at the primary when the batch was written: a secondary applies nothing beyond what its log records here
//   48   16   UUID of the log
//   64   96 each  record headers (record.ts); the rest of the block is zero

import { BATCH_RECORDS_MAX, BLOCK_BYTES, SLAB_LARGE_PAYLOAD_BYTES } from '../core/limits.js';
import { getU16, getU32, getU64, isZero, putU16, putU32, putU64, sameUuid } from './bytes.js';
import { crc32cSmall } from './crc32c.js';
import { RECORD_HEADER_BYTES } from './record.js';

export const BATCH_HEADER_BYTES = 64;
export const BATCH_MAGIC = 0x6252_564c;

/** Fields of a batch header. */
export type BatchHeader = {
  position: number;
  totalBytes: number;
  payloadBytes: number;
  count: number;
  firstLsn: number;
  primaryDurableLsn: number;
};

/** Offset of the header of record `index` from the start of its batch. */
export function recordHeaderAt(index: number): number {
  return BATCH_HEADER_BYTES + index * RECORD_HEADER_BYTES;
}

/** Bytes a batch with this much payload takes in the log. */
export function batchBytes(payloadBytes: number): number {
  return BLOCK_BYTES + Math.ceil(payloadBytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Writes the batch header at `start` and zeroes what follows the last record header in the header block. */
export function putBatchHeader(bytes: Uint8Array, start: number, header: BatchHeader, logUuid: Uint8Array): void {
  bytes.fill(0, start + recordHeaderAt(header.count), start + BLOCK_BYTES);
  putU32(bytes, start, BATCH_MAGIC);
  putU64(bytes, start + 8, header.position);
  putU32(bytes, start + 16, header.totalBytes);
  putU32(bytes, start + 20, header.payloadBytes);
  putU16(bytes, start + 24, header.count);
  bytes.fill(0, start + 26, start + 32);
  putU64(bytes, start + 32, header.firstLsn);
  putU64(bytes, start + 40, header.primaryDurableLsn);
  bytes.set(logUuid, start + 48);
  putU32(bytes, start + 4, crc32cSmall(bytes, start + 8, BATCH_HEADER_BYTES - 8));
}

/** Reads a batch header; undefined unless magic, CRC, log and every field are right. The caller checks position and LSN. */
export function readBatchHeader(bytes: Uint8Array, start: number, logUuid: Uint8Array): BatchHeader | undefined {
  if (getU32(bytes, start) !== BATCH_MAGIC) return undefined;
  if (getU32(bytes, start + 4) !== crc32cSmall(bytes, start + 8, BATCH_HEADER_BYTES - 8)) return undefined;
  if (!sameUuid(bytes, start + 48, logUuid)) return undefined;
  const header = {
    position: getU64(bytes, start + 8),
    totalBytes: getU32(bytes, start + 16),
    payloadBytes: getU32(bytes, start + 20),
    count: getU16(bytes, start + 24),
    firstLsn: getU64(bytes, start + 32),
    primaryDurableLsn: getU64(bytes, start + 40),
  };
  const sane =
    header.position >= 0 &&
    header.firstLsn >= 1 &&
    header.primaryDurableLsn >= 0 &&
    header.count >= 1 &&
    header.count <= BATCH_RECORDS_MAX &&
    header.payloadBytes <= SLAB_LARGE_PAYLOAD_BYTES &&
    header.totalBytes === batchBytes(header.payloadBytes);
  return sane && isZero(bytes, start + 26, start + 32) ? header : undefined;
}
