// Old content is saved in few writes, each of which waits for the undo device, also where regions come in parts; and none of it twice.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const PIECE = 65536;
const PIECES = 256;
for (const isRestarted of [true, false]) {
  t.test(`rounds of saving, ${isRestarted ? 'whole regions' : 'parts'}`, async (t) => {
    const world = new SimWorld(new Random());
    const volumeBytes = PIECES * PIECE;
    const a = await world.add('a', { sites: ['b'], volumeBytes, resync: { minDwellMs: 1 } });
    const b = await world.add('b', { sites: ['a'], volumeBytes, role: 'secondary' });
    await world.advance(5000);
    const client = new SimClient(a, new History(volumeBytes));
    world.fold(a, 'b');
    for (let i = 0; i < PIECES; i++) {
      client.write(0, i * PIECE, 4096, false, 1);
      client.write(0, i * PIECE + 8192, 4096, false, 1);
      client.commit();
      await world.advance(5);
    }
    await world.advance(5000);
    if (isRestarted) await a.restart('power');
    let reads = 0;
    for (const device of b.volumeDevices) {
      device.onQueued = ({ kind, length }) => {
        if (kind === 'read') reads += length;
      };
    }
    let writes = 0;
    const undo = b.devices.at(-1);
    if (undo !== undefined) undo.onQueued = (op) => void (op.kind === 'write' && op.length > 4096 && writes++);
    world.blocked.clear();
    await world.advance(60_000);
    t.match(a.group.status().sites[0], { tracking: 'log' });
    // Parts come one by one, at the pace at which they are read.
    t.ok(writes > 0 && writes <= PIECES / (isRestarted ? 16 : 2), `what follows is saved along, ${writes} writes`);
    t.equal(reads, PIECES * PIECE, 'each unit is read once');
  });
}
