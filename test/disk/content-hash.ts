// Hashes of the blocks of a piece.

import { createHash } from 'node:crypto';
import t from 'tap';
import { COMPARE_BLOCK_BYTES, MIB } from '../../src/core/limits.js';
import { hashBlocks, sameBlocks } from '../../src/disk/content-hash.js';
import { HASH_BYTES } from '../../src/format/compare.js';

t.test('each block has its SHA-256, the last one may be short', async (t) => {
  const bytes = new Uint8Array(1000 + 2 * COMPARE_BLOCK_BYTES + 512).map((_, i) => i * 31);
  const hashes = hashBlocks(bytes, 1000, 2 * COMPARE_BLOCK_BYTES + 512);
  t.equal(hashes.length, 3 * HASH_BYTES);
  for (let i = 0; i < 3; i++) {
    const at = 1000 + i * COMPARE_BLOCK_BYTES;
    const block = bytes.subarray(at, Math.min(at + COMPARE_BLOCK_BYTES, bytes.length));
    t.same(hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES), createHash('sha256').update(block).digest());
  }
});

t.test('a single changed byte makes its block another one, and no other', async (t) => {
  const bytes = new Uint8Array(MIB);
  const hashes = hashBlocks(bytes, 0, MIB);
  t.equal(sameBlocks(bytes, 0, MIB, hashes), 0xffff);
  for (const block of [0, 7, 15]) {
    const at = block * COMPARE_BLOCK_BYTES + 65_535;
    bytes[at] = 1;
    t.equal(sameBlocks(bytes, 0, MIB, hashes), 0xffff & ~(1 << block));
    bytes[at] = 0;
  }
  const wrong = hashes.slice();
  wrong[HASH_BYTES * 3 + 31] = 255 - (wrong[HASH_BYTES * 3 + 31] as number);
  t.equal(sameBlocks(bytes, 0, MIB, wrong), 0xffff & ~8, 'the last byte of a hash counts');
});
