// CRC32C: published vectors, and the hardware path against the table.

import t from 'tap';
import { crc32c, crc32cSpans, createArena } from '../../src/disk/memory.js';
import { binding } from '../../src/disk/native.js';
import { Random } from '../helpers/random.js';

const VECTORS: readonly (readonly [string, Uint8Array, number])[] = [
  ['32 zero bytes', new Uint8Array(32), 0x8a9136aa],
  ['32 bytes 0xff', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ['the digits 1 to 9', Buffer.from('123456789'), 0xe3069283],
  ['nothing', new Uint8Array(0), 0],
];

t.test('RFC 3720 vectors come out right on both paths', async (t) => {
  for (const [name, bytes, expected] of VECTORS) {
    t.equal(crc32c(bytes, 0, bytes.length), expected, name);
    t.equal(binding.crc32cTable(bytes, 0, bytes.length), expected, `${name}, table`);
  }
});

function randomBytes(length: number, random: Random): Uint8Array {
  const { bytes } = createArena(length);
  for (let i = 0; i < length; i++) bytes[i] = random.below(256);
  return bytes;
}

t.test('folding, lanes and table agree on spans of every alignment and length', async (t) => {
  const random = new Random();
  const bytes = randomBytes(128 * 1024, random);
  // All lengths around the lane sizes, then random ones.
  const lengths = [
    0, 1, 7, 8, 9, 503, 504, 505, 511, 512, 4079, 4080, 4081, 4096, 8160, 1023, 1024, 1025, 1279, 1280, 1281, 65_536, 65_537,
  ];
  for (let i = 0; i < 2000; i++) lengths.push(random.below(10_000));
  let different = 0;
  for (const length of lengths) {
    const start = random.below(bytes.length - length);
    const expected = binding.crc32cTable(bytes, start, length);
    if (crc32c(bytes, start, length) !== expected || binding.crc32cLanes(bytes, start, length) !== expected) different++;
  }
  t.equal(different, 0, `seed ${random.seed}`);
});

t.test('one changed bit changes the sum', async (t) => {
  const random = new Random();
  const bytes = randomBytes(4096, random);
  const before = crc32c(bytes, 0, 4096);
  for (let i = 0; i < 200; i++) {
    const at = random.below(4096);
    const bit = 1 << random.below(8);
    bytes[at] = (bytes[at] as number) ^ bit;
    if (crc32c(bytes, 0, 4096) === before) t.fail(`bit ${bit} of byte ${at}, seed ${random.seed}`);
    bytes[at] = (bytes[at] as number) ^ bit;
  }
  t.equal(crc32c(bytes, 0, 4096), before);
});

t.test('a sum in pieces is the sum of the whole', async (t) => {
  const bytes = randomBytes(5000, new Random());
  const whole = crc32c(bytes, 0, 5000);
  t.equal(binding.crc32c(bytes, 1234, 3766, crc32c(bytes, 0, 1234)), whole);
  t.equal(binding.crc32cTable(bytes, 1234, 3766, crc32c(bytes, 0, 1234)), whole);
});

t.test('spans are summed one by one', async (t) => {
  const bytes = randomBytes(10_000, new Random());
  const out = new Uint32Array(4).fill(7);
  crc32cSpans(bytes, Uint32Array.of(0, 4096, 9999, 1, 500, 0), 3, out);
  t.same([...out], [crc32c(bytes, 0, 4096), crc32c(bytes, 9999, 1), 0, 7]);
});

t.test('spans outside the array are refused', async (t) => {
  const bytes = new Uint8Array(100);
  const out = new Uint32Array(1);
  t.throws(() => crc32c(bytes, 0, 101), RangeError);
  t.throws(() => crc32c(bytes, -1, 1), RangeError);
  t.throws(() => crc32c(bytes, Number.NaN, 1), RangeError);
  t.throws(() => crc32cSpans(bytes, Uint32Array.of(100, 1), 1, out), RangeError);
  t.throws(() => crc32cSpans(bytes, Uint32Array.of(1, 0xffffffff), 1, out), RangeError);
  t.throws(() => crc32cSpans(bytes, Uint32Array.of(0, 1), 2, out), RangeError);
  t.throws(() => crc32c(new Uint16Array(4) as unknown as Uint8Array, 0, 1), TypeError);
});
