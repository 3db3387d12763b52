// More than one site that takes itself for the primary, and superblocks that were lost: no writer is used twice, no record is taken from
// a primary that was replaced.

import t from 'tap';
import type { SiteHistory } from '../../src/core/reconnect.js';
import { BatchPool } from '../../src/disk/batch-pool.js';
import { SUPERBLOCK_BYTES } from '../../src/format/superblock.js';
import { LinkPort, type LinkPortGroup } from '../../src/group/link-port.js';
import { nextIncarnation } from '../../src/group/roles.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, SimWorld } from '../helpers/sim-group.js';

t.test('a site that has joined a newer primary takes nothing from the older one', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b', 'c'], mode: 'logged' });
  const b = await world.add('b', { sites: ['a', 'c'], role: 'secondary' });
  const c = await world.add('c', { sites: ['a', 'b'], role: 'secondary' });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  for (let i = 0; i < 5; i++) client.write(0, i * 4096, 4096);
  client.flush();
  client.commit();
  await world.advance(100);
  t.equal(c.group.applier.appliedLsn, 5);
  c.crash('power');
  world.block('a', 'c');
  await c.start();
  await world.advance(5000);
  await world.drive(c.group.promote({ force: false }));
  await world.advance(30);
  t.equal(b.group.history('c').epoch, 2, 'b has joined c');
  t.match(a.group.status().sites[0], { session: /offline|refused|connecting|handshaking/ });
  const late = client.write(0, 0, 4096, true);
  client.commit();
  const newHistory = new History();
  newHistory.written.push(...history.written.slice(0, 5));
  const next = new SimClient(c, newHistory);
  next.write(1, 0, 8192);
  next.flush();
  next.commit();
  await world.advance(20_000);
  t.equal(b.group.log.appendedLsn, c.group.log.appendedLsn);
  for (const site of [b, c]) t.same(differences(newHistory, 6, site.image()).slice(0, 5), []);
  t.match(a.group.links.get('b')?.state(), { session: 'refused', code: 'DIVERGED' });
  t.ok(late?.isDone);
});

t.test('a step-down that is refused because writes came in between changes nothing for the clients', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b'] });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  a.group.history('b');
  const write = client.write(0, 0, 4096, true);
  await t.rejects(world.drive(a.group.becomeSecondary('b is newer')), { code: 'DIVERGED', message: /writes were taken/ });
  t.notOk(client.isRevoked);
  t.match([a.group.role, a.group.connections, a.group.unavailable], ['primary', 2, undefined]);
  const next = client.write(0, 4096, 4096, true);
  client.commit();
  await world.advance(1000);
  t.same([write?.errno, next?.errno], [0, 0]);

  a.group.history('b');
  await world.drive(a.group.becomeSecondary('b is newer'));
  t.ok(client.isRevoked, 'one that is carried out drops them');
  t.equal(a.group.role, 'secondary');
});

t.test('while a site joins a primary it changes no role, and joins no other', async (t) => {
  const world = new SimWorld(new Random());
  await world.add('a', { sites: ['b'] });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const { group } = b;
  const port = new LinkPort(group as unknown as LinkPortGroup, () => {}, world.clock);
  const plan = { rule: 'C14', action: 'stream', sender: 'a', from: 1, cut: false, adopt: false } as const;
  const primary: SiteHistory = {
    ...group.history('b'),
    site: 'x',
    role: 'primary',
    epoch: 9,
    lineage: [{ epoch: 9, incarnation: 1, startLsn: 1, own: true }],
  };
  b.logDevice.stopped = true;
  const first = port.prepare(plan, primary);
  t.equal(group.joining, true);
  await t.rejects(port.prepare(plan, primary), { code: 'ROLE' });
  const batch = new BatchPool((bytes) => ({ bytes: new Uint8Array(bytes), address: 0 }), 0).take(0);
  if (batch === undefined) throw new Error('a pool has batches');
  t.match(port.receive(batch), { code: 'ROLE', reason: /joining/ });
  world.block('a', 'b');
  world.sites[0]?.crash('power');
  await world.advance(20_000);
  await t.rejects(group.promote({ force: false }), { code: 'ROLE', message: /joined/ });
  b.logDevice.stopped = false;
  await world.drive(first);
  t.equal(group.joining, false);
  t.same(await world.drive(group.promote({ force: false })), { changed: true, epoch: '10' });
});

t.test('records are cut only for those of a newer writer, because the cut ones stay void only for such', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b'], mode: 'memory' });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  a.logDevice.stopped = true;
  const client = new SimClient(a, new History());
  client.write(0, 0, 4096);
  client.commit();
  await world.advance(100);
  a.crash('power');
  const { group } = b;
  t.same([group.log.durableLsn, group.applier.appliedLsn], [1, 0]);
  const own = group.log.lineage.at(-1) ?? { epoch: 0, incarnation: 0 };
  const plan = { rule: 'C14', action: 'stream', sender: 'a', from: 1, cut: true, adopt: false } as const;
  const port = new LinkPort(group as unknown as LinkPortGroup, () => {}, world.clock);
  const primary = (incarnation: number): SiteHistory => ({
    ...group.history('b'),
    site: 'x',
    role: 'primary',
    lineage: [{ epoch: own.epoch, incarnation, startLsn: 1, own: true }],
  });
  await t.rejects(world.drive(port.prepare(plan, primary(own.incarnation - 1))), { code: 'DIVERGED' });
  t.equal(group.log.appendedLsn, 1);
  await world.drive(port.prepare(plan, primary(own.incarnation + 1)));
  t.equal(group.log.appendedLsn, 0);
  await b.restart('power');
  t.equal(b.group.log.appendedLsn, 0);
});

t.test('when the newest superblock is lost, the next writer is newer than every record all the same', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  for (let run = 0; run < 12; run++) {
    const world = new SimWorld(random);
    const site = await world.add('a');
    const history = new History();
    for (let start = 0; start < 3; start++) {
      const client = new SimClient(site, history);
      client.write(start % 2, start * 8192, 4096);
      client.flush();
      client.commit();
      await world.settle();
      if (start === 2) break;
      await site.restart('power');
    }
    const newest = site.group.log.store.current.sequence;
    const before = site.group.log.lineage.at(-1);
    site.crash('power');
    // Sequence 1 stands in slot 0, 2 in slot 1, and so on.
    site.log.corrupt(((newest - 1) % 2) * SUPERBLOCK_BYTES + 300, 1);
    await site.start();
    t.equal(site.group.log.store.current.sequence, newest, 'one back, one on');
    const now = site.group.log.lineage.at(-1);
    t.ok((now?.incarnation ?? 0) > (before?.incarnation ?? 0));
    t.same(differences(history, 3, site.image()).slice(0, 5), []);
  }
});

t.test('incarnations grow by more than any two sites can draw', async (t) => {
  let previous = 0;
  for (let i = 0; i < 100; i++) {
    const next = nextIncarnation(previous, () => (i % 2 === 0 ? 0 : 0.999999999));
    t.ok(next > previous && Number.isSafeInteger(next));
    previous = next;
  }
});

t.test('two sites promoted to the same epoch by force stay apart, with nothing changed on either', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b'] });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  client.write(0, 0, 4096);
  client.flush();
  client.commit();
  await world.advance(100);
  world.block('a', 'b');
  await a.restart('power');
  await world.advance(20_000);
  await world.drive(b.group.promote({ force: false }));
  const [ours, theirs] = [new History(), new History()];
  for (const [site, own] of [
    [a, ours],
    [b, theirs],
  ] as [SimSite, History][]) {
    own.written.push(...history.written);
    const writer = new SimClient(site, own);
    writer.write(0, 0, 8192);
    writer.flush();
    writer.commit();
    await world.advance(50);
  }
  world.blocked.clear();
  await world.advance(60_000);
  for (const site of [a, b]) {
    t.match(site.group.status().sites[0], { session: 'refused', reason: /writes of its own|LSNs/ });
    t.equal(site.group.role, 'primary');
  }
  t.same(differences(ours, 2, a.image()).slice(0, 5), []);
  t.same(differences(theirs, 2, b.image()).slice(0, 5), []);
});
