// A promotion while the end mark of a resync is carried out.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const HAD = 10;

for (const when of ['before', 'behind'] as const) {
  t.test(`a promotion while the log begins anew for an end mark rolls back; the wipe ends ${when} its end`, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const world = new SimWorld(random);
    const a = await world.add('a', { sites: ['b'], mode: 'logged', resync: { minDwellMs: 1 } });
    const b = await world.add('b', { sites: ['a'], role: 'secondary' });
    await world.advance(5000);
    const history = new History();
    const client = new SimClient(a, history);
    for (let i = 0; i < HAD; i++) client.write(0, i * 4096, 4096);
    client.commit();
    await world.advance(5000);
    // The volumes of the primary stall, so that the log of the site goes back with the end mark.
    for (const device of a.volumeDevices) device.intercept = (op) => (op.kind === 'write' ? 'hang' : 0);
    for (const at of [0, 0, 4096, 4096]) {
      client.write(1, at, 4096);
      client.commit();
      await world.advance(100);
    }
    await world.advance(2000);
    t.equal(b.group.log.durableLsn, HAD + 4);
    let isWiping = false;
    b.logDevice.intercept = (op) => {
      isWiping ||= op.kind === 'zero';
      return op.kind === 'zero' ? 'hang' : 0;
    };
    // Where the promotion is cut off: its old content goes back.
    if (when === 'before') for (const device of b.volumeDevices) device.intercept = (op) => (op.kind === 'sync' && isWiping ? 'hang' : 0);
    a.group.resyncs.bitmaps.degrade('b', 'the test says so');
    for (let i = 0; i < 500 && !isWiping; i++) await world.advance(10);
    t.ok(isWiping, 'the end mark is being carried out');
    a.crash('process');
    await world.advance(1000);
    // It may be refused until the end mark is carried out; what must not be is both at once.
    let refused = '';
    const promotion = b.group.promote({ force: false }).catch((error: unknown) => {
      refused = String(error);
      return undefined;
    });
    await world.advance(1000);
    b.logDevice.intercept = undefined;
    await world.advance(1000);
    if (when === 'before' && refused === '') {
      t.match(b.group.log.store.current.resync?.uuid ?? '', /^0+$/, 'what is being put back cannot be gone on with');
      return;
    }
    for (const device of b.volumeDevices) device.intercept = undefined;
    if (refused === '') await world.drive(promotion);
    else await world.drive(b.group.promote({ force: false }));
    await world.settle();
    t.equal(b.group.role, 'primary');
    t.equal(b.group.log.store.current.resync, undefined);
    t.equal(b.group.log.appendedLsn, HAD + 4);
    t.same(differences(history, HAD + 4, b.image()).slice(0, 5), []);
    await b.restart('power').catch((error: unknown) => t.fail(String(error)));
  });
}
