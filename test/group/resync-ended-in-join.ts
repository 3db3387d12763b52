// A resync that ends while its site joins the primary again must not turn into another one on top of records that the primary has lost.

import t from 'tap';
import { RING_START } from '../../src/format/superblock.js';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { hangRecords, SimWorld } from '../helpers/sim-group.js';

t.test('what a primary has lost is not applied by a site whose resync ends while they meet', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], resync: { minDwellMs: 1 } });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  for (let i = 0; i < 10; i++) client.write(0, i * 4096, 4096);
  client.commit();
  await world.advance(5000);
  a.group.resyncs.bitmaps.degrade('b', 'the test says so');
  // Behind the end mark the log device of the site stalls.
  const stalls = { superblock: true, ring: true };
  b.logDevice.intercept = (op) => {
    if (op.kind !== 'write' || (b.group.log.store.current.resync?.endLsn ?? 0) === 0) return 0;
    return (op.offset >= RING_START ? stalls.ring : stalls.superblock) ? 'hang' : 0;
  };
  await world.advance(3000);
  t.equal(b.group.log.store.current.resync?.endLsn, 10);
  // Four records reach the site and not the log of the primary.
  hangRecords(a);
  for (let i = 20; i < 24; i++) client.write(0, i * 4096, 4096);
  client.commit();
  await world.advance(500);
  t.same([a.group.log.durableLsn, b.group.log.appendedLsn, b.group.log.durableLsn], [10, 14, 10]);
  const kept = a.log.clone();
  a.crash('power');
  a.log = kept;
  await a.start();
  for (let i = 0; i < 500 && !b.group.joining; i++) await world.advance(10);
  t.ok(b.group.joining, `${a.group.status().sites[0]?.rule} ${a.group.status().sites[0]?.reason}`);
  stalls.superblock = false;
  await world.advance(100);
  stalls.ring = false;
  b.logDevice.intercept = undefined;
  await world.settle();
  const again = new SimClient(a, new History());
  again.write(1, 0, 4096);
  again.commit();
  await world.advance(120_000);
  t.match(a.group.status().sites[0], { session: 'connected', replication: 'streaming', tracking: 'log' });
  for (const [i, image] of a.image().entries()) t.equal(Buffer.compare(image, b.image()[i] as Uint8Array), 0, `volume ${i} is equal`);
});
