// A resync of a group in which nothing was ever written: the end mark says 0.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

t.test('a site whose resync ends before the first record needs no seed when the connection is lost', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], resync: { minDwellMs: 1 } });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  a.group.resyncs.bitmaps.degrade('b', 'the test says so');
  await world.advance(30_000);
  await b.restart('power');
  await world.advance(30_000);
  const client = new SimClient(a, new History());
  client.write(0, 0, 4096);
  client.commit();
  await world.advance(30_000);
  t.match(a.group.status().sites[0], { session: 'connected', replication: 'streaming', tracking: 'log' });
});
