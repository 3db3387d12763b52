// What becomes of two sites that meet, for every rule of the reconnection table that a pair of real links can come to.

import t from 'tap';
import { LINK_BACKOFF_MAX_MS } from '../../src/core/limits.js';
import { encodeAck } from '../../src/format/wire.js';
import { FakeGroup } from './fake-group.js';
import { helloFrame, primaryHistory, RawPeer } from './raw-peer.js';
import { share, World } from './world.js';

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
    share(world, 3);
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
  share(world, 3);
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
  share(world, 3);
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
  share(world, 2);
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
    share(world, 3);
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
  share(world, 3);
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
  share(world, 3);
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
