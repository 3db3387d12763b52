import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { KIB } from '../../src/core/limits.js';
import { sendSocket } from '../../src/disk/socket-sender.js';
import { Output } from '../../src/nbd/output.js';
import { NbdRequest } from '../../src/nbd/request.js';
import type { OpenSender } from '../../src/nbd/side-output.js';
import { descriptorOf } from '../../src/nbd/socket.js';
import { socketDirectory, until } from '../helpers/nbd-raw-client.js';
import { Random } from '../helpers/random.js';

/** How answers leave: by the socket, by another thread as the agent does it, by that whether the client waits or not. */
type Way = 'socket' | 'side' | 'always';
const WAYS: readonly Way[] = availableParallelism() > 1 ? ['socket', 'side', 'always'] : ['socket'];

/** An output over a real socket whose other end is not read until collect() is called. */
async function open(t: Test, way: Way = 'socket') {
  const server = createServer();
  const path = join(socketDirectory(t), 's');
  server.listen(path);
  await once(server, 'listening');
  const reader = connect({ path });
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  t.teardown(() => reader.destroy());
  t.teardown(() => socket.destroy());
  const sent: NbdRequest[] = [];
  let sideBytes = 0;
  const openSender: OpenSender = (told) => {
    const sender = sendSocket(descriptorOf(socket), told);
    if (way === 'socket' || sender === undefined) return undefined;
    const send = (piece: Uint8Array): void => {
      sideBytes += piece.length;
      sender.send(piece);
    };
    return {
      send,
      release: () => sender.release(),
      close: () => sender.close(),
      get isAwaited() {
        return way === 'always' || sender.isAwaited;
      },
    };
  };
  const output = new Output(socket, { sent: (request) => sent.push(request), written: () => undefined }, openSender);
  t.teardown(() => output.close());
  const pieces: Buffer[] = [];
  // Starts to read; all that came so far.
  const received = (): Buffer => {
    if (reader.listenerCount('data') === 0) reader.on('data', (piece) => pieces.push(piece as Buffer));
    return Buffer.concat(pieces);
  };
  const collect = async (): Promise<Buffer> => {
    received();
    output.end();
    await once(reader, 'end');
    return received();
  };
  return { output, socket, sent, received, collect, sideBytes: () => sideBytes };
}

function put(output: Output, text: string): void {
  const at = output.reserve(text.length);
  output.bytes.write(text, at, 'latin1');
  output.advance(at + text.length);
}

t.test('replies of a turn leave in one write', async (t) => {
  const { output, socket, collect } = await open(t);
  let writes = 0;
  const write = socket.write;
  socket.write = function (this: Socket, ...args: unknown[]): boolean {
    writes++;
    return Reflect.apply(write, this, args) as boolean;
  };
  for (const text of ['one', 'two', 'three']) put(output, text);
  t.equal(output.unsentBytes, 11);
  output.flush();
  output.flush();
  t.equal(writes, 1);
  t.equal((await collect()).toString(), 'onetwothree');
});

t.test('small and direct pieces keep their order', async (t) => {
  const { output, sent, collect } = await open(t);
  const request = new NbdRequest();
  put(output, 'header1');
  output.appendDirect(Buffer.from('data1a'), undefined);
  output.appendDirect(Buffer.from('data1b'), request);
  put(output, 'reply2');
  t.same(sent, []);
  output.flush();
  put(output, 'reply3');
  output.flush();
  t.equal((await collect()).toString(), 'header1data1adata1breply2reply3');
  t.equal(sent.length, 1);
  t.equal(sent[0], request);
});

for (const way of WAYS) {
  t.test(`${way}: buffers are used again only after their bytes have left`, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const { output, collect, sent, sideBytes } = await open(t, way);
    const expected: Buffer[] = [];
    for (let turn = 0; turn < 400; turn++) {
      for (let i = turn === 0 ? 20 : random.below(8); i >= 0; i--) {
        const piece = Buffer.alloc(1 + random.below(30 * KIB), turn);
        piece.writeUInt8(i, piece.length - 1);
        expected.push(piece);
        if (turn > 0 && random.below(10) === 0) output.appendDirect(Buffer.from(piece), new NbdRequest());
        else {
          const at = output.reserve(piece.length);
          output.bytes.set(piece, at);
          output.advance(at + piece.length);
        }
      }
      output.flush();
      if (random.below(3) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    t.ok(output.unsentBytes > 1024 * KIB, 'the reader has not read yet');
    t.ok((await collect()).equals(Buffer.concat(expected)));
    t.equal(output.unsentBytes, 0);
    t.ok(sent.length > 0);
    t.equal(sideBytes() > 0, way !== 'socket');
  });

  t.test(`${way}: with a client that reads, what leaves by either way is in order`, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const { output, received, collect, sideBytes } = await open(t, way);
    const expected: Buffer[] = [];
    let bytes = 0;
    for (let turn = 0; turn < 1500; turn++) {
      for (let i = random.below(12); i >= 0; i--) {
        const piece = Buffer.alloc(16 + random.below(9000), turn);
        expected.push(piece);
        bytes += piece.length;
        const at = output.reserve(piece.length);
        output.bytes.set(piece, at);
        output.advance(at + piece.length);
        if (random.below(8) === 0) output.flush();
        if (random.below(40) === 0) {
          const direct = Buffer.alloc(100 + random.below(100 * KIB), i);
          expected.push(direct);
          bytes += direct.length;
          output.appendDirect(direct, new NbdRequest());
        }
      }
      output.flush();
      if (random.below(2) === 0) await new Promise((resolve) => setImmediate(resolve));
      if (turn % 50 === 0) await until(() => received().length === bytes, 'the client has everything');
    }
    t.ok((await collect()).equals(Buffer.concat(expected)));
    t.equal(sideBytes() > 0, way !== 'socket');
  });

  t.test(`${way}: buffers that return after congestion are clean`, async (t) => {
    const { output, received, collect } = await open(t, way);
    const expected: Buffer[] = [];
    for (const seed of [1, 50, 100]) {
      for (let i = 0; i < 12; i++) {
        const piece = Buffer.alloc(200 * KIB, seed + i);
        expected.push(piece);
        output.append(piece);
      }
      output.flush();
      received();
      await until(() => output.unsentBytes === 0, 'everything has left');
    }
    t.ok((await collect()).equals(Buffer.concat(expected)));
  });

  t.test(`${way}: a closed output reports every long read, and its memory is free`, async (t) => {
    const { output, socket, sent } = await open(t, way);
    for (let turn = 0; turn < 40; turn++) {
      for (let i = 0; i < 8; i++) put(output, 'x'.repeat(8000));
      output.flush();
      output.appendDirect(Buffer.alloc(100 * KIB, turn), new NbdRequest());
      output.flush();
    }
    socket.destroy();
    output.close();
    await until(() => sent.length === 40, 'all are reported');
    t.pass('all were reported');
  });
}

t.test('what another thread sends says nothing about the client', { skip: WAYS.length > 1 ? false : 'one processor' }, async (t) => {
  const { output, collect, sideBytes } = await open(t, 'always');
  for (let i = 0; i < 8; i++) put(output, 'x'.repeat(4000));
  output.flush();
  t.equal(sideBytes(), 32_000);
  t.equal(output.unsentBytes, 32_000);
  t.equal(output.keptBytes, 0);
  t.equal((await collect()).length, 32_000);
});

t.test(
  'nothing follows by another thread when the socket has lost a write',
  { skip: WAYS.length > 1 ? false : 'one processor' },
  async (t) => {
    const { output, socket, sent, sideBytes } = await open(t, 'always');
    socket.on('error', () => undefined);
    socket.write = ((_: Uint8Array, done: (error: Error) => void) => {
      setImmediate(() => done(new Error('lost')));
      return true;
    }) as Socket['write'];
    output.appendDirect(Buffer.from('lost'), new NbdRequest());
    output.flush();
    await until(() => sent.length === 1, 'the write is reported');
    for (let i = 0; i < 8; i++) put(output, 'x'.repeat(4000));
    output.flush();
    t.equal(sideBytes(), 0);
  },
);

t.test('few or short replies do not leave by another thread', { skip: WAYS.length > 1 ? false : 'one processor' }, async (t) => {
  const { output, collect, sideBytes } = await open(t, 'always');
  for (let i = 0; i < 3; i++) put(output, 'x'.repeat(20 * KIB));
  output.flush();
  for (let i = 0; i < 8; i++) put(output, 'y'.repeat(1000));
  output.flush();
  t.equal(sideBytes(), 0);
  t.equal((await collect()).length, 60 * KIB + 8000);
});
