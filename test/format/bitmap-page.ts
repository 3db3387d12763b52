// Pages of a dirty bitmap: the bits come back, every flipped bit is seen, a page of another place or bitmap never counts.

import t from 'tap';
import { DIRTY_PAGE_BYTES } from '../../src/core/dirty-map.js';
import { BITMAP_BITS_AT, BITMAP_PAGE_BYTES, type BitmapPage, decodeBitmapPage, encodeBitmapPage } from '../../src/format/bitmap-page.js';
import { putU32, putUuid } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { flipBit } from '../helpers/bits.js';

const START = 4096;
const uuid = new Uint8Array(16);
putUuid(uuid, 0, 'fedcba9876543210fedcba9876543210');
const PAGE: BitmapPage = { page: 7, regionBytes: 65536, uuid };
const bits = Uint8Array.from({ length: DIRTY_PAGE_BYTES }, (_, i) => (i * 37) & 0xff);

function encoded(): Uint8Array {
  const bytes = new Uint8Array(3 * BITMAP_PAGE_BYTES).fill(0x55);
  encodeBitmapPage(bytes, START, PAGE, bits, crc32cSmall);
  return bytes;
}

function judge(bytes: Uint8Array, expected = PAGE): string {
  return decodeBitmapPage(bytes, START, expected, crc32cSmall);
}

t.test('the bits of a page come back, and nothing beside it is touched', async (t) => {
  const bytes = encoded();
  t.equal(judge(bytes), 'valid');
  t.same(bytes.subarray(START + BITMAP_BITS_AT, START + BITMAP_PAGE_BYTES), bits);
  t.same([bytes[START - 1], bytes[START + BITMAP_PAGE_BYTES]], [0x55, 0x55]);
  t.equal(Buffer.from(bytes.subarray(START, START + 4)).toString(), 'LVRd');
});

t.test('every single-bit flip in a page is seen', async (t) => {
  const bytes = encoded();
  const missed: number[] = [];
  for (let bit = 0; bit < BITMAP_PAGE_BYTES * 8; bit++) {
    flipBit(bytes, START, bit);
    if (judge(bytes) === 'valid') missed.push(bit);
    flipBit(bytes, START, bit);
  }
  t.same(missed, []);
});

t.test('a page torn at any sector is invalid, or as it was before or after', async (t) => {
  const before = encoded();
  const after = encoded();
  encodeBitmapPage(
    after,
    START,
    PAGE,
    bits.map((byte) => byte ^ 0xff),
    crc32cSmall,
  );
  for (let at = 512; at < BITMAP_PAGE_BYTES; at += 512) {
    const torn = before.slice();
    torn.set(after.subarray(START, START + at), START);
    t.equal(judge(torn), 'invalid', `at ${at}`);
  }
});

t.test('blank space, another place, another region size and another bitmap are told apart', async (t) => {
  t.equal(judge(new Uint8Array(3 * BITMAP_PAGE_BYTES)), 'invalid');
  t.equal(judge(encoded(), { ...PAGE, page: 8 }), 'invalid');
  t.equal(judge(encoded(), { ...PAGE, regionBytes: 4096 }), 'invalid');
  const other = uuid.slice();
  other[15] = 0;
  t.equal(judge(encoded(), { ...PAGE, uuid: other }), 'other');
  const bytes = encoded();
  bytes[START + 40] = 1;
  putU32(bytes, START + 4, crc32cSmall(bytes, START + 8, BITMAP_PAGE_BYTES - 8));
  t.equal(judge(bytes), 'invalid', 'reserved bytes');
  t.throws(() => encodeBitmapPage(bytes, 0, PAGE, bits.subarray(1), crc32cSmall), /full of bits/);
});
