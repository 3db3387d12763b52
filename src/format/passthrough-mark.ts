// The mark of a group whose log was given up while it was in use (on_log_error = "passthrough"). It stands in a file of its own, behind two
// superblock slots as a log has them, which count in the place of those of the log while the mark is valid.
//
//   at             what
//    0             superblock slot A
//   16384          superblock slot B
//   65536          the mark (64 bytes, the rest of its block is zero)
//
//   at  size  mark
//    0    4   magic "LVRX"
//    4    4   CRC32C over bytes 8..64
//    8   16   UUID of the log that was given up
//   24    8   LSN of the last record appended to it; sites may have everything up to there
//   32   32   zero

import { BLOCK_BYTES } from '../core/limits.js';
import { getU32, getU64, getUuid, isZero, putU32, putU64, putUuid, type Uuid } from './bytes.js';
import { crc32cSmall } from './crc32c.js';
import { RING_START } from './superblock.js';

/** Where the mark stands. */
export const MARK_AT = RING_START;
/** Size of the file. */
export const PASSTHROUGH_BYTES = MARK_AT + BLOCK_BYTES;

const MAGIC = 0x5852_564c;
const MARK_BYTES = 64;

/** Fields of a mark. */
export type PassthroughMark = { readonly logUuid: Uuid; readonly lsn: number };

/** Writes a mark and zeroes the rest of its block. */
export function putPassthroughMark(bytes: Uint8Array, start: number, { logUuid, lsn }: PassthroughMark): void {
  bytes.fill(0, start, start + BLOCK_BYTES);
  putU32(bytes, start, MAGIC);
  putUuid(bytes, start + 8, logUuid);
  putU64(bytes, start + 24, lsn);
  putU32(bytes, start + 4, crc32cSmall(bytes, start + 8, MARK_BYTES - 8));
}

/** Reads a mark; undefined when there is none, and words when something else stands there. */
export function readPassthroughMark(bytes: Uint8Array, start: number): PassthroughMark | string | undefined {
  if (isZero(bytes, start, start + BLOCK_BYTES)) return undefined;
  if (getU32(bytes, start) !== MAGIC || getU32(bytes, start + 4) !== crc32cSmall(bytes, start + 8, MARK_BYTES - 8)) {
    return 'it is damaged';
  }
  const lsn = getU64(bytes, start + 24);
  if (Number.isNaN(lsn) || !isZero(bytes, start + 32, start + MARK_BYTES)) return 'it is of another version';
  return { logUuid: getUuid(bytes, start + 8), lsn };
}
