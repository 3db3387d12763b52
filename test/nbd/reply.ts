import t from 'tap';
import * as reply from '../../src/nbd/reply.js';
import { NbdRequest } from '../../src/nbd/request.js';

const request = Object.assign(new NbdRequest(), { cookieHigh: 0x01020304, cookieLow: -1, offset: 0x500000000, length: 0x1000 });
const view = new DataView(new ArrayBuffer(256));
const hex = (end: number) => Buffer.from(view.buffer, 0, end).toString('hex');

t.test('an errno becomes one of the few errors of the protocol', async (t) => {
  const table: [number, number][] = [
    [0, 0],
    [1, 1], // EPERM
    [13, 1], // EACCES
    [30, 1], // EROFS
    [5, 5], // EIO
    [12, 12], // ENOMEM
    [22, 22], // EINVAL
    [28, 28], // ENOSPC
    [27, 28], // EFBIG
    [122, 28], // EDQUOT
    [75, 22], // EOVERFLOW is for DF only
    [95, 22], // ENOTSUP is for FAST_ZERO only
    [108, 5], // ESHUTDOWN is never sent
    [110, 5], // ETIMEDOUT
    [9999, 5],
  ];
  for (const [errno, error] of table) t.equal(reply.nbdError(errno), error, `errno ${errno}`);
});

t.test('replies have the layout of the protocol', async (t) => {
  t.equal(hex(reply.putSimpleReply(view, 0, request, 28)), '67446698' + '0000001c' + '01020304ffffffff');
  t.equal(
    hex(reply.putErrorChunk(view, 0, request, 27)),
    '668e33ef' + '0001' + '8001' + '01020304ffffffff' + '00000006' + '0000001c' + '0000',
  );
  t.equal(
    hex(reply.putDataChunkHeader(view, 0, request)),
    '668e33ef' + '0001' + '0001' + '01020304ffffffff' + '00001008' + '0000000500000000',
  );
  const empty = Object.assign(new NbdRequest(), { cookieHigh: 0, cookieLow: 7, length: 0 });
  t.equal(hex(reply.putDataChunkHeader(view, 0, empty)), '668e33ef' + '0001' + '0000' + '0000000000000007' + '00000000');
  const extents = [
    { length: 0x1000, zero: false },
    { length: 0xfffff000, zero: true },
  ];
  const end = reply.putStatusChunk(view, 0, request, extents);
  t.equal(end, reply.statusChunkBytes(2));
  t.equal(
    hex(end),
    '668e33ef' + '0001' + '0005' + '01020304ffffffff' + '00000014' + '00000001' + '00001000' + '00000000' + 'fffff000' + '00000003',
  );
});
