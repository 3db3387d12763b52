// Resyncs of parts of regions, over region sizes and volumes that do not end with a region: writes, zeroes and trims go on, links are lost,
// agents start again; both sites hold the same in the end.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

for (const regionBytes of [4096, 8192, 65536, 1 << 20, 4 << 20]) {
  for (let round = 0; round < 2; round++) {
    t.test(`parts of regions of ${regionBytes}, ${round}`, async (t) => {
      const random = new Random();
      t.comment(`SEED=${random.seed}`);
      const world = new SimWorld(random);
      const volumeBytes = (9 << 20) + 4096 * random.below(40) + 512 * random.below(8);
      const a = await world.add('a', { sites: ['b'], volumeBytes, regionBytes, logBytes: 16 << 20, resync: { minDwellMs: 1 } });
      const b = await world.add('b', { sites: ['a'], volumeBytes, regionBytes, role: 'secondary' });
      await world.advance(5000);
      const history = new History(volumeBytes);
      let client = new SimClient(a, history);
      const write = async (n: number): Promise<void> => {
        for (let i = 0; i < n; i++) {
          const sectors = 1 + random.below(random.below(4) === 0 ? 256 : 16);
          const at = random.below(volumeBytes / 512 - sectors);
          const far = random.below(10) === 0 ? volumeBytes / 512 - sectors : at;
          if (random.below(8) === 0) client.discard(random.below(2) === 0 ? 'trim' : 'zero', random.below(2), at * 512, sectors * 512);
          else client.write(random.below(2), far * 512, sectors * 512);
          client.commit();
          await world.advance(random.below(4) === 0 ? 10 : 1);
        }
      };
      for (let cycle = 0; cycle < 3; cycle++) {
        world.fold(a, 'b');
        await write(60);
        if (random.below(3) === 0) {
          client.flush();
          client.commit();
          await world.advance(2000);
          a.crash('process');
          await a.start();
          await world.advance(5000);
          client = new SimClient(a, history);
        }
        world.blocked.clear();
        for (let i = 0; i < 5; i++) {
          await world.advance(random.below(1500));
          await write(10);
          if (random.below(3) === 0) a.group.links.get('b')?.meetAgain('the test says so');
        }
        if (random.below(2) === 0) await world.advance(20_000);
      }
      client.flush();
      client.commit();
      await world.advance(120_000);
      t.match(a.group.status().sites[0], { session: 'connected', replication: 'streaming', tracking: 'log' });
      for (const site of [a, b]) t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
    });
  }
}
