// The mark of a log that was given up: read as written, absent where nothing stands, and never taken from damaged bytes.

import t from 'tap';
import { BLOCK_BYTES } from '../../src/core/limits.js';
import { putU32 } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { putPassthroughMark, readPassthroughMark } from '../../src/format/passthrough-mark.js';

const MARK = { logUuid: 'ab'.repeat(16), lsn: 2 ** 40 + 5 };
const AT = 512;

function marked(): Uint8Array {
  const bytes = new Uint8Array(AT + BLOCK_BYTES).fill(0xee);
  putPassthroughMark(bytes, AT, MARK);
  return bytes;
}

/** Changes a field and makes the sum right again. */
function forged(change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = marked();
  change(bytes);
  putU32(bytes, AT + 4, crc32cSmall(bytes, AT + 8, 56));
  return bytes;
}

t.test('a mark is read as it was written; a block of zeroes is none', async (t) => {
  t.same(readPassthroughMark(marked(), AT), MARK);
  t.equal(readPassthroughMark(new Uint8Array(BLOCK_BYTES), 0), undefined);
});

t.test('every flipped bit is found', async (t) => {
  const bytes = marked();
  let accepted = 0;
  for (let bit = 0; bit < 64 * 8; bit++) {
    bytes[AT + (bit >> 3)] = (bytes[AT + (bit >> 3)] as number) ^ (1 << (bit & 7));
    if (readPassthroughMark(bytes, AT) !== 'it is damaged') accepted++;
    bytes[AT + (bit >> 3)] = (bytes[AT + (bit >> 3)] as number) ^ (1 << (bit & 7));
  }
  t.equal(accepted, 0);
  t.same(readPassthroughMark(bytes, AT), MARK);
});

t.test('what another version may have written is not taken for a mark', async (t) => {
  for (const [from, to] of [
    [24, 32],
    [40, 41],
  ] as const) {
    const bytes = forged((bytes) => bytes.fill(0xff, AT + from, AT + to));
    t.equal(readPassthroughMark(bytes, AT), 'it is of another version');
  }
});
