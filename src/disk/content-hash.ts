// What is compared instead of content: the SHA-256 of each block of a piece.
//
// A block whose hash is the same is not copied, so two blocks with one hash would be a silent change. SHA-256 and not a faster hash that is
// no cryptographic one: what stands on a volume is often chosen by somebody who is not to be trusted, and for the fast ones two blocks with
// the same hash can be made on purpose.

import { createHash } from 'node:crypto';
import { COMPARE_BLOCK_BYTES } from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import { blocksOf, HASH_BYTES } from '../format/compare.js';

/** Hashes of the blocks of bytes[start, start + length), in order, HASH_BYTES each; the last one may be short. Takes some 0.6 ms a MiB. */
export function hashBlocks(bytes: Uint8Array, start: number, length: number): Uint8Array {
  const hashes = new Uint8Array(blocksOf(length) * HASH_BYTES);
  for (let at = 0, to = 0; at < length; at += COMPARE_BLOCK_BYTES, to += HASH_BYTES) {
    const end = Math.min(at + COMPARE_BLOCK_BYTES, length);
    hashes.set(
      createHash('sha256')
        .update(bytes.subarray(start + at, start + end))
        .digest(),
      to,
    );
  }
  return hashes;
}

/** Blocks of bytes[start, start + length) that have the hashes of another piece of that length: bit i for block i. */
export function sameBlocks(bytes: Uint8Array, start: number, length: number, hashes: Uint8Array): number {
  const own = hashBlocks(bytes, start, length);
  let same = 0;
  for (let block = 0; block < blocksOf(length); block++) {
    const at = block * HASH_BYTES;
    const isSame = own.subarray(at, at + HASH_BYTES).every((byte, i) => byte === hashes[at + i]);
    if (isSame || PLANTED === 'compared-always-same') same |= 1 << block;
  }
  return same;
}
