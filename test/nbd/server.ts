import { renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { binding } from '../../src/attach/native.js';
import { LvrError } from '../../src/core/errors.js';
import { NBD_CONNECTIONS_MAX, NBD_CONNECTIONS_PER_ADDRESS_MAX } from '../../src/core/limits.js';
import { readSocket } from '../../src/disk/socket-reader.js';
import { hungUp } from '../../src/disk/system.js';
import { type NbdEvent, NbdServer } from '../../src/nbd/server.js';
import { systemClock } from '../helpers/clock.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { RawClient, request, ServerFixture, socketDirectory, until } from '../helpers/nbd-raw-client.js';

const READ = 0;
const WRITE = 1;
const FLUSH = 3;

async function start(t: Test) {
  const backend = new MemoryBackend();
  const fixture = await ServerFixture.start([backend]);
  t.teardown(() => fixture.stop());
  return { backend, fixture };
}

async function tcp(fixture: ServerFixture): Promise<{ host: string; port: number }> {
  const address = await fixture.server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  if (address.kind !== 'tcp') throw new Error('not a TCP address');
  return { host: address.host, port: address.port };
}

t.test('the same volume is served over a unix socket and over TCP', async (t) => {
  const { fixture } = await start(t);
  const where = await tcp(fixture);
  const local = fixture.client();
  const remote = fixture.client(where);
  t.match(await local.go('app/data'), { sizeBytes: 4 * 1024 * 1024 });
  await remote.go('app/data');
  const data = Buffer.alloc(300 * 1024, 7);
  local.send(request({ type: WRITE, payload: data }));
  t.equal((await local.simple()).error, 0);
  remote.send(request({ type: READ, length: data.length }));
  await remote.simple();
  t.ok((await remote.read(data.length)).equals(data));
  t.same(
    fixture.server.clients().map(({ exportName }) => exportName),
    ['app/data', 'app/data'],
  );
  t.match(fixture.server.clients()[1]?.peer, /^127\.0\.0\.1:\d+$/);
});

t.test('the socket belongs to its owner alone', async (t) => {
  const { fixture } = await start(t);
  t.equal(statSync(fixture.path).mode & 0o777, 0o600);
  await fixture.server.listen({ kind: 'unix', path: `${fixture.path}2`, mode: 0o660 });
  t.equal(statSync(`${fixture.path}2`).mode & 0o777, 0o660);
});

t.test('connections are limited in number, and a freed place can be taken', async (t) => {
  const { fixture } = await start(t);
  const clients = Array.from({ length: NBD_CONNECTIONS_MAX }, () => fixture.client());
  await Promise.all(clients.map((client) => client.read(18)));
  const extra = fixture.client();
  await extra.closed;
  t.equal(extra.held, 0);
  t.match(fixture.events.at(-1), { kind: 'refused', reason: `more than ${NBD_CONNECTIONS_MAX} connections` });
  clients[1]?.socket.destroy();
  await until(() => fixture.server.metrics.connections === NBD_CONNECTIONS_MAX - 1, 'a place is free');
  await fixture.client().go('app/data');
  t.equal(fixture.server.metrics.connectionsRefused, 1);
});

t.test('connections are limited per address', async (t) => {
  const { fixture } = await start(t);
  const where = await tcp(fixture);
  const clients = Array.from({ length: NBD_CONNECTIONS_PER_ADDRESS_MAX }, () => fixture.client(where));
  await Promise.all(clients.map((client) => client.read(18)));
  await fixture.client(where).closed;
  t.equal(fixture.server.metrics.connectionsRefused, 1);
  await fixture.client().go('app/data');
  clients[0]?.socket.destroy();
  await until(() => fixture.server.metrics.connections === NBD_CONNECTIONS_PER_ADDRESS_MAX, 'a place is free');
  await fixture.client(where).go('app/data');
});

t.test('many connections come and go without a trace', async (t) => {
  const { backend, fixture } = await start(t);
  for (let i = 0; i < 300; i++) {
    const client = fixture.client();
    if (i % 3 === 0) await client.go('app/data');
    else if (i % 3 === 1) await client.read(18);
    client.socket.destroy();
    await client.closed;
  }
  await until(() => fixture.server.metrics.connections === 0, 'all are gone');
  t.equal(backend.connected.size, 0);
  t.same(fixture.server.clients(), []);
});

t.test('stop answers what is in flight and closes everything', async (t) => {
  const { backend, fixture } = await start(t);
  const busy = fixture.client();
  await busy.go('app/data');
  const idle = fixture.client();
  await idle.go('app/data');
  const half = fixture.client();
  await half.go('app/data');
  const greeting = fixture.client();
  await greeting.read(18);
  backend.completion = 'held';
  busy.send(request({ type: FLUSH, cookie: 3n }));
  half.send(request({ type: WRITE, length: 1024 * 1024, payload: Buffer.alloc(100_000) }));
  await until(() => backend.held === 1 && backend.leased === 1, 'requests are on their way');
  const stopped = fixture.server.stop(10_000);
  await Promise.all([idle.closed, half.closed, greeting.closed]);
  await until(() => backend.leased === 0, 'the slab of half a write came back');
  backend.release();
  t.same(await busy.simple(), { error: 0, cookie: 3n });
  await busy.closed;
  await stopped;
  t.equal(backend.connected.size, 0);
  t.equal(fixture.server.metrics.connections, 0);
  const late = fixture.client();
  await late.closed;
  t.equal(late.held, 0);
});

t.test('stop cuts what is not done by its deadline', async (t) => {
  const { backend, fixture } = await start(t);
  const client = fixture.client();
  await client.go('app/data');
  backend.completion = 'held';
  client.send(request({ type: FLUSH }));
  await until(() => backend.held === 1, 'a request in the backend');
  await fixture.server.stop(20);
  await client.closed;
  t.match(fixture.events.at(-1), { kind: 'closed', reason: 'the server stops' });
});

t.test('a connection that the system gives no descriptor for is refused, and the others live on', async (t) => {
  const { backend } = await start(t);
  const events: NbdEvent[] = [];
  let isShort = false;
  const server = new NbdServer({
    exports: { lookup: () => backend, list: () => [backend] },
    clock: systemClock,
    readSocket: (fd) => {
      if (isShort) throw new LvrError('FAILED', 'a connection cannot be read: EMFILE');
      return readSocket(fd);
    },
    onEvent: (event) => events.push(event),
  });
  t.teardown(() => server.stop(100));
  const path = join(socketDirectory(t), 's');
  await server.listen({ kind: 'unix', path });
  const first = new RawClient({ path });
  await first.go('app/data');
  isShort = true;
  const second = new RawClient({ path });
  await second.closed;
  t.match(events.at(-1), { kind: 'refused', reason: /EMFILE/ });
  const [ours, theirs] = binding.socketPair(4096);
  const link = { received: new Uint8Array(0), isHungUp: () => false };
  const client = { closed: () => t.fail('it was never served') };
  t.throws(() => server.serveKernel('app/data', theirs, link, client), { code: 'FAILED', message: /EMFILE/ });
  t.notOk(hungUp(ours), 'its socket is left alone');
  binding.close(ours);
  binding.close(theirs);
  first.send(request({ type: FLUSH }));
  t.equal((await first.simple()).error, 0);
  t.equal(server.metrics.connections, 1);
  first.socket.destroy();
});

t.test('a stale socket file is replaced, a live one and a plain file are not', async (t) => {
  const { backend, fixture } = await start(t);
  const other = new NbdServer({ exports: { lookup: () => backend, list: () => [backend] }, clock: systemClock, readSocket });
  await t.rejects(other.listen({ kind: 'unix', path: fixture.path }), { code: 'FAILED', hint: /another agent/ });
  const directory = socketDirectory(t);
  const plain = join(directory, 'plain');
  writeFileSync(plain, 'precious');
  await t.rejects(other.listen({ kind: 'unix', path: plain }), { code: 'FAILED' });
  t.equal(statSync(plain).size, 8);
  const stale = join(directory, 'stale');
  await leaveStaleSocket(stale);
  await other.listen({ kind: 'unix', path: stale });
  await fixture.client({ path: stale }).go('');
  await other.stop(100);
});

/** A socket file without a process, as a killed agent leaves it. */
async function leaveStaleSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.live`, resolve));
  // Closing removes the path the socket was bound to, so the file survives under another name.
  renameSync(`${path}.live`, path);
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

t.test('a port that is taken is reported by name', async (t) => {
  const { fixture } = await start(t);
  const { port } = await tcp(fixture);
  await t.rejects(fixture.server.listen({ kind: 'tcp', host: '127.0.0.1', port }), {
    code: 'FAILED',
    message: new RegExp(`tcp:127\\.0\\.0\\.1:${port}`),
  });
});
