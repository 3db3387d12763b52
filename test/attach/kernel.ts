// attach/kernel.ts over a made-up driver, /sys and NBD server: choice of the device, confirmation, and going on with what another agent
// left. The real kernel is in test/kernel/.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { indexOf } from '../../src/attach/nbd-sysfs.js';
import { NetlinkError } from '../../src/attach/netlink.js';
import type { Attachment } from '../../src/attach/ports.js';
import { attachment, IDENTITY, request, SIZE_BYTES, World } from './kernel-world.js';

t.test('names of devices', async (t) => {
  t.same(['/dev/nbd0', '/dev/nbd15', '/dev/nbd0p1', '/dev/nbd', '/dev/loop0', 'nbd0'].map(indexOf), [
    0,
    15,
    ...new Array(4).fill(undefined),
  ]);
});

t.test('what /sys says is read, whatever is missing in it', async (t) => {
  const world = new World(t);
  t.notOk(world.sysfs.isLoaded);
  t.equal(world.sysfs.device(0), undefined);
  world.put(3, { backend: 'lvr:a' });
  world.put(4, { backend: '' });
  rmSync(join(world.root, 'block/nbd4/backend'));
  world.put(5, { backend: 'x' });
  rmSync(join(world.root, 'block/nbd5/pid'));
  t.ok(world.sysfs.isLoaded);
  t.same(world.sysfs.device(3), { index: 3, pid: '77', backend: 'lvr:a', sizeBytes: SIZE_BYTES, blockBytes: 512 });
  t.same(
    world.sysfs.connected().map(({ index, backend }) => [index, backend]),
    [
      [3, 'lvr:a'],
      [4, ''],
    ],
  );
  t.same(await world.sysfs.tune(3), []);
  t.same([world.queue(3, 'scheduler'), world.queue(3, 'max_sectors_kb')], ['none', '1024']);
  t.same(await world.sysfs.tune(9), ['scheduler = none', 'max_sectors_kb = 1024'], 'what cannot be set is told');
});

t.test('a named device that is taken, busy or none at all is refused, with nothing left behind', async (t) => {
  const world = new World(t);
  world.put(2, { backend: 'other' });
  const attach = (device: string): Promise<Attachment> => world.attacher().attach(request({ device }), 'how', world.onLost);
  await t.rejects(attach('/dev/nbd2'), { code: 'DEVICE_BUSY', message: /already connected to other/, hint: /takes a free device/ });
  await t.rejects(attach('/dev/nbdx'), { code: 'ATTACH', message: /expected \/dev\/nbd0/ });
  world.refusals = new Array(30).fill(new NetlinkError('connect', 16));
  await t.rejects(attach('/dev/nbd3'), { code: 'DEVICE_BUSY', message: /as \/dev\/nbd3: the device is open in another program/ });
  world.refusals = [new NetlinkError('connect', 1)];
  await t.rejects(attach('/dev/nbd3'), { code: 'ATTACH', message: /CAP_SYS_ADMIN/, hint: /root/ });
  world.refusals = [new NetlinkError('connect', 28)];
  await t.rejects(world.attacher().attach(request(), 'how', world.onLost), { message: /all devices are in use/, hint: /nbds_max/ });
  t.same(world.calls, [], 'nothing was connected');
  await t.rejects(world.attacher().attach(request({ blockBytes: 65_536 }), 'how', world.onLost), { message: /at most 4096/ });
  world.unavailable = 'it is secondary';
  await t.rejects(world.attacher().attach(request(), 'how', world.onLost), { code: 'ROLE' });
});

t.test('a device that never shows what was asked for is disconnected again', async (t) => {
  const world = new World(t);
  // Index 99 has no node in /dev on this machine, whatever /sys says.
  await t.rejects(world.attacher().attach(request({ device: '/dev/nbd99' }), 'how', world.onLost), {
    code: 'ATTACH',
    message: /does not show it/,
  });
  t.match(world.calls, [/^connect 99 \d 15 300$/, 'disconnect 99']);
});

t.test('what another agent left is gone on with: its sockets first, new ones for the rest', async (t) => {
  const world = new World(t);
  world.put(7, { backend: IDENTITY });
  const handed = { device: '/dev/nbd7', fd: 500, received: Buffer.from('rest') };
  const attacher = world.attacher([handed, { device: '/dev/nbd8', fd: 501, received: Buffer.alloc(0) }]);
  await attacher.resume(attachment('/dev/nbd7'), request(), world.onLost);
  t.match(world.served[0], { fd: 500, received: Buffer.from('rest') });
  t.ok(world.calls.every((call) => call.startsWith('reconfigure 7 1 ')));
  t.equal(attacher.deviceOf(world.served[0]?.client), '/dev/nbd7');
  t.equal(attacher.deviceOf({}), undefined);
  attacher.restored();
  t.ok(world.closed.includes(501), 'what nobody resumes is let go');
  t.notOk(world.closed.includes(500));
});

t.test(
  'sockets of a volume that cannot be served are closed, all of them: the kernel would wait for answers on one that stays open',
  async (t) => {
    const world = new World(t);
    world.put(7, { backend: IDENTITY });
    const attacher = world.attacher([500, 501, 502].map((fd) => ({ device: '/dev/nbd7', fd, received: Buffer.alloc(0) })));
    world.unavailable = 'the group has failed';
    await t.rejects(attacher.resume(attachment('/dev/nbd7'), request(), world.onLost), { code: 'ROLE', message: /the group has failed/ });
    attacher.restored();
    t.same(world.closed, [500, 501, 502]);
  },
);

t.test(
  'a device that waited while another site was primary is not gone on with: its users would overwrite what was written there',
  async (t) => {
    const world = new World(t);
    world.put(7, { backend: IDENTITY });
    const attacher = world.attacher([{ device: '/dev/nbd7', fd: 500, received: Buffer.from('a write of before') }]);
    const later = request({ identity: IDENTITY.replace('#3', '#5') });
    await t.rejects(attacher.resume(attachment('/dev/nbd7'), later, world.onLost), {
      code: 'DEVICE_CHANGED',
      message: /another site was primary for app\/data while \/dev\/nbd7 waited/,
      hint: /umount .* lvr detach app\/data, lvr attach app\/data/,
    });
    attacher.restored();
    t.same(world.served, [], 'nothing of it reaches the volume');
    t.same(world.closed, [500]);
    t.ok(attacher.serves(attachment('/dev/nbd7')), 'it is still ours to detach');
    await attacher.detach(attachment('/dev/nbd7'));
    t.same(world.calls, ['disconnect 7']);
  },
);

t.test('a device of which the kernel has fewer sockets than this machine would give it is served with those', async (t) => {
  const world = new World(t);
  world.put(7, { backend: IDENTITY });
  world.ignores = Number.POSITIVE_INFINITY;
  const one = { device: '/dev/nbd7', fd: 500, received: Buffer.alloc(0) };
  const known = world.attacher([one]);
  const resumed = await known.resume({ ...attachment('/dev/nbd7'), connections: 1 }, request(), world.onLost);
  t.equal(resumed.connections, 1, 'how many it had was written down');
  t.same(world.calls, []);
  // Nothing says how many it had, and it takes none: nobody waits for ever.
  const unknown = world.attacher([{ ...one, fd: 501 }]);
  await unknown.resume(attachment('/dev/nbd7'), request(), world.onLost);
  t.ok(world.calls.includes('log device-links-missing'));
  unknown.leave(attachment('/dev/nbd7'));
});

t.test('a device of another size, of another backend or of no connection is not gone on with', async (t) => {
  const world = new World(t);
  const resume = (index: number): Promise<Attachment> => world.attacher().resume(attachment(`/dev/nbd${index}`), request(), world.onLost);
  world.put(1, { backend: IDENTITY, sizeBytes: 2 * SIZE_BYTES });
  await t.rejects(resume(1), { code: 'DEVICE_CHANGED' });
  world.put(2, { backend: 'lvr:other' });
  await t.rejects(resume(2), { code: 'DEVICE_BUSY', message: /left alone/, hint: /nbd-client -d/ });
  await t.rejects(resume(3), { code: 'ATTACH', message: /no longer connected/ });
  world.put(4, { backend: IDENTITY });
  world.refusals = [new NetlinkError('reconfigure', 22)];
  await t.rejects(resume(4), { code: 'ATTACH' });
  t.match(world.lost, [/cannot be reconnected: .* errno 22/]);
});

t.test('a device with smaller blocks than its volume takes by now waits: its users would get I/O errors', async (t) => {
  const world = new World(t);
  world.put(1, { backend: IDENTITY });
  const large = request({ blockBytes: 4096 });
  await t.rejects(world.attacher().resume(attachment('/dev/nbd1'), large, world.onLost), {
    code: 'DEVICE_CHANGED',
    message: /512 .* 4096/,
  });
  await t.rejects(world.attacher().attach(large, 'how', world.onLost), { code: 'DEVICE_CHANGED' });
  t.same(world.served, []);
  world.put(1, { backend: IDENTITY, blockBytes: 4096 });
  await t.resolves(world.attacher().resume(attachment('/dev/nbd1'), large, world.onLost));
  await t.resolves(world.attacher().resume(attachment('/dev/nbd1'), request(), world.onLost), 'larger ones fit');
});

t.test('a device of this volume that no file knows of is taken, not connected a second time', async (t) => {
  const world = new World(t);
  world.put(6, { backend: IDENTITY });
  const made = await world.attacher().attach(request(), 'how', world.onLost);
  t.equal(made.device, '/dev/nbd6');
  t.notOk(world.calls.some((call) => call.startsWith('connect')));
  await t.rejects(world.attacher().attach(request({ device: '/dev/nbd1' }), 'how', world.onLost), { code: 'IN_USE' });
});

t.test('a dead device is disconnected without being opened; one that is not ours is not touched', async (t) => {
  const world = new World(t);
  world.put(7, { backend: IDENTITY });
  world.put(8, { backend: 'lvr:other' });
  const attacher = world.attacher();
  await attacher.detach(attachment('/dev/nbd7'));
  await attacher.detach(attachment('/dev/nbd8'));
  t.same(world.calls, ['disconnect 7']);
  world.put(7, { backend: IDENTITY });
  world.refusals = [new NetlinkError('disconnect', 22)];
  await t.rejects(attacher.detach(attachment('/dev/nbd7')), { code: 'ATTACH', message: /nbd7 cannot be disconnected/ });
});
