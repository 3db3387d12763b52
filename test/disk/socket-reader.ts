import t, { type Test } from 'tap';
import type { SocketOwner, SocketReader } from '../../src/core/ports.js';
import { binding } from '../../src/disk/native.js';
import { readSocket } from '../../src/disk/socket-reader.js';
import { socketPair } from '../helpers/socket-pair.js';

const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(title: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${title}`);
    await pass(2);
  }
}

/** Names memory of the sizes given, the last one again and again, and notes what it is told. */
class Owner implements SocketOwner {
  readonly told: string[] = [];
  readonly #sizes: number[];
  #memory = Buffer.alloc(0);
  waitsForAll = false;
  onTold: () => void = () => undefined;

  constructor(...sizes: number[]) {
    this.#sizes = sizes;
  }

  nextBuffer(): Uint8Array {
    const size = this.#sizes.length > 1 ? this.#sizes.shift() : this.#sizes[0];
    this.#memory = Buffer.alloc(size as number);
    return this.#memory;
  }

  received(length: number): void {
    this.told.push(this.#memory.toString('latin1', 0, length));
    this.onTold();
  }

  ended(error: Error | undefined): void {
    this.told.push(`ended ${error?.message ?? ''}`.trim());
    this.onTold();
  }
}

function reader(t: Test, fd: number, owner: Owner): SocketReader {
  const made = readSocket(fd);
  made.start(owner);
  t.teardown(() => made.close());
  return made;
}

for (const kind of ['unix', 'tcp']) {
  t.test(`${kind}: each read lands in the memory asked for last, and nothing is read before resume()`, async (t) => {
    const { client, fd } = await socketPair(t, kind);
    const owner = new Owner(3, 5, 100);
    const socket = reader(t, fd, owner);
    client.write('abcdefghijkl');
    await pass(20);
    t.same(owner.told, []);
    socket.resume();
    socket.resume();
    await until('all', () => owner.told.join('').length === 12);
    t.same(owner.told, ['abc', 'defgh', 'ijkl']);
  });

  t.test(`${kind}: pausing inside a read stops the next one, pausing between two keeps what has come`, async (t) => {
    const { client, fd } = await socketPair(t, kind);
    const owner = new Owner(4);
    const socket = reader(t, fd, owner);
    owner.onTold = () => socket.pause();
    socket.resume();
    client.write('aaaabbbb');
    await pass(30);
    t.same(owner.told, ['aaaa']);
    owner.onTold = () => undefined;
    owner.waitsForAll = true;
    socket.resume();
    await until('the second', () => owner.told.length === 2);
    client.write('cc');
    await pass(30);
    socket.pause();
    client.write('cc');
    await pass(30);
    t.same(owner.told, ['aaaa', 'bbbb'], 'half of it is in memory, the other half in the socket');
    socket.resume();
    await until('the third', () => owner.told.length === 3);
    t.same(owner.told, ['aaaa', 'bbbb', 'cccc']);
  });

  t.test(`${kind}: who pauses and resumes inside a read is asked once`, async (t) => {
    const { client, fd } = await socketPair(t, kind);
    const owner = new Owner(2);
    const socket = reader(t, fd, owner);
    owner.onTold = () => {
      socket.pause();
      socket.resume();
    };
    socket.resume();
    client.write('aabbcc');
    await until('all', () => owner.told.length === 3);
    t.same(owner.told, ['aa', 'bb', 'cc']);
  });

  t.test(`${kind}: who waits for all is told once, of a stalled sender after a second`, async (t) => {
    const { client, fd } = await socketPair(t, kind);
    const owner = new Owner(3_000_000, 8);
    owner.waitsForAll = true;
    reader(t, fd, owner).resume();
    for (let i = 0; i < 3; i++) client.write(Buffer.alloc(1_000_000, 97 + i));
    await until('the long one', () => owner.told.length === 1);
    t.equal(owner.told[0], 'a'.repeat(1_000_000) + 'b'.repeat(1_000_000) + 'c'.repeat(1_000_000));
    client.write('1234');
    await pass(50);
    t.equal(owner.told.length, 1);
    await pass(1100);
    client.write('56');
    await until('a part', () => owner.told.length === 2);
    t.equal(owner.told[1], '123456');
  });

  t.test(`${kind}: what came before the end is told before it, and nothing after it`, async (t) => {
    for (const how of ['end', 'reset'] as const) {
      const { client, fd } = await socketPair(t, kind);
      const owner = new Owner(8);
      owner.waitsForAll = true;
      const socket = reader(t, fd, owner);
      socket.resume();
      client.write('abc');
      await pass(20);
      if (how === 'end') client.end();
      else if (kind === 'tcp') client.resetAndDestroy();
      else client.destroy();
      await until('the end', () => owner.told.length === 2);
      t.same(owner.told, ['abc', how === 'reset' && kind === 'tcp' ? 'ended recv ECONNRESET' : 'ended']);
      socket.pause();
      socket.resume();
      await pass(20);
      t.equal(owner.told.length, 2);
    }
  });

  t.test(`${kind}: the end of a paused one is told when it is resumed, behind all that came before`, async (t) => {
    const { client, accepted, fd } = await socketPair(t, kind);
    const owner = new Owner(2);
    const socket = reader(t, fd, owner);
    owner.onTold = () => socket.pause();
    socket.resume();
    // Unread bytes of the other side make its end a reset.
    accepted.write('unread');
    client.write('aabb');
    await until('the first', () => owner.told.length === 1);
    client.destroy();
    await pass(30);
    t.same(owner.told, ['aa']);
    socket.resume();
    await until('the second', () => owner.told.length === 2);
    t.same(owner.told, ['aa', 'bb']);
    socket.resume();
    await until('the end', () => owner.told.length === 3);
    t.match(owner.told[2], /^ended( recv (ECONNRESET|EPIPE))?$/);
  });

  t.test(`${kind}: closed inside a read or between two, it touches its memory no more; the connection ends with both`, async (t) => {
    const { client, accepted, fd } = await socketPair(t, kind);
    const owner = new Owner(2);
    const socket = reader(t, fd, owner);
    owner.onTold = () => socket.close();
    socket.resume();
    client.write('aabb');
    await until('the first', () => owner.told.length === 1);
    socket.resume();
    socket.close();
    await pass(20);
    t.same(owner.told, ['aa']);

    const second = new Owner(8);
    second.waitsForAll = true;
    const other = reader(t, fd, second);
    other.resume();
    await pass(20);
    other.close();
    client.write('cccccccc');
    await pass(20);
    t.same(second.told, []);
    const ended = new Promise((resolve) => client.on('close', resolve));
    client.resume();
    accepted.destroy();
    await ended;
  });
}

t.test('many pieces of many sizes arrive in order', async (t) => {
  const { client, fd } = await socketPair(t, 'unix');
  const sent = Buffer.alloc(4_000_000);
  for (let i = 0; i < sent.length; i++) sent[i] = (i * 7919) >> 5;
  const got: Buffer[] = [];
  let memory = Buffer.alloc(0);
  let count = 0;
  const socket = readSocket(fd);
  socket.start({
    nextBuffer: () => {
      memory = Buffer.alloc([1, 28, 70_000, 300_000, 5][count++ % 5] as number);
      return memory;
    },
    get waitsForAll() {
      return memory.length > 1000;
    },
    received: (length) => {
      got.push(memory.subarray(0, length));
      if (count % 7 === 0) {
        socket.pause();
        setImmediate(() => socket.resume());
      }
    },
    ended: () => undefined,
  });
  t.teardown(() => socket.close());
  socket.resume();
  for (let at = 0; at < sent.length; at += 333_333) client.write(sent.subarray(at, at + 333_333));
  client.end();
  await until('all', () => got.reduce((sum, part) => sum + part.length, 0) === sent.length);
  t.ok(Buffer.concat(got).equals(sent));
});

t.test('what cannot be read is refused', (t) => {
  t.throws(() => readSocket(-1), { code: 'FAILED', message: /EBADF/ });
  const receiver = binding.openReceiver.bind(binding);
  t.throws(() => receiver(0, 5 as unknown as () => void), TypeError);
  t.throws(() => binding.receive({} as never, new Uint8Array(1), 1), TypeError);
  t.end();
});

t.test('memory that is none, or less than is waited for, is refused', async (t) => {
  const { fd } = await socketPair(t, 'unix');
  const receiver = binding.openReceiver(fd, () => undefined);
  t.teardown(() => binding.closeReceiver(receiver));
  for (const [memory, least] of [
    [new Uint8Array(0), 1],
    [new Uint8Array(4), 5],
    [new Uint8Array(4), 0],
    [new Float64Array(4) as unknown as Uint8Array, 1],
  ] as const)
    t.throws(() => binding.receive(receiver, memory, least), TypeError);
});
