// A site that never had anything is not promoted without force because its first copy was cut off in the middle.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

t.test('a site in the middle of its first copy is not promoted to an empty one without force', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const volumeBytes = 64 * 65536;
  const a = await world.add('a', { sites: ['b'], volumeBytes, resync: { minDwellMs: 1, maxRate: 65536 } });
  const client = new SimClient(a, new History(volumeBytes));
  await world.advance(5000);
  for (let i = 0; i < 64; i++) {
    client.write(0, i * 65536, 65536, false, 1);
    client.commit();
    await world.advance(50);
  }
  a.group.resyncs.bitmaps.degrade('b', 'the test says so');
  await world.advance(5000);
  const b = await world.add('b', { sites: ['a'], volumeBytes, role: 'secondary' });
  for (let i = 0; i < 10_000 && b.group.log.store.current.resync === undefined; i++) await world.advance(1);
  // Where both dial at once the second session goes on with what the first one began.
  for (let i = 0; i < 1000 && b.group.links.get('a')?.state().session !== 'connected'; i++) await world.advance(10);
  t.match(b.group.links.get('a')?.state().rule, /^C1[58]$/);
  t.ok(b.group.log.store.current.resync);
  a.crash('power');
  await world.advance(20_000);
  await t.rejects(world.drive(b.group.promote({ force: false })), { code: 'NOT_CONSISTENT' });
});
