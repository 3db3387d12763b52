// What a site had acknowledged of records that a crash cost the primary does not count for those that took their place, after the next
// crash either.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { hangRecords, SimWorld } from '../helpers/sim-group.js';

t.test('a flush of a primary that lost the end of its log twice does not count on answers for what was lost', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], mode: 'logged', onDisconnect: 'block' });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  for (let i = 0; i < 4; i++) client.write(0, i * 4096, 4096);
  client.flush();
  client.commit();
  await world.advance(5000);
  t.equal(b.group.log.durableLsn, 4);

  // The site logs what the primary has not, a checkpoint notes it, and the power cut takes it from the primary.
  hangRecords(a);
  for (let i = 0; i < 6; i++) client.write(0, i * 4096, 4096);
  client.flush();
  client.commit();
  await world.settle();
  await world.drive(a.group.settle());
  t.equal(a.group.log.store.current.sites[0]?.ackedLsn, 10);
  world.crash(a);
  world.block('a', 'b');
  await a.start();
  await world.advance(5000);
  t.same([a.group.log.durableLsn, a.group.sites.find('b')?.durable], [4, 4]);
  t.equal(a.group.log.store.current.sites[0]?.ackedLsn, 4);

  // Other records take their place; nobody else has them.
  const after = history.fork(4);
  const next = new SimClient(a, after);
  const write = next.write(1, 0, 4096);
  next.write(1, 4096, 4096);
  next.write(1, 8192, 4096);
  const waits = next.flush();
  next.commit();
  await world.advance(100);
  t.same([write?.isDone, waits.isDone, a.group.log.durableLsn], [false, false, 7]);
  world.crash(a, 'process');
  await a.start();
  await world.advance(100);
  t.equal(a.group.log.durableLsn, 7);
  t.equal(a.group.sites.find('b')?.durable, 4, 'the site has nothing of it');
  const again = new SimClient(a, after);
  const flush = again.flush();
  again.commit();
  await world.advance(100);
  t.equal(flush.isDone, false, 'the flush waits for the site');
  world.blocked.clear();
  await world.advance(120_000);
  t.equal(flush.errno, 0);
  t.same(differences(after, 7, b.image()).slice(0, 5), [], 'what the flush promised is at the site');
});
