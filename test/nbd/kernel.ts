// Connections of the kernel's client: errors that are withheld, requests that it sends again elsewhere, sockets that go to a successor.

import { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { binding } from '../../src/attach/native.js';
import { KIB } from '../../src/core/limits.js';
import { hungUp } from '../../src/disk/system.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { type RawClient, request, ServerFixture, until } from '../helpers/nbd-raw-client.js';

const READ = 0;
const WRITE = 1;
const DISC = 2;
const EIO = 5;

type Served = { client: RawClient; reasons: string[]; identity: object };

/** What a predecessor left, for serve(). */
type Left = { fd: number; received: Uint8Array };

/** A connection that stands for the kernel's: one end of a pair is served, the other is the test's. */
function serve(fixture: ServerFixture): Served {
  const [kernelEnd, serverEnd] = binding.socketPair(256 * KIB);
  const reasons: string[] = [];
  const identity = { closed: (reason: string) => void reasons.push(reason) };
  serveEnd(fixture, { fd: serverEnd, received: new Uint8Array(0) }, identity);
  const socket = new Socket({ fd: kernelEnd, readable: true, writable: true });
  return { client: fixture.client(socket), reasons, identity };
}

function serveEnd(fixture: ServerFixture, { fd, received }: Left, identity: { closed(reason: string): void }): void {
  fixture.server.serveKernel('app/data', fd, { received, isHungUp: () => hungUp(fd) }, identity);
}

async function start(t: Test, backend: MemoryBackend): Promise<ServerFixture> {
  const fixture = await ServerFixture.start([backend]);
  t.teardown(() => fixture.stop());
  return fixture;
}

function write(cookie: bigint, offset: number, value: number, length = 512): Buffer {
  return request({ type: WRITE, cookie, offset, payload: Buffer.alloc(length, value) });
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

t.test('the kernel is served without a handshake, with simple replies', async (t) => {
  const backend = new MemoryBackend();
  const fixture = await start(t, backend);
  const { client, reasons } = serve(fixture);
  t.equal(fixture.server.kernelFlags('app/data'), 0x16d, 'flush, FUA, trim, write zeroes, several connections');
  client.send(write(1n, 4096, 7));
  t.same(await client.simple(), { error: 0, cookie: 1n });
  client.send(request({ type: READ, cookie: 2n, offset: 4096, length: 512 }));
  t.same(await client.simple(), { error: 0, cookie: 2n });
  t.ok((await client.read(512)).equals(Buffer.alloc(512, 7)));
  client.send(request({ type: DISC }));
  await client.closed;
  await until(() => reasons.length === 1, 'the owner is told');
  t.equal(fixture.server.metrics.connections, 0);
});

t.test('an unusable volume is refused and the socket left alone', async (t) => {
  const backend = new MemoryBackend({ unavailable: 'it is secondary' });
  const fixture = await start(t, backend);
  const [kernelEnd, serverEnd] = binding.socketPair(64 * KIB);
  const refused = (name: string): void =>
    fixture.server.serveKernel(name, serverEnd, { received: new Uint8Array(0), isHungUp: () => false }, { closed: () => undefined });
  t.throws(() => refused('app/data'), { code: 'ROLE', message: /it is secondary/ });
  t.throws(() => refused('app/none'), { code: 'ROLE', message: /no such volume/ });
  t.throws(() => fixture.server.kernelFlags('app/data'), { code: 'ROLE' });
  t.notOk(hungUp(kernelEnd), 'still open');
  binding.close(kernelEnd);
  binding.close(serverEnd);
});

t.test('an error of a volume that works is answered; one of a group that failed is withheld from the kernel only', async (t) => {
  const backend = new MemoryBackend();
  const fixture = await start(t, backend);
  const { client, reasons } = serve(fixture);
  const foreign = fixture.client();
  await foreign.go('app/data');
  t.same(backend.lasting, [true, false], 'the backend knows which client goes on without this process');
  backend.failWith = EIO;
  client.send(write(1n, 0, 1));
  t.same(await client.simple(), { error: EIO, cookie: 1n }, 'a bad block');
  backend.unavailable = 'the group has failed';
  client.send(write(2n, 0, 1));
  client.send(write(3n, 0, 1, 100 * KIB));
  foreign.send(write(4n, 0, 1));
  t.same(await foreign.simple(), { error: EIO, cookie: 4n }, 'a program is told');
  await pause(50);
  t.equal(client.held, 0, 'the kernel is not');
  await fixture.server.stop(10_000);
  await client.closed;
  t.equal(client.held, 0, 'nor is it when the server stops');
  t.same(reasons, ['answers were withheld']);
});

t.test('what was in flight when the group failed is withheld too', async (t) => {
  const backend = new MemoryBackend();
  backend.completion = 'held';
  const fixture = await start(t, backend);
  const { client } = serve(fixture);
  backend.failWith = EIO;
  client.send(write(1n, 0, 1));
  await until(() => backend.held === 1, 'it is in flight');
  backend.unavailable = 'the group has failed';
  backend.release();
  await pause(20);
  t.equal(client.held, 0);
  t.equal(fixture.server.metrics.inFlight, 1);
  client.socket.destroy();
  fixture.server.checkKernel();
  await until(() => fixture.server.metrics.connections === 0, 'a hold ends when the kernel gives the connection up');
  t.equal(fixture.server.metrics.inFlight, 0);
});

for (const behind of [512, 300 * KIB]) {
  t.test(`a request that the kernel sent again elsewhere is not taken late, ${behind} bytes behind a stall`, async (t) => {
    const backend = new MemoryBackend({ slabCount: 1 });
    const fixture = await start(t, backend);
    const slab = backend.lease(512);
    if (slab === undefined) throw new Error('there is one slab');
    const [first, second] = [serve(fixture), serve(fixture)];
    first.client.send(write(1n, 1024 * KIB, 1, 64 * KIB));
    for (let sent = 0; sent < behind; sent += 512) first.client.send(write(2n, 0, 1));
    await until(() => fixture.server.metrics.stallsForRoom > 0, 'the first connection stalls');
    await pause(20);
    // The kernel's time limit: it shuts the connection down and uses another one that it already has.
    first.client.socket.destroy();
    second.client.send(write(3n, 0, 1));
    t.equal((await second.client.simple()).cookie, 3n);
    second.client.send(write(4n, 0, 2));
    t.equal((await second.client.simple()).cookie, 4n);
    backend.unlease(slab);
    backend.giveRoom();
    await until(() => first.reasons.length === 1, 'the first connection ends');
    t.equal(backend.data[0], 2, 'the newest write stands');
    t.equal(backend.data[1024 * KIB], 0, 'nothing of the first connection was taken');
  });
}

t.test('a connection that is busy or was silent for a while is served as well', async (t) => {
  const backend = new MemoryBackend();
  const fixture = await start(t, backend);
  const { client } = serve(fixture);
  for (const [at, gapMs] of [0, 0, 150, 0].entries()) {
    await pause(gapMs);
    for (let i = 0; i < 50; i++) client.send(write(BigInt(at * 50 + i), i * 512, at));
    for (let i = 0; i < 50; i++) t.equal((await client.simple()).cookie, BigInt(at * 50 + i));
  }
});

t.test('a successor goes on where the old server stopped: no request is lost, answered twice or torn', async (t) => {
  const backend = new MemoryBackend();
  backend.completion = 'held';
  const [old, next] = [await start(t, backend), await start(t, backend)];
  const { client, reasons, identity } = serve(old);
  const long = write(2n, 64 * KIB, 5, 128 * KIB);
  client.send(write(1n, 0, 1));
  client.send(long.subarray(0, 70 * KIB));
  await until(() => backend.held === 1, 'the first is in flight');
  const left: Left[] = [];
  let isDone = false;
  const handing = old.server
    .handOverKernel((whose, fd, received) => {
      t.equal(whose, identity);
      left.push({ fd, received });
    }, 5000)
    .then(() => {
      isDone = true;
    });
  // The long write is received to its end, what comes behind it is not taken.
  client.send(long.subarray(70 * KIB));
  client.send(write(3n, 512, 3));
  await until(() => backend.held === 2, 'the long write is in flight');
  await pause(20);
  t.notOk(isDone, 'nothing is handed over before it is answered');
  backend.release();
  await handing;
  t.same([(await client.simple()).cookie, (await client.simple()).cookie], [1n, 2n]);
  client.send(write(4n, 512, 4));
  await pause(20);
  t.equal(backend.data[512], 0, 'the old server takes nothing any more');
  t.equal(left.length, 1);
  backend.completion = 'commit';
  const kept = { fd: binding.duplicate(left[0]?.fd ?? -1), received: left[0]?.received ?? new Uint8Array(0) };
  await old.server.stop(1000);
  t.same(reasons, ['it was handed over']);
  serveEnd(next, kept, { closed: () => undefined });
  t.same([(await client.simple()).cookie, (await client.simple()).cookie], [3n, 4n]);
  t.equal(backend.data[512], 4, 'in order');
  t.equal(backend.data[64 * KIB + 100 * KIB], 5);
  client.send(write(5n, 512, 6));
  t.equal((await client.simple()).cookie, 5n);
});

t.test('a connection that does not come to rest in time is closed, not handed over', async (t) => {
  const backend = new MemoryBackend();
  backend.completion = 'held';
  const fixture = await start(t, backend);
  const { client, reasons } = serve(fixture);
  client.send(write(1n, 0, 1));
  await until(() => backend.held === 1, 'it is in flight');
  await fixture.server.handOverKernel(() => t.fail('nothing is handed over'), 50);
  await client.closed;
  t.same(reasons, ['it did not come to rest']);
  backend.release();
});

t.test('a connection with withheld answers is not handed over, and nobody waits for it', async (t) => {
  const backend = new MemoryBackend();
  const fixture = await start(t, backend);
  const { client, reasons } = serve(fixture);
  backend.failWith = EIO;
  client.send(write(1n, 0, 1));
  await client.simple();
  backend.unavailable = 'the group has failed';
  client.send(write(2n, 0, 1));
  await until(() => fixture.server.metrics.inFlight === 1, 'it is withheld');
  await fixture.server.handOverKernel(() => t.fail('nothing is handed over'), 60_000);
  t.same(reasons, ['answers were withheld']);
  t.equal(client.held, 0);
});
