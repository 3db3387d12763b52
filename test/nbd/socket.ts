import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { takeOver, unsentKernelBytes } from '../../src/nbd/socket.js';
import { socketDirectory } from '../helpers/nbd-raw-client.js';

type Pair = { server: Server; client: Socket; accepted: Socket };

/** A connected pair; the accepted side is paused, as takeOver() wants it. */
async function pair(t: Test, kind: string): Promise<Pair> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  const path = join(socketDirectory(t), 's');
  server.listen(kind === 'unix' ? { path } : { host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const address = server.address();
  const client = connect(typeof address === 'string' ? { path } : { host: '127.0.0.1', port: address?.port ?? 0 });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  t.teardown(() => client.destroy());
  return { server, client, accepted };
}

for (const kind of ['unix', 'tcp']) {
  t.test(`${kind}: each read lands in the memory asked for last`, async (t) => {
    const { server, client, accepted } = await pair(t, kind);
    const memory = [Buffer.alloc(3), Buffer.alloc(5), Buffer.alloc(100)];
    let next = 0;
    let total = 0;
    let done: () => void = () => undefined;
    const complete = new Promise<void>((resolve) => {
      done = resolve;
    });
    const socket = takeOver(accepted, {
      nextBuffer: () => memory[Math.min(next++, 2)] as Buffer,
      received: (length) => {
        total += length;
        if (total === 12) done();
      },
    });
    client.write('abcdefghijkl');
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.equal(total, 0, 'nothing is read before resume()');
    socket.resume();
    await complete;
    t.same([memory[0]?.toString(), memory[1]?.toString(), memory[2]?.toString('latin1', 0, 4)], ['abc', 'defgh', 'ijkl']);
    socket.end('bye');
    const [answer] = (await once(client, 'data')) as [Buffer];
    t.equal(answer.toString(), 'bye');
    client.end();
    await once(socket, 'close');
    const closed = once(server, 'close');
    server.close();
    await closed;
  });

  t.test(`${kind}: pausing inside a read stops the next one, and resuming goes on`, async (t) => {
    const { server, client, accepted } = await pair(t, kind);
    const memory = Buffer.alloc(4);
    const seen: string[] = [];
    const socket = takeOver(accepted, {
      nextBuffer: () => memory,
      received: (length) => {
        seen.push(memory.toString('latin1', 0, length));
        socket.pause();
      },
    });
    socket.resume();
    client.write('aaaabbbb');
    await new Promise((resolve) => setTimeout(resolve, 30));
    t.same(seen, ['aaaa']);
    socket.resume();
    await new Promise((resolve) => setTimeout(resolve, 30));
    t.same(seen, ['aaaa', 'bbbb']);
    socket.destroy();
    server.close();
  });

  t.test(`${kind}: a reset or an end of the other side closes the socket`, async (t) => {
    for (const how of ['end', 'reset'] as const) {
      const { server, client, accepted } = await pair(t, kind);
      const socket = takeOver(accepted, { nextBuffer: () => Buffer.alloc(16), received: () => undefined });
      let ended = false;
      socket.on('error', () => undefined);
      socket.on('end', () => {
        ended = true;
        socket.destroy();
      });
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.resume();
      if (how === 'end') client.end();
      else if (kind === 'tcp') client.resetAndDestroy();
      else client.destroy();
      await closed;
      t.equal(ended, how === 'end' || kind === 'unix');
      server.close();
    }
  });

  t.test(`${kind}: bytes the kernel has not taken are told, and writes are reported when the socket is destroyed`, async (t) => {
    const { server, client, accepted } = await pair(t, kind);
    client.pause();
    const socket = takeOver(accepted, { nextBuffer: () => Buffer.alloc(16), received: () => undefined });
    socket.on('error', () => undefined);
    let reported = 0;
    const piece = Buffer.alloc(8 * 1024 * 1024);
    socket.cork();
    for (let i = 0; i < 3; i++) socket.write(piece, () => reported++);
    socket.uncork();
    socket.write(piece, () => reported++);
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.ok(unsentKernelBytes(socket) > 0);
    t.equal(reported, 0);
    socket.destroy();
    t.equal(unsentKernelBytes(socket), 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.equal(reported, 4);
    server.close();
  });
}
