// More records behind the end mark of a resync than a group has memory for: none of them may be applied before the last one is there.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const VOLUME_BYTES = 4 << 20;

t.test('a resync under many small writes ends', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', {
    sites: ['b'],
    volumeBytes: VOLUME_BYTES,
    resync: { minDwellMs: 1, minRate: 65536, maxRate: 262144, checksum: 'off' },
  });
  const b = await world.add('b', { sites: ['a'], role: 'secondary', volumeBytes: VOLUME_BYTES });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  const write = async (offset: number, bytes: number): Promise<void> => {
    client.write(0, offset, bytes);
    client.flush();
    client.commit();
    await world.advance(5);
  };
  b.crash();
  for (let offset = 0; offset < VOLUME_BYTES; offset += 65536) await write(offset, 65536);
  // Slow, so that the log is kept from a base on while there is something left to copy, and then the volume of b stands still.
  a.group.resyncs.bitmaps.degrade('b', 'the test says so');
  const site = () => a.group.status().sites[0];
  for (let i = 0; i < 100 && site()?.tracking !== 'bitmap'; i++) await world.advance(5);
  await b.start();
  const device = b.volumeDevices[0] as (typeof b.volumeDevices)[number];
  for (let i = 0; i < 3000 && site()?.tracking !== 'log'; i++) await write((i % 30) * 4096, 4096);
  t.match(site(), { replication: 'resyncing', tracking: 'log' });
  device.intercept = (op) => (op.kind === 'write' ? 'hang' : 0);
  const base = a.group.log.appendedLsn;
  for (let i = 0; i < 300; i++) await write((i % 30) * 4096, 4096);
  t.equal(site()?.replication, 'resyncing', 'still');
  t.ok(a.group.log.appendedLsn > base + 250, 'more batches than slabs');
  device.intercept = undefined;
  await world.advance(30_000);
  t.match(a.group.status().sites[0], { session: 'connected', replication: 'streaming', tracking: 'log' });
  t.equal(b.group.log.store.current.resync, undefined);
  t.same(differences(history, history.written.length, b.image()).slice(0, 5), []);
});
