// What stands in an undo store: two copies of its header, then entries of one size, so that the place of an entry follows from its
// sequence. An entry is a header block and the old content of one region of a volume, padded to the size of a region.
//
//   at      what                            at      what
//    0      store header, copy A          8192      entry 0
//   4096    store header, copy B          8192 + i x (4096 + region size)   entry i
//
//   at  size  store header (64 bytes, the rest of its block is zero)
//    0    4   magic "LVRU"
//    4    4   CRC32C over bytes 8..64
//    8   16   UUID of the undo
//   24    4   region size, bytes
//   28   36   zero
//
//   at  size  entry header (64 bytes, the rest of its block is zero)
//    0    4   magic "LVRu"
//    4    4   CRC32C over bytes 8..64
//    8   16   UUID of the undo
//   24    8   sequence, from 0
//   32    8   entries that were durable when this one was written: all with a sequence below
//   40    8   offset in the volume
//   48    4   length, bytes, at most the size of a region
//   52    4   CRC32C of the content
//   56    2   volume index
//   58    6   zero

import { isRegionBytes } from '../core/dirty-map.js';
import { BLOCK_BYTES, VOLUMES_PER_GROUP_MAX } from '../core/limits.js';
import { getU16, getU32, getU64, isZero, putU16, putU32, putU64, sameUuid } from './bytes.js';
import { crc32cSmall } from './crc32c.js';

/** Where entry 0 begins. */
export const UNDO_ENTRIES_AT = 2 * BLOCK_BYTES;

const STORE_MAGIC = 0x5552_564c;
const ENTRY_MAGIC = 0x7552_564c;
const HEADER_BYTES = 64;
const UUID_AT = 8;

/** Fields of an entry header. */
export type UndoEntry = {
  readonly sequence: number;
  readonly durable: number;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly payloadCrc: number;
};

/** Bytes that an entry takes. */
export function undoEntryBytes(regionBytes: number): number {
  return BLOCK_BYTES + regionBytes;
}

/** Entries that a store of this size holds. */
export function undoCapacity(storeBytes: number, regionBytes: number): number {
  return Math.max(0, Math.floor((storeBytes - UNDO_ENTRIES_AT) / undoEntryBytes(regionBytes)));
}

/** Writes a store header and zeroes the rest of its block. */
export function putUndoHeader(bytes: Uint8Array, start: number, uuid: Uint8Array, regionBytes: number): void {
  bytes.fill(0, start, start + BLOCK_BYTES);
  putU32(bytes, start, STORE_MAGIC);
  bytes.set(uuid, start + UUID_AT);
  putU32(bytes, start + 24, regionBytes);
  putU32(bytes, start + 4, crc32cSmall(bytes, start + 8, HEADER_BYTES - 8));
}

/** The region size that a store header of this undo tells; undefined when it is damaged or of another undo. */
export function readUndoHeader(bytes: Uint8Array, start: number, uuid: Uint8Array): number | undefined {
  if (!isSealed(bytes, start, STORE_MAGIC, uuid)) return undefined;
  const regionBytes = getU32(bytes, start + 24);
  return isRegionBytes(regionBytes) && isZero(bytes, start + 28, start + HEADER_BYTES) ? regionBytes : undefined;
}

/** Writes an entry header and zeroes the rest of its block. */
export function putUndoEntry(bytes: Uint8Array, start: number, entry: UndoEntry, uuid: Uint8Array): void {
  bytes.fill(0, start, start + BLOCK_BYTES);
  putU32(bytes, start, ENTRY_MAGIC);
  bytes.set(uuid, start + UUID_AT);
  putU64(bytes, start + 24, entry.sequence);
  putU64(bytes, start + 32, entry.durable);
  putU64(bytes, start + 40, entry.offset);
  putU32(bytes, start + 48, entry.length);
  putU32(bytes, start + 52, entry.payloadCrc);
  putU16(bytes, start + 56, entry.volume);
  putU32(bytes, start + 4, crc32cSmall(bytes, start + 8, HEADER_BYTES - 8));
}

/** Reads an entry header; undefined unless magic, CRC, undo and every field are right. The caller checks the sequence. */
export function readUndoEntry(bytes: Uint8Array, start: number, uuid: Uint8Array): UndoEntry | undefined {
  if (!isSealed(bytes, start, ENTRY_MAGIC, uuid)) return undefined;
  const entry: UndoEntry = {
    sequence: getU64(bytes, start + 24),
    durable: getU64(bytes, start + 32),
    offset: getU64(bytes, start + 40),
    length: getU32(bytes, start + 48),
    payloadCrc: getU32(bytes, start + 52),
    volume: getU16(bytes, start + 56),
  };
  const isSane =
    entry.sequence >= 0 &&
    entry.durable >= 0 &&
    entry.durable <= entry.sequence &&
    entry.offset >= 0 &&
    entry.length >= 1 &&
    entry.volume < VOLUMES_PER_GROUP_MAX;
  return isSane && isZero(bytes, start + 58, start + HEADER_BYTES) ? entry : undefined;
}

function isSealed(bytes: Uint8Array, start: number, magic: number, uuid: Uint8Array): boolean {
  return (
    getU32(bytes, start) === magic &&
    getU32(bytes, start + 4) === crc32cSmall(bytes, start + 8, HEADER_BYTES - 8) &&
    sameUuid(bytes, start + UUID_AT, uuid)
  );
}
