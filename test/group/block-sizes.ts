// Volumes of one group whose devices have blocks of different sizes. Their records share batches, and a device with O_DIRECT takes memory
// that is aligned like its blocks (core/ports.ts; dm-crypt with sectors of 4 KiB refuses any other with EINVAL). And a device whose
// blocks are larger than they were when the log was written.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { SimDisk } from '../../src/sim/disk.js';
import { differences, History } from '../../src/sim/history.js';
import { SimSite } from '../../src/sim/site.js';
import { Random } from '../helpers/random.js';
import { SimWorld, VOLUME_BYTES } from '../helpers/sim-group.js';

async function start(world: SimWorld, blocks: readonly [number, number]): Promise<SimSite> {
  const site = new SimSite(world, 'a', {});
  site.volumes = blocks.map((bytes, i) => new SimDisk(`a.${i}`, VOLUME_BYTES, bytes));
  world.sites.push(site);
  await site.start();
  return site;
}

t.test('a record of a volume with blocks of 4 KiB is aligned for its device behind records of 512 bytes', async (t) => {
  const world = new SimWorld(new Random(1));
  const site = await start(world, [512, 4096]);
  const history = new History();
  const client = new SimClient(site, history);
  for (let i = 0; i < 20; i++) {
    client.write(0, i * 512, 512);
    client.write(1, i * 8192, 4096 * (1 + (i % 2)));
  }
  client.commit();
  await world.advance(100);
  t.equal(site.group.failure, undefined);
  t.equal(site.group.applier.appliedLsn, history.written.length);
  t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
});

t.test('a device whose blocks have become larger than a record in the log fails its group, not the process', async (t) => {
  const world = new SimWorld(new Random(2));
  const site = await start(world, [512, 512]);
  const client = new SimClient(site, new History());
  for (const device of site.volumeDevices) device.stopped = true;
  client.write(0, 512, 512, true);
  client.commit();
  await world.settle();
  site.crash('process');
  site.volumes = [new SimDisk('a.0', VOLUME_BYTES, 4096), site.volumes[1] as SimDisk];
  await t.rejects(site.start(), { code: 'DEVICE_CHANGED', message: /blocks of 4096 bytes by now, and LSN 1 / });
});
