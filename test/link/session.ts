// One session frame by frame: plans, order, deadlines, replacement.

import t from 'tap';
import { LINK_BACKOFF_MAX_MS, LINK_HELLO_MS, LINK_PING_MS, LINK_PREPARE_MS } from '../../src/core/limits.js';
import type { SiteHistory } from '../../src/core/reconnect.js';
import {
  decodeBye,
  decodeHello,
  decodePlan,
  encodeAck,
  encodeDurable,
  encodePlan,
  encodeReady,
  encodeTime,
  type Hello,
  historyDigest,
} from '../../src/format/wire.js';
import { HISTORY_CHANGED } from '../../src/link/session-parts.js';
import { rawPrimary, rawSecondary } from './raw-ends.js';
import { helloFrame, primaryHistory, RawPeer } from './raw-peer.js';
import { share, World } from './world.js';

/** A raw primary whose hello was accepted by b, which holds 2 shared records. */
async function met(records = 2): Promise<{ world: World; peer: RawPeer; own: SiteHistory; theirs: SiteHistory }> {
  const world = new World();
  share(world, records);
  await world.b.listener.start('host', 7002);
  world.b.link.start();
  const peer = await RawPeer.connect(world);
  const own = { ...primaryHistory(5), site: 'a' };
  peer.send(helloFrame({ history: own }));
  await world.settle();
  const hello = decodeHello(peer.heard[0]?.meta ?? new Uint8Array(0)) as Hello;
  if (hello.session !== 77) throw new Error('the acceptor repeats the session');
  return { world, peer, own, theirs: hello.history };
}

t.test('a plan that the receiver did not come to is refused, and nothing is prepared', async (t) => {
  const right = async (): Promise<Awaited<ReturnType<typeof met>> & { plan: Parameters<typeof encodePlan>[0] }> => {
    const all = await met();
    const chain = await all.world.b.group.chainAt(2);
    const plan = {
      action: 'stream' as const,
      uuid: '',
      rule: 'C14',
      sender: 'a',
      from: 3,
      cut: false,
      adopt: false,
      chain,
      mode: 'logged' as const,
    };
    return { ...all, plan: { ...plan, dialerDigest: historyDigest(all.own), acceptorDigest: historyDigest(all.theirs) } };
  };
  const good = await right();
  good.peer.say('plan', encodePlan(good.plan));
  await good.world.settle();
  t.equal(good.peer.types, 'hello ready ack', 'the right one is accepted');
  await good.world.stop();
  const other = await right();
  other.peer.say('plan', encodePlan({ ...other.plan, mode: 'applied' }));
  await other.world.settle();
  t.equal(other.peer.types, 'hello ready ack', 'the mode is the sender’s own business');
  await other.world.stop();

  const changes: [object, RegExp][] = [
    [{ rule: 'C6' }, /^PROTOCOL .*rule/],
    [{ sender: 'b' }, /^PROTOCOL .*sender/],
    [{ from: 2 }, /^PROTOCOL .*from/],
    [{ cut: true }, /^PROTOCOL .*cut/],
    [{ adopt: true }, /^PROTOCOL .*adopt/],
    [{ dialerDigest: 1 }, /^PROTOCOL .*histories/],
    [{ acceptorDigest: 1 }, /^PROTOCOL .*histories/],
    [{ chain: good.plan.chain ^ 1 }, /^DIVERGED .*up to LSN 2/],
  ];
  for (const [change, refusal] of changes) {
    const { world, peer, plan } = await right();
    peer.say('plan', encodePlan({ ...plan, ...change }));
    await world.settle();
    t.match(peer.refusal, refusal);
    t.same(world.b.group.prepared, []);
    t.equal(world.b.link.state().session, 'refused');
    await world.stop();
  }
});

t.test('a different record below equal lineages is found by its chain value on both sides', async (t) => {
  const world = new World();
  share(world, 3);
  const record = world.b.group.records[2];
  world.b.group.records[2] = { ...record, chain: 12345 } as (typeof world.b.group.records)[0];
  await world.start();
  t.equal(`${world}`, 'refused stopped DIVERGED | refused stopped DIVERGED');
  t.same(world.b.group.prepared, []);
  await world.stop();
});

t.test('a bitmap that is gone when the other site is ready: the sites meet again, and nothing else comes of it', async (t) => {
  const { world, peer } = await rawSecondary('async', 0, { uuid: 'ef'.repeat(16), base: 0, isKept: false });
  t.equal(peer.types, 'hello plan bye');
  t.match(decodeBye(peer.heard[2]?.meta ?? new Uint8Array(0)), { reason: HISTORY_CHANGED });
  t.match(world.a.link.state(), { session: 'offline', rule: 'C18', reason: HISTORY_CHANGED });
  t.same(world.a.group.events, []);
  const { connects } = world.network;
  await world.advance(LINK_BACKOFF_MAX_MS + 1000);
  t.ok(world.network.connects > connects);
  await world.stop();
});

t.test('frames out of order end the session', async (t) => {
  for (const [type, message] of [
    ['ready', encodeReady(3)],
    ['ack', encodeAck(0, 0, 0)],
    ['durable', encodeDurable(3)],
    ['hello', helloFrame().slice(24)],
  ] as const) {
    const { world, peer } = await met();
    peer.say(type, message);
    await world.settle();
    t.match(peer.refusal, /^PROTOCOL .* out of order/, type);
    await world.stop();
  }
});

t.test('a plan that never comes, and a site that prepares for ever, end by their deadlines', async (t) => {
  const { world, peer } = await met();
  for (let ms = 0; ms < LINK_HELLO_MS; ms += 1000) {
    await world.advance(1000);
    peer.say('ping', new Uint8Array(0));
  }
  await world.advance(1000);
  t.match(world.b.link.state(), { session: 'offline', reason: /no answer from site a \(plan\)/ });
  await world.stop();

  const slow = new World();
  share(slow, 2);
  slow.a.group.append(1, 512);
  let open: () => void = () => {};
  slow.b.group.gate = new Promise((resolve) => {
    open = resolve;
  });
  await slow.start();
  await slow.advance(LINK_PREPARE_MS - 1000);
  t.equal(slow.network.connects, 1, 'heartbeats keep the session meanwhile');
  await slow.advance(1500);
  t.ok(slow.a.lines.concat(slow.a.link.state().reason).some((line) => /no answer from site b \(ready\)|no answer from site a/.test(line)));
  await slow.advance(5000);
  t.equal(slow.b.group.preparesAtOnce, 1, 'the next session waits for the work of the first');
  t.ok(slow.network.connects > 1);
  open();
  await slow.advance(5000);
  t.equal(`${slow}`, 'connected streaming | connected streaming');
  t.same(slow.b.group.records, slow.a.group.records);
  t.equal(slow.b.group.preparesAtOnceMax, 1);
  await slow.stop();
});

t.test('a site that pings and never reads costs no memory: answers that do not fit are dropped', async (t) => {
  const { world, peer } = await rawPrimary('async');
  world.network.unsentBytesMax = 100;
  const acceptor = world.network.streams.at(-1);
  if (acceptor === undefined) throw new Error('a session has two ends');
  const count = (type: string): number => peer.heard.filter((frame) => frame.type === type).length;
  acceptor.isSilent = true;
  for (let i = 0; i < 1000; i++) peer.say('ping', encodeTime(i));
  // Heartbeats of its own do not pile up either.
  for (let i = 0; i < 10; i++) {
    await world.advance(LINK_PING_MS);
    peer.say('ping', encodeTime(i));
  }
  const pings = count('ping');
  acceptor.isSilent = false;
  await world.settle();
  t.ok(count('pong') >= 1 && count('pong') <= 4, `${count('pong')} answers were kept for it`);
  t.equal(count('ping'), pings, 'no heartbeat behind a full stream');

  const before = count('pong');
  peer.say('ping', encodeTime(1));
  await world.advance(LINK_PING_MS);
  t.equal(count('pong'), before + 1, 'a stream that has drained takes answers again');
  t.equal(count('ping'), pings + 1);
  t.equal(world.b.link.state().session, 'connected');
  await world.stop();
});

t.test('a newer session of a site replaces the older one, whose bytes are no longer delivered', async (t) => {
  const { world, peer: older, own } = await met();
  const newer = await RawPeer.connect(world);
  newer.send(helloFrame({ session: 78, history: own }));
  older.say(
    'plan',
    encodePlan({
      action: 'stream',
      uuid: '',
      rule: 'C14',
      sender: 'a',
      from: 3,
      cut: false,
      adopt: false,
      chain: 0,
      dialerDigest: 0,
      acceptorDigest: 0,
      mode: 'async',
    }),
  );
  await world.settle();
  t.equal(older.isClosed, true);
  t.equal(older.types, 'hello', 'its plan was not answered');
  t.equal(newer.types, 'hello');
  t.equal(world.b.link.state().session, 'handshaking');
  await world.stop();
});

t.test('a dialer tells a wrong acceptor from the right one', async (t) => {
  const cases: [Partial<Hello>, RegExp][] = [
    [{ fromSite: 'c', toSite: 'a' }, /site c answered instead of b/],
    [{ fromSite: 'b', toSite: 'x' }, /site x was meant/],
    [{ fromSite: 'b', toSite: 'a', group: 'other' }, /group other/],
    [{ fromSite: 'b', toSite: 'a', session: 1 }, /another session/],
    [{ fromSite: 'b', toSite: 'a', protocol: 7 }, /version 7/],
  ];
  for (const [change, reason] of cases) {
    const world = new World();
    let peer: RawPeer | undefined;
    await world.network.listen('host', 7002, (stream) => {
      peer = new RawPeer(stream);
    });
    world.a.link.start();
    await world.settle();
    const hello = decodeHello(peer?.heard[0]?.meta ?? new Uint8Array(0)) as Hello;
    peer?.send(helloFrame({ session: hello.session, history: { ...primaryHistory(0), role: 'secondary' }, ...change }));
    await world.settle();
    t.match(world.a.link.state(), { session: 'refused', reason });
    await world.stop();
  }
});

t.test('a dialer sends its plan with the chain value, and no record before the answer', async (t) => {
  const world = new World();
  share(world, 2);
  world.a.group.append(3, 512);
  let peer: RawPeer | undefined;
  await world.network.listen('host', 7002, (stream) => {
    peer = new RawPeer(stream);
  });
  world.a.link.start();
  await world.settle();
  const hello = decodeHello(peer?.heard[0]?.meta ?? new Uint8Array(0)) as Hello;
  const theirs: SiteHistory = { ...primaryHistory(2), site: 'b', role: 'secondary' };
  peer?.send(helloFrame({ fromSite: 'b', toSite: 'a', session: hello.session, history: theirs }));
  await world.settle();
  t.equal(peer?.types, 'hello plan');
  const plan = decodePlan(peer?.heard[1]?.meta ?? new Uint8Array(0));
  t.match(plan, { rule: 'C14', sender: 'a', from: 3, cut: false, chain: world.a.group.records[1]?.chain });
  t.match(plan, { dialerDigest: historyDigest(hello.history), acceptorDigest: historyDigest(theirs) });
  t.same(world.a.group.events, []);
  peer?.say('ready', encodeReady(3));
  await world.settle();
  t.equal(peer?.types, 'hello plan records');
  t.equal(world.a.link.state().replication, 'catchingUp');
  peer?.say('ack', encodeAck(5, 2, 2));
  await world.settle();
  t.equal(world.a.link.state().replication, 'streaming');
  peer?.say('ack', encodeAck(6, 2, 2));
  await world.settle();
  t.match(peer?.refusal, /^PROTOCOL site b acknowledges LSN 6, sent was 5/);
  await world.stop();
});

t.test('stop waits for work that was begun for the group', async (t) => {
  const world = new World();
  let open: () => void = () => {};
  world.b.group.gate = new Promise((resolve) => {
    open = resolve;
  });
  await world.start();
  let isStopped = false;
  const stopped = world.b.link.stop().then(() => {
    isStopped = true;
  });
  await world.advance(2000);
  t.equal(isStopped, false);
  open();
  await stopped;
  t.equal(world.b.group.prepared.length, 1);
  await world.stop();
});
