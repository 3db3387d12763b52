import t from 'tap';
import { descriptorOf, unsentKernelBytes } from '../../src/nbd/socket.js';
import { socketPair } from '../helpers/socket-pair.js';

for (const kind of ['unix', 'tcp']) {
  t.test(`${kind}: bytes the kernel has not taken are told, and writes are reported when the socket is destroyed`, async (t) => {
    const { client, accepted: socket } = await socketPair(t, kind);
    client.pause();
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
