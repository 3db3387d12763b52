// Mode memory, and a site whose copy is not consistent yet.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

t.test('a write is not answered because a site has it that could still be rolled back', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], mode: 'memory', onDisconnect: 'block', resync: { minDwellMs: 1 } });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  client.write(0, 0, 4096);
  client.flush();
  client.commit();
  await world.advance(5000);
  // Records get to the log of b, and what ends the resync does not get to its superblock.
  a.group.resyncs.bitmaps.degrade('b', 'the test says so');
  b.logDevice.intercept = (op) =>
    op.kind === 'write' && op.offset < 65536 && (b.group.log.store.current.resync?.endLsn ?? 0) > 0 ? 'hang' : 0;
  await world.advance(10_000);
  const w = client.write(0, 8192, 4096);
  client.commit();
  await world.advance(1000);
  t.ok(b.group.log.store.current.resync !== undefined, 'not consistent');
  t.equal(w?.isDone, false);
  b.logDevice.intercept = undefined;
  await world.advance(10_000);
  t.equal(b.group.log.store.current.resync, undefined);
  t.equal(w?.errno, 0, 'it is when the copy is consistent');
  t.same(differences(history, history.written.length, b.image()).slice(0, 5), []);
});
