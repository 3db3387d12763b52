// Two sites: acknowledgement by mode, promotion, demotion, stepping down, crashes of either, and what a site may apply.

import t from 'tap';
import type { SiteMode } from '../../src/core/group-config.js';
import { LINK_LAZY_MS, OPEN_BATCH_WRITES_MAX } from '../../src/core/limits.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { hangRecords, type SimSite, type SimSiteOptions, SimWorld } from '../helpers/sim-group.js';

type Pair = { world: SimWorld; a: SimSite; b: SimSite; history: History; client: SimClient; random: Random };

async function pair(t: Tap, mode: SiteMode, more: SimSiteOptions = {}): Promise<Pair> {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const b = await world.add('a', { sites: ['b'], mode, ...more }).then(() => world.add('b', { sites: ['a'], mode, role: 'secondary' }));
  const a = world.sites[0] as SimSite;
  await world.advance(5000);
  const history = new History();
  return { world, a, b, history, client: new SimClient(a, history), random };
}

type Tap = { comment(text: string): void };

const streaming = (site: SimSite): string =>
  site.group
    .status()
    .sites.map((s) => `${s.session} ${s.replication}`)
    .join();

/** What a write waits for in each mode: which of our log, their log, their volume being stopped holds it up. */
const HELD: Record<SiteMode, { write: string[]; flush: string[] }> = {
  async: { write: [], flush: ['own log'] },
  memory: { write: [], flush: ['own log', 'their log'] },
  logged: { write: ['own log', 'their log'], flush: ['own log', 'their log'] },
  applied: { write: ['own log', 'their log', 'their volume'], flush: ['own log', 'their log', 'their volume'] },
};

for (const mode of ['async', 'memory', 'logged', 'applied'] as const) {
  t.test(`mode ${mode}: writes and flushes wait for exactly what it says`, async (t) => {
    const { world, a, b, client } = await pair(t, mode);
    t.equal(streaming(a), 'connected streaming');
    t.equal(a.group.status().sites[0]?.effectiveMode, mode);
    const places = { 'own log': a.logDevice, 'their log': b.logDevice, 'their volume': b.volumeDevices[0] };
    for (const [name, device] of Object.entries(places)) {
      if (device === undefined) continue;
      device.stopped = true;
      const write = client.write(0, 0, 4096);
      const flush = client.flush();
      client.commit();
      await world.settle();
      t.equal(write?.isDone, !HELD[mode].write.includes(name), `write with ${name} stopped`);
      t.equal(flush.isDone, !HELD[mode].flush.includes(name), `flush with ${name} stopped`);
      device.stopped = false;
      await world.advance(10);
      t.same([write?.errno, flush.errno], [0, 0]);
    }
    await world.advance(3 * LINK_LAZY_MS);
    t.match(a.group.status().sites[0], { lagIos: 0, lagBytes: 0, ackedLsn: '3', appliedLsn: '3' });
  });
}

t.test('a site that is away: continue goes on, block holds writes, fail answers EIO, also for what is under way', async (t) => {
  for (const onDisconnect of ['continue', 'block', 'fail'] as const) {
    const { world, a, b, client, history } = await pair(t, 'logged', { onDisconnect });
    b.logDevice.stopped = true;
    const before = client.write(0, 0, 4096);
    client.commit();
    await world.settle();
    t.notOk(before?.isDone);
    b.crash('power');
    await world.advance(100);
    const during = client.write(0, 4096, 4096);
    const long = client.write(0, 8192, 8192, false, 2);
    client.commit();
    await world.settle();
    const answer = { continue: 0, block: undefined, fail: 5 }[onDisconnect];
    t.same([before?.errno, during?.errno, long?.errno], [answer, answer, answer], onDisconnect);
    t.equal(a.group.status().sites[0]?.effectiveMode, onDisconnect === 'continue' ? 'async' : 'logged');
    await b.start();
    await world.advance(120_000);
    const after = client.write(0, 0, 512);
    client.commit();
    await world.settle();
    t.equal(after?.errno, 0);
    if (onDisconnect === 'block') t.same([before?.errno, during?.errno, long?.errno], [0, 0, 0]);
    if (onDisconnect !== 'fail') t.same(differences(history, history.written.length, b.image()).slice(0, 5), []);
  }
});

t.test('a long write that lost a piece while the site was away is never answered with success', async (t) => {
  const { world, a, b } = await pair(t, 'logged', { onDisconnect: 'fail' });
  const backend = a.group.backends.get('data');
  if (backend === undefined) throw new Error('no volume');
  const epoch = backend.connect(() => {});
  const answers: number[] = [];
  const owner = { completed: (_: unknown, errno: number) => void answers.push(errno) };
  const request = { op: 'write' as const, offset: 0, length: 8192, fua: false, noHole: false, epoch, slabs: [], owner };
  b.crash('power');
  await world.advance(100);
  const first = backend.lease(4096);
  if (first === undefined) throw new Error('no memory');
  t.ok(backend.writeSlab(request, 0, first, 4096));
  await b.start();
  await world.advance(120_000);
  t.equal(streaming(a), 'connected streaming');
  const second = backend.lease(4096);
  if (second === undefined) throw new Error('no memory');
  t.ok(backend.writeSlab(request, 4096, second, 4096));
  backend.commit();
  await world.settle();
  t.same(answers, [5]);
  t.ok(backend.write({ ...request, length: 512 }, new Uint8Array(512), 0));
  backend.commit();
  await world.settle();
  t.same(answers, [5, 0]);
});

t.test('a site applies nothing that is not known durable at the primary, over a crash of either', async (t) => {
  const { world, a, b, client, history } = await pair(t, 'memory');
  hangRecords(a);
  const write = client.write(0, 0, 4096);
  client.commit();
  await world.advance(50);
  t.equal(write?.errno, 0, 'received there');
  t.same([b.group.log.durableLsn, b.group.applier.appliedLsn], [1, 0]);
  await b.restart('power');
  await world.advance(3000);
  t.same([b.group.log.durableLsn, b.group.applier.appliedLsn], [1, 0]);
  a.crash('power');
  for (const disk of [a.log]) disk.put(RING_START, new Uint8Array(8192), true);
  await a.start();
  await world.advance(5000);
  t.equal(streaming(a), 'connected streaming', 'the record that only the site had is cut there');
  t.same([a.group.log.appendedLsn, b.group.log.appendedLsn, b.group.applier.appliedLsn], [0, 0, 0]);
  history.cut(0);
  const next = new SimClient(a, history);
  next.write(0, 8192, 4096);
  next.flush();
  next.commit();
  await world.advance(100);
  for (const site of [a, b]) t.same(differences(history, 1, site.image()).slice(0, 5), []);
});

t.test('promotion that is cut off by a crash never leaves writes on a volume that the site denies', async (t) => {
  const { world, a, b, client } = await pair(t, 'memory');
  hangRecords(a);
  client.write(0, 0, 4096);
  client.commit();
  await world.advance(50);
  a.crash('power');
  a.log.put(RING_START, new Uint8Array(8192), true);
  await world.advance(20_000);
  // b applies LSN 1, which a has lost, and dies before the promotion is durable.
  b.logDevice.intercept = (op) => (op.kind === 'write' && op.offset < RING_START && b.volumes[0]?.view[0] !== 0 ? 5 : 0);
  void b.group.promote({ force: false }).catch(() => undefined);
  await world.advance(1000);
  t.equal(b.volumes[0]?.view[0], 1, 'it is on the volume');
  await b.restart('process');
  t.equal(b.group.role, 'secondary');
  t.equal(b.group.history('a').applied, 1);
  await a.start();
  await world.advance(5000);
  t.equal(b.group.log.appendedLsn, 1, 'nothing is cut that was applied');
  t.match(a.group.status().sites[0], { session: 'refused', rule: 'C12' });
});

t.test('the end of a log that a crash cost the old primary comes back from the site that kept it, for good', async (t) => {
  for (const lost of [1, 2, 3]) {
    const { world, a, b, client, history } = await pair(t, 'memory');
    let writes = 0;
    a.logDevice.intercept = (op) => (op.kind === 'write' && op.offset >= RING_START && ++writes >= lost ? 'hang' : 0);
    // As many batches as are in flight at once, one write in each.
    for (let i = 0; i < lost + OPEN_BATCH_WRITES_MAX - 1; i++) {
      client.write(0, i * 4096, 8192);
      client.commit();
      await world.settle();
    }
    t.equal(history.answered, lost + OPEN_BATCH_WRITES_MAX - 1);
    a.crash('power');
    const from = RING_START + (lost - 1) * 12288;
    a.log.put(from, new Uint8Array(12288), true);
    await world.advance(20_000);
    await world.drive(b.group.promote({ force: false }));
    const next = new SimClient(b, history);
    if (lost > 1) next.write(1, 0, 512);
    next.commit();
    await a.start();
    t.equal(a.group.log.appendedLsn, lost - 1);
    await world.advance(10_000);
    t.equal(streaming(b), 'connected streaming');
    t.equal(a.group.role, 'secondary');
    await a.restart('power');
    await world.advance(30_000);
    t.equal(streaming(b), 'connected streaming', 'also after a restart');
    for (const site of [a, b]) t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
    next.write(1, 4096, 512);
    next.flush();
    next.commit();
    await world.advance(100);
    t.equal(history.floor, history.written.length);
  }
});

t.test('promotion after the loss of the primary keeps every acknowledged write, and the old primary joins again', async (t) => {
  const { world, a, b, client, history, random } = await pair(t, 'logged');
  for (let i = 0; i < 150; i++) {
    client.act(random);
    if (i % 4 === 0) client.commit();
    if (i % 9 === 0) await world.settle();
  }
  t.same(client.wrongReads, []);
  t.match(await b.group.promote({ force: false }).catch((e) => e), { code: 'PRIMARY_CONNECTED' });
  const { answered, floor } = history;
  a.crash('power');
  await world.advance(20_000);
  t.same(await world.drive(b.group.promote({ force: false })), { changed: true, epoch: '2' });
  t.same(await b.group.promote({ force: false }), { changed: false, epoch: '2' });
  const end = b.group.log.appendedLsn;
  t.ok(end >= answered && end >= floor);
  t.same(differences(history, end, b.image()).slice(0, 5), []);
  const ahead = history.written.length;
  history.cut(end);
  const next = new SimClient(b, history);
  for (let i = 0; i < 60; i++) next.act(random);
  next.flush();
  next.commit();
  await a.start();
  await world.advance(10_000);
  if (a.group.role === 'primary') {
    t.comment(`the old primary has ${ahead} writes, the new one took over at ${end}`);
    t.match(a.group.status().sites[0], { session: 'refused' });
  } else {
    t.equal(streaming(b), 'connected streaming');
    for (const site of [a, b]) t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
  }
  t.ok(a.group.role === 'secondary' || a.group.log.appendedLsn > end, 'refused only with writes of its own');
});

t.test('demotion hands everything over, refuses while clients are connected, and roles can be swapped back and forth', async (t) => {
  const { world, a, b, history, random, client } = await pair(t, 'async');
  let [from, to, current] = [a, b, client];
  for (let turn = 0; turn < 4; turn++) {
    for (let i = 0; i < 40; i++) current.act(random);
    current.commit();
    t.match(await from.group.demote().catch((e) => e), { code: 'IN_USE' });
    await world.settle();
    current.disconnect();
    const dropped = current.write(0, 0, 512);
    t.equal(dropped?.errno, 108, 'a connection that is gone admits nothing');
    t.same(await world.drive(from.group.demote()), { changed: true, behind: [] });
    t.same(await from.group.demote(), { changed: false, behind: [] });
    t.match(from.group.unavailable, /is secondary on site/);
    await world.advance(3000);
    t.same(await world.drive(to.group.promote({ force: false })), { changed: true, epoch: String(turn + 2) });
    await world.advance(5000);
    t.equal(streaming(to), 'connected streaming');
    for (const site of [from, to]) t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
    [from, to] = [to, from];
    current = new SimClient(from, history);
  }
});

t.test('a demotion waits for the connected sites, and leaves the role alone when one does not catch up', async (t) => {
  const { world, a, b, client } = await pair(t, 'async');
  b.logDevice.stopped = true;
  client.write(0, 0, 4096);
  client.commit();
  client.disconnect();
  await t.rejects(world.drive(a.group.demote()), { code: 'TIMEOUT', message: /b did not catch up/ });
  t.equal(a.group.role, 'primary');
  t.match(a.group.status().sites[0], { lagIos: 1, lagBytes: 4096 });
  const demoted = a.group.demote();
  await world.advance(2000);
  t.equal(a.group.role, 'primary', 'still waiting');
  await t.rejects(a.group.demote(), { code: 'ROLE' });
  t.match(a.group.unavailable, /changing its role/);
  b.logDevice.stopped = false;
  t.same(await world.drive(demoted), { changed: true, behind: [] });
  t.equal(b.group.log.durableLsn, 1);
});

t.test('a demotion names the sites that lack something', async (t) => {
  const { world, a, b, client } = await pair(t, 'async');
  b.crash('power');
  client.write(0, 0, 4096);
  client.commit();
  await world.advance(1000);
  client.disconnect();
  t.same(await world.drive(a.group.demote()), { changed: true, behind: ['b'] });
});

t.test('a site that never received anything is promoted only by force', async (t) => {
  const world = new SimWorld(new Random());
  const b = await world.add('b', { role: 'secondary' });
  t.match(b.group.status(), { role: 'secondary', image: 'inconsistent' });
  await t.rejects(b.group.promote({ force: false }), { code: 'NOT_CONSISTENT' });
  t.same(await world.drive(b.group.promote({ force: true })), { changed: true, epoch: '1' });
  t.match(b.group.status(), { role: 'primary', image: 'upToDate' });
});

t.test('crashes of both sites in any order: the site is a prefix of the primary, and they always meet again', async (t) => {
  const { world, a, b, history, random } = await pair(t, 'logged');
  for (let crash = 0; crash < 14; crash++) {
    const client = new SimClient(a, history);
    for (let i = 0; i < 60; i++) {
      client.act(random);
      if (i % 4 === 0) client.commit();
      if (i % 7 === 0) world.network.step();
      if (i % 5 === 0) for (const site of world.sites) site.stepDevices();
      if (i % 20 === 0) await world.settle();
    }
    t.same(client.wrongReads, []);
    const { answered, floor } = history;
    const victims = [[a], [b], [a, b]][random.below(3)] as SimSite[];
    for (const site of victims) site.crash(random.below(3) === 0 ? 'process' : 'power');
    if (victims.length === 2) await b.start();
    if (victims.length === 2) t.ok(b.group.log.appendedLsn >= answered, 'answered means durable in both logs');
    for (const site of victims) if (site !== b || victims.length === 1) await site.start();
    await world.advance(90_000);
    t.equal(streaming(a), 'connected streaming', a.lines.at(-1) ?? '');
    const end = a.group.log.appendedLsn;
    t.ok(end >= Math.max(floor, victims.includes(a) ? 0 : answered));
    t.equal(b.group.applier.appliedLsn, end);
    for (const site of [a, b]) t.same(differences(history, end, site.image()).slice(0, 5), []);
    history.cut(end);
    history.floor = end;
    history.answered = end;
  }
});
