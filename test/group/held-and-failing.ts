// on_log_error = "suspend" beside a site with on_disconnect = "fail": when the log has failed nobody is answered, site or no site.

import t from 'tap';
import { RING_START } from '../../src/format/superblock.js';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

t.test('requests that a failed log holds are not answered when a site goes away', async (t) => {
  const world = new SimWorld(new Random(3));
  const a = await world.add('a', { sites: ['b'], mode: 'logged', onDisconnect: 'fail', onLogError: 'suspend' });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  const before = client.write(0, 0, 4096);
  client.commit();
  await world.advance(100);
  t.equal(before?.errno, 0);
  a.logDevice.intercept = (op) => (op.kind === 'write' && op.offset >= RING_START ? 5 : 0);
  const held = client.write(0, 4096, 4096);
  client.commit();
  await world.advance(100);
  t.ok(a.group.failure);
  t.equal(held?.isDone, false);
  b.crash();
  await world.advance(60_000);
  const flush = client.flush();
  client.commit();
  await world.advance(100);
  t.same([held?.errno, flush.errno], [undefined, undefined]);
});
