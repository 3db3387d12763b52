// A group that failed in the middle of a resync can be stopped.

import t from 'tap';
import { RING_START } from '../../src/format/superblock.js';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

for (const kind of ['read', 'write', 'sync'] as const) {
  t.test(`a site whose volume fails a ${kind} in a resync can be stopped`, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const world = new SimWorld(random);
    const a = await world.add('a', { sites: ['b'], resync: { minDwellMs: 1 } });
    const b = await world.add('b', { sites: ['a'], role: 'secondary' });
    await world.advance(5000);
    const client = new SimClient(a, new History());
    world.fold(a, 'b');
    for (let i = 0; i < 10; i++) client.write(0, i * 4096, 4096);
    client.commit();
    await world.advance(5000);
    world.blocked.clear();
    for (const device of b.volumeDevices)
      device.intercept = (op) => (op.kind === kind && b.group.log.store.current.resync !== undefined ? 5 : 0);
    await world.advance(10_000);
    // What cannot be read is overwritten without an undo.
    t.equal(b.group.failure !== undefined, kind !== 'read');
    await t.resolves(world.drive(b.group.stop()));
  });
}

t.test('a site whose log fails while a resync drops its undo can be stopped', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], resync: { minDwellMs: 1 } });
  const b = await world.add('b', { sites: ['a'], role: 'secondary', undo: 'auto' });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  world.fold(a, 'b');
  for (let i = 0; i < 10; i++) client.write(0, i * 4096, 4096);
  client.commit();
  await world.advance(5000);
  let isFull = false;
  const undo = b.devices.at(-1);
  if (undo !== undefined)
    undo.intercept = (op) => {
      if (op.kind !== 'write' || op.offset < 8192) return 0;
      isFull = true;
      return 28;
    };
  b.logDevice.intercept = (op) => (isFull && op.kind === 'write' && op.offset < RING_START ? 5 : 0);
  world.blocked.clear();
  await world.advance(10_000);
  t.ok(isFull);
  t.ok(b.group.failure, 'the group has failed');
  await t.resolves(world.drive(b.group.stop()));
});
