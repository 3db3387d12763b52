// A page of a dirty bitmap: one block of 4096 bytes with a header of 64 bytes and the dirty bits of 32256 regions (core/dirty-map.ts
// numbers pages and bits). Pages stand alone: each says which bitmap it is of, so that what an earlier bitmap left in its place never
// counts.
//
//   at  size  field
//    0    4   magic "LVRd"
//    4    4   CRC32C over bytes 8..4096
//    8    4   page number
//   12    4   region size, bytes
//   16   16   UUID of the bitmap
//   32   32   zero
//   64 4032   bits: region r of the page is bit r % 8 of byte floor(r / 8); set: dirty

import { assert } from '../core/assert.js';
import { DIRTY_PAGE_BYTES } from '../core/dirty-map.js';
import { BLOCK_BYTES } from '../core/limits.js';
import type { Crc32c } from '../core/ports.js';
import { getU32, isZero, putU32, sameUuid } from './bytes.js';

export const BITMAP_PAGE_BYTES = BLOCK_BYTES;
/** Where the bits begin. */
export const BITMAP_BITS_AT = BITMAP_PAGE_BYTES - DIRTY_PAGE_BYTES;

const MAGIC = 0x6452_564c;
const CRC_AT = 4;
const SUMMED_AT = 8;
const UUID_AT = 16;
const RESERVED_AT = 32;

/** What a page has to be to count. `uuid`: 16 bytes. */
export type BitmapPage = { readonly page: number; readonly regionBytes: number; readonly uuid: Uint8Array };

/** What stands in the place of a page: it, bytes that are no page or not this one, or a page of another bitmap. */
export type BitmapPageContent = 'valid' | 'invalid' | 'other';

/** Writes a page at `start`; `bits` is DIRTY_PAGE_BYTES long. */
export function encodeBitmapPage(bytes: Uint8Array, start: number, page: BitmapPage, bits: Uint8Array, crc32c: Crc32c): void {
  assert(bits.length === DIRTY_PAGE_BYTES, 'a page is full of bits');
  putU32(bytes, start, MAGIC);
  putU32(bytes, start + SUMMED_AT, page.page);
  putU32(bytes, start + 12, page.regionBytes);
  bytes.set(page.uuid, start + UUID_AT);
  bytes.fill(0, start + RESERVED_AT, start + BITMAP_BITS_AT);
  bytes.set(bits, start + BITMAP_BITS_AT);
  putU32(bytes, start + CRC_AT, crc32c(bytes, start + SUMMED_AT, BITMAP_PAGE_BYTES - SUMMED_AT));
}

/** Judges the page at `start`; when it is valid, its bits are the DIRTY_PAGE_BYTES from start + BITMAP_BITS_AT on. */
export function decodeBitmapPage(bytes: Uint8Array, start: number, expected: BitmapPage, crc32c: Crc32c): BitmapPageContent {
  if (getU32(bytes, start) !== MAGIC) return 'invalid';
  if (getU32(bytes, start + CRC_AT) !== crc32c(bytes, start + SUMMED_AT, BITMAP_PAGE_BYTES - SUMMED_AT)) return 'invalid';
  if (!sameUuid(bytes, start + UUID_AT, expected.uuid)) return 'other';
  const isIt =
    getU32(bytes, start + SUMMED_AT) === expected.page &&
    getU32(bytes, start + 12) === expected.regionBytes &&
    isZero(bytes, start + RESERVED_AT, start + BITMAP_BITS_AT);
  return isIt ? 'valid' : 'invalid';
}
