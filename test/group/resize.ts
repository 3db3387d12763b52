// Changing the size of a group's log while clients write and a site is away or connected: nobody sees an error, nobody is taken for a site
// that fills the log, and the sites stay equal.

import t from 'tap';
import { RING_START } from '../../src/format/superblock.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, SimWorld } from '../helpers/sim-group.js';

const MIB = 1 << 20;
const PIECE = 65536;
const SIZES = [16, 24, 18, 32].map((mib) => mib * MIB);

async function load(world: SimWorld, client: SimClient, writes: number): Promise<number[]> {
  const done: (number | undefined)[] = [];
  for (let i = 0; i < writes; i++) {
    const write = client.write(i % 2, (i % 3) * PIECE, PIECE, false, 1);
    client.commit();
    await world.settle();
    if (write === undefined) await world.advance(20);
    else done.push(write.errno);
  }
  return done.filter((errno) => errno !== 0) as number[];
}

t.test('up and down while clients write and a site streams; its own log changes as well', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], mode: 'logged', logBytes: 32 * MIB, logFull: 'fail' });
  const b = await world.add('b', { sites: ['a'], role: 'secondary', logBytes: 32 * MIB });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  for (const size of SIZES) {
    const failed = load(world, client, 200);
    t.same(await world.drive(a.group.resizeLog(size)), { changed: true });
    t.equal(a.group.log.ring.bytes, size - RING_START);
    t.same(await failed, []);
    await world.drive(b.group.resizeLog(size));
    await world.advance(120_000);
  }
  t.notOk(a.lines.some((line) => line.startsWith('log-full-fails ') || line.startsWith('bitmap-mode ')));
  t.equal(await world.drive(a.group.resizeLog(SIZES.at(-1) as number)).then(({ changed }) => changed), false);
  client.flush();
  client.commit();
  await world.advance(5000);
  for (const site of [a, b]) t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
  for (const site of [a, b]) await site.restart('power');
  await world.advance(60_000);
  for (const site of [a, b]) t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
  t.match(a.group.status(), { health: 'healthy', log: { sizeBytes: 32 * MIB - RING_START } });
});

t.test('a log that is full because a site is away is made larger: writers go on and the site misses nothing', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a: SimSite = await world.add('a', { sites: ['b'], logBytes: 32 * MIB, logFull: 'throttle' });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.drive(a.group.resizeLog(16 * MIB));
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  await load(world, client, 150);
  await world.advance(60_000);
  b.crash('power');
  await load(world, client, 260);
  t.equal(client.write(0, 0, PIECE, false, 1), undefined, 'the log is full');
  let woken = 0;
  a.group.backends.get('data')?.waitForRoom({ roomAvailable: () => void woken++ });
  await t.rejects(world.drive(a.group.resizeLog(16 * MIB - 4096)), { code: 'USAGE' });
  t.same(await world.drive(a.group.resizeLog(28 * MIB)), { changed: true });
  await world.settle();
  t.equal(woken, 1);
  t.same(await load(world, client, 100), []);
  t.notOk(a.lines.some((line) => line.startsWith('bitmap-mode ')));
  await b.start();
  await world.advance(120_000);
  t.match(a.group.status(), { health: 'healthy', reason: '', sites: [{ replication: 'streaming', tracking: 'log' }] });
  for (const site of [a, b]) t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
});
