// undo = required: a resync waits for room, and goes on when there is some.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

for (const when of ['begin', 'save'] as const) {
  t.test(`a resync that must keep what it overwrites goes on when the disk of the undo has room again (${when})`, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const world = new SimWorld(random);
    const a = await world.add('a', { sites: ['b'], resync: { minDwellMs: 1 } });
    const b = await world.add('b', { sites: ['a'], role: 'secondary', undo: 'required' });
    await world.advance(5000);
    const history = new History();
    const client = new SimClient(a, history);
    world.fold(a, 'b');
    for (let i = 0; i < 10; i++) client.write(0, i * 4096, 4096);
    client.commit();
    await world.advance(5000);
    let isFull = true;
    const undo = b.devices.at(-1);
    if (undo !== undefined) undo.intercept = (op) => (isFull && op.kind === 'write' && (when === 'begin' || op.offset >= 8192) ? 28 : 0);
    world.blocked.clear();
    await world.advance(20_000);
    t.equal(b.group.failure, undefined);
    isFull = false;
    await world.advance(60_000);
    t.match(a.group.status().sites[0], { session: 'connected', replication: 'streaming', tracking: 'log' });
    t.same(differences(history, 10, b.image()).slice(0, 3), []);
  });
}
