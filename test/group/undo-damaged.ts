// A promotion that finds the undo store damaged changes nothing: the resync can go on, as its hint says.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const PIECE = 65536;
const PIECES = 16;

for (const isRestarted of [false, true]) {
  t.test(
    `a promotion that cannot roll back leaves a site that goes on with its resync${isRestarted ? ', also after a restart' : ''}`,
    async (t) => {
      const random = new Random();
      t.comment(`SEED=${random.seed}`);
      const world = new SimWorld(random);
      const volumeBytes = PIECES * PIECE;
      const a = await world.add('a', { sites: ['b'], volumeBytes, resync: { minDwellMs: 1, maxRate: PIECE } });
      const b = await world.add('b', { sites: ['a'], volumeBytes, role: 'secondary' });
      await world.advance(5000);
      const history = new History(volumeBytes);
      const client = new SimClient(a, history);
      client.write(0, 0, 4096);
      client.commit();
      await world.advance(5000);
      world.fold(a, 'b');
      for (let i = 0; i < PIECES; i++) {
        client.write(i % 2, i * PIECE, PIECE, false, 1);
        client.commit();
        await world.advance(100);
      }
      world.blocked.clear();
      for (let i = 0; i < 10_000 && (b.group.resyncs.undo?.entries ?? 0) < 6; i++) await world.advance(10);
      t.ok((b.group.resyncs.undo?.entries ?? 0) >= 6);
      world.block('a', 'b');
      a.group.links.get('b')?.meetAgain('the test says so');
      await world.advance(1000);
      b.stores[1]?.corrupt(8192 + 4096 + 100, 3);
      await t.rejects(world.drive(b.group.promote({ force: false })), { code: 'UNDO_CORRUPT', hint: /let the resync come to its end/ });
      if (isRestarted) await b.restart('power').catch((error: unknown) => t.fail(`the site does not start: ${error}`));
      if (!b.isUp) return;
      world.blocked.clear();
      await world.advance(120_000);
      t.match(a.group.status().sites[0], { session: 'connected', replication: 'streaming', tracking: 'log' });
      t.same(differences(history, history.written.length, b.image()).slice(0, 5), []);
    },
  );
}
