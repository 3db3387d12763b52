// A group that is stopped while its volumes are busy: what is not applied or read by then never reaches a device that is closed. The real
// device takes that for a broken invariant, which ends the process in the middle of its stop.

import t from 'tap';
import { SimClient, type SimRequest } from '../../src/sim/client.js';
import type { SimDevice } from '../../src/sim/disk.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

/** What each device is asked to do after its close. */
function watch(devices: readonly SimDevice[]): string[] {
  const late: string[] = [];
  for (const device of devices) {
    device.onQueued = (op) => {
      if (device.isClosed) late.push(`${op.kind} on ${device.path}`);
    };
  }
  return late;
}

for (const quick of [true, false]) {
  t.test(`records that wait for older ones are left to the next start when the group ${quick ? 'gives way' : 'stops'}`, async (t) => {
    const world = new SimWorld(new Random(1));
    const site = await world.add('a');
    const history = new History();
    const client = new SimClient(site, history);
    const late = watch(site.devices);
    let isSlow = true;
    for (const device of site.volumeDevices) device.intercept = (op) => (isSlow && op.kind === 'write' ? 'hang' : 0);
    // They overlap, so that each is applied after the one before.
    for (let i = 0; i < 10; i++) {
      client.write(0, 0, 4096);
      client.commit();
      await world.settle();
    }
    const flush = client.flush();
    client.commit();
    await world.settle();
    t.equal(flush.errno, 0);
    await world.drive(site.group.stop({ quick }));
    isSlow = false;
    await world.settle();
    t.same(late, []);
  });
}

t.test('reads that wait for memory are answered when the group stops, and do not reach the devices', async (t) => {
  const world = new SimWorld(new Random(2));
  const site = await world.add('a', { volumeBytes: 4 << 20 });
  const client = new SimClient(site, new History());
  const late = watch(site.devices);
  for (const device of site.volumeDevices) device.stopped = true;
  const reads: SimRequest[] = [];
  for (let i = 0; i < 100; i++) reads.push(client.read(0, 0, 1 << 20));
  client.commit();
  await world.settle();
  await world.drive(site.group.stop({ quick: true }));
  for (const device of site.volumeDevices) device.stopped = false;
  await world.settle();
  t.same(late, []);
  t.ok(reads.every((read) => read.isDone));
});
