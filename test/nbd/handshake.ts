import t from 'tap';
import { NBD_HANDSHAKE_BYTES_MAX, NBD_OPTION_BYTES_MAX, NBD_OPTIONS_MAX } from '../../src/core/limits.js';
import { Handshake } from '../../src/nbd/handshake.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { clientFlags, goData, metaData, option, parseOptionReplies } from '../helpers/nbd-raw-client.js';

const data = new MemoryBackend({ exportName: 'app/data', sizeBytes: 1024 * 1024 });
const locked = new MemoryBackend({ exportName: 'app/locked', sizeBytes: 65536, unavailable: 'group app is secondary here' });
const fixed = new MemoryBackend({ exportName: 'app/fixed', sizeBytes: 65536, blockBytes: 4096, readOnly: true });
const exportsOf = (backends: MemoryBackend[]) => ({
  lookup: (name: string) => backends.find((backend) => backend.exportName === name),
  list: () => backends,
});
const all = exportsOf([data, locked, fixed]);

const ACK = 1;
const UNSUP = 0x80000001;
const POLICY = 0x80000002;
const INVALID = 0x80000003;
const UNKNOWN = 0x80000006;
const TOO_BIG = 0x80000009;

/** Feeds everything after the client flags; returns the machine and its replies. */
function run(parts: Buffer[], exports = all) {
  const handshake = new Handshake(exports);
  handshake.takeOutput();
  const bytes = Buffer.concat([clientFlags(3), ...parts]);
  const used = handshake.step(bytes, 0, bytes.length);
  return { handshake, used, bytes, output: Buffer.concat(handshake.takeOutput()) };
}

const types = (output: Buffer) => parseOptionReplies(output).map(({ type }) => type);

t.test('the greeting offers fixed newstyle and NO_ZEROES', async (t) => {
  const greeting = Buffer.concat(new Handshake(all).takeOutput());
  t.equal(greeting.toString('latin1'), 'NBDMAGICIHAVEOPT\0\x03');
});

t.test('a handshake gives the same result wherever its bytes are split', async (t) => {
  const bytes = Buffer.concat([
    clientFlags(3),
    option(8),
    option(3),
    option(77, Buffer.from('xyz')),
    option(10, metaData('app/data', ['base:allocation', 'qemu:nothing'])),
    option(6, goData('app/none')),
    option(7, goData('app/data', [1, 2, 3])),
    Buffer.from('first request'),
  ]);
  const whole = new Handshake(all);
  const used = whole.step(bytes, 0, bytes.length);
  const expected = Buffer.concat(whole.takeOutput());
  t.equal(used, bytes.length - 13, 'bytes of the transmission are left alone');
  t.match(whole, { outcome: 'transmit', negotiated: { backend: data, structured: true, allocationContext: true } });
  for (let split = 0; split <= bytes.length; split++) {
    const handshake = new Handshake(all);
    let at = handshake.step(bytes, 0, split);
    at += handshake.step(bytes, at, bytes.length);
    t.equal(at, used);
    t.ok(Buffer.concat(handshake.takeOutput()).equals(expected), `split at ${split}`);
  }
  const slow = new Handshake(all);
  let at = 0;
  for (let end = 1; end <= bytes.length; end++) at += slow.step(bytes, at, end);
  t.equal(at, used, 'byte by byte');
  t.ok(Buffer.concat(slow.takeOutput()).equals(expected));
});

t.test('EXPORT_NAME answers size and flags, with 124 zeroes unless declined', async (t) => {
  const short = run([option(1, Buffer.from('app/data'))]);
  t.equal(short.handshake.outcome, 'transmit');
  t.equal(short.output.length, 10);
  t.equal(short.output.readBigUInt64BE(0), 1048576n);
  const handshake = new Handshake(all);
  handshake.takeOutput();
  const bytes = Buffer.concat([clientFlags(0), option(1, Buffer.from('app/data'))]);
  handshake.step(bytes, 0, bytes.length);
  const long = Buffer.concat(handshake.takeOutput());
  t.equal(long.length, 134);
  t.ok(long.subarray(10).equals(Buffer.alloc(124)));
});

t.test('EXPORT_NAME closes for an unknown or unavailable export', async (t) => {
  for (const name of ['app/none', 'app/locked', '']) {
    const { handshake, output } = run([option(1, Buffer.from(name))]);
    t.equal(handshake.outcome, 'close', name);
    t.equal(output.length, 0);
    t.equal(handshake.violated, false);
  }
});

t.test('the empty name stands for the only export', async (t) => {
  const only = exportsOf([data]);
  t.match(run([option(1)], only).handshake, { outcome: 'transmit', negotiated: { backend: data } });
  t.match(run([option(7, goData(''))], only).handshake, { outcome: 'transmit', negotiated: { backend: data } });
  t.same(types(run([option(7, goData(''))]).output), [UNKNOWN], 'but not one of several');
});

t.test('ABORT is acknowledged and closes', async (t) => {
  const { handshake, output } = run([option(2, Buffer.from('bye'))]);
  t.same(types(output), [ACK]);
  t.match(handshake, { outcome: 'close', violated: false });
});

t.test('LIST names every export with its description and takes no data', async (t) => {
  const replies = parseOptionReplies(run([option(3)]).output);
  t.same(
    replies.map(({ type }) => type),
    [2, 2, 2, ACK],
  );
  const first = replies[0]?.data ?? Buffer.alloc(0);
  t.equal(first.toString('latin1', 4, 4 + first.readUInt32BE(0)), 'app/data');
  t.equal(first.toString('latin1', 4 + first.readUInt32BE(0)), 'a volume in memory');
  t.same(types(run([option(3, Buffer.from('x'))]).output), [INVALID]);
});

t.test('GO answers what was asked for and always export and block size', async (t) => {
  const plain = parseOptionReplies(run([option(7, goData('app/data'))]).output);
  t.same(
    plain.map(({ type, data }) => (type === 3 ? data.readUInt16BE(0) : -type)),
    [0, 3, -ACK],
  );
  const size = plain[1]?.data ?? Buffer.alloc(0);
  t.same([size.readUInt32BE(2), size.readUInt32BE(6), size.readUInt32BE(10)], [512, 4096, 32 * 1024 * 1024]);
  const full = parseOptionReplies(run([option(7, goData('app/fixed', [3, 2, 1, 0, 99]))]).output);
  t.same(
    full.map(({ type, data }) => (type === 3 ? data.readUInt16BE(0) : -type)),
    [0, 3, 1, 2, -ACK],
  );
  t.equal(full[2]?.data.toString('latin1', 2), 'app/fixed');
});

t.test('the transmission flags say what is offered', async (t) => {
  const flags = (name: string, before: Buffer[]) => {
    const info = parseOptionReplies(run([...before, option(6, goData(name))]).output).find(({ type }) => type === 3);
    return info?.data.readUInt16BE(10);
  };
  // HAS_FLAGS 1, READ_ONLY 2, FLUSH 4, FUA 8, TRIM 32, WRITE_ZEROES 64, DF 128, CAN_MULTI_CONN 256
  t.equal(flags('app/data', []), 1 + 4 + 8 + 32 + 64 + 256);
  t.equal(flags('app/data', [option(8)]), 1 + 4 + 8 + 32 + 64 + 128 + 256, 'DF only with structured replies');
  t.equal(flags('app/fixed', []), 1 + 2 + 4 + 8 + 256);
});

t.test('a refused GO leaves the stream in step', async (t) => {
  const { handshake, output } = run([
    option(7, goData('app/none', [3])),
    option(6, goData('app/locked')),
    option(7, Buffer.from([0, 0, 0, 200, 1])),
    option(7, Buffer.alloc(0)),
    option(7, Buffer.concat([goData('app/data'), Buffer.from('x')])),
    option(7, Buffer.from([0, 0, 0, 0, 0, 9])),
    option(7, goData('app/data')),
  ]);
  const replies = parseOptionReplies(output);
  t.same(
    replies.map(({ type }) => type),
    [UNKNOWN, POLICY, INVALID, INVALID, INVALID, INVALID, 3, 3, ACK],
  );
  t.equal(replies[1]?.data.toString(), 'group app is secondary here');
  t.equal(handshake.outcome, 'transmit');
});

t.test('STRUCTURED_REPLY takes no data', async (t) => {
  const refused = run([option(8, Buffer.from('x')), option(7, goData('app/data'))]);
  t.same(types(refused.output), [INVALID, 3, 3, ACK]);
  t.equal(refused.handshake.negotiated?.structured, false);
});

t.test('options that are not offered are refused and skipped', async (t) => {
  t.same(types(run([option(4), option(5), option(11), option(0), option(0xffffffff, Buffer.from('abc')), option(8)]).output), [
    UNSUP,
    POLICY,
    UNSUP,
    UNSUP,
    UNSUP,
    ACK,
  ]);
});

t.test('metadata contexts need structured replies first', async (t) => {
  const before = run([option(9, metaData('app/data', [])), option(10, metaData('app/data', ['base:allocation']))]);
  t.same(types(before.output), [INVALID, INVALID]);
});

t.test('LIST_META_CONTEXT knows wildcards, SET_META_CONTEXT does not', async (t) => {
  const list = (queries: string[]) => types(run([option(8), option(9, metaData('app/data', queries))]).output).slice(1);
  const set = (queries: string[]) => types(run([option(8), option(10, metaData('app/data', queries))]).output).slice(1);
  t.same(list([]), [4, ACK]);
  t.same(list(['base:']), [4, ACK]);
  t.same(list(['base:allocation']), [4, ACK]);
  t.same(list(['base:other', 'qemu:']), [ACK]);
  t.same(set([]), [ACK]);
  t.same(set(['base:']), [ACK]);
  t.same(set(['base:allocation', 'base:allocation']), [4, ACK], 'once, even if asked twice');
  t.same(set(['x-none:thing']), [ACK]);
});

t.test('the context belongs to the export it was set for, and the last SET decides', async (t) => {
  const chosen = (parts: Buffer[], name = 'app/data') =>
    run([option(8), ...parts, option(7, goData(name))]).handshake.negotiated?.allocationContext;
  const set = option(10, metaData('app/data', ['base:allocation']));
  t.equal(chosen([]), false);
  t.equal(chosen([set]), true);
  t.equal(chosen([set], 'app/fixed'), false, 'another export');
  t.equal(chosen([set, option(10, metaData('app/data', []))]), false, 'replaced by nothing');
  t.equal(chosen([set, option(10, metaData('app/none', ['base:allocation']))]), false, 'forgotten by a failure');
  t.equal(chosen([set, option(10, Buffer.from([0, 0]))]), false, 'forgotten by a malformed one');
});

t.test('malformed metadata options are refused', async (t) => {
  const huge = Buffer.concat([metaData('app/data', []).subarray(0, 12), Buffer.from([0xff, 0xff, 0xff, 0xff])]);
  const long = Buffer.concat([metaData('app/data', ['base:allocation']), Buffer.from('x')]);
  const short = metaData('app/data', ['base:allocation']).subarray(0, -1);
  for (const bad of [huge, long, short, Buffer.alloc(0), Buffer.from([0xff, 0xff, 0xff, 0xff])]) {
    t.same(types(run([option(8), option(10, bad)]).output), [ACK, INVALID]);
  }
});

t.test('option data at the limit is read, beyond it skipped', async (t) => {
  const fits = run([option(99, Buffer.alloc(NBD_OPTION_BYTES_MAX)), option(8)]);
  t.same(types(fits.output), [UNSUP, ACK]);
  const above = run([option(7, Buffer.alloc(NBD_OPTION_BYTES_MAX + 1)), option(8)]);
  t.same(types(above.output), [TOO_BIG, ACK]);
  t.equal(above.used, above.bytes.length);
  const name = run([option(1, Buffer.alloc(NBD_OPTION_BYTES_MAX + 1))]);
  t.match(name.handshake, { outcome: 'close', violated: true });
});

t.test('skipped data may arrive in any pieces', async (t) => {
  const handshake = new Handshake(all);
  handshake.takeOutput();
  const bytes = Buffer.concat([clientFlags(3), option(99, Buffer.alloc(9000)), option(8)]);
  let at = 0;
  for (let end = 0; end < bytes.length; end = Math.min(bytes.length, end + 17)) at += handshake.step(bytes, at, end);
  at += handshake.step(bytes, at, bytes.length);
  t.equal(at, bytes.length);
  t.same(types(Buffer.concat(handshake.takeOutput())), [TOO_BIG, ACK]);
});

t.test('a client that promises more than a handshake holds is closed', async (t) => {
  for (const length of [NBD_HANDSHAKE_BYTES_MAX, 0xffffffff]) {
    t.match(run([option(99, Buffer.alloc(0), length)]).handshake, { outcome: 'close', violated: true });
  }
});

t.test('the number of options is limited', async (t) => {
  const many = (count: number) => Array.from({ length: count }, () => option(8));
  const fits = run(many(NBD_OPTIONS_MAX));
  t.equal(fits.handshake.outcome, 'more');
  t.equal(types(fits.output).length, NBD_OPTIONS_MAX);
  t.match(run(many(NBD_OPTIONS_MAX + 1)).handshake, { outcome: 'close', violated: true });
});

t.test('the bytes of a handshake are limited', async (t) => {
  const parts = Array.from({ length: 9 }, () => option(99, Buffer.alloc(NBD_OPTION_BYTES_MAX)));
  t.match(run(parts).handshake, { outcome: 'close', violated: true });
});

t.test('unknown client flags and a wrong option magic close', async (t) => {
  const flags = new Handshake(all);
  flags.step(clientFlags(4), 0, 4);
  t.match(flags, { outcome: 'close', violated: true });
  t.match(run([Buffer.from('IHAVEOPS\0\0\0\x08\0\0\0\0', 'latin1')]).handshake, { outcome: 'close', violated: true });
  const old = new Handshake(all);
  old.step(clientFlags(0), 0, 4);
  t.equal(old.outcome, 'more', 'a client without any flag is welcome');
});
