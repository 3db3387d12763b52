// Compare frames: the hashes of a piece of a volume in a resync, for a site that is asked whether it has the piece already.
//
// The meta part is that of a region frame (frame.ts) without flags; `length` is that of the piece, and the CRC is that of the payload part.
// The payload part is the hashes of the blocks of the piece, HASH_BYTES each: blocks of COMPARE_BLOCK_BYTES from its offset on, of which
// the last one may be short. The answer is a `compared` message.

import { assert } from '../core/assert.js';
import { COMPARE_BLOCK_BYTES, RECORD_PAYLOAD_BYTES_MAX, SECTOR_BYTES } from '../core/limits.js';
import { crc32cSmall } from './crc32c.js';
import { FRAME_HEADER_BYTES, isExtent, putRegionMeta, REGION_META_BYTES, type RegionMeta, regionMetaAt, sealFrame } from './frame.js';

/** SHA-256. */
export const HASH_BYTES = 32;
/** Blocks of the longest piece: as many as an answer has bits. */
export const COMPARE_BLOCKS_MAX = RECORD_PAYLOAD_BYTES_MAX / COMPARE_BLOCK_BYTES;

assert(COMPARE_BLOCKS_MAX <= 31, 'the answer to a piece is an integer');
assert(HASH_BYTES <= SECTOR_BYTES, 'where a piece has room its hashes have');

/** Blocks of a piece of so many bytes. */
export function blocksOf(length: number): number {
  return Math.ceil(length / COMPARE_BLOCK_BYTES);
}

/** A whole compare frame about the piece at `meta`, of which only the place and the length count. */
export function compareFrame({ volume, offset, length }: RegionMeta, hashes: Uint8Array): Uint8Array {
  assert(hashes.length === blocksOf(length) * HASH_BYTES, 'every block has its hash');
  const payloadStart = FRAME_HEADER_BYTES + REGION_META_BYTES;
  const frame = new Uint8Array(payloadStart + hashes.length);
  frame.set(hashes, payloadStart);
  putRegionMeta(frame, FRAME_HEADER_BYTES, { volume, offset, length, isZero: false, crc: crc32cSmall(hashes, 0, hashes.length) });
  sealFrame(frame, 0, 'compare', REGION_META_BYTES, hashes.length);
  return frame;
}

/** Reads the meta part of a compare frame; words when it is not possible. The caller checks the volume's size and the CRC. */
export function readCompareMeta(bytes: Uint8Array, start: number, metaBytes: number, payloadBytes: number): RegionMeta | string {
  const meta = regionMetaAt(bytes, start, metaBytes);
  if (meta === undefined || meta.isZero) return 'compare frame with an impossible meta part';
  if (!isExtent(meta) || meta.length > RECORD_PAYLOAD_BYTES_MAX || payloadBytes !== blocksOf(meta.length) * HASH_BYTES)
    return 'compare frame with an impossible extent';
  return meta;
}
