// The base of a bitmap is never a record that the primary can still lose.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { hangRecords, SimWorld, writeReceived } from '../helpers/sim-group.js';

t.test('a site that was folded with records that the primary then lost comes back without a seed', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], resync: { minDwellMs: 1 } });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  for (let i = 0; i < 4; i++) client.write(0, i * 4096, 4096);
  client.flush();
  client.commit();
  await world.advance(5000);
  hangRecords(a);
  for (let i = 0; i < 6; i++) client.write(0, i * 4096, 4096);
  client.flush();
  client.commit();
  await world.settle();
  await writeReceived(world, b);
  t.same([a.group.log.durableLsn, a.group.sites.find('b')?.durable], [4, 10]);
  a.group.resyncs.bitmaps.degrade('b', 'the test says so');
  await world.settle();
  world.crash(a);
  world.block('a', 'b');
  await a.start();
  await world.advance(5000);
  const after = history.fork(4);
  const next = new SimClient(a, after);
  for (let i = 0; i < 3; i++) next.write(1, i * 4096, 4096);
  next.flush();
  next.commit();
  await world.advance(5000);
  world.blocked.clear();
  await world.advance(200_000);
  t.match(a.group.status().sites[0], { session: 'connected', replication: 'streaming', tracking: 'log' });
  t.same(differences(after, 7, b.image()).slice(0, 5), []);
});
