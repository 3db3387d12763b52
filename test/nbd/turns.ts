// One connection without a socket, turn by turn: what is taken in a turn, and what arrives while answers are withheld.

import type { Socket } from 'node:net';
import t from 'tap';
import { KIB, NBD_EXTENTS_PER_TURN } from '../../src/core/limits.js';
import { Budget } from '../../src/nbd/budget.js';
import { Fences } from '../../src/nbd/fence.js';
import { KernelPeer } from '../../src/nbd/kernel-peer.js';
import { NbdMetrics } from '../../src/nbd/metrics.js';
import { Output } from '../../src/nbd/output.js';
import { ReceiveBuffer } from '../../src/nbd/receive-buffer.js';
import { Transmission } from '../../src/nbd/transmission.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { request } from '../helpers/nbd-raw-client.js';
import { FakeClock } from '../link/memory-network.js';

const [WRITE, BLOCK_STATUS, EIO] = [1, 7, 5];

/** A transmission that is fed by hand. Turns that it asks for are counted, and taken when the test says so. */
function begin(backend: MemoryBackend, isKernel: boolean) {
  const clock = new FakeClock();
  const write = (_: Uint8Array, done: () => void): boolean => {
    done();
    return true;
  };
  const socket = { writableLength: 0, cork() {}, uncork() {}, write };
  const input = new ReceiveBuffer();
  const ignore = { sent: () => undefined, written: () => undefined };
  const state = { armed: 0, isReading: true };
  const host = {
    arm: () => void state.armed++,
    setReading: (isReading: boolean) => void Object.assign(state, { isReading }),
    abort: (reason: string) => t.fail(reason),
    finish: () => undefined,
    frozen: () => undefined,
  };
  const metrics = new NbdMetrics();
  const transmission = new Transmission(
    { backend, structured: !isKernel, allocationContext: !isKernel },
    input,
    new Output(socket as unknown as Socket, ignore),
    host,
    { metrics, budget: new Budget(), fences: new Fences(clock) },
    isKernel ? new KernelPeer(clock, () => false) : undefined,
  );
  /** `bytes` arrive in memory that was offered before. */
  const arrive = (memory: Uint8Array, bytes: Uint8Array): void => {
    memory.set(bytes);
    transmission.received(bytes.length);
  };
  return { transmission, metrics, state, arrive };
}

t.test('what arrives in the turn in which the group fails, in the middle of a write, stays where it is', async (t) => {
  const backend = new MemoryBackend();
  const { transmission, state, arrive } = begin(backend, true);
  backend.completion = 'held';
  arrive(transmission.nextBuffer(), request({ type: WRITE, cookie: 1n, offset: 0, payload: Buffer.alloc(512, 1) }));
  backend.room = false;
  const long = request({ type: WRITE, cookie: 2n, offset: 4096, payload: Buffer.alloc(256 * KIB, 2) });
  arrive(transmission.nextBuffer(), long.subarray(0, 28 + 10 * KIB));
  t.equal(state.isReading, false, 'it waits for room');
  // The socket has asked for memory before it was told to wait.
  const memory = transmission.nextBuffer();
  backend.giveRoom();
  transmission.turn();
  t.equal(state.isReading, true);
  backend.unavailable = 'the group has failed';
  backend.failHeld(EIO);
  arrive(memory, long.subarray(28 + 10 * KIB, 28 + 10 * KIB + memory.length));
  t.equal(state.isReading, false, 'nothing is taken while answers are withheld');
  t.ok(transmission.nextBuffer().length > 0, 'a read that was begun before has memory');
  transmission.close();
  t.equal(backend.leased, 0);
});

t.test('the socket tells of a long payload when its piece is full, but of each read of a connection that others wait for', async (t) => {
  const backend = new MemoryBackend();
  const { transmission, state, arrive } = begin(backend, false);
  const long = request({ type: WRITE, cookie: 1n, offset: 0, payload: Buffer.alloc(256 * KIB, 2) });
  let memory = transmission.nextBuffer();
  t.equal(transmission.waitsForAll, false, 'a header may be all that comes');
  arrive(memory, long.subarray(0, 28 + KIB));
  memory = transmission.nextBuffer();
  t.same([memory.length, transmission.waitsForAll], [255 * KIB, true]);
  arrive(memory, long.subarray(28 + KIB));
  t.equal(backend.data[256 * KIB - 1], 2);

  backend.room = false;
  arrive(transmission.nextBuffer(), long.subarray(0, 28));
  t.equal(state.isReading, false, 'stalled');
  backend.giveRoom();
  transmission.turn();
  memory = transmission.nextBuffer();
  t.same([memory.length, transmission.waitsForAll], [256 * KIB, false], 'it may hold what a newer connection waits for');
  arrive(memory.subarray(0, 10), long.subarray(28, 38));
  memory = transmission.nextBuffer();
  t.same([memory.length, transmission.waitsForAll], [256 * KIB - 10, true], 'the socket was found empty');
  transmission.close();
  t.equal(backend.leased, 0);
});

t.test('a client that asks for many extents at once has its share of every turn', async (t) => {
  const backend = new MemoryBackend();
  const { transmission, metrics, state, arrive } = begin(backend, false);
  const [asked, extents] = [500, 448];
  backend.extents = () => Array.from({ length: extents }, (_, i) => ({ length: 4096, zero: i % 2 === 0 }));
  const status = request({ type: BLOCK_STATUS, cookie: 1n, offset: 0, length: backend.sizeBytes });
  arrive(transmission.nextBuffer(), Buffer.concat(Array.from({ length: asked }, () => status)));
  let turns = 1;
  for (; state.armed > 0; turns++) {
    t.equal(state.isReading, false);
    state.armed = 0;
    transmission.turn();
  }
  // The question itself counts as well.
  t.equal(turns, Math.ceil((asked * (extents + 64)) / NBD_EXTENTS_PER_TURN));
  t.equal(metrics.blockStatus.completed, asked);
  t.equal(state.isReading, true);
  transmission.close();
});
