// Bitmaps over starts with another size of the regions. Where the pages of a bitmap stand depends on that size, and a bitmap keeps its
// UUID: pages of the first size that a start with another one did not overwrite must not count when the first size comes back.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import type { SimDisk } from '../../src/sim/disk.js';
import { differences, History } from '../../src/sim/history.js';
import { SimSite, type SimSiteOptions } from '../../src/sim/site.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const MIB = 1 << 20;
const SMALL = 4096;
const LARGE = 65536;
/** With small regions more than a page of bits, with large ones no more than a page. */
const VOLUME = { volumeBytes: 130 * MIB };
const OPTIONS: SimSiteOptions = { sites: ['b'], regionBytes: SMALL, limits: { ios: { high: 3, low: 1, action: 'degrade' } }, ...VOLUME };

t.test('what was marked while the regions had another size is copied when they have the first size again', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', OPTIONS);
  const b = await world.add('b', { sites: ['a'], role: 'secondary', ...VOLUME });
  await world.advance(5000);
  const history = new History(VOLUME.volumeBytes);
  const write = async (site: SimSite, count: number, from: number): Promise<void> => {
    const client = new SimClient(site, history);
    for (let i = 0; i < count; i++) {
      client.write(0, from + i * MIB, 4096);
      client.commit();
      await world.advance(50);
    }
    client.disconnect();
    // A checkpoint: the log forgets them.
    await world.advance(5000);
  };
  /** The same machine after a stop, with another size in its configuration. */
  const reopened = async (before: SimSite, regionBytes: number): Promise<SimSite> => {
    await world.drive(before.group.stop());
    before.crash('process');
    const after = new SimSite(world, 'a', { ...OPTIONS, regionBytes });
    after.setDisks(before.disks as readonly SimDisk[]);
    after.hadLog = true;
    world.sites[world.sites.indexOf(before)] = after;
    await after.start();
    return after;
  };
  await world.drive(b.group.stop());
  b.crash('process');
  await write(a, 10, 0);
  t.match(a.group.status().sites[0], { tracking: 'bitmap', dirtyBytes: 10 * SMALL });
  const large = await reopened(a, LARGE);
  t.match(large.group.status().sites[0], { tracking: 'bitmap', dirtyBytes: 2 * VOLUME.volumeBytes }, 'another size: all of it is dirty');
  await write(large, 10, 40 * MIB);
  t.equal(large.group.log.trimmedLsn, 20, 'the log has forgotten them');
  const small = await reopened(large, SMALL);
  await b.start();
  for (let i = 0; i < 60 && small.group.status().sites[0]?.tracking !== 'log'; i++) await world.advance(5000);
  t.match(small.group.status().sites[0], { tracking: 'log', replication: 'streaming', dirtyBytes: 0 });
  await world.advance(5000);
  t.same(differences(history, history.written.length, b.image()).slice(0, 3), []);
});
