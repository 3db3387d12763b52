import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { KIB } from '../../src/core/limits.js';
import { Output } from '../../src/nbd/output.js';
import { NbdRequest } from '../../src/nbd/request.js';
import { socketDirectory, until } from '../helpers/nbd-raw-client.js';
import { Random } from '../helpers/random.js';

/** An output over a real socket whose other end is not read until collect() is called. */
async function open(t: Test) {
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
  const output = new Output(socket, { sent: (request) => sent.push(request), written: () => undefined });
  const pieces: Buffer[] = [];
  // Starts to read; all that came so far.
  const received = (): Buffer => {
    if (reader.listenerCount('data') === 0) reader.on('data', (piece) => pieces.push(piece as Buffer));
    return Buffer.concat(pieces);
  };
  const collect = async (): Promise<Buffer> => {
    received();
    socket.end();
    await once(reader, 'end');
    return received();
  };
  return { output, socket, sent, received, collect };
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

t.test('buffers are used again only after their bytes have left', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const { output, collect, sent } = await open(t);
  const expected: Buffer[] = [];
  for (let turn = 0; turn < 400; turn++) {
    for (let i = random.below(4); i >= 0; i--) {
      const piece = Buffer.alloc(1 + random.below(60 * KIB), turn);
      piece.writeUInt8(i, piece.length - 1);
      expected.push(piece);
      if (random.below(10) === 0) output.appendDirect(Buffer.from(piece), new NbdRequest());
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
});

t.test('buffers that return after congestion are clean', async (t) => {
  const { output, received, collect } = await open(t);
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
