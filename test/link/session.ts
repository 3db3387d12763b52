// What two sites agree on when they meet, and what happens when they do not.

import t from 'tap';
import { LINK_BACKOFF_MAX_MS, LINK_HELLO_MS, LINK_PREPARE_MS } from '../../src/core/limits.js';
import type { SiteHistory } from '../../src/core/reconnect.js';
import {
  decodeHello,
  decodePlan,
  encodeAck,
  encodeDurable,
  encodePlan,
  encodeReady,
  type Hello,
  historyDigest,
} from '../../src/format/wire.js';
import { FakeGroup } from './fake-group.js';
import { helloFrame, primaryHistory, RawPeer } from './raw-peer.js';
import { World } from './world.js';

/** b gets the same `count` records as a, as if an earlier session had brought them. */
async function share(world: World, count: number): Promise<void> {
  const { a, b } = world;
  for (let i = 0; i < count; i++) a.group.append(1, 512);
  Object.assign(b.group, { blank: false, groupUuid: a.group.groupUuid, epoch: 1, loggedLsn: count, appliedLsn: count });
  b.group.records = [...a.group.records];
  b.group.lineage = a.group.lineage.map((entry) => ({ ...entry, own: false }));
}

function write(group: FakeGroup, epoch: number, count: number): void {
  Object.assign(group, { epoch, incarnation: 100 * epoch + group.site.charCodeAt(0) });
  for (let i = 0; i < count; i++) group.append(1, 512);
}

/** Records received but neither applied nor written by this site. */
function unapplied(group: FakeGroup, lsn: number): void {
  group.appliedLsn = lsn;
  group.lineage = group.lineage.map((entry) => ({ ...entry, own: false }));
}

type Row = {
  readonly rule: string;
  readonly code: string;
  readonly roleB: 'primary' | 'secondary';
  readonly make: (a: FakeGroup, b: FakeGroup) => void;
};

const REFUSED: readonly Row[] = [
  { rule: 'C1', code: 'UNRELATED', roleB: 'secondary', make: (_a, b) => (b.groupUuid = 'cd'.repeat(16)) },
  { rule: 'C3', code: 'DIVERGED', roleB: 'primary', make: (_a, b) => write(b, 1, 1) },
  {
    rule: 'C5',
    code: 'DIVERGED',
    roleB: 'primary',
    make: (a, b) => {
      write(a, 1, 2);
      write(b, 2, 1);
    },
  },
  {
    rule: 'C7',
    code: 'NEEDS_SEED',
    roleB: 'secondary',
    make: (a, b) => Object.assign(a, { trimmed: 2 }) && Object.assign(b, new FakeGroup('b', 'secondary')),
  },
  {
    rule: 'C9',
    code: 'DIVERGED',
    roleB: 'secondary',
    make: (a, b) => {
      write(a, 1, 1);
      write(b, 2, 1);
    },
  },
  {
    rule: 'C10',
    code: 'NEEDS_SEED',
    roleB: 'secondary',
    make: (a) => (a.lineage = [{ epoch: 1, incarnation: 9, startLsn: 3, own: true }]),
  },
  {
    rule: 'C11',
    code: 'DIVERGED',
    roleB: 'secondary',
    make: (a, b) => {
      write(b, 1, 1);
      write(a, 2, 1);
    },
  },
  {
    rule: 'C12',
    code: 'DIVERGED',
    roleB: 'secondary',
    make: (a, b) => {
      write(b, 1, 1);
      unapplied(b, 4);
      write(a, 2, 1);
    },
  },
  {
    rule: 'C13',
    code: 'NEEDS_SEED',
    roleB: 'secondary',
    make: (a) => {
      write(a, 1, 2);
      a.trimmed = 4;
    },
  },
];

t.test('a refusal is shown on both sides with rule and reason, changes nothing, and is tried again', async (t) => {
  for (const { rule, code, roleB, make } of REFUSED) {
    const world = new World('primary', roleB);
    await share(world, 3);
    make(world.a.group, world.b.group);
    const before = JSON.stringify([world.a.group.history(), world.b.group.history()]);
    await world.start();
    await world.advance(3000);
    t.equal(`${world}`, `refused stopped ${code} | refused stopped ${code}`, rule);
    t.equal(world.a.link.state().rule, rule);
    t.equal(world.b.link.state().rule, rule);
    t.ok(world.a.link.state().reason.length > 10);
    t.equal(JSON.stringify([world.a.group.history(), world.b.group.history()]), before);
    t.same([...world.a.group.prepared, ...world.b.group.prepared], []);
    const { connects } = world.network;
    await world.advance(LINK_BACKOFF_MAX_MS + 1000);
    t.ok(world.network.connects > connects);
    t.equal(world.a.lines.filter((line) => line.startsWith('link-refused')).length, 1, 'said once');
    await world.stop();
  }
});

t.test('a secondary with a prefix is caught up from the next record, also when that is inside a batch', async (t) => {
  const world = new World();
  await share(world, 3);
  world.a.group.append(20, 4096);
  const batch = world.a.group.append(10, 4096);
  world.b.group.records = world.a.group.records.slice(0, 26);
  Object.assign(world.b.group, { loggedLsn: 26, appliedLsn: 26 });
  await world.start();
  t.equal(world.a.link.state().rule, 'C14');
  t.same(world.a.group.events, ['streaming b 27']);
  t.same(world.b.group.records, world.a.group.records);
  t.equal(world.a.link.counters.sentRecords, batch.lastLsn - 26, 'only what was missing');
  await world.stop();
});

t.test('records that nobody knows to be durable are cut, and what the primary has instead follows', async (t) => {
  const world = new World();
  await share(world, 3);
  write(world.b.group, 1, 2);
  unapplied(world.b.group, 3);
  write(world.a.group, 2, 4);
  await world.start();
  t.equal(`${world}`, 'connected streaming | connected streaming');
  t.match(world.b.group.prepared, [{ rule: 'C14', cut: true, from: 4 }]);
  t.same(world.b.group.records, world.a.group.records);
  t.same(
    world.b.group.lineage.map((e) => e.startLsn),
    [1, 4],
  );
  await world.stop();
});

t.test('two secondaries stay connected, and nothing flows', async (t) => {
  const world = new World('primary', 'secondary');
  await share(world, 2);
  await world.b.listener.start('host', 7002);
  world.b.link.start();
  const peer = await RawPeer.connect(world);
  peer.send(helloFrame({ history: { ...primaryHistory(2), role: 'secondary' } }));
  await world.settle();
  t.match(world.b.link.state(), { session: 'connected', replication: 'stopped', rule: 'C2', remoteRole: 'secondary' });
  peer.say('ack', encodeAck(0, 0, 0));
  await world.settle();
  t.match(peer.refusal, /^PROTOCOL ack of nothing/);
  await world.stop();
});

t.test('an old primary that returns steps down and becomes the new one’s secondary', async (t) => {
  for (const [older, newer] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const world = new World('primary', 'primary');
    await share(world, 3);
    write(world[newer].group, 2, 2);
    await world.start();
    await world.advance(5000);
    t.equal(`${world}`, 'connected streaming | connected streaming');
    t.equal(world[older].group.role, 'secondary');
    t.equal(world[older].group.stepDowns, 1);
    t.same(world[older].group.records, world[newer].group.records);
    t.match(world[older].group.prepared, [{ rule: 'C4' }, { rule: 'C14' }]);
    await world.stop();
  }
});

t.test('a primary that meets a secondary of a later epoch steps down', async (t) => {
  const world = new World();
  await share(world, 3);
  world.b.group.epoch = 2;
  await world.start();
  await world.advance(3000);
  t.equal(world.a.group.role, 'secondary');
  t.match(world.a.group.prepared, [{ rule: 'C8' }]);
  t.equal(`${world}`, 'offline stopped | offline stopped', 'until one is promoted');
  await world.stop();
});

t.test('a primary that wrote while the sites met does not step down', async (t) => {
  const world = new World('primary', 'primary');
  await share(world, 3);
  write(world.b.group, 2, 1);
  const history = world.a.group.history.bind(world.a.group);
  let hellos = 0;
  world.a.group.history = () => {
    const now = history();
    if (++hellos === 2) write(world.a.group, 1, 1);
    return now;
  };
  await world.start();
  await world.advance(3000);
  t.equal(world.a.group.stepDowns, 0);
  t.equal(`${world}`, 'refused stopped DIVERGED | refused stopped DIVERGED');
  await world.stop();
});

/** A raw primary whose hello was accepted by b, which holds 2 shared records. */
async function met(records = 2): Promise<{ world: World; peer: RawPeer; own: SiteHistory; theirs: SiteHistory }> {
  const world = new World();
  await share(world, records);
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
    const plan = { rule: 'C14', sender: 'a', from: 3, cut: false, adopt: false, chain };
    return { ...all, plan: { ...plan, dialerDigest: historyDigest(all.own), acceptorDigest: historyDigest(all.theirs) } };
  };
  const good = await right();
  good.peer.say('plan', encodePlan(good.plan));
  await good.world.settle();
  t.equal(good.peer.types, 'hello ready ack', 'the right one is accepted');
  await good.world.stop();

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
  await share(world, 3);
  const record = world.b.group.records[2];
  world.b.group.records[2] = { ...record, chain: 12345 } as (typeof world.b.group.records)[0];
  await world.start();
  t.equal(`${world}`, 'refused stopped DIVERGED | refused stopped DIVERGED');
  t.same(world.b.group.prepared, []);
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
  await share(slow, 2);
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
  t.equal(slow.b.group.prepared.length, 0, 'the next session waits for the work of the first');
  open();
  await slow.advance(5000);
  t.equal(`${slow}`, 'connected streaming | connected streaming');
  t.same(slow.b.group.records, slow.a.group.records);
  await slow.stop();
});

t.test('a newer session of a site replaces the older one, whose bytes are no longer delivered', async (t) => {
  const { world, peer: older, own } = await met();
  const newer = await RawPeer.connect(world);
  newer.send(helloFrame({ session: 78, history: own }));
  older.say(
    'plan',
    encodePlan({ rule: 'C14', sender: 'a', from: 3, cut: false, adopt: false, chain: 0, dialerDigest: 0, acceptorDigest: 0 }),
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
  await share(world, 2);
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
