// Lost connections of a device of the kernel: what is repaired, how long it is tried, and what is given up.

import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { KernelDevice } from '../../src/attach/kernel-device.js';
import { NetlinkError } from '../../src/attach/netlink.js';
import { LvrError } from '../../src/core/errors.js';
import { attachment, eventually, IDENTITY, request, World } from './kernel-world.js';

t.test('lost connections are replaced one by one, without a size, also when the kernel ignores some', async (t) => {
  const world = new World(t);
  world.put(7, { backend: IDENTITY });
  const device = new KernelDevice(world.parts, 'app/data', IDENTITY, 2, world.onLost);
  await device.withSockets(2, async (sockets) => t.equal(sockets.length, 2));
  t.equal(world.closed.length, 2, 'the ends of the kernel are closed here');
  device.index = 7;
  world.ignores = 2;
  world.drop(0);
  await eventually(() => device.live === 2 && world.calls.length >= 4, 'it is whole again');
  t.same(world.calls.slice(1), new Array(3).fill(`reconfigure 7 1 ${IDENTITY} `));
  t.same(world.lost, []);
  device.release();
  world.drop(0);
  await sleep(30);
  t.equal(device.live, 1, 'a device that is let go is not repaired');
});

t.test('a device that belongs to something else by now, or is gone, is left alone', async (t) => {
  const world = new World(t);
  world.put(7, { backend: 'lvr:other' });
  const device = new KernelDevice(world.parts, 'app/data', IDENTITY, 1, world.onLost);
  device.index = 7;
  await device.repair();
  t.match(world.lost, [/connected to lvr:other, not to app\/data; it is left alone/]);
  t.same(world.calls, []);
  const gone = new KernelDevice(world.parts, 'app/data', IDENTITY, 1, world.onLost);
  gone.index = 8;
  await gone.repair();
  t.match(world.lost[1], /has disconnected \/dev\/nbd8/);
});

t.test('while the volume cannot be served its device waits', async (t) => {
  const world = new World(t);
  world.put(7, { backend: IDENTITY });
  const device = new KernelDevice(world.parts, 'app/data', IDENTITY, 1, world.onLost);
  await device.withSockets(1, async () => undefined);
  device.index = 7;
  world.never = 'the group has failed';
  world.drop(0);
  await sleep(1);
  t.same(world.lost, ['the group has failed'], 'reported at once');
  world.never = '';
  const resumed = await world.attacher().resume(attachment('/dev/nbd7'), request(), world.onLost);
  t.match(resumed, { device: '/dev/nbd7', pid: process.pid });
});

t.test('a refusal that passes does not end the repair: of the volume, of the driver, and of the system', async (t) => {
  const world = new World(t);
  world.put(7, { backend: IDENTITY });
  const device = new KernelDevice(world.parts, 'app/data', IDENTITY, 2, world.onLost);
  await device.withSockets(2, async () => undefined);
  device.index = 7;
  world.unavailable = 'the group changes its role';
  world.drop(0);
  await sleep(200);
  t.equal(device.live, 1);
  world.unavailable = '';
  world.refusals = [new NetlinkError('reconfigure', 16), new LvrError('TIMEOUT', 'netlink did not answer')];
  await eventually(() => device.live === 2 && world.refusals.length === 0, 'it is whole again');
  t.same(world.lost, []);

  for (const lack of [{ of: world, key: 'noSockets' } as const, { of: world.sysfs, key: 'cannotLook' } as const]) {
    await sleep(200);
    Object.assign(lack.of, { [lack.key]: true });
    world.drop(0);
    await sleep(200);
    t.equal(device.live, 1, lack.key);
    Object.assign(lack.of, { [lack.key]: false });
    await eventually(() => device.live === 2, 'it is whole again');
    t.same(world.lost, []);
  }

  await sleep(200);
  world.unavailable = 'the group changes its role';
  device.release();
  world.drop(0);
  device.revive();
  t.equal(await device.repair(50), 'the group changes its role', 'patience has an end');
  t.same(world.lost, ['the group changes its role']);
});

t.test('a device is not served again when another site was primary while its repair waited', async (t) => {
  const world = new World(t);
  world.put(7, { backend: IDENTITY });
  const device = new KernelDevice(world.parts, 'app/data', IDENTITY, 1, world.onLost);
  await device.withSockets(1, async () => undefined);
  device.index = 7;
  world.unavailable = 'the group changes its role';
  world.drop(0);
  await sleep(100);
  world.identity = IDENTITY.replace('#3', '#5');
  world.unavailable = '';
  await eventually(() => world.lost.length === 1, 'it is given up');
  t.match(world.lost, [/^another site was primary for app\/data while \/dev\/nbd7 waited/]);
  t.same([world.served.length, device.live], [0, 0]);
  t.throws(() => device.takeOver([{ device: '/dev/nbd7', fd: 900, received: Buffer.alloc(0) }]), { code: 'DEVICE_CHANGED' });
  t.ok(world.closed.includes(900));
});

t.test('a device that was given up goes on with the connections that still live', async (t) => {
  const world = new World(t);
  world.put(7, { backend: IDENTITY });
  const attacher = world.attacher([500, 501].map((fd) => ({ device: '/dev/nbd7', fd, received: Buffer.alloc(0) })));
  const two = { ...attachment('/dev/nbd7'), connections: 2 };
  await attacher.resume(two, request(), world.onLost);
  world.never = 'the group has failed';
  world.drop(1);
  await eventually(() => world.lost.length === 1, 'it is given up');
  world.never = '';
  t.equal(world.served.length, 1);
  t.equal((await attacher.resume(two, request(), world.onLost)).device, '/dev/nbd7');
  t.equal(world.served.length, 2, 'only the lost one is replaced');
  attacher.leave(two);
});
