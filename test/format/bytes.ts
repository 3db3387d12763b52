// Little-endian fields.

import t from 'tap';
import * as bytes from '../../src/format/bytes.js';
import { Random } from '../helpers/random.js';

t.test('numbers come back as they were written, little endian', async (t) => {
  const random = new Random();
  const field = new Uint8Array(16).fill(0xff);
  const view = new DataView(field.buffer);
  for (let run = 0; run < 5000; run++) {
    const high = random.below(0x20_0000);
    const low = random.below(0x1_0000_0000);
    const value = high * 2 ** 32 + low;
    bytes.putU64(field, 3, value);
    if (bytes.getU64(field, 3) !== value || view.getBigUint64(3, true) !== BigInt(value)) t.fail(`u64 ${value}`);
    bytes.putU32(field, 1, low);
    if (bytes.getU32(field, 1) !== low || view.getUint32(1, true) !== low) t.fail(`u32 ${low}`);
    bytes.putU16(field, 5, low & 0xffff);
    if (bytes.getU16(field, 5) !== (low & 0xffff) || view.getUint16(5, true) !== (low & 0xffff)) t.fail(`u16 ${low}`);
  }
  for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    bytes.putU64(field, 0, value);
    t.equal(bytes.getU64(field, 0), value);
  }
});

t.test('a u64 beyond safe integers is NaN', async (t) => {
  const field = new Uint8Array(8);
  new DataView(field.buffer).setBigUint64(0, 2n ** 53n, true);
  t.ok(Number.isNaN(bytes.getU64(field, 0)));
  field.fill(0xff);
  t.ok(Number.isNaN(bytes.getU64(field, 0)));
});

t.test('names and UUIDs fill their fields', async (t) => {
  const field = new Uint8Array(24).fill(0xee);
  bytes.putName(field, 4, 8, 'abc');
  t.equal(bytes.getName(field, 4, 8), 'abc');
  t.ok(bytes.isZero(field, 7, 12));
  t.notOk(bytes.isZero(field, 7, 13));
  t.equal(field[3], 0xee);
  bytes.putName(field, 4, 8, '1234567');
  t.equal(bytes.getName(field, 4, 8), '1234567');
  t.throws(() => bytes.putName(field, 4, 8, '12345678'), /longer than its field/);
  t.equal(bytes.getName(new Uint8Array(24).fill(0x61), 4, 8), 'aaaaaaaa', 'a field without its end is not read past it');
  const uuid = '00ff10a9b7c6d5e4f30112233445566a';
  bytes.putUuid(field, 1, uuid);
  t.equal(bytes.getUuid(field, 1), uuid);
  const expected = new Uint8Array(16);
  bytes.putUuid(expected, 0, uuid);
  t.ok(bytes.sameUuid(field, 1, expected));
  field[16] = (field[16] as number) ^ 1;
  t.notOk(bytes.sameUuid(field, 1, expected));
  t.throws(() => bytes.putUuid(field, 0, 'abc'), /32 hex digits/);
  t.equal(bytes.UUID_NONE.length, 32);
});
