// More records behind the base of a resync than the site has room for: none of them may be applied before the last one up to the end is
// there. In memory it needs room for none, in its log for all.

import t, { type Test } from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import type { SimSiteOptions } from '../../src/sim/site.js';
import { Random } from '../helpers/random.js';
import { type SimSite, SimWorld } from '../helpers/sim-group.js';

const MIB = 1 << 20;
const VOLUME_BYTES = 4 * MIB;

type Story = { readonly world: SimWorld; readonly a: SimSite; readonly b: SimSite; readonly client: SimClient };

async function write({ world, client }: Story, offset: number, bytes: number): Promise<void> {
  client.write(0, offset, bytes);
  client.flush();
  client.commit();
  await world.advance(5);
}

const siteOf = ({ a }: Story) => a.group.status().sites[0];

/** A slow resync of b: the log is kept from a base on, there is something left to copy, and then the volume of b stands still. */
async function standStill(t: Test, ofA: SimSiteOptions = {}): Promise<Story> {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const resync = { minDwellMs: 1, minRate: 65536, maxRate: 524288, checksum: 'off' } as const;
  const a = await world.add('a', { sites: ['b'], volumeBytes: VOLUME_BYTES, resync, ...ofA });
  const b = await world.add('b', { sites: ['a'], role: 'secondary', volumeBytes: VOLUME_BYTES, payloadBytes: 4 * MIB });
  await world.advance(5000);
  const story = { world, a, b, client: new SimClient(a, new History(VOLUME_BYTES)) };
  b.crash();
  for (let offset = 0; offset < VOLUME_BYTES; offset += 65536) await write(story, offset, 65536);
  a.group.resyncs.bitmaps.degrade('b', 'the test says so');
  for (let i = 0; i < 100 && siteOf(story)?.tracking !== 'bitmap'; i++) await world.advance(5);
  await b.start();
  const isLogKept = (): boolean => a.group.sites.find('b')?.bitmap?.isKept === true;
  for (let i = 0; i < 3000 && !isLogKept(); i++) await write(story, (i % 30) * 4096, 4096);
  t.ok(isLogKept());
  t.match(siteOf(story), { replication: 'resyncing', tracking: 'bitmap' });
  for (const device of b.volumeDevices) device.intercept = (op) => (op.kind === 'write' ? 'hang' : 0);
  return story;
}

async function comesToItsEnd(t: Test, story: Story): Promise<void> {
  const { world, b, client } = story;
  t.equal(siteOf(story)?.replication, 'resyncing', 'still');
  for (const device of b.volumeDevices) device.intercept = undefined;
  await world.advance(30_000);
  t.match(siteOf(story), { session: 'connected', replication: 'streaming', tracking: 'log' });
  t.equal(b.group.log.store.current.resync, undefined);
  t.same(differences(client.history, client.history.written.length, b.image()).slice(0, 5), []);
}

t.test('a resync under many small writes ends', async (t) => {
  const story = await standStill(t);
  const base = story.a.group.log.appendedLsn;
  for (let i = 0; i < 300; i++) await write(story, (i % 30) * 4096, 4096);
  t.ok(story.a.group.log.appendedLsn > base + 250, 'more batches than slabs');
  await comesToItsEnd(t, story);
});

t.test('when more was written than the log of the site holds, the copy goes on from a later base', async (t) => {
  const story = await standStill(t, { logBytes: 64 * MIB });
  for (let i = 0; i < 300; i++) await write(story, (i % 60) * 65536, 65536);
  t.ok(story.a.group.log.usedBytes > 17 * MIB, 'more than the 16 MiB of b');
  await comesToItsEnd(t, story);
});
