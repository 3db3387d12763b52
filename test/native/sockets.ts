// native/sockets.cc, netlink.cc and launch.c: descriptors that travel, ends that hang up, messages to the kernel, and the launcher.

import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { binding as attach } from '../../src/attach/native.js';
import { familyRequest, parseFamily } from '../../src/attach/netlink-message.js';
import { binding } from '../../src/disk/native.js';
import { hungUp, setCongestionControl } from '../../src/disk/system.js';

const LAUNCH = fileURLToPath(new URL('../../../native/build/Release/lvr-launch', import.meta.url));

t.test('a pair is connected, and tells when the other end is gone although bytes are left', async (t) => {
  const [left, right] = binding.socketPair(64 * 1024);
  t.notOk(hungUp(left));
  writeSync(right, 'bytes');
  t.notOk(hungUp(left));
  binding.close(right);
  t.ok(hungUp(left));
  binding.close(left);
});

t.test('an algorithm that the kernel refuses, or a descriptor that is no TCP socket, is no error', async (t) => {
  const server = createServer((accepted) => accepted.resume()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1');
  await once(socket, 'connect');
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  t.equal(setCongestionControl(fd, 'no-such'), false);
  t.equal(setCongestionControl(fd, 'reno'), true);
  const [left, right] = binding.socketPair(4096);
  t.equal(setCongestionControl(left, 'reno'), false, 'no TCP');
  t.equal(setCongestionControl(0x7fffffff, 'reno'), false, 'no descriptor');
  binding.close(left);
  binding.close(right);
  socket.destroy();
  server.close();
});

t.test('a descriptor travels over a socket, in order, and none is an error', async (t) => {
  const [here, there] = binding.socketPair(64 * 1024);
  const [a, b] = [binding.socketPair(4096), binding.socketPair(4096)];
  binding.sendDescriptor(here, a[1]);
  binding.sendDescriptor(here, b[1]);
  binding.close(a[1]);
  const first = binding.receiveDescriptor(there);
  const second = binding.receiveDescriptor(there);
  t.notOk(hungUp(a[0]), 'the copy keeps the connection');
  binding.close(first);
  t.ok(hungUp(a[0]));
  t.notOk(hungUp(b[0]));
  t.throws(() => binding.receiveDescriptor(there), { code: 'EAGAIN' });
  binding.close(here);
  t.throws(() => binding.receiveDescriptor(there), { code: 'ENODATA' });
  for (const fd of [there, a[0], b[0], b[1], second]) binding.close(fd);
});

t.test('the kernel answers on a thread of its own', async (t) => {
  const fd = attach.netlinkOpen();
  const ask = (name: string, sequence: number): Promise<{ errno: number; replies: Buffer }> =>
    new Promise((resolve, reject) => {
      // A thread that the kernel keeps does not keep the process: the one who waits does.
      const deadline = setTimeout(() => reject(new Error('the kernel does not answer')), 5000);
      attach.netlinkExchange(fd, familyRequest(name, sequence), (errno, replies) => {
        clearTimeout(deadline);
        resolve({ errno, replies });
      });
    });
  const known = await ask('nlctrl', 1);
  t.equal(known.errno, 0);
  t.match(parseFamily(known.replies), { id: 16 });
  t.equal((await ask('lvr-no-such', 2)).errno, 2, 'ENOENT');
  t.throws(() => attach.netlinkExchange(fd, new Uint8Array(3), () => undefined), /16 bytes/);
  t.throws(() => attach.netlinkListen(4_000_000, () => undefined), /setsockopt/);
  binding.close(fd);
});

t.test('the launcher becomes the command', async (t) => {
  t.equal(execFileSync(LAUNCH, ['sh', '-c', 'echo "$0 $1"', 'a', 'b c'], { encoding: 'utf8' }), 'a b c\n');
  t.equal(spawnSync(LAUNCH, ['sh', '-c', 'exit 7']).status, 7);
  t.equal(spawnSync(LAUNCH, []).status, 2);
  const missing = spawnSync(LAUNCH, ['/nowhere/lvrd'], { encoding: 'utf8' });
  t.equal(missing.status, 127);
  t.match(missing.stderr, /\/nowhere\/lvrd: No such file/);
});
