import t from 'tap';
import { NBD_PAYLOAD_BYTES_MAX } from '../../src/core/limits.js';
import { checkRequest, NbdRequest, parseRequest } from '../../src/nbd/request.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { request as encode, type RequestFields } from '../helpers/nbd-raw-client.js';

const SIZE = 64 * 1024 * 1024;
const backend = new MemoryBackend({ sizeBytes: SIZE, blockBytes: 4096 });
const readOnly = new MemoryBackend({ sizeBytes: SIZE, blockBytes: 4096, readOnly: true });

const EPERM = 1;
const EINVAL = 22;
const ENOSPC = 28;
const FUA = 1;
const NO_HOLE = 2;
const DF = 4;
const REQ_ONE = 8;

function parse(fields: RequestFields): NbdRequest {
  const bytes = encode({ ...fields, payload: Buffer.alloc(0) });
  const request = new NbdRequest();
  t.ok(parseRequest(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, request));
  return request;
}

const check = (fields: RequestFields, structured = true, context = true, volume = backend) =>
  checkRequest(parse(fields), volume, structured, context);

t.test('every field is read from its place', async (t) => {
  const request = parse({ type: 6, flags: FUA | NO_HOLE, cookie: 0xfedcba9876543210n, offset: 0x123456789000n, length: 0xfffff000 });
  t.match(request, { type: 6, flags: 3, offset: 0x123456789000, length: 0xfffff000, fua: true, noHole: true });
  t.equal(request.cookieHigh >>> 0, 0xfedcba98);
  t.equal(request.cookieLow >>> 0, 0x76543210);
});

t.test('a wrong magic is noticed', async (t) => {
  const bytes = encode({ type: 0, magic: 0x25609514 });
  t.equal(parseRequest(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, new NbdRequest()), false);
});

t.test('the end of the volume is the limit, without overflow', async (t) => {
  const offsets: [bigint, number, boolean][] = [
    [BigInt(SIZE) - 4096n, 4096, true],
    [BigInt(SIZE) - 4096n, 8192, false],
    [BigInt(SIZE), 4096, false],
    [2n ** 32n, 4096, false],
    [2n ** 53n - 4096n, 4096, false],
    [2n ** 53n, 4096, false],
    [2n ** 64n - 4096n, 4096, false],
    [2n ** 64n - 1n, 4096, false],
  ];
  for (const [offset, length, inside] of offsets) {
    for (const [type, error] of [
      [0, EINVAL],
      [1, ENOSPC],
      [4, EINVAL],
      [6, ENOSPC],
      [7, EINVAL],
    ] as const) {
      t.equal(check({ type, offset, length }), inside ? 0 : error, `command ${type} at ${offset}`);
    }
  }
});

t.test('trim and zero may be as long as the protocol allows', async (t) => {
  const large = new MemoryBackend({ sizeBytes: 4096, blockBytes: 4096 });
  const huge = Object.create(large, { sizeBytes: { value: 2 ** 40 } }) as MemoryBackend;
  for (const type of [4, 6]) t.equal(check({ type, offset: 2 ** 35, length: 0xfffff000 }, true, true, huge), 0);
  t.equal(check({ type: 4, offset: 2 ** 40 - 4096, length: 0xfffff000 }, true, true, huge), EINVAL);
});

t.test('offset and length must be multiples of the block', async (t) => {
  for (const type of [0, 1, 4, 6, 7]) {
    t.equal(check({ type, offset: 512, length: 4096 }), EINVAL);
    t.equal(check({ type, offset: 4096, length: 512 }), EINVAL);
    t.equal(check({ type, offset: 4096, length: 8192 }), 0);
  }
});

t.test('alignment is judged in the low bits of offsets beyond 4 GiB', async (t) => {
  const huge = Object.create(backend, { sizeBytes: { value: 2 ** 50 } }) as MemoryBackend;
  t.equal(check({ type: 0, offset: 2 ** 49 + 4096, length: 4096 }, true, true, huge), 0);
  t.equal(check({ type: 0, offset: 2 ** 49 + 1, length: 4096 }, true, true, huge), EINVAL);
});

t.test('flags belong to commands, except FUA', async (t) => {
  const allowed = new Map([
    [0, DF],
    [1, 0],
    [3, 0],
    [4, 0],
    [6, NO_HOLE],
    [7, REQ_ONE],
  ]);
  for (const [type, own] of allowed) {
    const length = type === 3 ? 0 : 4096;
    for (let bit = 0; bit < 16; bit++) {
      const flags = 1 << bit;
      const expected = (flags & (own | FUA)) !== 0 ? 0 : EINVAL;
      t.equal(check({ type, flags, length }), expected, `command ${type} flag ${flags}`);
    }
  }
  t.equal(check({ type: 0, flags: DF, length: 4096 }, false), EINVAL, 'DF only with structured replies');
});

t.test('a read-only volume refuses changes before it looks at the range', async (t) => {
  for (const type of [1, 4, 6]) t.equal(check({ type, offset: SIZE, length: 1 }, true, true, readOnly), EPERM);
  t.equal(check({ type: 0, length: 4096 }, true, true, readOnly), 0);
  t.equal(check({ type: 3, length: 0 }, true, true, readOnly), 0);
});

t.test('reads are limited to the advertised payload', async (t) => {
  t.equal(check({ type: 0, length: NBD_PAYLOAD_BYTES_MAX }), 0);
  t.equal(check({ type: 0, length: NBD_PAYLOAD_BYTES_MAX + 4096 }), EINVAL);
});

t.test('empty requests succeed, except BLOCK_STATUS', async (t) => {
  for (const type of [0, 1, 4, 6]) t.equal(check({ type, length: 0 }), 0);
  t.equal(check({ type: 7, length: 0 }), EINVAL);
});

t.test('FLUSH has no extent', async (t) => {
  t.equal(check({ type: 3, length: 0 }), 0);
  t.equal(check({ type: 3, length: 4096 }), EINVAL);
  t.equal(check({ type: 3, offset: 4096, length: 0 }), EINVAL);
});

t.test('BLOCK_STATUS needs its context', async (t) => {
  t.equal(check({ type: 7, length: 4096 }, true, false), EINVAL);
});

t.test('unknown commands are refused', async (t) => {
  for (const type of [5, 8, 9, 0xffff]) t.equal(check({ type, length: 0 }), EINVAL);
});
