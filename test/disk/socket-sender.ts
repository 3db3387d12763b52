import { readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import t, { type Test } from 'tap';
import type { SocketSender } from '../../src/core/ports.js';
import { binding } from '../../src/disk/native.js';
import { sendSocket } from '../../src/disk/socket-sender.js';
import { descriptorOf } from '../../src/nbd/socket.js';
import { until } from '../helpers/nbd-raw-client.js';
import { Random } from '../helpers/random.js';
import { socketPair } from '../helpers/socket-pair.js';

const skip = availableParallelism() > 1 ? false : 'one processor: nothing is sent beside the main thread';
/** More than a socket takes at once. */
const LONG = 16 * 1024 * 1024;

function sender(t: Test, fd: number, told: number[]): SocketSender {
  const made = sendSocket(fd, { pieceSent: (bytes) => void told.push(bytes) });
  if (made === undefined) throw new Error('there is no sender');
  t.teardown(() => made.close());
  return made;
}

/** All that a socket receives, from now on. */
function collect(socket: Socket): () => Buffer {
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  return () => Buffer.concat(pieces);
}

for (const kind of ['unix', 'tcp']) {
  t.test(`${kind}: pieces of many sizes leave in order and are told in order`, { skip }, async (t) => {
    const { client, fd } = await socketPair(t, kind);
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const received = collect(client);
    const told: number[] = [];
    const socket = sender(t, fd, told);
    const pieces: Buffer[] = [];
    for (let i = 0; i < 600; i++) {
      const piece = Buffer.alloc(1 + random.below(30_000), i);
      pieces.push(piece);
      socket.send(piece);
      // Not more than a socket takes of a client that reads.
      if (i % 4 === 3) await until(() => told.length === pieces.length && received().length >= i, 'they are told');
    }
    await until(() => told.length === pieces.length, 'all are told');
    const sent = pieces.map((piece, i) => piece.subarray(0, told[i]));
    await until(() => received().length === sent.reduce((sum, { length }) => sum + length, 0), 'all are there');
    t.ok(received().equals(Buffer.concat(sent)));
  });

  t.test(`${kind}: what a socket does not take comes back, with all behind it until it is released`, { skip }, async (t) => {
    const { client, fd } = await socketPair(t, kind);
    const told: number[] = [];
    const socket = sender(t, fd, told);
    socket.send(Buffer.alloc(LONG, 1));
    socket.send(Buffer.alloc(10, 2));
    await until(() => told.length === 2, 'both are told');
    t.ok((told[0] as number) > 0 && (told[0] as number) < LONG);
    t.equal(told[1], 0);
    t.equal(socket.isAwaited, false, 'there is something to read');
    const received = collect(client);
    await until(() => received().length === told[0], 'the client has what was sent');
    await until(() => socket.isAwaited, 'and the system tells so');
    socket.send(Buffer.alloc(10, 3));
    await until(() => told.length === 3, 'the third is told');
    t.equal(told[2], 0);
    socket.release();
    socket.send(Buffer.from('now'));
    await until(() => received().length === (told[0] as number) + 3, 'the last one is there');
    t.equal(received().subarray(told[0]).toString(), 'now');
    t.equal(told[3], 3);
  });

  t.test(`${kind}: nothing is sent to a client that is gone, and nobody dies of it`, { skip }, async (t) => {
    const { client, accepted, fd } = await socketPair(t, kind);
    const told: number[] = [];
    const socket = sender(t, fd, told);
    client.destroy();
    accepted.resume();
    // A TCP client answers what it gets now with a reset.
    await until(() => {
      socket.send(Buffer.from('x'));
      return told.at(-1) === 0;
    }, 'it is told');
    socket.close();
    t.equal(socket.isAwaited, false);
    socket.release();
    socket.close();
    t.throws(() => socket.send(Buffer.from('x')), /closed socket/);
  });
}

t.test('one client that reads nothing does not hold up another', { skip }, async (t) => {
  const slow = await socketPair(t, 'unix');
  const quick = await socketPair(t, 'unix');
  const toldSlow: number[] = [];
  const toldQuick: number[] = [];
  const one = sender(t, slow.fd, toldSlow);
  const other = sender(t, quick.fd, toldQuick);
  const received = collect(quick.client);
  for (let i = 0; i < 200; i++) {
    one.send(Buffer.alloc(100_000, i));
    other.send(Buffer.alloc(100, i));
    if (i % 20 === 19) await until(() => toldQuick.length === i + 1, 'they are told');
  }
  await until(() => received().length === 20_000, 'the other has everything');
  t.equal(
    toldQuick.every((bytes) => bytes === 100),
    true,
  );
});

t.test('a connection ends when the socket and its sender are closed, in any order; pieces under way are told', { skip }, async (t) => {
  for (const senderFirst of [true, false]) {
    const { client, accepted } = await socketPair(t, 'unix');
    const before = readdirSync('/proc/self/fd').length;
    const told: number[] = [];
    const socket = sender(t, descriptorOf(accepted), told);
    const ended = new Promise((resolve) => client.on('close', resolve));
    client.resume();
    for (let i = 0; i < 5; i++) socket.send(Buffer.alloc(50_000, i));
    if (senderFirst) socket.close();
    accepted.destroy();
    if (!senderFirst) socket.close();
    await until(() => told.length === 5, 'all are told');
    await ended;
    await until(() => readdirSync('/proc/self/fd').length < before, 'the descriptors are closed');
  }
  t.pass('both ended');
});

t.test('what is no socket, no memory or no outlet is refused', { skip }, async (t) => {
  t.equal(sendSocket(-1, { pieceSent: () => undefined }), undefined);
  const { fd } = await socketPair(t, 'unix');
  const outlet = binding.openOutlet(fd);
  const thread = binding.openSender(new Uint32Array(4), () => undefined);
  t.throws(() => binding.openSender(new Uint32Array(0), () => undefined), TypeError);
  t.throws(() => binding.sendPiece(thread, outlet, new Uint8Array(0)), TypeError);
  t.throws(() => binding.sendPiece(thread, {} as never, new Uint8Array(1)), TypeError);
  t.throws(() => binding.sendPiece(5 as never, outlet, new Uint8Array(1)), TypeError);
  t.throws(() => binding.isOutletDrained({} as never), TypeError);
  binding.closeOutlet(outlet);
  t.throws(() => binding.closeOutlet(outlet), TypeError);
  t.throws(() => binding.sendPiece(thread, outlet, new Uint8Array(1)), TypeError);
});
