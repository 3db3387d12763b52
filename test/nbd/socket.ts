import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { descriptorOf, unsentKernelBytes } from '../../src/nbd/socket.js';
import { socketDirectory } from '../helpers/nbd-raw-client.js';

for (const kind of ['unix', 'tcp']) {
  t.test(`${kind}: bytes the kernel has not taken are told, and writes are reported when the socket is destroyed`, async (t) => {
    const server = createServer({ pauseOnConnect: true });
    const path = join(socketDirectory(t), 's');
    server.listen(kind === 'unix' ? { path } : { host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    const address = server.address();
    const client = connect(typeof address === 'string' ? { path } : { host: '127.0.0.1', port: address?.port ?? 0 });
    const [socket] = (await once(server, 'connection')) as [Socket];
    client.pause();
    t.teardown(() => {
      client.destroy();
      server.close();
    });
    socket.on('error', () => undefined);
    let reported = 0;
    const piece = Buffer.alloc(8 * 1024 * 1024);
    socket.cork();
    for (let i = 0; i < 3; i++) socket.write(piece, () => reported++);
    socket.uncork();
    socket.write(piece, () => reported++);
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.ok(unsentKernelBytes(socket) > 0);
    t.ok(descriptorOf(socket) > 2);
    t.equal(reported, 0);
    socket.destroy();
    t.equal(unsentKernelBytes(socket), 0);
    t.equal(descriptorOf(socket), -1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.equal(reported, 4);
  });
}
