// attach/kernel.ts over a made-up driver, /sys and NBD server: choice of the device, confirmation, repair of lost connections, and going on
// with what another agent left. The real kernel is in test/kernel/.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { KernelAttacher } from '../../src/attach/kernel.js';
import { KernelDevice } from '../../src/attach/kernel-device.js';
import { indexOf, NbdSysfs } from '../../src/attach/nbd-sysfs.js';
import { type NbdControl, NetlinkError } from '../../src/attach/netlink.js';
import type { DeviceArguments } from '../../src/attach/netlink-message.js';
import type { Attachment, AttachRequest, HandedSocket, KernelClient } from '../../src/attach/ports.js';
import { LvrError } from '../../src/core/errors.js';

const IDENTITY = 'lvr:0123456789abcdef0123456789abcdef/data@fedcba#3';
const SIZE_BYTES = 1024 * 1024;

/** Everything around an attacher, as it looks in memory and in a directory that stands for /sys. */
class World {
  readonly root = mkdtempSync(join(tmpdir(), 'lvr-sys-'));
  readonly sysfs = new NbdSysfs(this.root);
  readonly calls: string[] = [];
  /** Served connections that were not closed. */
  readonly served: { client: KernelClient; fd: number; received: Uint8Array }[] = [];
  readonly closed: number[] = [];
  readonly lost: string[] = [];
  /** Thrown by the next calls of the driver. */
  refusals: unknown[] = [];
  unavailable = '';
  /** Thrown where the volume cannot be served at all. */
  never = '';
  identity = IDENTITY;
  /** The driver ignores the next sockets: it closes its end. */
  ignores = 0;
  #fd = 1000;

  constructor(test: Test) {
    test.teardown(() => rmSync(this.root, { recursive: true, force: true }));
    mkdirSync(join(this.root, 'block'));
  }

  readonly control: NbdControl = {
    check: async () => undefined,
    connect: async (wanted) => {
      this.#refuse();
      const index = wanted.index ?? 0;
      this.calls.push(
        `connect ${wanted.index ?? 'any'} ${wanted.sockets?.length} ${wanted.timeoutSeconds} ${wanted.deadConnTimeoutSeconds}`,
      );
      this.put(index, { backend: wanted.backend ?? '', sizeBytes: wanted.sizeBytes ?? 0 });
      return index;
    },
    reconfigure: async (wanted: DeviceArguments) => {
      try {
        this.#refuse();
      } catch (error) {
        // The other end of what was to be handed over is closed then.
        setImmediate(() => this.drop(this.served.length - 1));
        throw error;
      }
      this.calls.push(`reconfigure ${wanted.index} ${wanted.sockets?.length} ${wanted.backend} ${wanted.sizeBytes ?? ''}`);
      if (this.ignores-- > 0) setImmediate(() => this.drop(this.served.length - 1));
    },
    disconnect: async (index) => {
      this.#refuse();
      this.calls.push(`disconnect ${index}`);
      rmSync(join(this.root, `block/nbd${index}/pid`), { force: true });
      for (let at = this.served.length - 1; at >= 0; at--) this.drop(at);
    },
    status: async () => [],
    listen: () => undefined,
  };

  #refuse(): void {
    const refusal = this.refusals.shift();
    if (refusal !== undefined) throw refusal;
  }

  /** A device appears, connected to `backend`. */
  put(
    index: number,
    { backend, sizeBytes = SIZE_BYTES, blockBytes = 512 }: { backend: string; sizeBytes?: number; blockBytes?: number },
  ): void {
    const directory = join(this.root, `block/nbd${index}`);
    mkdirSync(join(directory, 'queue'), { recursive: true });
    const files = { size: sizeBytes / 512, pid: 77, backend, 'queue/scheduler': '[mq-deadline] none', 'queue/max_sectors_kb': 128 };
    for (const [name, value] of Object.entries({ ...files, 'queue/max_hw_sectors_kb': 32_768, 'queue/logical_block_size': blockBytes }))
      writeFileSync(join(directory, name), `${value}\n`);
  }

  /** A connection is lost. */
  drop(at: number): void {
    this.served.splice(at, 1)[0]?.client.closed('gone');
  }

  queue(index: number, name: string): string {
    return readFileSync(join(this.root, `block/nbd${index}/queue/${name}`), 'utf8').trim();
  }

  readonly parts = {
    control: this.control,
    sysfs: this.sysfs,
    sockets: { socketPair: (): [number, number] => [this.#fd++, this.#fd++], close: (fd: number) => void this.closed.push(fd) },
    server: {
      flags: () => 0x16d,
      identity: () => {
        if (this.never !== '') throw new LvrError('ROLE', this.never);
        return this.identity;
      },
      serve: (_target: string, fd: number, received: Uint8Array, client: KernelClient) => {
        if (this.unavailable !== '') throw new LvrError('ROLE', this.unavailable);
        this.served.push({ client, fd, received });
      },
      check: () => undefined,
    },
    log: { info: () => undefined, warn: (event: string) => void this.calls.push(`log ${event}`), error: () => undefined },
  };

  attacher(handed: HandedSocket[] = []): KernelAttacher {
    return new KernelAttacher(this.parts, handed);
  }

  readonly onLost = (reason: string): void => void this.lost.push(reason);
}

function request(more: Partial<AttachRequest> = {}): AttachRequest {
  const rest = { socketPath: '', sizeBytes: SIZE_BYTES, blockBytes: 512, readOnly: false, device: undefined };
  return { target: 'app/data', identity: IDENTITY, ...rest, ...more };
}

function attachment(device: string): Attachment {
  const rest = { how: 'how', link: '', pid: 1, pidStart: '1', mountPoint: '', readOnly: false, blockBytes: 512 };
  return { target: 'app/data', device, way: 'nbd', identity: IDENTITY, ...rest };
}

async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await sleep(10);
  if (!condition()) throw new Error(`never happened: ${what}`);
}

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

t.test('a refusal that passes does not end the repair: of the volume, and of the driver', async (t) => {
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
