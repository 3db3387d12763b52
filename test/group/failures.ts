// What a group does when its disks fail, stop or fill up: it says so, answers nothing it cannot keep, and loses nothing it kept.

import t from 'tap';
import type { Backend } from '../../src/core/ports.js';
import { SimClient, type SimRequest } from '../../src/sim/client.js';
import type { SimDevice, SimOp } from '../../src/sim/disk.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, SimWorld, VOLUME_BYTES } from '../helpers/sim-group.js';

const MIB = 1 << 20;
const EIO = 5;
const ENOSPC = 28;

type Fault = { name: string; at: 'log' | 'volume'; matches: (op: SimOp) => boolean; errno: number; code: string; within: number };

const FAULTS: readonly Fault[] = [
  {
    name: 'a log write fails',
    at: 'log',
    matches: (op) => op.kind === 'write' && op.offset >= 65536,
    errno: EIO,
    code: 'LOG_FAILED',
    within: 15,
  },
  {
    name: 'the log has no space',
    at: 'log',
    matches: (op) => op.kind === 'write' && op.offset >= 65536,
    errno: ENOSPC,
    code: 'LOG_FAILED',
    within: 15,
  },
  {
    name: 'a superblock write fails',
    at: 'log',
    matches: (op) => op.kind === 'write' && op.offset < 65536,
    errno: EIO,
    code: 'LOG_FAILED',
    within: 2,
  },
  { name: 'a volume write fails', at: 'volume', matches: (op) => op.kind === 'write', errno: EIO, code: 'DEVICE_FAILED', within: 15 },
  { name: 'a volume has no space', at: 'volume', matches: (op) => op.kind === 'write', errno: ENOSPC, code: 'DISK_FULL', within: 15 },
  { name: 'zeroing fails', at: 'volume', matches: (op) => op.kind === 'zero', errno: EIO, code: 'DEVICE_FAILED', within: 4 },
  { name: 'a volume flush fails', at: 'volume', matches: (op) => op.kind === 'sync', errno: EIO, code: 'DEVICE_FAILED', within: 3 },
];

async function load(world: SimWorld, site: SimSite, client: SimClient, random: Random): Promise<void> {
  for (let i = 0; i < 300 && site.group.failure === undefined; i++) {
    client.act(random);
    if (i % 5 === 0) {
      client.commit();
      site.stepDevices();
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (i % 90 === 0) await world.advance(2500);
  }
  client.commit();
  await world.advance(2500);
  await world.advance(2500);
}

for (const fault of FAULTS) {
  t.test(`${fault.name}: the group fails, nothing more is acknowledged, and nothing promised is lost`, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    for (let run = 0; run < 4; run++) {
      const world = new SimWorld(random);
      const site = await world.add('a');
      const failed: string[] = [];
      site.group.onFailed = (error) => void failed.push(error.code);
      const history = new History();
      const client = new SimClient(site, history);
      let left = 1 + random.below(fault.within);
      let device: SimDevice = site.logDevice;
      if (fault.at === 'volume') device = site.volumeDevices[random.below(2)] as SimDevice;
      device.intercept = (op) => (fault.matches(op) && --left === 0 ? fault.errno : 0);
      await load(world, site, client, random);
      t.same(failed, [fault.code], 'reported once');
      t.match(site.group.status(), { health: 'failed', image: 'failed', reason: /./ });
      t.match(site.group.unavailable, /has failed/);
      t.equal(client.waiting, 0, 'nobody waits for ever');
      const { floor, answered } = history;
      const late = [client.write(0, 0, 4096), client.flush(), client.write(1, 0, 8192, true, 2), client.discard('zero', 0, 0, 512)];
      client.commit();
      await world.advance(2500);
      t.same(
        late.map((request) => request?.errno),
        [EIO, EIO, EIO, EIO],
      );
      t.same([history.floor, history.answered], [floor, answered]);
      await t.rejects(site.group.promote({ force: true }).then(() => site.group.demote()));
      await world.drive(site.group.stop());
      await site.restart('power');
      const end = site.group.log.appendedLsn;
      t.ok(end >= floor, `LSN ${end} of ${floor}`);
      t.same(differences(history, end, site.image()).slice(0, 5), []);
    }
  });
}

t.test('what a volume could not flush is not read any more: the kernel may have forgotten it', async (t) => {
  const world = new SimWorld(new Random());
  const site = await world.add('a');
  const client = new SimClient(site, new History());
  const [data] = site.volumeDevices as [SimDevice];
  const volume = site.group.backends.get('data') as Backend;
  const written = async (): Promise<void> => {
    const answers = [client.write(0, 4096, 4096), client.flush()];
    client.commit();
    await world.advance(5000);
    t.same(
      answers.map((request) => request?.errno),
      [0, 0],
    );
  };
  await written();
  const before = client.read(0, 4096, 4096);
  client.commit();
  await world.settle();
  t.equal(before.errno, 0);
  data.intercept = (op) => (op.kind === 'sync' ? EIO : 0);
  await written();
  t.equal(site.group.failure?.code, 'DEVICE_FAILED');
  t.ok(site.group.overlay.isEmpty(0), 'all of it is on the volume, as far as the kernel said');
  data.dropCached();
  const late = [client.read(0, 4096, 4096), client.read(0, 0, 65536), client.read(1, 0, 4096)];
  client.commit();
  await world.settle();
  t.same(
    late.map((read) => read.errno),
    [EIO, EIO, EIO],
  );
  t.notOk(volume.readNow(late[0] as SimRequest, new Uint8Array(4096), 0));
  t.same(volume.extents(0, 65536, 8), [{ length: 65536, zero: false }]);
  t.same(client.wrongReads, []);
});

t.test('a read that is under way when another volume fails is not answered with what it finds', async (t) => {
  const world = new SimWorld(new Random());
  const site = await world.add('a');
  const client = new SimClient(site, new History());
  const [data, wal] = site.volumeDevices as [SimDevice, SimDevice];
  data.stopped = true;
  wal.intercept = (op) => (op.kind === 'write' ? EIO : 0);
  const read = client.read(0, 0, 65536);
  client.write(1, 4096, 4096);
  client.commit();
  await world.advance(2500);
  t.equal(site.group.failure?.code, 'DEVICE_FAILED');
  t.notOk(read.isDone);
  data.stopped = false;
  await world.settle();
  t.equal(read.errno, EIO);
});

t.test('a stopped volume makes writers wait in bounded memory while reads go on, and nothing is out of order afterwards', async (t) => {
  const random = new Random();
  const world = new SimWorld(random);
  const site = await world.add('a', { logBytes: 192 * MIB, payloadBytes: 64 * MIB });
  const history = new History();
  const client = new SimClient(site, history);
  const [data, wal] = site.volumeDevices as [SimDevice, SimDevice];
  data.stopped = true;
  let woken = 0;
  const waiter = { roomAvailable: () => void woken++ };
  let admitted = 0;
  for (; admitted < 100_000; admitted++) {
    const offset = (admitted % 3) * 65536;
    if (client.write(0, offset, 65536) === undefined) break;
    if (admitted % 8 === 0) await world.settle();
  }
  await world.settle();
  const bytes = admitted * 65536;
  t.ok(bytes > 24 * MIB && bytes <= 64 * MIB, `${bytes} bytes were taken`);
  t.ok(site.group.pool.used > 0);
  site.group.backends.get('data')?.waitForRoom(waiter);
  const reads = [client.read(0, 0, 65536), client.read(0, 512, 196608 - 512), client.read(1, 0, 4096)];
  client.commit();
  await world.settle();
  t.same(
    reads.map((read) => read.errno),
    [0, 0, 0],
    'from memory and from the other volume',
  );
  t.equal(woken, 0);
  t.equal(client.write(1, 0, 512), undefined, 'memory is one for the group');
  wal.shuffle = random;
  data.shuffle = random;
  data.stopped = false;
  await world.settle();
  t.equal(woken, 1);
  t.not(client.write(0, 0, 4096), undefined);
  client.flush();
  client.commit();
  await world.settle();
  t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
  t.same(client.wrongReads, []);
  t.equal(site.group.pool.used, 0, 'every batch came back');
});

t.test('a full log makes writers wait, says so, and goes on when the volumes have caught up', async (t) => {
  const world = new SimWorld(new Random());
  const site = await world.add('a');
  const history = new History();
  const client = new SimClient(site, history);
  const [data] = site.volumeDevices as [SimDevice];
  data.stopped = true;
  let woken = 0;
  const waiter = { roomAvailable: () => void woken++ };
  for (let i = 0; ; i++) {
    if (client.write(0, 0, VOLUME_BYTES / 2, false, 1) === undefined) break;
    if (i % 4 === 0) await world.settle();
  }
  site.group.backends.get('data')?.waitForRoom(waiter);
  client.write(0, 0, 65536, false, 1);
  await world.advance(3000);
  t.equal(woken, 0);
  t.match(site.group.status(), { health: 'degraded', reason: /log is full/ });
  data.stopped = false;
  await world.advance(3000);
  t.equal(woken, 1);
  t.not(client.write(0, 0, VOLUME_BYTES / 2, false, 1), undefined);
  await world.advance(3000);
  t.match(site.group.status(), { health: 'healthy', reason: '' });
  t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
});

t.test('without a write cache every answered write is durable', async (t) => {
  const world = new SimWorld(new Random());
  const site = await world.add('a', { writeCache: false });
  const client = new SimClient(site, new History());
  site.logDevice.stopped = true;
  const write = client.write(0, 0, 4096);
  const discard = client.discard('trim', 0, 0, 512);
  client.commit();
  await world.settle();
  t.same([write?.isDone, discard?.isDone], [false, false]);
  site.logDevice.stopped = false;
  await world.settle();
  t.same([write?.errno, discard?.errno], [0, 0]);
});

t.test('with a write cache a write is answered at once, a flush and a FUA write when they are durable', async (t) => {
  const world = new SimWorld(new Random());
  const site = await world.add('a');
  const client = new SimClient(site, new History());
  site.logDevice.stopped = true;
  const write = client.write(0, 0, 4096);
  const fua = client.write(0, 0, 4096, true);
  const flush = client.flush();
  client.commit();
  await world.settle();
  t.same([write?.errno, fua?.isDone, flush.isDone], [0, false, false]);
  site.logDevice.stopped = false;
  await world.settle();
  t.same([fua?.errno, flush.errno], [0, 0]);
  const idle = client.flush();
  t.equal(idle.errno, 0, 'nothing to wait for');
});

t.test('a stop ends in time although a volume hangs, and the next start finds everything', async (t) => {
  const world = new SimWorld(new Random());
  const site = await world.add('a');
  const history = new History();
  const client = new SimClient(site, history);
  const [data] = site.volumeDevices as [SimDevice];
  data.intercept = (op) => (op.kind === 'write' ? 'hang' : 0);
  for (let i = 0; i < 20; i++) client.write(i % 2, i * 4096, 4096);
  client.commit();
  await world.drive(site.group.stop(), 30_000);
  t.ok(client.isRevoked);
  await site.restart('power');
  t.same(differences(history, 20, site.image()).slice(0, 5), []);
});
