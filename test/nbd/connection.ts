import t, { type Test } from 'tap';
import {
  KIB,
  MIB,
  NBD_HANDSHAKE_MS,
  NBD_IN_FLIGHT_BYTES_MAX,
  NBD_IN_FLIGHT_BYTES_TOTAL_MAX,
  NBD_PARTIAL_REQUEST_MS,
  NBD_REQUESTS_IN_FLIGHT_MAX,
  NBD_SLOW_READER_MS,
} from '../../src/core/limits.js';
import { ManualClock } from '../helpers/clock.js';
import { MemoryBackend, type MemoryBackendOptions } from '../helpers/memory-backend.js';
import { clientFlags, option, type RawClient, request, ServerFixture, until } from '../helpers/nbd-raw-client.js';

const READ = 0;
const WRITE = 1;
const FLUSH = 3;
const TRIM = 4;

/** A server with one volume, a clock that stands still, and one client in transmission. */
async function open(t: Test, options: MemoryBackendOptions = {}) {
  const clock = new ManualClock();
  const backend = new MemoryBackend(options);
  const fixture = await ServerFixture.start([backend], clock);
  t.teardown(() => fixture.stop());
  const client = fixture.client();
  await client.go('app/data');
  return { backend, clock, fixture, client };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 30));

async function stays(client: RawClient): Promise<boolean> {
  await settle();
  return !client.socket.closed;
}

t.test('no room stops the connection until room is announced, and nothing is lost', async (t) => {
  const { backend, client, fixture } = await open(t);
  backend.recording = true;
  backend.room = false;
  const small = Buffer.alloc(4 * KIB, 1);
  const long = Buffer.alloc(2 * MIB, 2);
  client.send(request({ type: WRITE, cookie: 1n, payload: small }));
  client.send(request({ type: TRIM, cookie: 2n, offset: 8 * KIB, length: 4 * KIB }));
  client.send(request({ type: WRITE, cookie: 3n, offset: 1 * MIB, payload: long }));
  client.send(request({ type: FLUSH, cookie: 4n }));
  await settle();
  t.same(backend.journal, [], 'nothing was admitted');
  t.equal(client.held, 0);
  backend.giveRoom();
  for (const cookie of [1n, 2n, 3n, 4n]) t.same(await client.simple(), { error: 0, cookie });
  t.same(backend.journal, [
    'write 0 4096',
    'trim 8192 4096',
    'piece 1048576 1048576',
    'piece 2097152 1048576',
    'write 1048576 2097152',
    'flush 0 0',
  ]);
  t.ok(backend.data.subarray(1 * MIB, 3 * MIB).equals(long));
  t.ok(fixture.server.metrics.stallsForRoom >= 1);
});

t.test('room may go away and come back at every step of many writes', async (t) => {
  const { backend, client } = await open(t, { sizeBytes: 16 * MIB });
  const count = 60;
  const bodies = Array.from({ length: count }, (_, i) => Buffer.alloc(i % 3 === 0 ? 200 * KIB : 12 * KIB, i + 1));
  for (const [i, payload] of bodies.entries()) client.send(request({ type: WRITE, cookie: BigInt(i), offset: i * 256 * KIB, payload }));
  let ended = false;
  const toggle = (async () => {
    while (!ended) {
      backend.room = false;
      await new Promise((resolve) => setImmediate(resolve));
      backend.giveRoom();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  for (let i = 0; i < count; i++) t.same(await client.simple(), { error: 0, cookie: BigInt(i) });
  ended = true;
  await toggle;
  bodies.forEach((body, i) => {
    t.ok(backend.data.subarray(i * 256 * KIB, i * 256 * KIB + body.length).equals(body), `write ${i}`);
  });
  t.equal(backend.leased, 0);
});

t.test('slabs in short supply only slow long writes down', async (t) => {
  const { backend, client, fixture } = await open(t, { slabCount: 1, sizeBytes: 16 * MIB });
  const other = fixture.client();
  await other.go('app/data');
  client.send(request({ type: WRITE, cookie: 1n, length: 2 * MIB, payload: Buffer.alloc(500 * KIB, 1) }));
  await until(() => backend.leased === 1, 'the only slab is taken');
  other.send(request({ type: WRITE, cookie: 2n, offset: 4 * MIB, payload: Buffer.alloc(300 * KIB, 2) }));
  await settle();
  t.equal(other.held, 0);
  client.send(Buffer.alloc(2 * MIB - 500 * KIB, 1));
  t.equal((await client.simple()).cookie, 1n);
  backend.giveRoom();
  t.equal((await other.simple()).cookie, 2n);
  t.equal(backend.leased, 0);
});

t.test('a connection has at most so many bytes in flight', async (t) => {
  const { backend, client } = await open(t, { sizeBytes: 64 * MIB });
  backend.completion = 'held';
  const each = 16 * MIB;
  const fits = NBD_IN_FLIGHT_BYTES_MAX / each;
  for (let i = 0; i <= fits; i++) client.send(request({ type: READ, cookie: BigInt(i), length: each }));
  await until(() => backend.held === fits, 'the limit was reached');
  await settle();
  t.equal(backend.held, fits);
  backend.release(1);
  await client.simple();
  await client.read(each);
  await until(() => backend.held === fits, 'one more was taken');
  backend.completion = 'commit';
  backend.release();
  for (let i = 1; i <= fits; i++) {
    t.equal((await client.simple()).cookie, BigInt(i));
    await client.read(each);
  }
});

t.test('a connection has at most so many requests in flight', async (t) => {
  const { backend, client } = await open(t);
  backend.completion = 'held';
  const count = NBD_REQUESTS_IN_FLIGHT_MAX + 10;
  client.send(Buffer.concat(Array.from({ length: count }, (_, i) => request({ type: FLUSH, cookie: BigInt(i) }))));
  await until(() => backend.held >= NBD_REQUESTS_IN_FLIGHT_MAX, 'the limit was reached');
  await settle();
  t.equal(backend.held, NBD_REQUESTS_IN_FLIGHT_MAX);
  backend.completion = 'commit';
  backend.release();
  for (let i = 0; i < count; i++) t.equal((await client.simple()).cookie, BigInt(i));
});

t.test('all connections together have at most so many bytes in flight, but each may have a request', async (t) => {
  const { backend, client, fixture } = await open(t, { sizeBytes: 64 * MIB });
  const clients = [client, ...Array.from({ length: 5 }, () => fixture.client())];
  await Promise.all(clients.slice(1).map((other) => other.go('app/data')));
  backend.completion = 'held';
  const each = 32 * MIB;
  for (const [i, other] of clients.entries()) {
    for (const cookie of [1n, 2n]) other.send(request({ type: READ, cookie, length: each }));
    await until(() => backend.held >= Math.min(2 * (i + 1), NBD_IN_FLIGHT_BYTES_TOTAL_MAX / each), 'requests arrived');
  }
  const fits = NBD_IN_FLIGHT_BYTES_TOTAL_MAX / each;
  await until(() => backend.held === fits + 2, 'the last two connections have one request each');
  await settle();
  t.equal(backend.held, fits + 2);
  backend.completion = 'commit';
  backend.release();
  for (const other of clients) {
    for (const cookie of [1n, 2n]) {
      t.equal((await other.simple()).cookie, cookie);
      await other.read(each);
    }
  }
  t.equal(backend.readsHeld, 0);
});

t.test('a client that does not read stalls, is cut, and disturbs nobody', async (t) => {
  const { backend, client, clock, fixture } = await open(t, { sizeBytes: 64 * MIB });
  const other = fixture.client();
  await other.go('app/data');
  client.socket.pause();
  for (let i = 0; i < 8; i++) client.send(request({ type: READ, cookie: BigInt(i), length: 32 * MIB }));
  await until(() => fixture.server.metrics.stallsForLimits > 0, 'the connection stalled');
  t.ok(backend.readsHeld <= 2, `${backend.readsHeld} reads hold memory`);
  other.send(request({ type: FLUSH, cookie: 5n }));
  t.equal((await other.simple()).cookie, 5n);
  clock.advance(NBD_SLOW_READER_MS - 2000);
  t.ok(await stays(client));
  clock.advance(5000);
  await until(() => fixture.server.clients().length === 1, 'the slow reader was cut');
  await until(() => backend.readsHeld === 0, 'its memory came back');
  t.match(fixture.events.at(-1), { kind: 'closed', reason: 'the client does not read its replies' });
  t.equal(fixture.server.metrics.deadlineCuts, 1);
});

t.test('a slow but steady reader of a large reply is not cut', async (t) => {
  const { client, clock } = await open(t, { sizeBytes: 64 * MIB });
  client.socket.pause();
  client.send(request({ type: READ, length: 32 * MIB }));
  await settle();
  for (let i = 0; i < 6; i++) {
    clock.advance(NBD_SLOW_READER_MS / 2);
    client.socket.resume();
    await client.read(1 * MIB);
    client.socket.pause();
  }
  client.socket.resume();
  await client.read(26 * MIB + 16);
  t.ok(await stays(client));
});

t.test('half a request has a deadline, a stalled or idle connection has none', async (t) => {
  const { backend, client, clock, fixture } = await open(t);
  clock.advance(10 * NBD_PARTIAL_REQUEST_MS);
  t.ok(await stays(client), 'idle');
  backend.room = false;
  client.send(request({ type: WRITE, cookie: 1n, payload: Buffer.alloc(4096) }));
  await until(() => fixture.server.metrics.stallsForRoom > 0, 'stalled');
  clock.advance(10 * NBD_PARTIAL_REQUEST_MS);
  t.ok(await stays(client), 'stalled for room');
  backend.giveRoom();
  await client.simple();
  for (const bytes of [
    request({ type: WRITE, length: 4096 }).subarray(0, 10),
    request({ type: WRITE, length: 2 * MIB, payload: Buffer.alloc(4096) }),
  ]) {
    const half = fixture.client();
    await half.go('app/data');
    half.send(bytes);
    await settle();
    clock.advance(NBD_PARTIAL_REQUEST_MS - 1000);
    t.ok(await stays(half));
    clock.advance(3000);
    await half.closed;
    t.match(fixture.events.at(-1), { kind: 'closed', reason: 'half a request arrived and no more' });
  }
  t.ok(await stays(client));
  t.equal(backend.leased, 0);
});

t.test('half a handshake has a deadline', async (t) => {
  const { clock, fixture, client } = await open(t);
  const silent = fixture.client();
  const half = fixture.client();
  half.send(clientFlags(3));
  half.send(option(3).subarray(0, 9));
  await silent.read(18);
  await half.read(18);
  await settle();
  clock.advance(NBD_HANDSHAKE_MS - 1000);
  t.ok(await stays(silent));
  clock.advance(2000);
  await Promise.all([silent.closed, half.closed]);
  t.equal(fixture.server.metrics.deadlineCuts, 2);
  t.ok(await stays(client), 'a client in transmission is not concerned');
});

t.test('an aborted handshake is answered before it closes', async (t) => {
  const { fixture } = await open(t);
  const client = fixture.client();
  await client.read(18);
  client.send(Buffer.concat([clientFlags(3), option(2)]));
  t.match(await client.optionReply(), { option: 2, type: 1 });
  await client.closed;
  t.equal(fixture.server.metrics.protocolErrors, 0);
});

t.test('a handshake that breaks the protocol is counted', async (t) => {
  const { fixture } = await open(t);
  const client = fixture.client();
  client.send(Buffer.from('GET / HTTP/1.1\r\nHost: volume\r\n\r\n'));
  await client.closed;
  t.equal(fixture.server.metrics.protocolErrors, 1);
});
