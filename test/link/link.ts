// One link between two sites: handshake, stream, answers, ends and reconnection.

import t from 'tap';
import { LINK_BACKOFF_MAX_MS, LINK_BACKOFF_MIN_MS, LINK_DEAD_MS } from '../../src/core/limits.js';
import { Random } from '../helpers/random.js';
import { World } from './world.js';

const STREAMING = 'connected streaming | connected streaming';

t.test('a blank secondary is adopted and gets every record', async (t) => {
  const world = new World();
  for (let i = 0; i < 20; i++) world.a.group.append(10, 4096);
  world.append(world.a, 1, 1 << 20);
  await world.start();
  t.equal(`${world}`, STREAMING);
  t.same(world.b.group.records, world.a.group.records);
  t.same(world.a.group.progress, { received: 201, durable: 201, applied: 201 });
  t.equal(world.a.link.state().rule, 'C6');
  t.equal(world.b.link.state().rule, 'C6');
  t.equal(world.a.link.state().remoteRole, 'secondary');
  t.equal(world.a.link.state().sentLsn, 201);
  world.append(world.a, 5, 512);
  world.append(world.a, 3, 0);
  await world.settle();
  t.equal(world.a.group.progress.applied, 209);
  await world.stop();
  t.same(world.a.group.events, ['streaming b 1', 'gone b']);
  t.equal(world.b.group.leased, 0, 'every leased batch came back');
  const { sentBytes, sentRecords, connects, resentRecords } = world.a.link.counters;
  t.match(world.b.link.counters, { receivedRecords: 209, connects: 1 });
  const missing = sentBytes - world.b.link.counters.receivedBytes;
  t.ok(missing > 0 && missing < 400, 'all but the hello, which the listener read, and the bye');
  t.same({ sentRecords, connects, resentRecords }, { sentRecords: 209, connects: 1, resentRecords: 0 });
});

t.test('any fragmentation gives the same stream', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const sizes: [string, () => number][] = [
    ['one byte at a time', () => 1],
    ['a few bytes', () => 1 + random.below(40)],
    ['up to 100 KiB', () => 1 + random.below(100_000)],
  ];
  for (const [title, pieceBytes] of sizes) {
    const world = new World();
    world.network.pieceBytes = pieceBytes;
    for (let i = 0; i < (title.startsWith('up') ? 200 : 5); i++) {
      const payloadBytes = title.startsWith('up') ? 512 << random.below(11) : 512;
      world.a.group.append(Math.max(1, Math.min(1 + random.below(42), (1 << 20) / payloadBytes)), payloadBytes);
    }
    await world.start();
    t.equal(`${world}`, STREAMING, title);
    t.same(world.b.group.records, world.a.group.records);
    await world.stop();
  }
});

t.test('a stream cut after any byte, in either direction, is taken up again without loss', async (t) => {
  const lengths = await oneSession();
  let wrong = 0;
  for (const [direction, length] of lengths.entries()) {
    for (let cut = 0; cut < length; cut++) {
      const world = smallWorld();
      world.network.onConnect = (dialer) => {
        if (world.network.connects > 1) return;
        (direction === 0 ? dialer : dialer.other).cutAtBytes = cut;
      };
      await world.start();
      await world.advance(3000);
      if (`${world}` !== STREAMING || !isComplete(world) || world.network.connects !== 2) wrong++;
      if (world.b.group.leased !== 0) wrong++;
    }
  }
  t.ok(lengths[0] > 1300 && lengths[1] > 150, `${lengths}`);
  t.equal(wrong, 0);
});

t.test('any bit flipped on the way ends the session, and the next one completes the copy', async (t) => {
  const lengths = await oneSession();
  const problems: string[] = [];
  for (const [direction, length] of lengths.entries()) {
    for (let atByte = 0; atByte < length; atByte++) {
      const world = smallWorld();
      world.network.onConnect = (dialer) => {
        if (world.network.connects > 1) return;
        (direction === 0 ? dialer : dialer.other).flip = { atByte, bit: atByte % 8 };
      };
      await world.start();
      const refused = [...world.a.lines, ...world.b.lines].some((line) => /^link-(refused|rejected)/.test(line));
      await world.advance(3000);
      if (!refused || `${world}` !== STREAMING || !isComplete(world)) problems.push(`${direction} ${atByte}: ${world}`);
    }
  }
  t.same(problems, []);
});

function smallWorld(): World {
  const world = new World();
  world.a.group.append(2, 512);
  return world;
}

function isComplete({ a, b }: World): boolean {
  return JSON.stringify(a.group.records) === JSON.stringify(b.group.records) && a.group.progress.applied === a.group.sealedLsn;
}

/** Bytes of a whole session of smallWorld() in both directions. */
async function oneSession(): Promise<[number, number]> {
  const world = smallWorld();
  await world.start();
  const [dialer, acceptor] = world.network.streams;
  return [dialer?.deliveredBytes ?? 0, acceptor?.deliveredBytes ?? 0];
}

t.test('heartbeats keep an idle link, silence ends it on both sides', async (t) => {
  const world = new World();
  await world.start();
  await world.advance(10 * LINK_DEAD_MS);
  t.equal(`${world}`, STREAMING);
  t.equal(world.network.connects, 1);
  for (const stream of world.network.streams) stream.isSilent = true;
  await world.advance(LINK_DEAD_MS + 600);
  t.ok([...world.a.lines, ...world.b.lines].filter((line) => /nothing heard/.test(line)).length >= 1);
  await world.advance(5000);
  t.equal(`${world}`, STREAMING, 'connected again on a new stream');
  await world.stop();
});

t.test('silence of one direction is noticed as well', async (t) => {
  for (const silent of [0, 1]) {
    const world = new World();
    await world.start();
    const stream = world.network.streams[silent];
    if (stream !== undefined) stream.isSilent = true;
    await world.advance(LINK_DEAD_MS + 5000);
    t.equal(`${world}`, STREAMING);
    t.equal(world.network.connects, 2, 'on a new stream');
    await world.stop();
  }
});

t.test('a process that stood still does not take its own silence for the other site', async (t) => {
  const world = new World();
  await world.start();
  world.clock.moveTo(world.clock.nowMs() + 10 * LINK_DEAD_MS);
  await world.advance(2000);
  t.equal(world.network.connects, 1);
  t.equal(`${world}`, STREAMING);
  await world.stop();
});

t.test('no handshake waits for ever', async (t) => {
  for (let frames = 0; frames < 5; frames++) {
    const world = smallWorld();
    const lengths = [0, 40, 150, 200, 250];
    world.network.onConnect = (dialer) => {
      const at = lengths[frames] as number;
      dialer.other.cutAtBytes = Number.POSITIVE_INFINITY;
      const stop = (): boolean => dialer.other.deliveredBytes + dialer.deliveredBytes >= at;
      world.network.pieceBytes = () => {
        if (stop()) dialer.isSilent = dialer.other.isSilent = true;
        return 20;
      };
    };
    await world.start();
    t.notMatch(`${world}`, /connected/, `${lengths[frames]} bytes`);
    world.network.onConnect = undefined;
    world.network.pieceBytes = () => 1000;
    await world.advance(80_000);
    t.equal(`${world}`, STREAMING);
    await world.stop();
  }
});

t.test('a dial that fails is repeated after growing, jittered delays', async (t) => {
  const world = new World();
  world.a.link.start();
  const times: number[] = [];
  for (let ms = 0; ms < 600_000; ms += 500) {
    const before = world.network.connects;
    await world.advance(500);
    if (world.network.connects > before) times.push(world.clock.nowMs());
  }
  const delays = times.slice(1).map((time, i) => time - (times[i] as number));
  t.ok(delays.length >= 9 && delays.length <= 30, `${delays}`);
  t.ok((delays[0] as number) <= 2 * LINK_BACKOFF_MIN_MS + 1000);
  t.ok(delays.every((delay) => delay >= LINK_BACKOFF_MIN_MS / 2 && delay <= LINK_BACKOFF_MAX_MS + 1000));
  t.ok(delays.slice(-4).every((delay) => delay >= LINK_BACKOFF_MAX_MS / 2));
  t.ok(new Set(delays.slice(-4)).size > 1, 'not in step');
  t.match(world.a.link.state(), { session: 'offline', reason: /b at host:7002: connection refused/ });
  await world.b.listener.start('host', 7002);
  world.b.link.start();
  await world.advance(LINK_BACKOFF_MAX_MS + 1000);
  t.equal(`${world}`, STREAMING);
  t.equal(world.a.link.state().reason, '');
  await world.stop();
});

t.test('a change of role ends the session, and only a primary dials', async (t) => {
  const world = smallWorld();
  await world.start();
  world.a.group.role = 'secondary';
  world.a.link.roleChanged();
  await world.advance(5000);
  t.equal(`${world}`, 'offline stopped | offline stopped');
  t.match(world.b.link.state().reason, /site a is secondary now/);
  t.equal(world.network.connects, 1);
  Object.assign(world.b.group, { role: 'primary', epoch: 2, incarnation: 1 });
  world.b.link.roleChanged();
  await world.settle();
  world.append(world.b, 4, 512);
  await world.settle();
  t.equal(`${world}`, STREAMING);
  t.same(world.a.group.records, world.b.group.records);
  t.equal(world.b.link.state().remoteRole, 'secondary');
  await world.stop();
});

t.test('status shows every step on the way', async (t) => {
  const world = smallWorld();
  await world.start();
  t.same(world.a.seen, ['connecting stopped', 'handshaking stopped', 'connected catchingUp', 'connected streaming']);
  t.same(world.b.seen, ['handshaking stopped', 'connected streaming']);
  await world.stop();
  t.match(world.a.link.state(), { session: 'offline', reason: 'the agent stops' });
});
