// A resync that compares before it sends: what the site has already does not travel, and counts only when it is durable there.

import t, { type Test } from 'tap';
import type { Checksum } from '../../src/core/compare-rule.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import type { SimSiteOptions } from '../../src/sim/site.js';
import { Random } from '../helpers/random.js';
import { type SimSite, SimWorld } from '../helpers/sim-group.js';

const BLOCK = 65536;
const BLOCKS = 40;
const VOLUME = BLOCKS * BLOCK;

const siteOf = (a: SimSite) => a.group.status().sites[0];

type Story = { readonly world: SimWorld; readonly a: SimSite; readonly b: SimSite; readonly client: SimClient };

/** Both sites hold the same: BLOCKS of content on volume 0. Then b is tracked by a bitmap in which all of it is dirty. */
async function story(t: Test, checksum: Checksum, more: SimSiteOptions = {}, ofB: SimSiteOptions = {}): Promise<Story> {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const options = { volumeBytes: VOLUME, ...more, resync: { minDwellMs: 1, checksum, ...more.resync } };
  const a = await world.add('a', { sites: ['b'], ...options });
  const b = await world.add('b', { sites: ['a'], volumeBytes: VOLUME, role: 'secondary', ...ofB });
  await world.advance(5000);
  const client = new SimClient(a, new History(VOLUME));
  for (let i = 0; i < BLOCKS; i++) {
    client.write(0, i * BLOCK, BLOCK, false, 1);
    client.commit();
    await world.advance(5);
  }
  await world.advance(5000);
  world.fold(a, 'b');
  await world.advance(2000);
  a.group.resyncs.bitmaps.mapOf('b')?.mark(0, 0, VOLUME);
  return { world, a, b, client };
}

/** Lets the sites meet; returns the bytes that a has sent. */
async function meet({ world, a }: Story, ms = 60_000): Promise<number> {
  const link = a.group.links.get('b');
  const before = link?.counters.sentBytes ?? 0;
  world.blocked.clear();
  await world.advance(ms);
  return (link?.counters.sentBytes ?? 0) - before;
}

function isEqual(t: Test, { a, b, client }: Story): void {
  t.match(siteOf(a), { session: 'connected', replication: 'streaming', tracking: 'log', dirtyBytes: 0 });
  for (const site of [a, b]) t.same(differences(client.history, client.history.written.length, site.image()).slice(0, 5), []);
}

t.test('what the site has is neither sent nor written nor kept for undoing', async (t) => {
  const told = await story(t, 'on');
  const { b } = told;
  let written = 0;
  for (const device of [...b.volumeDevices, b.devices.at(-1)]) {
    if (device !== undefined) device.onQueued = (op) => void (op.kind === 'write' && op.length >= BLOCK && written++);
  }
  const sent = await meet(told);
  t.ok(sent < BLOCK, `${sent} bytes`);
  t.equal(written, 0);
  isEqual(t, told);
});

t.test('with auto it is sent until it is known what the link carries, and then no more', async (t) => {
  const told = await story(t, 'auto', { resync: { minRate: 65536, maxRate: 4 * BLOCK } });
  const sent = await meet(told);
  // Two pieces of 16 blocks: the second one goes when its time has come, and with it the rate is known.
  t.ok(sent > 32 * BLOCK && sent < 33 * BLOCK, `${sent} bytes`);
  isEqual(t, told);
});

t.test('only the blocks that differ are sent', async (t) => {
  const told = await story(t, 'on');
  const { world, a, client } = told;
  // Side by side, apart, and the last one of a piece.
  for (const block of [3, 4, 9, 15, 16, 39]) {
    client.write(0, block * BLOCK + 4096, 512);
    client.commit();
    await world.advance(20);
  }
  a.group.resyncs.bitmaps.mapOf('b')?.mark(0, 0, VOLUME);
  const sent = await meet(told);
  t.ok(sent >= 6 * BLOCK && sent < 7 * BLOCK, `${sent} bytes`);
  isEqual(t, told);
});

t.test('checksum = off asks nothing', async (t) => {
  const told = await story(t, 'off');
  const sent = await meet(told);
  t.ok(sent >= BLOCKS * BLOCK, `${sent} bytes`);
  isEqual(t, told);
});

t.test('what is the same stays dirty until the site has flushed since it read it', async (t) => {
  const told = await story(t, 'on');
  const { a, b } = told;
  let isHeld = false;
  let flushes = 0;
  for (const device of b.volumeDevices) {
    device.intercept = (op) => {
      if (op.kind === 'read') isHeld = true;
      if (op.kind === 'sync' && isHeld) flushes++;
      return op.kind === 'sync' && isHeld ? 'hang' : 0;
    };
  }
  await meet(told, 5000);
  t.ok(flushes > 0, 'a flush is under way');
  const { comparedBytes, sameBytes, copiedBytes } = siteOf(a)?.resync ?? {};
  t.same([comparedBytes, sameBytes, copiedBytes], [VOLUME, VOLUME, 0]);
  t.ok((siteOf(a)?.dirtyBytes ?? 0) >= VOLUME, 'nothing is struck off');
  for (const device of b.volumeDevices) device.intercept = undefined;
  await told.world.advance(60_000);
  isEqual(t, told);
});

t.test('what is written while the site looks stays dirty, whatever it answers', async (t) => {
  const told = await story(t, 'on');
  const { world, b, client } = told;
  let isHeld = true;
  for (const device of b.volumeDevices) device.intercept = (op) => (op.kind === 'read' && isHeld ? 'hang' : 0);
  await meet(told, 5000);
  for (const block of [0, 17, 39]) client.write(0, block * BLOCK, 4096);
  client.commit();
  await world.advance(1000);
  isHeld = false;
  await world.advance(60_000);
  isEqual(t, told);
});

t.test('what the site cannot read it gets', async (t) => {
  const told = await story(t, 'on', {}, { undo: 'off' });
  for (const device of told.b.volumeDevices) device.intercept = (op) => (op.kind === 'read' && op.length > BLOCK ? 5 : 0);
  const sent = await meet(told);
  t.ok(sent >= BLOCKS * BLOCK, `${sent} bytes`);
  isEqual(t, told);
});

t.test('a session that ends in the middle of questions gives their memory back, and the next one goes on', async (t) => {
  const told = await story(t, 'on');
  const { world, a, b } = told;
  for (let i = 0; i < 6; i++) {
    let reads = 0;
    for (const device of b.volumeDevices) device.intercept = (op) => (op.kind === 'read' && ++reads > i ? 'hang' : 0);
    await meet(told, 1000);
    for (const device of b.volumeDevices) device.intercept = undefined;
    a.group.links.get('b')?.meetAgain('the test says so');
    await world.advance(i * 7);
  }
  await world.advance(60_000);
  t.equal(b.group.pool.used, 0);
  isEqual(t, told);
});

for (const undo of ['auto', 'off'] as const) {
  t.test(`what an earlier process failed to flush is not the same, although it reads so (undo = ${undo})`, async (t) => {
    const told = await story(t, 'on', {}, { undo });
    const { world, a, b, client } = told;
    for (let i = 0; i < BLOCKS; i++) {
      client.write(0, i * BLOCK, BLOCK, false, 1);
      client.commit();
      await world.advance(5);
    }
    await world.advance(1000);
    // Everything differs and is written; the first flush behind it fails, and with it the site.
    let isWritten = false;
    for (const device of b.volumeDevices) {
      device.intercept = (op) => {
        if (op.kind === 'write') isWritten = true;
        return op.kind === 'sync' && isWritten ? 5 : 0;
      };
    }
    await meet(told, 10_000);
    t.ok(b.group.failure, 'a failed flush is final');
    b.crash('process');
    await b.start();
    for (let i = 0; i < 100 && siteOf(a)?.tracking !== 'log'; i++) await world.advance(1000);
    isEqual(t, told);
    b.crash('power');
    await b.start();
    await world.advance(30_000);
    isEqual(t, told);
  });
}

t.test('a site whose agent was restarted is still asked about what the resync has not overwritten', async (t) => {
  const told = await story(t, 'on');
  const { b } = told;
  for (const device of b.volumeDevices) device.intercept = (op) => (op.kind === 'read' ? 'hang' : 0);
  await meet(told, 5000);
  t.ok(b.group.log.store.current.resync);
  await b.restart('power');
  const sent = await meet(told);
  t.ok(sent < BLOCK, `${sent} bytes`);
  isEqual(t, told);
});

t.test('pieces that are of one region and are asked about apart clear its bit together', async (t) => {
  const told = await story(t, 'on', { volumeBytes: VOLUME, regionBytes: 4 << 20 }, { regionBytes: 4 << 20 });
  const { world, a, b, client } = told;
  client.write(0, 4096, 512);
  client.commit();
  await world.advance(1000);
  a.group.resyncs.bitmaps.mapOf('b')?.mark(0, 0, VOLUME);
  // What differs, in the first piece of the region, is not written while the others are the same and flushed.
  for (const device of b.volumeDevices) device.intercept = (op) => (op.kind === 'write' ? 'hang' : 0);
  await meet(told, 10_000);
  t.ok((siteOf(a)?.dirtyBytes ?? 0) >= VOLUME, 'the region is dirty');
  for (const device of b.volumeDevices) device.intercept = undefined;
  await world.advance(60_000);
  isEqual(t, told);
});

t.test('max_rate is for what is sent: comparing goes at several times that rate', async (t) => {
  for (const checksum of ['off', 'on'] as const) {
    const told = await story(t, checksum, { resync: { maxRate: VOLUME / 20, minRate: 0 } });
    await meet(told, 8000);
    t.equal((siteOf(told.a)?.dirtyBytes ?? 0) > 0, checksum === 'off', checksum);
  }
});

t.test('a question that is counted as durable before it was answered is refused', async (t) => {
  const { world, a } = await story(t, 'on');
  const source = a.group.resyncs.startCopy('b', true, 0);
  await world.drive(source.start());
  const piece = await world.drive(source.next());
  t.ok(piece?.hashes);
  t.match(source.done(1), /a question before it was not answered/);
  t.equal(source.compared({ piece: 0, same: 0 }), undefined);
  const difference = await world.drive(source.next());
  t.same([difference?.meta.offset, difference?.meta.length], [piece?.meta.offset, piece?.meta.length]);
  difference?.batch?.release();
  t.equal(source.done(2), undefined);
  source.stop();
  await world.drive(source.settled());
});
