// Positions of sites that were true before a crash, and are not any more.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

t.test('what a site acknowledged of records that a crash cost the primary does not count for those written in their place', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], mode: 'logged', onDisconnect: 'block' });
  await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const before = new SimClient(a, new History());
  const write = before.write(0, 0, 4096);
  before.commit();
  await world.advance(10);
  t.equal(write?.errno, 0);
  // The site was faster than the own log, a checkpoint wrote down what it had, and the power failed.
  await world.drive(a.group.log.store.update((current) => ({ ...current, sites: [{ name: 'b', ackedLsn: 9 }] })));
  world.block('a', 'b');
  await a.restart('power');
  t.equal(a.group.status().sites[0]?.ackedLsn, String(a.group.log.appendedLsn));
  const client = new SimClient(a, new History());
  const held = client.write(0, 0, 4096);
  const flush = client.flush();
  client.commit();
  await world.advance(3000);
  t.same([held?.isDone, flush.isDone], [false, false], 'the site that must have them is away');
  t.equal(a.group.log.trimmedLsn <= 1, true, 'and the log keeps them for it');
});

t.test('a site that was behind when the primary died gets the rest from the one that was promoted', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b', 'c'] });
  const b = await world.add('b', { sites: ['a', 'c'], role: 'secondary' });
  const c = await world.add('c', { sites: ['a', 'b'], role: 'secondary' });
  await world.advance(5000);
  c.crash('power');
  const history = new History();
  const client = new SimClient(a, history);
  for (let i = 0; i < 5; i++) client.write(0, i * 4096, 4096, true);
  client.commit();
  await world.advance(5000);
  t.equal(b.group.log.store.current.appliedLsn, 5, 'the checkpoint of a pause');
  a.crash('power');
  await c.start();
  await world.advance(20_000);
  await world.drive(b.group.promote({ force: false }));
  await world.advance(20_000);
  t.match(c.group.links.get('b')?.state(), { session: 'connected', rule: 'C14' });
  t.same(differences(history, 5, c.image()).slice(0, 5), []);
});

t.test('a site that is catching up is not called healthy while its mode is not kept', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b'], mode: 'logged' });
  await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  t.match(a.group.status(), { health: 'healthy', sites: [{ session: 'connected', effectiveMode: 'logged' }] });
  const site = a.group.sites.find('b');
  if (site === undefined) throw new Error('b is a site of a');
  site.streaming = false;
  t.match(a.group.status(), { health: 'degraded', reason: /^site b is /, sites: [{ session: 'connected', effectiveMode: 'async' }] });
});
