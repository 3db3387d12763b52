// A site counts again, in its mode, when its resync has ended, in the same session.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

for (const onDisconnect of ['continue', 'block', 'fail'] as const)
  t.test(`${onDisconnect}: a site counts when its resync has ended`, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const world = new SimWorld(random);
    const a = await world.add('a', { sites: ['b'], mode: 'logged', onDisconnect, resync: { minDwellMs: 1 } });
    const b = await world.add('b', { sites: ['a'], role: 'secondary' });
    await world.advance(5000);
    const client = new SimClient(a, new History());
    client.write(0, 0, 4096);
    client.flush();
    client.commit();
    await world.advance(5000);
    a.group.resyncs.bitmaps.degrade('b', 'the test says so');
    await world.advance(60_000);
    const status = a.group.status().sites[0];
    t.match(status, { session: 'connected', replication: 'streaming', tracking: 'log', effectiveMode: 'logged' });
    const w = client.write(0, 0, 4096);
    client.commit();
    await world.advance(60_000);
    t.equal(w?.errno, 0);
    t.equal(a.group.sites.find('b')?.streaming, true);
    b.logDevice.stopped = true;
    const held = client.write(0, 0, 4096);
    const flush = client.flush();
    client.commit();
    await world.advance(1000);
    t.same([held?.isDone, flush.isDone], [false, false], 'what the site has not logged is not answered');
  });
