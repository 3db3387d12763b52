// What an operator does to a site of a running group: pausing links and resyncs, turns of resyncs, other settings, and what status says
// about progress.

import t from 'tap';
import { RESYNC_ANSWER_MS } from '../../src/core/limits.js';
import { type ResyncTurn, ResyncTurns } from '../../src/core/resync-turns.js';
import type { SiteStatus } from '../../src/core/status.js';
import { SiteVerbs } from '../../src/group/site-verbs.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, type SimSiteOptions, SimWorld } from '../helpers/sim-group.js';

const MIB = 1 << 20;
const REGION = 65536;
const VOLUME = { volumeBytes: 16 * MIB };

type Pair = { world: SimWorld; a: SimSite; b: SimSite; history: History; client: SimClient; verbs: SiteVerbs };

async function pair(more: SimSiteOptions = {}): Promise<Pair> {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b'], resync: { minDwellMs: 1000 }, ...VOLUME, ...more });
  const b = await world.add('b', { sites: ['a'], role: 'secondary', ...VOLUME });
  await world.advance(5000);
  const history = new History();
  return { world, a, b, history, client: new SimClient(a, history), verbs: new SiteVerbs(a.group) };
}

const siteOf = (site: SimSite): SiteStatus => site.group.status().sites[0] as SiteStatus;

async function write({ world, client }: Pair, offset: number, bytes = 4096): Promise<void> {
  const request = client.write(0, offset, bytes);
  client.commit();
  await world.advance(50);
  if (request?.errno !== 0) throw new Error('the write was not answered');
}

/** Puts site b into its bitmap: it is away, and limits say degrade. */
async function degrade(pair_: Pair, writes: number, bytes = REGION): Promise<void> {
  const { world, verbs } = pair_;
  verbs.pause('b');
  for (let i = 0; i < writes; i++) await write(pair_, i * REGION, bytes);
  await world.advance(100);
}

const DEGRADE = { ios: { high: 3, low: 1, action: 'degrade' } } as const;

t.test('pause ends the session, the log goes on, and resume catches up from the log', async (t) => {
  const pair_ = await pair();
  const { world, a, b, history, verbs } = pair_;
  t.equal(verbs.pause('b'), true);
  t.equal(verbs.pause('b'), false, 'once is enough');
  await world.advance(200);
  t.match(siteOf(a), { session: 'offline', replication: 'paused', reason: /link to site b is paused at site a/ });
  t.equal(a.group.status().health, 'degraded');
  for (let i = 0; i < 5; i++) await write(pair_, i * 4096);
  await world.advance(120_000);
  t.match(siteOf(a), { session: 'offline', lagIos: 5, lagBytes: 5 * 4096 }, 'nobody connects');
  t.equal(verbs.resume('b'), true);
  t.equal(verbs.resume('b'), false);
  await world.advance(500);
  t.match(siteOf(a), { session: 'connected', replication: 'streaming', lagIos: 0, reason: '' });
  t.same(differences(history, history.written.length, b.image()), []);
});

t.test('a secondary can pause as well: the primary is told why', async (t) => {
  const { world, a, b } = await pair();
  new SiteVerbs(b.group).pause('a');
  await world.advance(10_000);
  t.match(siteOf(a), { session: 'refused', reason: /link to site a is paused at site b/ });
  new SiteVerbs(b.group).resume('a');
  await world.advance(120_000);
  t.match(siteOf(a), { session: 'connected', replication: 'streaming' });
});

t.test('limits act on a paused site; its resync starts when it is resumed, can be paused, and tells how far it is', async (t) => {
  const pair_ = await pair({ limits: DEGRADE });
  const { world, a, b, history, verbs } = pair_;
  await degrade(pair_, 12, 4096);
  t.match(siteOf(a), { tracking: 'bitmap', replication: 'paused', dirtyBytes: 12 * REGION, resync: null });
  t.ok(siteOf(a).lagBytes >= siteOf(a).dirtyBytes, 'the lag is no smaller than what the bitmap says');
  t.ok(siteOf(a).lagSeconds > 0);
  t.throws(() => verbs.startSync('b'), { code: 'ROLE', message: /site b .* is paused/ });
  t.equal(verbs.pauseSync('b'), true);
  t.equal(verbs.pauseSync('b'), false);
  verbs.resume('b');
  await world.advance(20_000);
  t.match(siteOf(a), {
    session: 'connected',
    replication: 'paused',
    resync: { state: 'paused', percent: 0, copiedBytes: 0, remainingBytes: 12 * 4096, etaSeconds: null },
    reason: /the resync is paused/,
  });
  verbs.set('b', { ...verbs.settings('b'), limits: {} });
  t.match(a.group.status(), { health: 'degraded', reason: /site b is paused/ }, 'no site has all of it');
  t.equal(verbs.startSync('b'), true, 'start ends a pause');
  await world.advance(15_000);
  t.match(siteOf(a), { tracking: 'log', replication: 'streaming', resync: null, dirtyBytes: 0, resyncedBytes: 12 * 4096 });
  t.same(differences(history, history.written.length, b.image()), []);
  t.throws(() => verbs.startSync('b'), { code: 'ROLE', message: /needs no resync/ });
});

t.test('a resync under a rate tells its share, rate and time; the rate can be changed while it runs', async (t) => {
  const pair_ = await pair({ limits: DEGRADE, resync: { minDwellMs: 1000, maxRate: MIB / 2, minRate: 0 } });
  const { world, a, verbs } = pair_;
  const regions = 256;
  await degrade(pair_, regions);
  verbs.resume('b');
  let least = -1;
  for (let i = 0; i < 20; i++) {
    await world.advance(1000);
    const { resync } = siteOf(a);
    if (resync === null) break;
    t.ok(resync.percent >= least && resync.percent <= 100);
    t.equal(resync.copiedBytes + resync.remainingBytes, regions * REGION);
    if (resync.seconds < 10) t.equal(resync.etaSeconds, null);
    least = resync.percent;
    if (resync.etaSeconds === null) continue;
    const expected = resync.remainingBytes / (MIB / 2);
    t.ok(Math.abs(resync.etaSeconds - expected) < 0.5 * expected + 5, `${resync.etaSeconds} s said, ${expected} s expected`);
  }
  t.ok(least > 0);
  verbs.set('b', { ...verbs.settings('b'), pace: { maxRate: 0, minRate: 0, latencyTargetMs: 0 } });
  await world.advance(5000);
  t.match(siteOf(a), { resync: null, dirtyBytes: 0 });
});

t.test('resyncs of a node take turns', async (t) => {
  const resyncTurns = new ResyncTurns(1);
  const world = new SimWorld(new Random());
  const a = await world.add('a', {
    sites: ['b', 'c'],
    limits: DEGRADE,
    resync: { minDwellMs: 1000, maxRate: MIB / 2, minRate: 0 },
    resyncTurns,
    ...VOLUME,
  });
  await world.add('b', { sites: ['a', 'c'], role: 'secondary', ...VOLUME });
  await world.add('c', { sites: ['a', 'b'], role: 'secondary', ...VOLUME });
  await world.advance(5000);
  const pair_ = { world, a, b: a, history: new History(), verbs: new SiteVerbs(a.group), client: undefined as unknown as SimClient };
  pair_.client = new SimClient(a, pair_.history);
  pair_.verbs.pause('c');
  await degrade(pair_, 128);
  pair_.verbs.resume('b');
  await world.advance(500);
  pair_.verbs.resume('c');
  await world.advance(2000);
  const states = (): (string | undefined)[] => a.group.status().sites.map(({ resync }) => resync?.state);
  t.same(states(), ['running', 'waiting']);
  t.match(a.group.status().sites[1]?.reason, /waits for its turn: 1 resyncs run at a time on this node \(resync_parallel\)/);
  pair_.verbs.pauseSync('b');
  await world.advance(500);
  t.same(states(), ['paused', 'running'], 'a paused resync holds no place');
  pair_.verbs.resumeSync('b');
  await world.advance(60_000);
  t.same(states(), [undefined, undefined]);
});

t.test(
  'a site that makes nothing of its resync durable gives its turn up, with a reason; one that is paused or slow does not',
  async (t) => {
    const resyncTurns = new ResyncTurns(1);
    const world = new SimWorld(new Random());
    const resync = { minDwellMs: 1000, maxRate: MIB / 2, minRate: 0 };
    const a = await world.add('a', { sites: ['b', 'c'], limits: DEGRADE, resync, resyncTurns, ...VOLUME });
    const b = await world.add('b', { sites: ['a', 'c'], role: 'secondary', ...VOLUME });
    await world.add('c', { sites: ['a', 'b'], role: 'secondary', ...VOLUME });
    await world.advance(5000);
    const pair_ = { world, a, b, history: new History(), verbs: new SiteVerbs(a.group), client: undefined as unknown as SimClient };
    pair_.client = new SimClient(a, pair_.history);
    pair_.verbs.pause('c');
    await degrade(pair_, 128);
    const sites = () => a.group.status().sites;
    const lost = () => a.lines.filter((line) => line.startsWith('link-lost'));
    const before = lost().length;

    // Sent little, and nothing in between: its own deadline does not run.
    pair_.verbs.resume('b');
    await world.advance(500);
    t.equal(sites()[0]?.resync?.state, 'running');
    pair_.verbs.pauseSync('b');
    await world.advance(10 * RESYNC_ANSWER_MS);
    t.match(sites()[0], { session: 'connected', resync: { state: 'paused' } });
    t.same(lost().slice(before), []);

    // Its volumes hang.
    for (const device of b.volumeDevices) device.intercept = (op) => (op.kind === 'write' || op.kind === 'zero' ? 'hang' : 0);
    pair_.verbs.resumeSync('b');
    await world.advance(500);
    pair_.verbs.resume('c');
    await world.advance(RESYNC_ANSWER_MS - 5000);
    t.same(
      sites().map(({ resync }) => resync?.state),
      ['running', 'waiting'],
      'its turn still',
    );
    await world.advance(60_000);
    t.match(sites()[1], { tracking: 'log', replication: 'streaming', resync: null });
    t.match(lost()[before], /site b made nothing of its resync durable for 120 s$/);

    for (const device of b.volumeDevices) device.intercept = undefined;
    b.crash('process');
    await b.start();
    await world.advance(120_000);
    t.match(sites()[0], { tracking: 'log', replication: 'streaming', resync: null }, 'it goes on when the site does');
  },
);

t.test('turns are given in order, and again when one ends', async (t) => {
  const turns = new ResyncTurns(2);
  const granted: string[] = [];
  const make = (name: string): ResyncTurn => ({ granted: () => granted.push(name) }) as unknown as ResyncTurn;
  const [one, two, three, four] = ['one', 'two', 'three', 'four'].map(make) as [ResyncTurn, ResyncTurn, ResyncTurn, ResyncTurn];
  for (const turn of [one, two, three, four]) turns.enter(turn);
  turns.enter(one);
  t.same(granted, ['one', 'two']);
  turns.leave(three);
  turns.leave(one);
  t.same(granted, ['one', 'two', 'four']);
  turns.leave(two);
  turns.leave(four);
  turns.enter(three);
  t.ok(turns.isRunning(three));
});

t.test('set: another mode is in force in a new session, limits at once, and only on the primary', async (t) => {
  const pair_ = await pair();
  const { world, a, b, client, verbs } = pair_;
  const before = verbs.settings('b');
  t.equal(verbs.set('b', before), false, 'nothing to change');
  t.equal(verbs.set('b', { ...before, mode: 'logged' }), true);
  t.match(siteOf(a), { mode: 'logged', effectiveMode: 'async' }, 'not before it has caught up');
  await world.advance(5000);
  t.match(siteOf(a), { mode: 'logged', effectiveMode: 'logged', replication: 'streaming' });
  b.logDevice.stopped = true;
  const held = client.write(0, 0, 4096);
  client.commit();
  await world.advance(100);
  t.equal(held?.isDone, false);
  verbs.set('b', { ...verbs.settings('b'), mode: 'async' });
  await world.settle();
  t.equal(held?.errno, 0, 'what waited for the old mode is answered');
  b.logDevice.stopped = false;
  await world.advance(5000);
  verbs.set('b', { ...verbs.settings('b'), limits: { ios: { high: 1, low: 0, action: 'throttle' } } });
  b.logDevice.stopped = true;
  await write(pair_, 0);
  await write(pair_, 0);
  t.equal(client.write(0, 0, 4096) === undefined, true);
  verbs.set('b', { ...verbs.settings('b'), limits: {} });
  t.ok(client.write(0, 0, 4096), 'without limits nobody waits');
  t.throws(() => new SiteVerbs(b.group).settings('a'), { code: 'ROLE', message: /secondary here/ });
  t.throws(() => verbs.pause('x'), { code: 'NOT_FOUND' });
});

t.test('status says when the log is full at the rate of now', async (t) => {
  const pair_ = await pair({ logFull: 'throttle' });
  const { world, a, client, verbs } = pair_;
  t.equal(a.group.status().logFullEtaSeconds, null);
  verbs.pause('b');
  for (let i = 0; i < 30; i++) {
    client.write(0, 0, 32768);
    client.commit();
    await world.advance(1000);
  }
  const status = a.group.status();
  const left = (status.log.sizeBytes - status.log.usedBytes) / 36864;
  t.ok(
    status.logFullEtaSeconds !== null && Math.abs(status.logFullEtaSeconds - left) < 0.2 * left,
    `${status.logFullEtaSeconds} of ${left}`,
  );
  t.ok(Math.abs(status.writeBytesPerSecond - 32768) < 4000, String(status.writeBytesPerSecond));
  verbs.resume('b');
  await world.advance(60_000);
  t.equal(a.group.status().logFullEtaSeconds, null);
  t.ok(a.group.status().writeBytesPerSecond < 200);
});
