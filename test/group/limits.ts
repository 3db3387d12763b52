// Fall-behind limits in a group: what each action does to writers, when it ends, what is told, and that nobody else is concerned.

import t from 'tap';
import type { FallBehindAction, FallBehindLimits } from '../../src/core/fall-behind.js';
import type { OnDisconnect } from '../../src/core/group-config.js';
import type { SiteStatus } from '../../src/core/status.js';
import { SiteVerbs } from '../../src/group/site-verbs.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, type SimSiteOptions, SimWorld } from '../helpers/sim-group.js';

const HIGH = 5;
const LOW = 2;
const EIO = 5;

type Triple = { world: SimWorld; a: SimSite; b: SimSite; c: SimSite; history: History; client: SimClient };

/** Primary a with sites b and c; the limits are for both, and c keeps up. */
async function triple(limits: FallBehindLimits, more: SimSiteOptions = {}): Promise<Triple> {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b', 'c'], limits, ...more });
  const b = await world.add('b', { sites: ['a', 'c'], role: 'secondary' });
  const c = await world.add('c', { sites: ['a', 'b'], role: 'secondary' });
  await world.advance(5000);
  const history = new History();
  return { world, a, b, c, history, client: new SimClient(a, history) };
}

function siteOf(site: SimSite, name: string): SiteStatus {
  const status = site.group.status().sites.find((other) => other.site === name);
  if (status === undefined) throw new Error(`no site ${name}`);
  return status;
}

const ofIos = (action: FallBehindAction): FallBehindLimits => ({ ios: { high: HIGH, low: LOW, action } });

/** Lets site b fall `count` writes behind. */
async function fallBehind({ world, b, client }: Triple, count: number): Promise<void> {
  b.logDevice.stopped = true;
  for (let i = 0; i < count; i++) {
    client.write(0, i * 4096, 4096);
    client.commit();
    await world.advance(50);
  }
}

t.test('throttle: no further write is admitted until the site is below the low mark; reads and flushes go on', async (t) => {
  const triple_ = await triple(ofIos('throttle'));
  const { world, a, b, client, history } = triple_;
  await fallBehind(triple_, HIGH);
  t.match(siteOf(a, 'b').limits, { crossed: [], action: '' }, 'the high mark itself is allowed');
  t.equal(a.group.status().health, 'healthy');
  await fallBehind(triple_, 1);
  t.match(siteOf(a, 'b'), {
    limits: { crossed: ['max_ios'], action: 'throttle' },
    reason: /more than 5 writes behind \(max_ios, throttle until 2 writes\)/,
  });
  t.match(siteOf(a, 'c').limits, { crossed: [], action: '' });
  t.match(a.group.status(), { health: 'degraded', reason: /site b .* \(writers wait for it\)/ });
  t.equal(client.write(0, 0, 4096), undefined, 'a short write');
  t.equal(client.write(0, 0, 8192, false, 2), undefined, 'a long write');
  t.equal(client.discard('trim', 0, 0, 4096), undefined, 'a discard');
  t.equal(a.group.logFullSince, 0, 'the log is not full');
  client.waitForRoom();
  await world.advance(200);
  t.ok(client.isShortOfRoom);
  const read = client.read(0, 0, 4096);
  const flush = client.flush();
  client.commit();
  await world.advance(50);
  t.same([read.errno, flush.errno], [0, 0]);
  await world.advance(1000);
  const waited = a.group.resyncs.limits.throttledSeconds;
  t.ok(waited >= 1, 'the wait is counted');
  b.logDevice.stopped = false;
  await world.advance(200);
  t.notOk(client.isShortOfRoom, 'waiters are told');
  t.match(siteOf(a, 'b').limits, { crossed: [], action: '', seconds: 0 });
  const write = client.write(0, 0, 4096);
  client.commit();
  await world.advance(200);
  t.equal(write?.errno, 0);
  t.same(differences(history, history.written.length, b.image()), []);
  const events = a.lines.filter((line) => /limit-(crossed|ended)/.test(line));
  t.equal(events.length, 2, events.join('\n'));
});

t.test('between the marks a limit stays as it is', async (t) => {
  const triple_ = await triple({ ios: { high: HIGH, low: 0, action: 'alert' } });
  const { world, a, b } = triple_;
  await fallBehind(triple_, HIGH);
  t.same(siteOf(a, 'b').limits.crossed, []);
  await fallBehind(triple_, 1);
  t.same(siteOf(a, 'b').limits.crossed, ['max_ios']);
  t.equal(siteOf(a, 'b').limits.action, 'alert');
  b.logDevice.stopped = false;
  await world.advance(200);
  t.same(siteOf(a, 'b').limits.crossed, []);
});

t.test('sync: a new write is answered when the site has it durably, and as before once the site is below the low mark', async (t) => {
  const triple_ = await triple(ofIos('sync'));
  const { world, a, b, client } = triple_;
  await fallBehind(triple_, HIGH + 1);
  t.match(siteOf(a, 'b'), { mode: 'async', effectiveMode: 'logged', limits: { action: 'sync' } });
  t.equal(siteOf(a, 'c').effectiveMode, 'async');
  const write = client.write(0, 0, 4096);
  client.commit();
  await world.advance(1000);
  t.equal(write?.isDone, false);
  b.logDevice.stopped = false;
  await world.advance(200);
  t.equal(write?.errno, 0);
  t.equal(siteOf(a, 'b').effectiveMode, 'async');
});

t.test('fail: writes are answered EIO until the site is below the low mark', async (t) => {
  const triple_ = await triple(ofIos('fail'));
  const { world, b, client } = triple_;
  await fallBehind(triple_, HIGH + 1);
  const write = client.write(0, 0, 4096);
  const long = client.write(0, 8192, 8192, false, 2);
  client.commit();
  await world.settle();
  t.same([write?.errno, long?.errno], [EIO, EIO]);
  b.logDevice.stopped = false;
  await world.advance(200);
  const after = client.write(0, 0, 4096);
  client.commit();
  await world.advance(50);
  t.equal(after?.errno, 0);
});

t.test('degrade: that site alone is tracked by a bitmap, once, and comes back by a resync', async (t) => {
  const triple_ = await triple(ofIos('degrade'), { resync: { minDwellMs: 1000 } });
  const { world, a, b, client, history } = triple_;
  await fallBehind(triple_, HIGH + 1);
  await world.advance(20);
  t.match(siteOf(a, 'b'), { tracking: 'bitmap', limits: { crossed: ['max_ios'], action: 'degrade' } });
  t.ok(siteOf(a, 'b').dirtyBytes > 0);
  t.match(siteOf(a, 'c'), { tracking: 'log', replication: 'streaming', dirtyBytes: 0 });
  t.match(a.group.status().health, 'degraded');
  for (let i = 0; i < 20; i++) {
    t.ok(client.write(0, i * 4096, 4096), 'writers do not wait');
    client.commit();
    await world.advance(20);
  }
  b.logDevice.stopped = false;
  await world.advance(60_000);
  t.match(siteOf(a, 'b'), { tracking: 'log', replication: 'streaming', dirtyBytes: 0, limits: { crossed: [], action: '' } });
  t.equal(a.lines.filter((line) => line.includes('bitmap-mode')).length, 1);
  t.same(differences(history, history.written.length, b.image()), []);
});

t.test('max_age: time alone crosses it', async (t) => {
  const limits: FallBehindLimits = { ageMs: { high: 1000, low: 500, action: 'throttle' } };
  const triple_ = await triple(limits);
  const { world, a, b, client } = triple_;
  await world.advance(10_000);
  t.same(siteOf(a, 'b').limits.crossed, [], 'an idle group is not behind');
  await fallBehind(triple_, 1);
  await world.advance(800);
  t.same(siteOf(a, 'b').limits.crossed, []);
  await world.advance(300);
  t.match(siteOf(a, 'b').limits, { crossed: ['max_age'], action: 'throttle' });
  t.equal(client.write(0, 0, 4096), undefined);
  b.logDevice.stopped = false;
  await world.advance(200);
  t.same(siteOf(a, 'b').limits.crossed, []);
  t.ok(client.write(0, 0, 4096));
});

for (const onDisconnect of ['continue', 'block', 'fail'] as const satisfies readonly OnDisconnect[]) {
  t.test(`throttle and sync while the site is away: on_disconnect = ${onDisconnect}`, async (t) => {
    for (const action of ['throttle', 'sync'] as const) {
      const triple_ = await triple(ofIos(action), { onDisconnect });
      const { world, a, b, client } = triple_;
      await fallBehind(triple_, HIGH + 1);
      t.equal(siteOf(a, 'b').limits.action, action);
      b.crash('power');
      await world.advance(100);
      t.same(siteOf(a, 'b').limits.crossed, ['max_ios'], 'it is behind all the same');
      t.equal(siteOf(a, 'b').limits.action, { continue: '', block: action, fail: 'fail' }[onDisconnect]);
      const write = client.write(0, 0, 4096);
      client.commit();
      await world.advance(50);
      const waits = action === 'throttle' ? undefined : false;
      t.equal(write?.isDone, { continue: true, block: waits, fail: true }[onDisconnect]);
      if (onDisconnect === 'fail') t.equal(write?.errno, EIO);
    }
  });
}

t.test('max_bytes counts payload, and a demoted group forgets', async (t) => {
  const triple_ = await triple({ bytes: { high: 8192, low: 4096, action: 'alert' } });
  const { world, a, b, client } = triple_;
  await fallBehind(triple_, 2);
  t.same(siteOf(a, 'b').limits.crossed, []);
  await fallBehind(triple_, 1);
  t.same(siteOf(a, 'b').limits.crossed, ['max_bytes']);
  b.logDevice.stopped = false;
  await world.advance(200);
  client.disconnect();
  await world.drive(a.group.demote());
  await world.advance(1000);
  for (const site of a.group.status().sites) t.match(site.limits, { crossed: [], action: '' });
});

t.test('max_age: a long one is crossed as well while writes go on all the time', async (t) => {
  const triple_ = await triple({ ageMs: { high: 300_000, low: 200_000, action: 'alert' } });
  const { world, a, b, client } = triple_;
  b.logDevice.stopped = true;
  const began = world.clock.nowMs();
  const behindFor = async (ms: number): Promise<readonly string[]> => {
    while (world.clock.nowMs() - began < ms) {
      client.write(0, 0, 4096);
      client.commit();
      await world.advance(1000);
    }
    return siteOf(a, 'b').limits.crossed;
  };
  t.same(await behindFor(295_000), []);
  t.same(await behindFor(320_000), ['max_age']);
});

t.test('throttle ends when a bitmap tracks the site, also where a paused link has nothing to say', async (t) => {
  const world = new SimWorld(new Random());
  // It is crossed when more than seven eighths of the log are used, so that the site is folded then.
  const limits: FallBehindLimits = { ios: { high: 230, low: 10, action: 'throttle' } };
  const a = await world.add('a', { sites: ['b'], limits, onDisconnect: 'block', logBytes: 17 << 20 });
  await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  new SiteVerbs(a.group).pause('b');
  await world.advance(1000);
  for (let i = 0; i < 231; i++) {
    client.write(0, 0, 65536, false, 1);
    client.commit();
    await world.advance(10);
  }
  await world.advance(30_000);
  t.match(siteOf(a, 'b'), { tracking: 'bitmap', limits: { crossed: ['max_ios'], action: '' } });
  t.ok(
    a.lines.some((line) => line.startsWith('limit-crossed ')),
    'it was crossed',
  );
  t.equal(a.group.sites.throttled, false);
  t.ok(client.write(0, 0, 4096), 'writers go on');
});
