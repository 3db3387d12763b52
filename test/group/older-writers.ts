// Three sites: records of an older writer come to a site from one that kept them, after a cut or a crash of that site. It starts again, and
// with all that it has acknowledged.

import t from 'tap';
import { RING_START } from '../../src/format/superblock.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { hangRecords, type SimSite, type SimSiteOptions, SimWorld, writeReceived } from '../helpers/sim-group.js';

/** Nothing that was not flushed gets to the disks. */
const LOSES = (n: number): number => (n === 3 ? 1 : 0);

type World = { world: SimWorld; a: SimSite; b: SimSite; c: SimSite; history: History; client: SimClient };

/** LSN 1 is durable and applied everywhere. */
async function three(options: SimSiteOptions = {}): Promise<World> {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b', 'c'], ...options });
  const b = await world.add('b', { sites: ['a', 'c'], role: 'secondary', ...options });
  const c = await world.add('c', { sites: ['a', 'b'], role: 'secondary', ...options });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  client.write(0, 0, 4096);
  client.flush();
  client.commit();
  await world.advance(5000);
  return { world, a, b, c, history, client };
}

async function startOf(site: SimSite): Promise<string> {
  return site.start().then(
    () => `LSN ${site.group.log.appendedLsn}`,
    (error: { message: string }) => error.message,
  );
}

/** Writes and flushes on c until both sites have it; the flush was answered by b. */
async function lead(world: SimWorld, c: SimSite, history: History, writes: number): Promise<number> {
  const client = new SimClient(c, history);
  for (let i = 0; i < writes; i++) client.write(1, i * 4096, 4096);
  const flush = client.flush();
  client.commit();
  await world.advance(20);
  t.equal(flush.errno, 0);
  return history.written.length;
}

for (const writes of [0, 4]) {
  t.test(`cut in the middle of a batch, which then comes back from c with ${writes} more`, async (t) => {
    const { world, a, b, c, history, client } = await three({ mode: 'logged' });
    hangRecords(a);
    for (let i = 1; i < 5; i++) client.write(0, i * 4096, 4096);
    client.flush();
    client.commit();
    await world.settle();
    t.same([a.group.log.durableLsn, b.group.log.durableLsn, c.group.log.durableLsn], [1, 5, 5]);
    // The header block and half of the payload land.
    let landed = 0;
    let sectors = 0;
    world.crash(a, 'power', (n) => (n === 3 ? (landed++ === 0 ? 2 : 0) : sectors++ < 24 ? 0 : 1));
    world.block('a', 'c');
    await a.start();
    await world.advance(20_000);
    t.equal(a.group.log.durableLsn, 2, 'a lost half of the batch');
    t.equal(b.group.log.durableLsn, 2, 'b has cut the other half');
    world.crash(a, 'power', LOSES);
    await world.drive(c.group.promote({ force: false }));
    for (let i = 0; i < 2000 && b.group.log.durableLsn < 5; i++) await world.advance(10);
    await world.advance(50);
    const kept = await lead(world, c, history, writes);
    t.equal(b.group.log.durableLsn, kept);
    world.crash(b, 'power', LOSES);
    world.crash(c, 'power', LOSES);
    t.equal(await startOf(b), `LSN ${kept}`);
    if (!b.isUp) return;
    await world.advance(5000);
    await world.drive(b.group.promote({ force: false }));
    await world.settle();
    t.same(differences(history, kept, b.image()).slice(0, 5), []);
  });
}

for (const writes of [0, 4]) {
  t.test(`a checkpoint noted a writer of whom nothing was durable; ${writes} more`, async (t) => {
    const { world, a, b, c, history, client } = await three({ mode: 'logged' });
    world.block('a', 'b');
    b.crash('process');
    await b.start();
    await world.advance(5000);
    // Only c has LSN 2 and 3 when a loses them.
    hangRecords(a);
    client.write(0, 4096, 4096);
    client.write(0, 8192, 4096);
    client.flush();
    client.commit();
    await world.settle();
    t.same([a.group.log.durableLsn, b.group.log.durableLsn, c.group.log.durableLsn], [1, 1, 3]);
    world.crash(a, 'power', LOSES);
    world.blocked.clear();
    world.block('a', 'c');
    await a.start();
    await world.advance(20_000);
    // LSN 2 of the new incarnation is on its way into the log of b when that writes a checkpoint.
    hangRecords(b);
    const other = new SimClient(a, history.fork(1));
    other.write(0, 4096, 4096);
    other.flush();
    other.commit();
    await world.settle();
    t.same([a.group.log.durableLsn, b.group.log.appendedLsn, b.group.log.durableLsn], [2, 2, 1]);
    await world.drive(b.group.settle());
    world.crash(b, 'power', LOSES);
    world.crash(a, 'power', LOSES);
    await b.start();
    t.equal(b.group.log.appendedLsn, 1);
    await world.drive(c.group.promote({ force: false }));
    for (let i = 0; i < 2000 && b.group.log.durableLsn < 3; i++) await world.advance(10);
    await world.advance(50);
    const kept = await lead(world, c, history, writes);
    t.equal(b.group.log.durableLsn, kept);
    world.crash(b, 'power', LOSES);
    world.crash(c, 'power', LOSES);
    t.equal(await startOf(b), `LSN ${kept}`);
    if (!b.isUp) return;
    await world.advance(5000);
    await world.drive(b.group.promote({ force: false }));
    await world.settle();
    t.same(differences(history, kept, b.image()).slice(0, 5), []);
  });
}

t.test('a site that has cut its log starts again, whatever a crash before left behind the end', async (t) => {
  const { world, a, b, c, client } = await three();
  world.block('a', 'c');
  c.crash('process');
  await c.start();
  await world.advance(5000);
  hangRecords(a);
  client.write(0, 4096, 4096);
  client.write(0, 8192, 4096);
  client.flush();
  client.commit();
  await world.settle();
  a.logDevice.intercept = undefined;
  await world.settle();
  await writeReceived(world, b);
  t.same([a.group.log.durableLsn, b.group.log.durableLsn, c.group.log.durableLsn], [3, 3, 1]);
  const known = () => [b.group.log.recordedPrimaryDurableLsn, b.group.applier.startedLsn, b.group.log.store.current.primaryDurableLsn];
  t.same(known(), [1, 1, 1], 'before');
  world.crash(a, 'power', LOSES);
  // b goes on with the next incarnation of a. Of two batches the second one lands.
  const first = RING_START + b.group.log.ring.offset(b.group.log.appendPosition);
  b.logDevice.intercept = (op) => (op.kind === 'write' && op.offset <= first ? 'hang' : 0);
  await a.start();
  for (let i = 0; i < 2000 && b.group.links.get('a')?.state().session !== 'connected'; i++) await world.advance(10);
  t.same(known(), [1, 1, 1], 'connected');
  const next = new SimClient(a, new History());
  for (let i = 0; i < 2; i++) {
    next.write(0, 0, 4096);
    next.flush();
    next.commit();
    await world.settle();
    await writeReceived(world, b);
  }
  t.same([a.group.log.durableLsn, b.group.log.appendedLsn, b.group.log.durableLsn], [5, 5, 3]);
  t.same([b.group.log.recordedPrimaryDurableLsn, b.group.applier.startedLsn, b.group.log.store.current.primaryDurableLsn], [1, 1, 1]);
  world.crash(b, 'power', LOSES);
  world.crash(a, 'power', LOSES);
  await b.start();
  t.equal(b.group.log.appendedLsn, 3);
  t.same([b.group.log.recordedPrimaryDurableLsn, b.group.applier.startedLsn, b.group.log.store.current.primaryDurableLsn], [1, 1, 1]);
  await world.drive(c.group.promote({ force: false }));
  for (let i = 0; i < 2000 && b.group.links.get('c')?.state().session !== 'connected'; i++) await world.advance(10);
  t.match(b.group.links.get('c')?.state(), { session: 'connected', rule: 'C14' });
  t.equal(b.group.log.appendedLsn, 1, 'b has cut what c lacks');
  world.crash(b, 'process', LOSES);
  t.equal(await startOf(b), 'LSN 1');
});
