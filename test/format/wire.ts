// Control messages: what goes round, and what is refused at the border.

import fc from 'fast-check';
import t from 'tap';
import { FRAME_BYTES_MAX, FRAME_BYTES_MAX_BEFORE_HELLO, LINEAGE_ENTRIES_MAX, VOLUMES_PER_GROUP_MAX } from '../../src/core/limits.js';
import type { LineageEntry } from '../../src/core/lineage.js';
import type { SiteHistory } from '../../src/core/reconnect.js';
import { META_BYTES_MAX } from '../../src/format/frame.js';
import { lvr } from '../../src/format/wire.gen.js';
import {
  controlFrame,
  decodeAck,
  decodeBye,
  decodeDurable,
  decodeHello,
  decodePlan,
  decodeRead,
  decodeReadRefused,
  decodeReady,
  decodeRefused,
  decodeRegionsDone,
  decodeResyncEnd,
  decodeTime,
  encodeAck,
  encodeBye,
  encodeDurable,
  encodeHello,
  encodePlan,
  encodeRead,
  encodeReadRefused,
  encodeReady,
  encodeRefused,
  encodeRegionsDone,
  encodeResyncEnd,
  encodeTime,
  type Hello,
  historyDigest,
  PROTOCOL_VERSION,
} from '../../src/format/wire.js';

const MAX = Number.MAX_SAFE_INTEGER;

function entries(count: number): LineageEntry[] {
  return Array.from({ length: count }, (_, i) => ({ epoch: i + 1, incarnation: 2 ** 40 + i, startLsn: 10 * i + 1, own: i % 2 === 0 }));
}

const history: SiteHistory = {
  site: 'a',
  role: 'primary',
  groupUuid: '0123456789abcdef'.repeat(2),
  blank: false,
  bornZero: true,
  epoch: 5,
  lineage: entries(5),
  trimmed: 3,
  applied: 40,
  last: MAX,
  resync: '',
  bitmap: { uuid: 'fedcba9876543210'.repeat(2), base: 7, isKept: true },
};

const hello: Hello = {
  protocol: PROTOCOL_VERSION,
  features: 0,
  group: 'app',
  fromSite: 'a',
  toSite: 'b',
  session: MAX,
  history,
  volumes: [{ name: 'data', sizeBytes: 2 ** 50, blockBytes: 512 }],
  frameBytesMax: FRAME_BYTES_MAX,
  logBytes: MAX,
};

t.test('every message goes round, also with the largest numbers and with zeroes', async (t) => {
  t.same(decodeHello(encodeHello(hello)), hello);
  const blank: SiteHistory = {
    ...history,
    role: 'secondary',
    groupUuid: '0'.repeat(32),
    epoch: 0,
    lineage: [],
    trimmed: 0,
    applied: 0,
    last: 0,
  };
  t.same(decodeHello(encodeHello({ ...hello, session: 0, history: blank })), { ...hello, session: 0, history: blank });
  const plan = {
    action: 'stream' as const,
    uuid: '',
    rule: 'C14',
    sender: 'a',
    from: MAX,
    cut: true,
    adopt: false,
    chain: 0xffff_ffff,
    dialerDigest: 0xdead_beef,
    acceptorDigest: 0,
  };
  for (const mode of ['async', 'memory', 'logged', 'applied'] as const)
    t.same(decodePlan(encodePlan({ ...plan, mode })), { ...plan, mode });
  t.equal(decodeReady(encodeReady(7)), 7);
  t.same(decodeRefused(encodeRefused({ code: 'DIVERGED', reason: 'why' })), { code: 'DIVERGED', reason: 'why' });
  t.same(decodeAck(encodeAck(MAX, 5, 0)), { received: MAX, logged: 5, applied: 0 });
  t.equal(decodeDurable(encodeDurable(MAX)), MAX);
  t.equal(decodeTime(encodeTime(0)), 0);
  t.same(decodeBye(encodeBye('')), { reason: '' });
});

t.test('the largest hello fits what is taken before a hello', async (t) => {
  const long = 'x'.repeat(63);
  const volumes = Array.from({ length: VOLUMES_PER_GROUP_MAX }, () => ({ name: long, sizeBytes: MAX, blockBytes: 65536 }));
  const lineage = Array.from({ length: LINEAGE_ENTRIES_MAX }, (_, i) => {
    return { epoch: MAX, incarnation: MAX - LINEAGE_ENTRIES_MAX + i, startLsn: MAX - LINEAGE_ENTRIES_MAX + i, own: true };
  });
  const largest = { ...hello, features: MAX, group: long, fromSite: long, toSite: long, volumes };
  const message = encodeHello({ ...largest, history: { ...history, site: long, epoch: MAX, lineage, trimmed: MAX, applied: MAX } });
  t.ok(message.length <= META_BYTES_MAX);
  t.ok(controlFrame('hello', message).length <= FRAME_BYTES_MAX_BEFORE_HELLO);
  t.type(decodeHello(message), 'object');
});

t.test('a hello with a value that is not allowed is refused', async (t) => {
  const { role: _role, site: _site, lineage: _lineage, bitmap: _bitmap, ...numbers } = history;
  const bitmap = { uuid: 'fedcba9876543210'.repeat(2), base: 7, kept: true };
  const wireHistory = { ...numbers, bitmap, role: lvr.Role.PRIMARY, lineage: entries(5) };
  const wire = { ...hello, history: wireHistory, volumes: [...hello.volumes] };
  const encode = (change: object): Uint8Array => lvr.Hello.encode({ ...wire, ...change }).finish();
  const withHistory = (change: object): object => ({ history: { ...wireHistory, ...change } });
  t.same(decodeHello(encode({})), hello);
  t.same(decodeHello(encode({ protocol: 3, group: 'Not A Name' })), { protocol: 3 }, 'another version says nothing else');
  const volume = { name: 'data', sizeBytes: 4096, blockBytes: 512 };
  const [first, second] = entries(2) as [LineageEntry, LineageEntry];
  const cases: [string, object][] = [
    ['session of 2^53', { session: 2 ** 53 }],
    ['session of 2^64-1', { session: { low: -1, high: -1, unsigned: true } }],
    ['features of 2^60', { features: 2 ** 60 }],
    ['log of 2^60 bytes', { logBytes: 2 ** 60 }],
    ['upper case group', { group: 'App' }],
    ['empty group', { group: '' }],
    ['path as site', { fromSite: '../a' }],
    ['site with NUL', { toSite: 'a\0' }],
    ['site of 64 characters', { toSite: 'x'.repeat(64) }],
    ['no history', { history: undefined }],
    ['short resync UUID', withHistory({ resync: 'ab' })],
    ['short bitmap UUID', withHistory({ bitmap: { ...bitmap, uuid: 'ab' } })],
    ['base of 2^53', withHistory({ bitmap: { ...bitmap, base: 2 ** 53 } })],
    ['no role', withHistory({ role: 0 })],
    ['unknown role', withHistory({ role: 3 })],
    ['short UUID', withHistory({ groupUuid: 'ab' })],
    ['upper case UUID', withHistory({ groupUuid: 'A'.repeat(32) })],
    ['last of 2^53', withHistory({ last: 2 ** 53 })],
    ['trimmed beyond applied', withHistory({ trimmed: 41 })],
    ['applied beyond last', withHistory({ last: 39 })],
    ['too many lineage entries', withHistory({ epoch: 1000, lineage: entries(LINEAGE_ENTRIES_MAX + 1) })],
    ['lineage beyond the epoch', withHistory({ epoch: 4 })],
    ['lineage out of order', withHistory({ lineage: [second, first] })],
    ['two entries at one LSN', withHistory({ lineage: [first, { ...second, startLsn: first.startLsn }] })],
    ['one writer twice', withHistory({ lineage: [first, { ...first, startLsn: 99 }] })],
    ['entry of 2^53', withHistory({ lineage: [{ ...first, startLsn: 2 ** 53 }] })],
    ['epoch of 2^53', withHistory({ lineage: [{ ...first, epoch: 2 ** 53 }] })],
    ['incarnation of 2^53', withHistory({ lineage: [{ ...first, incarnation: 2 ** 53 }] })],
    ['epoch 0', withHistory({ lineage: [{ ...first, epoch: 0 }] })],
    ['incarnation 0', withHistory({ lineage: [{ ...first, incarnation: 0 }] })],
    ['entry at LSN 0', withHistory({ lineage: [{ ...first, startLsn: 0 }] })],
    ['no volumes', { volumes: [] }],
    ['too many volumes', { volumes: Array.from({ length: VOLUMES_PER_GROUP_MAX + 1 }, () => volume) }],
    ['volume name', { volumes: [{ ...volume, name: '-' }] }],
    ['volume without size', { volumes: [{ ...volume, sizeBytes: 0 }] }],
    ['volume of 2^53 bytes', { volumes: [{ ...volume, sizeBytes: 2 ** 53 }] }],
    ['block of 3 bytes', { volumes: [{ ...volume, blockBytes: 3 }] }],
    ['block of 768 bytes', { volumes: [{ ...volume, blockBytes: 768 }] }],
    ['block of 1 MiB', { volumes: [{ ...volume, blockBytes: 1 << 20 }] }],
    ['small frame limit', { frameBytesMax: 100 }],
  ];
  for (const [title, change] of cases) t.type(decodeHello(encode(change)), 'string', title);
});

t.test('fields that a hello leaves out read as nothing, and nothing is not enough', async (t) => {
  const wire = { ...hello, history: { role: lvr.Role.SECONDARY, groupUuid: '0'.repeat(32) }, volumes: [...hello.volumes] };
  t.match(decodeHello(lvr.Hello.encode(wire).finish()), {
    history: { blank: false, bornZero: false, epoch: 0, lineage: [], trimmed: 0, applied: 0, last: 0 },
  });
  t.match(decodeHello(lvr.Hello.encode({ ...wire, history: { role: lvr.Role.SECONDARY } }).finish()), /no valid group UUID/);
  t.match(decodeHello(lvr.Hello.encode({ ...wire, volumes: [{}] }).finish()), /no valid volume name/);
  t.match(decodeHello(lvr.Hello.encode({ ...wire, volumes: [{ name: 'data', sizeBytes: 4096 }] }).finish()), /impossible block size/);
});

t.test('other messages with a value that is not allowed are refused', async (t) => {
  const huge = 2 ** 53;
  const plan = { rule: 'C14', action: lvr.Action.STREAM, sender: 'a', from: 1, mode: lvr.Mode.LOGGED };
  t.type(decodePlan(lvr.Plan.encode(plan).finish()), 'object');
  const texts = [{ rule: '' }, { rule: 'C1\n' }, { sender: '' }];
  const numbers = [{ action: 0 }, { action: 2 }, { from: 0 }, { from: huge }, { mode: 0 }, { mode: 5 }, { mode: -1 }];
  for (const change of [...texts, ...numbers]) {
    t.type(decodePlan(lvr.Plan.encode({ ...plan, ...change }).finish()), 'string', JSON.stringify(change));
  }
  t.type(decodeReady(lvr.Ready.encode({ from: 0 }).finish()), 'string');
  t.type(decodeReady(lvr.Ready.encode({ from: huge }).finish()), 'string');
  t.type(decodeRefused(lvr.Refused.encode({ code: 'no code', reason: '' }).finish()), 'string');
  t.type(decodeAck(encodeAck(5, 6, 0)), 'string', 'logged beyond received');
  t.type(decodeAck(encodeAck(6, 5, 6)), 'string', 'applied beyond logged');
  t.type(decodeAck(lvr.Ack.encode({ received: huge, logged: 1, applied: 1 }).finish()), 'string');
  t.type(decodeDurable(lvr.Durable.encode({ lsn: huge }).finish()), 'string');
  t.type(decodeTime(lvr.Ping.encode({ timeMs: huge }).finish()), 'string');
});

t.test('texts of the other end are short and printable', async (t) => {
  const refused = decodeRefused(lvr.Refused.encode({ code: 'FAILED', reason: `a\u001b[2J\n${'y'.repeat(5000)}` }).finish());
  t.match(refused, { reason: /^a\?\[2J\?y+$/ });
  t.equal((refused as { reason: string }).reason.length, 1000);
});

t.test('no bytes make a decoder throw', async (t) => {
  const decoders = [decodeHello, decodePlan, decodeReady, decodeRefused, decodeAck, decodeDurable, decodeTime, decodeBye];
  const whole = encodeHello(hello);
  for (let cut = 0; cut < whole.length; cut++) decodeHello(whole.subarray(0, cut));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      for (const decode of decoders) decode(bytes);
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
      const bytes = whole.slice();
      bytes[at] = value;
      decodeHello(bytes);
    }),
    { numRuns: 2000 },
  );
  t.pass('none did');
});

t.test('the digest of a history changes with every field', async (t) => {
  const changes: Partial<SiteHistory>[] = [
    { role: 'secondary' },
    { groupUuid: 'f'.repeat(32) },
    { blank: true },
    { bornZero: false },
    { epoch: 6 },
    { lineage: entries(4) },
    { trimmed: 4 },
    { applied: 41 },
    { last: 50 },
  ];
  const digests = new Set([history, ...changes.map((change) => ({ ...history, ...change }))].map(historyDigest));
  t.equal(digests.size, changes.length + 1);
  const arrived = decodeHello(encodeHello(hello));
  t.equal(historyDigest((arrived as Hello).history), historyDigest(history), 'and is the same at both ends');
});

t.test('the messages of a resync go round, and impossible ones are refused', async (t) => {
  const end = { base: 100, chain: 0xdead_beef, end: 120, lineage: entries(5) };
  t.same(decodeResyncEnd(encodeResyncEnd(end)), end);
  t.same(decodeResyncEnd(encodeResyncEnd({ ...end, base: 0, end: 0, lineage: [] })), { ...end, base: 0, end: 0, lineage: [] });
  for (const [title, wrong] of [
    ['end before base', { ...end, end: 99 }],
    ['base of 2^53', { ...end, base: 2 ** 53, end: 2 ** 53 }],
    ['end of 2^53', { ...end, end: 2 ** 53 }],
    ['lineage out of order', { ...end, lineage: entries(2).reverse() }],
    ['a writer behind the base', { ...end, base: 40 }],
  ] as const) {
    t.match(decodeResyncEnd(encodeResyncEnd(wrong)), /^resyncEnd: /, title);
  }
  t.equal(decodeRegionsDone(encodeRegionsDone(MAX)), MAX);
  t.match(decodeRegionsDone(encodeRegionsDone(2 ** 53)), /out of range/);
  const plan = { rule: 'C17', sender: 'a', from: 1, cut: false, adopt: false, chain: 0, dialerDigest: 0, acceptorDigest: 0 };
  const resync = { ...plan, action: 'resync', uuid: 'ab'.repeat(16), mode: 'async' } as const;
  t.same(decodePlan(encodePlan(resync)), resync);
  t.match(decodePlan(encodePlan({ ...resync, uuid: '' })), /no valid UUID/);
  t.match(decodePlan(encodePlan({ ...resync, action: 'stream' })), /no valid UUID/);
});

t.test('a read and its refusal go round, and impossible ones are refused', async (t) => {
  const read = { id: MAX, volume: 31, offset: 2 ** 50, length: 1 << 20, lsn: MAX, epoch: 7 };
  t.same(decodeRead(encodeRead(read)), read);
  const zeroes = { id: 0, volume: 0, offset: 0, length: 0, lsn: 0, epoch: 0 };
  t.same(decodeRead(encodeRead(zeroes)), zeroes);
  for (const key of ['id', 'offset', 'lsn', 'epoch'] as const)
    t.match(decodeRead(encodeRead({ ...read, [key]: 2 ** 53 })), /^read: a number is out of range/, key);
  const refused = { id: 3, code: 'NOT_CONSISTENT', reason: 'why' };
  t.same(decodeReadRefused(encodeReadRefused(refused)), refused);
  t.match(decodeReadRefused(encodeReadRefused({ ...refused, id: 2 ** 53 })), /^readRefused: /);
  t.match(decodeReadRefused(encodeReadRefused({ ...refused, code: 'no code' })), /^readRefused: /);
  t.match(decodeReadRefused(encodeReadRefused({ ...refused, reason: `\u001b${'y'.repeat(5000)}` })), { reason: /^\?y{999}$/ });
});
