// What a site has in its log when a resync begins is what a promotion in the middle of it gives back: a resync forgets no record that the
// primary has durable as well, whatever the primary remembers of the site's answers.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { hangRecords, type SimSite, SimWorld, writeReceived } from '../helpers/sim-group.js';

const PIECE = 65536;
const PIECES = 16;
const TAIL = 12;

const siteOf = (a: SimSite) => a.group.status().sites[0];

for (const mode of ['async', 'logged'] as const) {
  t.test(`mode ${mode}: what the site had survives a promotion in the middle of a resync`, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const world = new SimWorld(random);
    const volumeBytes = PIECES * PIECE;
    // Slow enough that the promotion comes in the middle.
    const a = await world.add('a', { sites: ['b'], mode, volumeBytes, resync: { minDwellMs: 1, maxRate: PIECE } });
    const b = await world.add('b', { sites: ['a'], volumeBytes, role: 'secondary' });
    await world.advance(5000);
    const history = new History(volumeBytes);
    const client = new SimClient(a, history);
    client.write(0, 0, 4096);
    client.flush();
    client.commit();
    await world.advance(60_000);
    const counted = b.group.log.durableLsn;

    // The records leave before they are durable, and nothing tells the site that they are. The power cut takes what the primary has heard
    // of the site since its last superblock.
    for (let i = 0; i < TAIL; i++) client.write(0, i * 4096, 4096);
    const flush = client.flush();
    hangRecords(a);
    client.commit();
    await world.settle();
    a.logDevice.intercept = undefined;
    await world.settle();
    t.equal(flush.errno, 0);
    await writeReceived(world, b);
    const had = b.group.log.durableLsn;
    t.same([had, a.group.log.durableLsn], [counted + TAIL, counted + TAIL]);
    a.crash('power');
    await world.settle();
    t.ok(b.group.log.recordedPrimaryDurableLsn < had, 'the site does not know what is durable at the primary');
    world.block('a', 'b');
    await a.start();
    await world.advance(10_000);
    t.ok((a.group.sites.find('b')?.durable ?? 0) < had, 'the primary does not know what is durable at the site');

    const again = new SimClient(a, history);
    for (let i = 0; i < 400 && siteOf(a)?.tracking !== 'bitmap'; i++) {
      again.write(i % 2, (i % PIECES) * PIECE, PIECE, false, 1);
      again.commit();
      await world.advance(20);
    }
    t.equal(siteOf(a)?.tracking, 'bitmap');
    world.blocked.clear();
    for (let i = 0; i < 10_000 && b.group.log.store.current.resync === undefined; i++) await world.advance(10);
    await world.advance(500);
    t.equal(b.group.log.store.current.resync?.fromLsn, had);
    t.not(differences(history, had, b.image()).length, 0, 'the resync has overwritten something');
    a.crash('power');
    await world.advance(20_000);
    await world.drive(b.group.promote({ force: false }));
    await world.settle();
    t.same(differences(history, had, b.image()).slice(0, 5), []);
  });
}

t.test('a resync does not begin before everything that both have is durable at the primary', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], resync: { minDwellMs: 1 } });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  hangRecords(a);
  for (let i = 0; i < TAIL; i++) client.write(0, i * 4096, 4096);
  client.flush();
  client.commit();
  await world.advance(1000);
  t.same([a.group.log.durableLsn, b.group.log.durableLsn], [0, TAIL]);
  a.group.resyncs.bitmaps.degrade('b', 'the test says so');
  await world.advance(60_000);
  t.equal(siteOf(a)?.tracking, 'bitmap');
  t.equal(b.group.log.store.current.resync, undefined);
  t.equal(b.group.applier.startedLsn, 0, 'nothing is applied that the primary may lose');
  a.logDevice.intercept = undefined;
  await world.advance(60_000);
  t.match(siteOf(a), { session: 'connected', replication: 'streaming', tracking: 'log' });
  for (const site of [a, b]) t.same(differences(client.history, TAIL, site.image()).slice(0, 5), []);
});
