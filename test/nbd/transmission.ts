import t, { type Test } from 'tap';
import { MIB } from '../../src/core/limits.js';
import { MemoryBackend, type MemoryBackendOptions } from '../helpers/memory-backend.js';
import { type RawClient, request, ServerFixture, until } from '../helpers/nbd-raw-client.js';

const READ = 0;
const WRITE = 1;
const DISC = 2;
const FLUSH = 3;
const TRIM = 4;
const ZERO = 6;
const STATUS = 7;

type Mode = { structured?: boolean; context?: boolean };

/** A server with one volume and one client in transmission. */
async function open(t: Test, options: MemoryBackendOptions = {}, mode: Mode = {}) {
  const backend = new MemoryBackend(options);
  const fixture = await ServerFixture.start([backend]);
  t.teardown(() => fixture.stop());
  const client = fixture.client();
  await client.go('app/data', mode);
  return { backend, fixture, client };
}

function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 9) * 7 + seed) & 0xff;
  return bytes;
}

/** One request with a simple reply; the error. */
async function ask(client: RawClient, fields: Parameters<typeof request>[0]): Promise<number> {
  client.send(request({ cookie: 77n, ...fields }));
  const answer = await client.simple();
  if (answer.cookie !== 77n) throw new Error('a foreign reply');
  return answer.error;
}

async function readBack(client: RawClient, offset: number, length: number): Promise<Buffer> {
  if ((await ask(client, { type: READ, offset, length })) !== 0) throw new Error('read failed');
  return client.read(length);
}

for (const completion of ['sync', 'commit', 'at once'] as const) {
  t.test(`every command with simple replies, completing in ${completion}`, async (t) => {
    const { backend, client } = await open(t);
    if (completion === 'at once') backend.readsNow = 1;
    else backend.completion = completion;
    const data = pattern(8192);
    t.equal(await ask(client, { type: WRITE, offset: 4096, payload: data }), 0);
    t.equal(await ask(client, { type: FLUSH }), 0);
    t.ok((await readBack(client, 4096, 8192)).equals(data));
    t.equal(await ask(client, { type: TRIM, offset: 4096, length: 4096 }), 0);
    t.equal(await ask(client, { type: ZERO, offset: 8192, length: 512, flags: 2 }), 0);
    const expected = Buffer.concat([Buffer.alloc(4096 + 512), data.subarray(4608)]);
    t.ok((await readBack(client, 4096, 8192)).equals(expected));
    t.equal(await ask(client, { type: STATUS, offset: 0, length: 4096 }), 22, 'no context was negotiated');
    t.equal(backend.readsHeld, 0);
  });
}

for (const readsNow of [0, 1])
  t.test(`structured reads are one chunk with the offset in front${readsNow === 0 ? '' : ', at once'}`, async (t) => {
    const { backend, client } = await open(t, {}, { structured: true });
    backend.readsNow = readsNow;
    pattern(backend.sizeBytes).copy(backend.data);
    for (const [length, flags] of [
      [512, 0],
      [4096, 4],
      [65024, 0],
      [65536, 4],
      [3 * MIB + 512, 4],
    ] as const) {
      client.send(request({ type: READ, cookie: 9n, offset: 1024, length, flags }));
      const chunk = await client.chunk();
      t.match({ ...chunk, payload: undefined }, { flags: 1, type: 1, cookie: 9n });
      t.equal(chunk.payload.readBigUInt64BE(0), 1024n);
      t.ok(chunk.payload.subarray(8).equals(backend.data.subarray(1024, 1024 + length)), `${length} bytes`);
    }
    client.send(request({ type: READ, cookie: 10n, length: 0 }));
    t.match(await client.chunk(), { flags: 1, type: 0, cookie: 10n }, 'an empty read has no data chunk');
    client.send(request({ type: READ, cookie: 11n, offset: 1, length: 512 }));
    const error = await client.chunk();
    t.match(error, { flags: 1, type: 0x8001, cookie: 11n });
    t.same([error.payload.readUInt32BE(0), error.payload.readUInt16BE(4)], [22, 0]);
    t.equal(await ask(client, { type: WRITE, payload: pattern(512) }), 0, 'other commands keep simple replies');
    t.equal(backend.readsHeld, 0);
  });

t.test('BLOCK_STATUS reports runs, one run on request', async (t) => {
  const { backend, client } = await open(t, {}, { structured: true, context: true });
  pattern(65536).copy(backend.data, 131072);
  const status = async (offset: number, length: number, flags: number) => {
    client.send(request({ type: STATUS, cookie: 5n, offset, length, flags }));
    const { type, flags: chunkFlags, payload } = await client.chunk();
    const words = Array.from({ length: payload.length / 4 }, (_, i) => payload.readUInt32BE(i * 4));
    return { type, chunkFlags, words };
  };
  t.same(await status(0, 262144, 0), { type: 5, chunkFlags: 1, words: [1, 131072, 3, 65536, 0, 65536, 3] });
  t.same((await status(0, 262144, 8)).words, [1, 131072, 3]);
  t.same((await status(512, 512, 8)).words, [1, 512, 3], 'never longer than asked for');
  client.send(request({ type: STATUS, cookie: 5n, length: 0 }));
  const refused = await client.chunk();
  t.same([refused.type, refused.payload.readUInt32BE(0)], [0x8001, 22]);
});

t.test('every refusal has its error and leaves the stream in step', async (t) => {
  const { client } = await open(t, { sizeBytes: 1 * MIB, blockBytes: 4096 });
  const size = 1 * MIB;
  const cases: [string, Parameters<typeof request>[0], number][] = [
    ['write past the end', { type: WRITE, offset: size, payload: pattern(4096) }, 28],
    ['long write past the end', { type: WRITE, offset: size - 4096, payload: pattern(200 * 1024) }, 28],
    ['write longer than the volume', { type: WRITE, offset: 0, payload: pattern(3 * MIB) }, 28],
    ['zero past the end', { type: ZERO, offset: size, length: 4096 }, 28],
    ['read past the end', { type: READ, offset: size, length: 4096 }, 22],
    ['read at 2^64 - 1', { type: READ, offset: 2n ** 64n - 1n, length: 4096 }, 22],
    ['trim past the end', { type: TRIM, offset: size, length: 4096 }, 22],
    ['unaligned write', { type: WRITE, offset: 512, payload: pattern(4096) }, 22],
    ['write of half a block', { type: WRITE, offset: 0, payload: pattern(100) }, 22],
    ['unknown command', { type: 5, length: 4096 }, 22],
    ['resize', { type: 8, offset: 0, length: 0 }, 22],
    ['unknown flag', { type: WRITE, flags: 64, payload: pattern(4096) }, 22],
    ['DF without structured replies', { type: READ, flags: 4, length: 4096 }, 22],
    ['flush with an extent', { type: FLUSH, length: 4096 }, 22],
    ['read beyond the payload limit', { type: READ, length: 32 * MIB + 4096 }, 22],
  ];
  for (const [name, fields, error] of cases) {
    t.equal(await ask(client, fields), error, name);
    t.equal(await ask(client, { type: FLUSH }), 0, `in step after: ${name}`);
  }
});

t.test('a read-only volume answers EPERM and consumes the payload', async (t) => {
  const { backend, client } = await open(t, { readOnly: true });
  t.equal(await ask(client, { type: WRITE, payload: pattern(4096) }), 1);
  t.equal(await ask(client, { type: WRITE, payload: pattern(300 * 1024) }), 1);
  t.equal(await ask(client, { type: TRIM, length: 4096 }), 1);
  t.equal(await ask(client, { type: ZERO, length: 4096 }), 1);
  t.equal((await readBack(client, 0, 4096)).equals(Buffer.alloc(4096)), true);
  t.equal(backend.leased, 0);
});

t.test('FUA reaches the backend on every command that has one', async (t) => {
  const { backend, client } = await open(t);
  backend.recording = true;
  t.equal(await ask(client, { type: WRITE, flags: 1, payload: pattern(512) }), 0);
  t.equal(await ask(client, { type: WRITE, flags: 1, payload: pattern(65536) }), 0);
  t.equal(await ask(client, { type: TRIM, flags: 1, length: 512 }), 0);
  t.equal(await ask(client, { type: ZERO, flags: 1, length: 512 }), 0);
  t.equal(await ask(client, { type: FLUSH, flags: 1 }), 0);
  t.same(backend.journal, ['write fua 0 512', 'piece 0 65536', 'write fua 0 65536', 'trim fua 0 512', 'zero fua 0 512', 'flush fua 0 0']);
});

t.test('empty requests are answered without the backend', async (t) => {
  const { backend, client } = await open(t);
  backend.recording = true;
  for (const type of [READ, WRITE, TRIM, ZERO]) t.equal(await ask(client, { type, offset: 4096, length: 0 }), 0);
  t.same(backend.journal, []);
});

t.test('errors of the backend are translated, also in the middle of a long write', async (t) => {
  const { backend, client } = await open(t);
  backend.failWith = 122;
  t.equal(await ask(client, { type: WRITE, payload: pattern(4096) }), 28);
  t.equal(await ask(client, { type: WRITE, payload: pattern(3 * MIB) }), 28, 'the rest of the payload was consumed');
  backend.failWith = 108;
  t.equal(await ask(client, { type: READ, length: 4096 }), 5);
  t.equal(await ask(client, { type: FLUSH }), 5);
  backend.completion = 'sync';
  t.equal(await ask(client, { type: WRITE, payload: pattern(3 * MIB) }), 5);
  backend.failWith = 0;
  t.equal(await ask(client, { type: WRITE, payload: pattern(3 * MIB) }), 0);
  t.ok(backend.data.subarray(0, 3 * MIB).equals(pattern(3 * MIB)));
  t.equal(backend.leased, 0);
});

t.test('32 MiB go through in one request, one byte more ends the connection', async (t) => {
  const { backend, fixture, client } = await open(t, { sizeBytes: 64 * MIB });
  const data = pattern(32 * MIB);
  t.equal(await ask(client, { type: WRITE, offset: 512, payload: data }), 0);
  t.ok(backend.data.subarray(512, 512 + data.length).equals(data));
  t.ok((await readBack(client, 512, 32 * MIB)).equals(data));
  t.same([backend.leased, backend.readsHeld], [0, 0]);
  client.send(request({ type: WRITE, length: 32 * MIB + 1 }));
  await client.closed;
  t.equal(fixture.server.metrics.protocolErrors, 1);
});

t.test('requests may be split at every byte', async (t) => {
  const { backend, client } = await open(t);
  client.socket.setNoDelay(true);
  const small = request({ type: WRITE, cookie: 77n, offset: 512, payload: pattern(512) });
  for (let split = 1; split < 40; split++) {
    client.send(small.subarray(0, split));
    await new Promise((resolve) => setImmediate(resolve));
    client.send(small.subarray(split));
    t.equal((await client.simple()).error, 0);
  }
  const long = request({ type: WRITE, cookie: 78n, offset: 1024, payload: pattern(1 * MIB + 512, 9) });
  for (let at = 0; at < long.length; at += 77_777) {
    client.send(long.subarray(at, at + 77_777));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  t.same(await client.simple(), { error: 0, cookie: 78n });
  t.ok(backend.data.subarray(1024, 1024 + 1 * MIB + 512).equals(pattern(1 * MIB + 512, 9)));
});

t.test('a burst is committed once and answered in order', async (t) => {
  const { backend, client } = await open(t);
  const before = backend.commits;
  const count = 200;
  client.send(
    Buffer.concat(Array.from({ length: count }, (_, i) => request({ type: WRITE, cookie: BigInt(i), payload: pattern(512, i) }))),
  );
  for (let i = 0; i < count; i++) t.equal((await client.simple()).cookie, BigInt(i));
  t.ok(backend.commits - before < 10, `${backend.commits - before} commits`);
});

t.test('reads that are answered at once pass those that wait, count, and leave together', async (t) => {
  const { backend, client, fixture } = await open(t);
  pattern(backend.sizeBytes).copy(backend.data);
  backend.completion = 'held';
  backend.readsNow = 2;
  const count = 40;
  client.send(
    Buffer.concat(Array.from({ length: count }, (_, i) => request({ type: READ, cookie: BigInt(i), offset: i * 4096, length: 4096 }))),
  );
  const answered = async (i: number): Promise<void> => {
    t.same(await client.simple(), { error: 0, cookie: BigInt(i) });
    t.ok((await client.read(4096)).equals(backend.data.subarray(i * 4096, i * 4096 + 4096)));
  };
  for (let i = 1; i < count; i += 2) await answered(i);
  t.equal(backend.held, count / 2);
  t.equal(fixture.server.metrics.inFlight, count / 2);
  backend.release();
  for (let i = 0; i < count; i += 2) await answered(i);
  t.match(fixture.server.metrics.read, { completed: count, bytes: count * 4096, failed: 0 });
  t.same([backend.readsHeld, fixture.server.metrics.inFlight], [0, 0]);
});

t.test('replies may come in any order and much later', async (t) => {
  const { backend, client, fixture } = await open(t);
  backend.completion = 'held';
  client.send(Buffer.concat([1n, 2n, 3n].map((cookie) => request({ type: WRITE, cookie, payload: pattern(512) }))));
  await until(() => backend.held === 3, 'three requests in the backend');
  t.equal(fixture.server.metrics.inFlight, 3);
  t.equal(client.held, 0);
  backend.release(1);
  t.equal((await client.simple()).cookie, 1n);
  backend.release();
  t.equal((await client.simple()).cookie, 2n);
  t.equal((await client.simple()).cookie, 3n);
  t.equal(fixture.server.metrics.inFlight, 0);
});

t.test('DISC answers what is in flight, then closes, and ignores what follows', async (t) => {
  const { backend, client, fixture } = await open(t);
  backend.completion = 'held';
  backend.recording = true;
  client.send(
    Buffer.concat([
      request({ type: WRITE, cookie: 1n, payload: pattern(512) }),
      request({ type: READ, cookie: 2n, length: 128 * 1024 }),
      request({ type: DISC }),
      request({ type: WRITE, cookie: 3n, payload: pattern(512) }),
    ]),
  );
  await until(() => backend.held === 2, 'two requests in the backend');
  t.equal(backend.disconnected.length, 0);
  backend.release();
  t.same(await client.simple(), { error: 0, cookie: 1n });
  t.same(await client.simple(), { error: 0, cookie: 2n });
  await client.read(128 * 1024);
  await client.closed;
  t.same(backend.journal, ['write 0 512', 'read 0 131072']);
  await until(() => backend.disconnected.length === 1, 'the epoch ended');
  t.equal(backend.readsHeld, 0);
  t.match(fixture.events.at(-1), { kind: 'closed', reason: 'done' });
});

t.test('a client that just goes away is dropped with its requests', async (t) => {
  const { backend, client, fixture } = await open(t);
  backend.completion = 'held';
  client.send(Buffer.concat([request({ type: READ, length: 4096 }), request({ type: READ, length: 128 * 1024 })]));
  await until(() => backend.held === 2, 'two requests in the backend');
  client.socket.destroy();
  await until(() => backend.disconnected.length === 1, 'the epoch ended');
  backend.release();
  t.equal(backend.readsHeld, 0, 'late reads are given back');
  t.same(fixture.server.metrics.inFlight, 0);
  t.same(fixture.server.clients(), []);
});

t.test('a client that goes away in the middle of a long write leaves no slab behind', async (t) => {
  const { backend, client } = await open(t);
  client.send(request({ type: WRITE, length: 4 * MIB, payload: pattern(1 * MIB + 300_000) }));
  await until(() => backend.leased === 1, 'a slab is being filled');
  client.socket.destroy();
  await until(() => backend.disconnected.length === 1, 'the epoch ended');
  t.equal(backend.leased, 0);
});

t.test('a withdrawn volume ends its connections at once', async (t) => {
  const { backend, client, fixture } = await open(t);
  backend.completion = 'held';
  client.send(request({ type: WRITE, payload: pattern(512) }));
  await until(() => backend.held === 1, 'a request in the backend');
  backend.revokeAll();
  await client.closed;
  backend.release();
  t.match(fixture.events.at(-1), { kind: 'closed', reason: 'the volume was withdrawn' });
});

t.test('a volume may be withdrawn inside any call of its backend', async (t) => {
  for (const fields of [
    { type: WRITE, payload: pattern(512) },
    { type: WRITE, payload: pattern(3 * MIB) },
    { type: TRIM, length: 512 },
  ]) {
    for (const room of [true, false]) {
      const { backend, client, fixture } = await open(t);
      const withdrawing = <Args extends unknown[]>(call: (...args: Args) => boolean) => {
        return (...args: Args): boolean => {
          backend.revokeAll();
          backend.room = room;
          return call.apply(backend, args);
        };
      };
      backend.write = withdrawing(backend.write);
      backend.writeSlab = withdrawing(backend.writeSlab);
      backend.discard = withdrawing(backend.discard);
      client.send(request(fields));
      await client.closed;
      t.equal(backend.leased, 0);
      t.equal(fixture.server.metrics.inFlight, 0);
      backend.giveRoom();
    }
  }
});

t.test('a client may close its sending side behind DISC and still gets its replies', async (t) => {
  const { backend, client } = await open(t);
  backend.completion = 'held';
  client.socket.end(Buffer.concat([request({ type: WRITE, cookie: 1n, payload: pattern(512) }), request({ type: DISC })]));
  await until(() => backend.held === 1, 'a request in the backend');
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(backend.connected.size, 1);
  backend.release();
  t.same(await client.simple(), { error: 0, cookie: 1n });
  await client.closed;
});

t.test('a wrong request magic ends only that connection', async (t) => {
  const { client, fixture } = await open(t);
  const other = fixture.client();
  await other.go('app/data');
  client.send(request({ type: READ, length: 512, magic: 0 }));
  await client.closed;
  t.equal(fixture.server.metrics.protocolErrors, 1);
  t.equal(await ask(other, { type: FLUSH }), 0);
});

t.test('two connections share one backend, each with an epoch of its own', async (t) => {
  const { backend, client, fixture } = await open(t);
  const other = fixture.client();
  await other.go('app/data');
  backend.completion = 'held';
  backend.recording = true;
  client.send(request({ type: WRITE, cookie: 1n, payload: pattern(512) }));
  await until(() => backend.held === 1, 'the write arrived');
  other.send(request({ type: FLUSH, cookie: 2n }));
  await until(() => backend.held === 2, 'the flush arrived');
  backend.release();
  t.equal((await client.simple()).cookie, 1n);
  t.equal((await other.simple()).cookie, 2n);
  t.same(backend.journal, ['write 0 512', 'flush 0 0']);
  t.equal(backend.connected.size, 2);
  t.ok((await readBackOf(backend, other)).equals(pattern(512)), 'a write answered on one is read on the other');
});

async function readBackOf(backend: MemoryBackend, client: RawClient): Promise<Buffer> {
  backend.completion = 'commit';
  return readBack(client, 0, 512);
}

t.test('the counters tell what happened', async (t) => {
  const { client, fixture } = await open(t);
  await ask(client, { type: WRITE, payload: pattern(1024) });
  await ask(client, { type: WRITE, offset: 1, payload: pattern(512) });
  await readBack(client, 0, 512);
  const { metrics } = fixture.server;
  t.match(metrics.write, { completed: 1, failed: 1, bytes: 1024 });
  t.match(metrics.read, { completed: 1, failed: 0, bytes: 512 });
  t.match(metrics, { connections: 1, connectionsAccepted: 1, inFlight: 0 });
});
