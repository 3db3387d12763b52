// Compare frames, and the answer to them.

import t from 'tap';
import { COMPARE_BLOCK_BYTES, KIB, MIB } from '../../src/core/limits.js';
import { blocksOf, COMPARE_BLOCKS_MAX, compareFrame, HASH_BYTES, readCompareMeta } from '../../src/format/compare.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import {
  FRAME_HEADER_BYTES,
  isMetaValid,
  putRegionMeta,
  REGION_META_BYTES,
  type RegionMeta,
  readFrameHeader,
} from '../../src/format/frame.js';
import { decodeCompared, encodeCompared } from '../../src/format/wire.js';

t.test('a compare frame goes round: place, length, and the hash of every block', async (t) => {
  for (const length of [16 * KIB, COMPARE_BLOCK_BYTES, COMPARE_BLOCK_BYTES + 512, MIB]) {
    const hashes = new Uint8Array(blocksOf(length) * HASH_BYTES).map((_, i) => i * 7);
    const frame = compareFrame({ volume: 2, offset: 2 ** 41, length, isZero: false, crc: 99 }, hashes);
    const header = readFrameHeader(frame, 0);
    if (typeof header === 'string') return void t.fail(header);
    t.match(header, { type: 'compare', metaBytes: REGION_META_BYTES, payloadBytes: hashes.length });
    t.ok(isMetaValid(frame, FRAME_HEADER_BYTES, header));
    const meta = readCompareMeta(frame, FRAME_HEADER_BYTES, header.metaBytes, header.payloadBytes);
    t.same(meta, { volume: 2, offset: 2 ** 41, length, isZero: false, crc: crc32cSmall(hashes, 0, hashes.length) });
    t.same(frame.subarray(FRAME_HEADER_BYTES + REGION_META_BYTES), hashes);
  }
});

t.test('impossible compare frames are refused', async (t) => {
  const bytes = new Uint8Array(64);
  const good: RegionMeta = { volume: 0, offset: 512, length: 3 * COMPARE_BLOCK_BYTES, isZero: false, crc: 5 };
  const read = (meta: RegionMeta, payloadBytes: number, metaBytes = REGION_META_BYTES): RegionMeta | string => {
    putRegionMeta(bytes, 8, meta);
    return readCompareMeta(bytes, 8, metaBytes, payloadBytes);
  };
  t.same(read(good, 3 * HASH_BYTES), good);
  const wrong: [string, RegionMeta, number][] = [
    ['nothing', { ...good, length: 0 }, 0],
    ['a hash too few', good, 2 * HASH_BYTES],
    ['a hash too many', good, 4 * HASH_BYTES],
    ['part of a hash', good, 3 * HASH_BYTES - 1],
    ['part of a sector', { ...good, length: 100 }, HASH_BYTES],
    ['place inside a sector', { ...good, offset: 7 }, 3 * HASH_BYTES],
    ['place beyond 2^53', { ...good, offset: 2 ** 60 }, 3 * HASH_BYTES],
    ['too long', { ...good, length: MIB + 512 }, 17 * HASH_BYTES],
  ];
  for (const [title, meta, payloadBytes] of wrong) t.match(read(meta, payloadBytes), /impossible extent/, title);
  t.match(read({ ...good, isZero: true }, 3 * HASH_BYTES), /impossible meta/, 'zeroes need no question');
  t.match(read(good, 3 * HASH_BYTES, REGION_META_BYTES + 1), /impossible meta/);
});

t.test('an answer says no more than a piece has blocks', async (t) => {
  t.same(decodeCompared(encodeCompared({ piece: 0, same: 0 })), { piece: 0, same: 0 });
  t.same(decodeCompared(encodeCompared({ piece: 2 ** 53 - 1, same: 2 ** COMPARE_BLOCKS_MAX - 1 })), { piece: 2 ** 53 - 1, same: 0xffff });
  t.equal(decodeCompared(encodeCompared({ piece: 1, same: 2 ** COMPARE_BLOCKS_MAX })), 'compared: more blocks than a piece has');
  t.equal(decodeCompared(encodeCompared({ piece: 2 ** 53, same: 0 })), 'compared: number is out of range');
  t.match(decodeCompared(Uint8Array.of(8)), /^malformed/);
});
