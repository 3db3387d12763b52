// Reads and allocation over what is not on the devices yet, reads that wait for memory, and devices that complete inside the call.

import t from 'tap';
import type { Backend, IoRequest } from '../../src/core/ports.js';
import { SimClient, type SimRequest } from '../../src/sim/client.js';
import type { SimDevice } from '../../src/sim/disk.js';
import { differences, History, idsOf } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld, VOLUME_BYTES } from '../helpers/sim-group.js';

const MIB = 1 << 20;

t.test('allocation covers the range without gaps, and nothing it calls zero holds data', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const site = await world.add('a');
  const history = new History();
  const client = new SimClient(site, history);
  let zeroBytes = 0;
  for (let turn = 0; turn < 40; turn++) {
    for (const device of site.volumeDevices) device.stopped = random.below(2) === 0;
    for (let i = 0; i < 4; i++) client.act(random);
    client.commit();
    await world.settle();
    for (const [volume, name] of ['data', 'wal'].entries()) {
      const backend = site.group.backends.get(name);
      const whole = client.read(volume, 0, VOLUME_BYTES);
      client.commit();
      for (const device of site.volumeDevices) device.stopped = false;
      const runs = backend?.extents(0, VOLUME_BYTES, 1000) ?? [];
      await world.settle();
      const ids = idsOf(whole.result ?? new Uint8Array());
      let at = 0;
      for (const { length, zero } of runs) {
        t.ok(length > 0);
        const data = ids.subarray(at / 512, (at + length) / 512).some((id) => id !== 0);
        if (zero && data) t.fail(`${name}: data in a zero run at ${at}`);
        if (zero) zeroBytes += length;
        at += length;
      }
      t.equal(at, VOLUME_BYTES);
      const offset = random.below(VOLUME_BYTES / 512 - 8) * 512;
      const few = backend?.extents(offset, 4096, 1) ?? [];
      t.ok(few.length === 1 && (few[0]?.length ?? 0) <= 4096);
    }
  }
  t.ok(zeroBytes > 0);
  t.same(client.wrongReads, []);
});

t.test('more reads than there is memory for wait, long and short ones, and all are answered', async (t) => {
  const world = new SimWorld(new Random(7));
  const site = await world.add('a', { volumeBytes: 4 * MIB });
  const client = new SimClient(site, new History());
  for (let i = 0; i < 100; i++) client.write(0, (i * 2048) % VOLUME_BYTES, 2048);
  client.flush();
  client.commit();
  await world.settle();
  for (const device of site.volumeDevices) device.stopped = true;
  const reads: SimRequest[] = [];
  for (let i = 0; i < 700; i++) reads.push(client.read(i % 2, 0, i % 5 === 0 ? VOLUME_BYTES : 4096));
  client.commit();
  await world.settle();
  t.ok(reads.every((read) => !read.isDone));
  t.equal(reads.filter((read) => read.slabs.length > 0).length, 512 + 64, 'the rest was not even submitted');
  for (const device of site.volumeDevices) device.stopped = false;
  await world.settle();
  t.ok(reads.every((read) => read.errno === 0));
  t.same(client.wrongReads, []);
});

/** Of 4 MiB of the first volume, whose device is to let no write through. */
async function writeEverySecondSector(world: SimWorld, client: SimClient): Promise<void> {
  for (let sector = 0; sector < 8192; sector += 2) {
    client.write(0, sector * 512, 512);
    if (sector % 64 === 0) client.commit();
    if (sector % 1024 === 0) await world.settle();
  }
  client.commit();
  await world.settle();
}

for (const isStopped of [false, true]) {
  t.test(
    `reads between unapplied sectors take turns at the device${isStopped ? ', and are answered when the group stops' : ''}`,
    async (t) => {
      const world = new SimWorld(new Random(9));
      const site = await world.add('a', { volumeBytes: 4 * MIB });
      const client = new SimClient(site, new History(4 * MIB));
      for (let i = 0; i < 64; i++) client.write(0, i * 65536, 65536);
      client.commit();
      await world.advance(5000);
      const [device] = site.volumeDevices as [SimDevice];
      device.intercept = (op) => (op.kind === 'read' ? 0 : 'hang');
      await writeEverySecondSector(world, client);
      let parts = 0;
      device.onQueued = () => void parts++;
      device.stopped = true;
      const reads: SimRequest[] = [];
      for (let i = 0; i < 64; i++) reads.push(client.read(0, i % 8 === 0 ? 0 : (i % 4) * MIB, i % 8 === 0 ? 4 * MIB : MIB));
      for (let i = 0; i < 500; i++) reads.push(client.read(0, (i % 256) * 16384, 16384));
      client.commit();
      await world.settle();
      t.ok(parts > 1000 && parts < 3072, `${parts} parts under way`);
      if (isStopped) {
        device.intercept = undefined;
        device.stopped = false;
        await world.drive(site.group.stop({ quick: true }));
      } else {
        device.stopped = false;
        await world.settle();
      }
      t.ok(
        reads.every((read) => read.isDone && (isStopped || read.errno === 0)),
        'all are answered',
      );
      t.same(client.wrongReads, []);
    },
  );
}

t.test('allocation between very many unapplied sectors is told in parts', async (t) => {
  const world = new SimWorld(new Random(10));
  const site = await world.add('a', { volumeBytes: 4 * MIB });
  const client = new SimClient(site, new History(4 * MIB));
  const [device] = site.volumeDevices as [SimDevice];
  device.intercept = () => 'hang';
  await writeEverySecondSector(world, client);
  const backend = site.group.backends.get('data') as Backend;
  const looked: number[] = [];
  for (let at = 0; at < 4 * MIB; ) {
    const runs = backend.extents(at, 4 * MIB - at, 10_000);
    const length = runs.reduce((sum, run) => sum + run.length, 0);
    for (const [i, run] of runs.entries()) if (run.zero !== (i % 2 === 1) || run.length !== 512) t.fail(`run ${i} at ${at}`);
    looked.push(runs.length);
    at += length;
  }
  t.ok(looked.length >= 2 && Math.max(...looked) <= 4096, looked.join(', '));
  t.equal(
    looked.reduce((sum, runs) => sum + runs, 0),
    8192,
  );
});

t.test('short reads do not wait behind long ones whose memory a slow client keeps', async (t) => {
  const world = new SimWorld(new Random(8));
  const site = await world.add('a', { volumeBytes: 2 * MIB });
  const backend = site.group.backends.get('data') as Backend;
  const epoch = backend.connect(() => undefined);
  let answered = 0;
  // Nothing is given back: the answers stand in a socket that nobody reads.
  const owner = { completed: () => void answered++ };
  for (let i = 0; i < 65; i++) {
    backend.read({ op: 'read', offset: 0, length: MIB, fua: false, noHole: false, epoch, slabs: [], owner });
  }
  backend.commit();
  await world.settle();
  t.equal(answered, 64, 'one more waits for memory');
  const client = new SimClient(site, new History());
  const short = client.read(0, 0, 4096);
  client.commit();
  await world.settle();
  t.equal(short.errno, 0);
});

t.test('a read that the device fails is EIO, also in part, and the group goes on', async (t) => {
  const world = new SimWorld(new Random());
  const site = await world.add('a');
  const client = new SimClient(site, new History());
  client.write(0, 0, 4096);
  client.commit();
  await world.settle();
  for (const device of site.volumeDevices) device.intercept = (op) => (op.kind === 'read' && op.offset + op.length > 8192 ? 5 : 0);
  const reads = [client.read(0, 0, 16384), client.read(0, 0, 4096)];
  client.write(0, 8192, 4096);
  const over = client.read(0, 0, 12288);
  client.commit();
  await world.settle();
  t.same(
    reads.map((read) => read.errno),
    [5, 0],
  );
  t.equal(over.errno, 0, 'what is in memory needs no device');
  t.equal(site.group.failure, undefined);
});

t.test('thousands of writes that wait for a site are answered in order when it answers', async (t) => {
  const world = new SimWorld(new Random());
  const site = await world.add('a', { writeCache: false, logBytes: 64 * MIB });
  const client = new SimClient(site, new History());
  site.logDevice.stopped = true;
  const writes: (SimRequest | undefined)[] = [];
  for (let i = 0; i < 2000; i++) {
    writes.push(client.write(i % 2, (i % 400) * 512, 512, i % 3 === 0));
    if (i % 50 === 0) client.commit();
  }
  const flush = client.flush();
  client.commit();
  await world.settle();
  t.equal(client.waiting, 2001);
  site.logDevice.stopped = false;
  await world.settle();
  t.ok(writes.every((write) => write?.errno === 0) && flush.errno === 0);
});

t.test('devices that complete inside kick() change nothing', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  for (let run = 0; run < 4; run++) {
    const world = new SimWorld(random);
    const site = await world.add('a', { writeCache: run % 2 === 0 });
    const history = new History();
    const client = new SimClient(site, history);
    for (const device of [...(run < 3 ? [site.logDevice] : []), ...site.volumeDevices]) device.immediate = true;
    for (let i = 0; i < 400; i++) {
      client.act(random);
      if (random.below(6) === 0) client.commit();
      if (random.below(30) === 0) await world.advance(1100);
    }
    const flush = client.flush();
    client.commit();
    await world.settle();
    t.equal(flush.errno, 0);
    t.equal(site.group.applier.appliedLsn, history.written.length);
    t.same(client.wrongReads, []);
    t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
  }
});

t.test('thousands of reads that need no device start one after the other, not inside each other', async (t) => {
  const world = new SimWorld(new Random(7));
  const site = await world.add('a');
  const [device] = site.volumeDevices;
  if (device === undefined) throw new Error('there is a volume');
  device.stopped = true;
  const client = new SimClient(site, new History());
  client.write(0, 65536, 4096);
  client.commit();
  await world.settle();
  const backend = site.group.backends.get('data') as Backend;
  const epoch = backend.connect(() => undefined);
  let answered = 0;
  const owner = {
    completed: (request: IoRequest): void => {
      answered++;
      backend.releaseRead(request);
    },
  };
  // All memory for short reads waits for the device; what comes behind is answered from memory.
  for (let i = 0; i < 512 + 5000; i++) {
    backend.read({ op: 'read', offset: i < 512 ? 0 : 65536, length: 4096, fua: false, noHole: false, epoch, slabs: [], owner });
  }
  backend.commit();
  t.equal(answered, 0);
  device.stopped = false;
  await world.settle();
  t.equal(answered, 512 + 5000);
});

t.test('what can be had at once is the device with everything laid over it that is not applied', async (t) => {
  const world = new SimWorld(new Random(7));
  const site = await world.add('a');
  const client = new SimClient(site, new History());
  client.write(0, 0, 65536);
  client.commit();
  await world.advance(5000);
  for (const device of site.volumeDevices) device.stopped = true;
  client.write(0, 4096, 4096);
  client.discard('zero', 0, 12288, 4096);
  client.write(0, 15360, 1024);
  client.commit();
  await world.settle();
  const backend = site.group.backends.get('data') as Backend;
  const epoch = backend.connect(() => undefined);
  const request: IoRequest = { op: 'read', offset: 0, length: 65536, fua: false, noHole: false, epoch, slabs: [], owner: client };
  const bytes = Buffer.alloc(65536 + 200, 0xee);
  t.equal(backend.readNow(request, bytes, 100), true);
  t.same(idsOf(bytes.subarray(100, 65636)), client.history.current[0]?.subarray(0, 128));
  t.ok(bytes.subarray(0, 100).every((byte) => byte === 0xee) && bytes.subarray(65636).every((byte) => byte === 0xee), 'and nothing else');
  Object.assign(request, { offset: 13312, length: 2560 });
  t.equal(backend.readNow(request, bytes, 0), true, 'a part of records');
  t.same(idsOf(bytes.subarray(0, 2560), 26), client.history.current[0]?.subarray(26, 31));
  t.equal(backend.readNow({ ...request, epoch: epoch + 1 }, bytes, 0), false, 'a connection that does not count');
  const [device] = site.volumeDevices as [SimDevice];
  Object.assign(device, { readNow: () => false });
  t.equal(backend.readNow(request, bytes, 0), false);
  Object.assign(device, { readNow: undefined });
  t.equal(backend.readNow(request, bytes, 0), false, 'a device that is always waited for');
  t.same(request.slabs, []);
});

t.test('reads of a client that is gone do not wait for memory any more', async (t) => {
  const world = new SimWorld(new Random(7));
  const site = await world.add('a');
  const gone = new SimClient(site, new History());
  const client = new SimClient(site, new History());
  for (const device of site.volumeDevices) device.stopped = true;
  for (let i = 0; i < 512; i++) client.read(0, 0, 4096);
  const forgotten = Array.from({ length: 100 }, () => gone.read(0, 0, 4096));
  const later = client.read(0, 0, 4096);
  client.commit();
  gone.disconnect();
  for (const device of site.volumeDevices) device.stopped = false;
  await world.settle();
  t.notOk(forgotten.some(({ isDone }) => isDone));
  t.equal(later.errno, 0);
});
