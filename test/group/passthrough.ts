// on_log_error = "passthrough": a primary goes on without its log, says so, and takes up a log again at its next start.

import t from 'tap';
import type { GroupConfig } from '../../src/core/group-config.js';
import { MARK_AT } from '../../src/format/passthrough-mark.js';
import { RING_START, SUPERBLOCK_BYTES } from '../../src/format/superblock.js';
import { SimClient } from '../../src/sim/client.js';
import { History, idsOf } from '../../src/sim/history.js';
import { apart } from '../helpers/apart.js';
import { Random } from '../helpers/random.js';
import { type SimSite, SimWorld, VOLUME_BYTES } from '../helpers/sim-group.js';
import type { passthroughWorlds } from './passthrough-worlds.js';

const EIO = 5;
const WORLDS = new URL('./passthrough-worlds.js', import.meta.url);

/** The last test takes half a minute on two busy processors. */
const TIMEOUT_MS = 290_000;
t.setTimeout(TIMEOUT_MS);

async function story(): Promise<{ world: SimWorld; a: SimSite; b: SimSite; client: SimClient }> {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { sites: ['b'], mode: 'logged', onLogError: 'passthrough', resync: { minDwellMs: 1 } });
  const b = await world.add('b', { sites: ['a'], role: 'secondary', onLogError: 'passthrough' });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  client.write(0, 0, 65536);
  client.flush();
  client.commit();
  await world.advance(3000);
  return { world, a, b, client };
}

function failLog(site: SimSite): void {
  site.logDevice.intercept = (op) => (op.kind === 'read' ? 0 : EIO);
}

/** The log of the primary fails under a write and its flush. */
async function givenUp(): Promise<Awaited<ReturnType<typeof story>>> {
  const all = await story();
  failLog(all.a);
  all.client.write(0, 0, 4096);
  all.client.flush();
  all.client.commit();
  await all.world.advance(3000);
  return all;
}

t.test('a log that fails under load costs no request; sites are told, and come back when it works again', async (t) => {
  const { world, a, b, client } = await story();
  failLog(a);
  for (let i = 0; i < 40; i++) {
    client.write(i % 2, i * 4096, 4096, i % 5 === 0);
    if (i % 7 === 0) client.flush();
    client.commit();
    await world.advance(2);
  }
  await world.advance(3000);
  t.same([client.failed, client.waiting], [[], 0]);
  t.equal(a.group.failure, undefined);
  const status = a.group.status();
  t.match(status, {
    health: 'degraded',
    image: 'upToDate',
    reason: /^log a\.log has failed \(write log a\.log: I\/O error \(errno 5\)\): writes go to/,
  });
  t.match(status.sites[0], { session: 'refused', tracking: 'bitmap' });
  t.match(b.group.status().sites[0], { session: 'refused', reason: /^group app at site a: log a\.log has failed/ });
  t.equal(a.lines.filter((line) => line.startsWith('log-given-up ')).length, 1);
  t.equal(status.log.durableLsn, String(a.group.log.store.current.appliedLsn), 'what is flushed, not what the bitmaps cover');
  await t.rejects(world.drive(a.group.demote()), { code: 'LOG_FAILED', hint: /repair the log device/ });
  await t.rejects(world.drive(a.group.resizeLog(32 << 20)), { code: 'LOG_FAILED' });
  t.ok((status.sites[0]?.dirtyBytes ?? 0) > 0);
  const other = { ...b.group.history('a'), epoch: 99 };
  const heard = [other, { ...other, blank: true }, { ...other, epoch: 1 }].map((history) => a.group.passthrough.refuses(history)?.code);
  t.same(heard, [undefined, 'LOG_FAILED', 'LOG_FAILED'], 'only one that knows of a newer primary, and has something, is heard');

  const { current } = client.history;
  await a.restart('power');
  await world.advance(30_000);
  t.match(a.group.status(), { health: 'healthy', reason: '' });
  t.same(b.image(), a.image());
  const again = new SimClient(a, new History());
  const read = again.read(0, 0, 65536);
  again.commit();
  await world.settle();
  t.equal(read.errno, 0);
  t.equal(new Uint32Array((read.result as Uint8Array).slice(0, 4).buffer)[0], current[0]?.[0]);
});

t.test('a start whose log still fails goes on without it, and what is flushed survives any number of power cuts', async (t) => {
  const { world, a, client } = await givenUp();
  for (let cut = 1; cut <= 3; cut++) {
    a.crash('power');
    await a.start(() => failLog(a));
    t.match(a.group.status(), { health: 'degraded', reason: /could not be used when the group was opened/ });
    t.ok(a.lines.some((line) => line.startsWith('log-unusable ')));
    const now = new SimClient(a, client.history.fork(client.history.written.length));
    const read = now.read(0, 0, 65536);
    const write = now.write(0, cut * 8192, 4096);
    const flush = now.flush();
    now.commit();
    await world.advance(1000);
    t.same([read.errno, write?.errno, flush.errno, now.wrongReads], [0, 0, 0, []]);
    client.history.written.push(...now.history.written.slice(client.history.written.length));
  }
});

t.test('a secondary does not go on without its log, nor does a primary whose bitmaps cannot be written', async (t) => {
  const { world, a, b, client } = await story();
  failLog(b);
  client.write(0, 4096, 4096);
  client.commit();
  await world.advance(3000);
  t.match(b.group.failure, { code: 'LOG_FAILED' });
  t.equal(a.group.failure, undefined);
  const bitmaps = a.devices.at(-2);
  if (bitmaps !== undefined) bitmaps.intercept = (op) => (op.kind === 'write' ? EIO : 0);
  failLog(a);
  client.write(0, 8192, 4096);
  const flush = client.flush();
  client.commit();
  await world.advance(3000);
  t.ok(a.group.failure);
  t.equal(flush.errno, EIO);
});

t.test('an orderly stop loses nothing, however slow the volumes are: the log does not have it', async (t) => {
  for (const quick of [true, false]) {
    const { world, a, client } = await story();
    failLog(a);
    client.flush();
    client.write(1, 0, 4096, true);
    client.commit();
    await world.advance(3000);
    for (const device of a.volumeDevices) device.intercept = ({ kind }) => (kind === 'write' ? 'hang' : 0);
    for (let i = 0; i < 6; i++) {
      client.write(0, 0, 4096);
      client.commit();
      await world.settle();
    }
    const stop = a.group.stop({ quick });
    await world.advance(5000);
    for (const device of a.volumeDevices) device.intercept = undefined;
    await world.drive(stop);
    a.crash('process');
    await a.start();
    const now = new SimClient(a, client.history.fork(client.history.written.length));
    const read = now.read(0, 0, 65536);
    now.commit();
    await world.settle();
    t.same([read.errno, now.wrongReads], [0, []], `quick: ${quick}`);
  }
});

t.test('a flush whose records a checkpoint covered while the log was being given up is answered', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a', { onLogError: 'passthrough' });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  client.write(0, 0, 65536, true);
  client.commit();
  await world.advance(3000);
  // A superblock fails while the record is on its way; the record gets there when the log is being given up, and nothing waits then.
  let isHeld = true;
  a.logDevice.intercept = ({ kind, offset }) => {
    if (kind === 'read') return 0;
    return offset < RING_START ? EIO : a.group.passthrough.isActive ? 0 : 'hang';
  };
  const spare = a.devices.at(-3);
  if (spare !== undefined) spare.intercept = ({ kind }) => (kind === 'write' && isHeld ? 'hang' : 0);
  client.write(0, 4096, 4096);
  const flush = client.flush();
  client.commit();
  void a.group.settle();
  for (let i = 0; i < 300 && a.group.applier.appliedLsn < 2; i++) {
    for (const device of a.devices) device.step();
    await new Promise((resolve) => setImmediate(resolve));
  }
  isHeld = false;
  await world.advance(100);
  t.same([a.group.passthrough.isActive, a.group.failure, flush.errno, client.waiting], [true, undefined, 0, 0]);
});

t.test('a primary without log that was replaced hears of it, and follows nobody', async (t) => {
  const world = new SimWorld(new Random());
  const options = { onLogError: 'passthrough', mode: 'logged', resync: { minDwellMs: 1 } } as const;
  const a = await world.add('a', { ...options, sites: ['b', 'c'] });
  const b = await world.add('b', { ...options, sites: ['a', 'c'], role: 'secondary' });
  const c = await world.add('c', { ...options, sites: ['a', 'b'], role: 'secondary' });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  client.write(0, 0, 65536);
  client.flush();
  client.commit();
  await world.advance(10);
  failLog(a);
  await world.advance(5000);
  t.ok(a.group.passthrough.isActive, 'a checkpoint failed, and nothing is written any more');
  client.disconnect();
  world.block('a', 'b');
  await world.drive(b.group.promote({ force: false }));
  await world.advance(30_000);
  // From c, which follows b.
  t.match(a.group.status(), { role: 'secondary', health: 'failed', reason: /has a newer primary, and log a\.log, .* has failed/ });
  t.equal(c.group.role, 'secondary');
  world.blocked.clear();
  const next = new SimClient(b, new History());
  next.write(0, 4096, 4096);
  const flush = next.flush();
  next.commit();
  await world.advance(30_000);
  t.equal(flush.errno, 0);
  t.not(b.group.status().sites.find(({ site }) => site === 'a')?.session, 'connected');
  a.crash('power');
  await t.rejects(
    a.start(() => failLog(a)),
    { code: 'DEVICE_FAILED' },
    'a secondary is not opened without its log',
  );
});

t.test('a primary that is replaced while it gives its log up is a secondary after that, and after a power cut', async (t) => {
  const { world, a, b, client } = await story();
  client.disconnect();
  world.block('a', 'b');
  a.group.links.get('b')?.meetAgain('the test says so');
  await world.advance(1000);
  await world.drive(b.group.promote({ force: false }));
  // The mark does not get to the disk for a while.
  let isHeld = true;
  const spare = a.devices.at(-3);
  if (spare !== undefined) spare.intercept = ({ kind, offset }) => (kind === 'write' && offset >= MARK_AT && isHeld ? 'hang' : 0);
  a.logDevice.intercept = ({ kind, offset }) => (kind === 'write' && offset < RING_START ? EIO : 0);
  void a.group.settle();
  await world.advance(1000);
  t.ok(a.group.passthrough.isActive);
  world.blocked.clear();
  await world.advance(30_000);
  t.equal(a.group.role, 'primary', 'it waits until the mark is there');
  isHeld = false;
  await world.advance(1000);
  t.match(a.group.status(), { role: 'secondary', health: 'failed' });
  await a.restart('power');
  t.equal(a.group.role, 'secondary');
});

t.test('what only the spare was told is final: the log is not used again', async (t) => {
  const { world, a, client } = await story();
  client.write(0, 0, 4096);
  client.commit();
  await world.advance(10);
  a.logDevice.intercept = (op) => (op.kind === 'write' && op.offset < RING_START ? EIO : 0);
  const spare = a.devices.at(-3);
  if (spare !== undefined) spare.intercept = (op) => (op.kind === 'write' && op.offset >= MARK_AT ? EIO : 0);
  await world.advance(3000);
  t.match(a.group.failure, { code: 'LOG_FAILED' });
  t.ok(a.lines.some((line) => line.startsWith('log-needed ')));
  await a.restart('power');
  await world.advance(5000);
  t.match(a.group.status(), { health: 'healthy' });
});

t.test('a site that is new to a group without log costs it nothing', async (t) => {
  const { world, a, client } = await story();
  const bitmap = a.group.log.store.current;
  t.equal(bitmap.sites[0]?.bitmap, undefined);
  failLog(a);
  client.write(0, 0, 4096, true);
  client.commit();
  await world.advance(3000);
  a.crash('power');
  // As if it had been added to the configuration meanwhile.
  (a.config as { sites: GroupConfig['sites'] }).sites = [
    ...a.config.sites,
    { ...(a.config.sites[0] as GroupConfig['sites'][0]), name: 'c' },
  ];
  await a.start(() => failLog(a));
  const now = new SimClient(a, client.history.fork(client.history.written.length));
  for (let i = 0; i < 400; i++) {
    now.write(i % 2, (i * 65536) % VOLUME_BYTES, 65536);
    now.commit();
    await world.advance(2);
  }
  await world.advance(3000);
  t.same([a.group.failure, now.failed, now.waiting], [undefined, [], 0]);
  t.same(
    a.group.status().sites.map(({ tracking }) => tracking),
    ['bitmap', 'bitmap'],
  );
});

t.test('without a sound mark nothing is opened, and a log of somebody else is not taken', async (t) => {
  const { a } = await givenUp();
  a.crash('power');
  const [spare] = a.spares;
  spare?.corrupt(MARK_AT + 9, 1);
  await t.rejects(a.start(), { code: 'LOG_SUPERBLOCK', message: /the mark of a\.passthrough cannot be used: it is damaged/ });
  a.crash('process');
  spare?.corrupt(MARK_AT + 9, 1);
  // Both superblocks of the log are gone: what stands there is not known.
  a.log.corrupt(9, 1);
  a.log.corrupt(SUPERBLOCK_BYTES + 9, 1);
  await a.start();
  t.match(a.group.status(), { health: 'degraded' });
  t.ok(a.lines.some((line) => /^log-unusable .*what stands on it is not known/.test(line)));
});

t.test('what a failed flush has left in the cache is not served, and not sent, by the next start', async (t) => {
  for (const fails of ['in passthrough', 'at the start'] as const) {
    const { world, a, b, client } = await givenUp();
    client.write(0, 8192, 4096);
    client.commit();
    await world.advance(20);
    const failing = (): void => {
      for (const device of a.volumeDevices) device.intercept = ({ kind }) => (kind === 'sync' ? EIO : 0);
    };
    if (fails === 'in passthrough') {
      failing();
      const flush = client.flush();
      client.commit();
      await world.advance(3000);
      t.equal(flush.errno, EIO);
    }
    a.crash('process');
    if (fails === 'at the start') {
      await t.rejects(a.start(failing), { code: 'DEVICE_FAILED' });
      a.crash('process');
    }
    await a.start();
    const next = new SimClient(a, new History());
    const [read, flush] = [next.read(0, 8192, 4096), next.flush()];
    next.commit();
    await world.advance(30_000);
    t.match(a.group.status(), { health: 'healthy', sites: [{ tracking: 'log' }] });
    t.equal(flush.errno, 0);
    world.crash(a, 'power');
    t.same(idsOf(a.image()[0] as Uint8Array), idsOf(b.image()[0] as Uint8Array), `${fails}: the sites are alike`);
    const now = (a.image()[0] as Uint8Array).subarray(8192, 12288);
    t.same(idsOf(now), idsOf(read.result as Uint8Array), `${fails}: what was read and flushed stays`);
  }
});

t.test(
  'a log that is given up at any moment, and power cuts: nothing promised is lost, and sites end alike',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const first = new Random().below(1_000_000);
    t.comment(`SEED=${first}`);
    const { violation, worlds, ...figures } = await apart<typeof passthroughWorlds>(WORLDS, 'passthroughWorlds', first, 120);
    t.equal(violation, undefined);
    t.equal(worlds, 120);
    t.ok(figures.givenUp > 40 && figures.cutInBetween > 3 && figures.returns === 120, JSON.stringify(figures));
  },
);
