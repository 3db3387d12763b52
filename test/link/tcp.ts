// The same links over real sockets.

import t from 'tap';
import type { Clock, Log } from '../../src/core/ports.js';
import { SiteLink } from '../../src/link/link.js';
import { Listener } from '../../src/link/listener.js';
import type { ByteStream } from '../../src/link/ports.js';
import { tcpNetwork } from '../../src/link/tcp.js';
import { mustRun } from '../helpers/command.js';
import { FakeGroup } from './fake-group.js';

const clock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (fn) => void setImmediate(fn),
};
const log: Log = { info: () => {}, warn: () => {}, error: () => {} };

async function until(title: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${title}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Two connected ends of one TCP stream. */
async function pair(): Promise<{ dialer: ByteStream; acceptor: ByteStream; close(): Promise<void> }> {
  let acceptor: ByteStream | undefined;
  const server = await tcpNetwork.listen('127.0.0.1', 0, (stream) => {
    acceptor = stream;
  });
  const dialer = await tcpNetwork.connect('127.0.0.1', server.port, 5000);
  await until('accepted', () => acceptor !== undefined);
  return { dialer, acceptor: acceptor as ByteStream, close: server.close };
}

/** Collects what a stream receives into memory of `memoryBytes` at a time. */
function collect(stream: ByteStream, memoryBytes: number, into: number[]): void {
  let memory = new Uint8Array(0);
  stream.onReceive(
    () => {
      memory = new Uint8Array(memoryBytes);
      return memory;
    },
    (length) => {
      for (let i = 0; i < length; i++) into.push(memory[i] as number);
    },
  );
}

t.test('both ends on one machine: nothing is paced, whatever the system does by default', async (t) => {
  const { dialer, acceptor, close } = await pair();
  const lines = (await mustRun('ss', ['-HtiO'])).split('\n').filter((line) => line.includes(`${dialer.remote} `));
  t.equal(lines.length, 2, 'both sockets are shown');
  for (const line of lines) t.match(line, /\b(cubic|reno)\b/);
  dialer.destroy();
  acceptor.destroy();
  await close();
});

t.test('two sites over TCP: long and short records, a restart, an orderly stop', async (t) => {
  const a = new FakeGroup('a', 'primary');
  const b = new FakeGroup('b', 'secondary');
  const config = { host: '127.0.0.1', mode: 'async', onDisconnect: 'continue', logFull: 'bitmap' } as const;
  const shared = { network: tcpNetwork, clock, random: Math.random, insecure: false, log };
  const linkB = new SiteLink({ ...shared, group: b, config: { ...config, name: 'a', port: 1 } });
  const listener = new Listener({ ...shared, site: 'b', lookup: () => ({ linkFor: () => linkB }) });
  const port = await listener.start('127.0.0.1', 0);
  const linkA = new SiteLink({ ...shared, group: a, config: { ...config, name: 'b', port } });
  for (let i = 0; i < 50; i++) a.append(i % 3 === 0 ? 1 : 30, i % 3 === 0 ? 1 << 20 : 512);
  linkB.start();
  linkA.start();
  await until('all applied', () => a.progress.applied === a.sealedLsn);
  t.same(b.records, a.records);
  t.equal(linkA.state().insecure, false);
  t.equal(linkA.state().replication, 'streaming');
  await linkB.stop();
  await until('the bye', () => linkA.state().session !== 'connected');
  a.append(5, 65536);
  linkB.start();
  await until('applied after the restart', () => a.progress.applied === a.sealedLsn);
  t.same(b.records, a.records);
  t.equal(linkA.counters.connects, 2);
  t.equal(linkA.counters.resentRecords, 0);
  await linkA.stop();
  await linkB.stop();
  await listener.close();
  t.equal(b.leased, 0);
});

t.test('nothing is lost when a stream changes hands, whatever arrived before', async (t) => {
  const { dialer, acceptor, close } = await pair();
  const expected = Array.from({ length: 30_000 }, (_, i) => i % 251);
  dialer.write([Uint8Array.from(expected.slice(0, 10_000))], undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const got: number[] = [];
  collect(acceptor, 777, got);
  await until('first part', () => got.length === 10_000);
  // The first owner's memory is already with the socket when the second one registers.
  collect(acceptor, 100, got);
  dialer.write([Uint8Array.from(expected.slice(10_000, 10_050)), Uint8Array.from(expected.slice(10_050))], undefined);
  await until('second part', () => got.length === 30_000);
  t.same(got, expected);
  dialer.destroy();
  acceptor.destroy();
  await close();
});

t.test('a paused stream delivers at most one more read, and resumes', async (t) => {
  const { dialer, acceptor, close } = await pair();
  const got: number[] = [];
  collect(acceptor, 1000, got);
  dialer.write([new Uint8Array(500)], undefined);
  await until('the first bytes', () => got.length === 500);
  acceptor.pause();
  dialer.write([new Uint8Array(50_000)], undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.ok(got.length <= 1500, `${got.length} bytes`);
  acceptor.resume();
  await until('all', () => got.length === 50_500);
  dialer.destroy();
  acceptor.destroy();
  await close();
});

t.test('sent is called in order, and a full stream says so and drains', async (t) => {
  const { dialer, acceptor, close } = await pair();
  acceptor.onReceive(
    () => new Uint8Array(1 << 16),
    () => {},
  );
  acceptor.pause();
  const order: number[] = [];
  let isDrained = false;
  dialer.onDrain(() => {
    isDrained = true;
  });
  let isRoom = true;
  let written = 0;
  for (; isRoom && written < 100; written++) {
    const number = written;
    isRoom = dialer.write([new Uint8Array(1 << 20)], () => order.push(number));
  }
  t.equal(isRoom, false);
  t.ok(written >= 4 && written < 20, `${written} MiB`);
  acceptor.resume();
  await until('drained', () => isDrained);
  await until('sent', () => order.length === written);
  t.same(
    order,
    [...order].sort((x, y) => x - y),
  );
  dialer.destroy();
  acceptor.destroy();
  await close();
});

t.test('the end of one side is told to the other, once, and not to the side that ended it', async (t) => {
  const { dialer, acceptor, close } = await pair();
  collect(acceptor, 100, []);
  collect(dialer, 100, []);
  const ends: string[] = [];
  dialer.onClose(() => ends.push('dialer'));
  acceptor.onClose(() => ends.push('acceptor'));
  dialer.destroy();
  await until('told', () => ends.length > 0);
  t.equal(acceptor.write([new Uint8Array(10)], undefined), false, 'a closed stream takes nothing');
  acceptor.destroy();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.same(ends, ['acceptor']);
  t.match(acceptor.remote, /^127\.0\.0\.1:\d+$/);
  await close();
});

t.test('an address where nobody listens, or somebody does already, gives an LvrError with the address', async (t) => {
  const { dialer, acceptor, close } = await pair();
  const port = Number(dialer.remote.replace(/.*:/, ''));
  await t.rejects(
    tcpNetwork.listen('127.0.0.1', port, () => {}),
    { code: 'FAILED', message: new RegExp(`127.0.0.1:${port}.*EADDRINUSE`) },
  );
  dialer.destroy();
  acceptor.destroy();
  await close();
  await t.rejects(tcpNetwork.connect('127.0.0.1', port, 1000), { code: 'FAILED', message: new RegExp(`127.0.0.1:${port}.*ECONNREFUSED`) });
});
