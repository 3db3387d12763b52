// Reads that the device of a primary fails are answered with what another site has, never with what it had, and in bounded time.

import t, { type Test } from 'tap';
import { LINK_READ_MS, LINK_READS_MAX } from '../../src/core/limits.js';
import { SiteVerbs } from '../../src/group/site-verbs.js';
import { SimClient, type SimRequest } from '../../src/sim/client.js';
import type { SimOp, Verdict } from '../../src/sim/disk.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, type SimSiteOptions, SimWorld } from '../helpers/sim-group.js';

const EIO = 5;
const MIB = 1 << 20;

type Story = { world: SimWorld; a: SimSite; others: SimSite[]; client: SimClient };

const readsFail = (op: SimOp): Verdict => (op.kind === 'read' ? EIO : 0);
const writesHang = (op: SimOp): Verdict => (op.kind === 'write' ? 'hang' : 0);

/** What becomes of the operations on both volumes of a site from now on. */
function intercept(site: SimSite, verdict: ((op: SimOp) => Verdict) | undefined): void {
  for (const device of site.volumeDevices) device.intercept = verdict;
}

/** A primary with something on its volumes, and sites that follow it. */
async function story(names: readonly string[], options: SimSiteOptions = {}): Promise<Story> {
  const world = new SimWorld(new Random(11));
  const a = await world.add('a', { sites: names, ...options });
  const others: SimSite[] = [];
  const { volumeBytes } = options;
  for (const name of names)
    others.push(await world.add(name, { sites: ['a'], role: 'secondary', ...(volumeBytes === undefined ? {} : { volumeBytes }) }));
  await world.advance(5000);
  const client = new SimClient(a, new History(volumeBytes));
  for (let at = 0; at < 65_536; at += 8192) client.write(0, at, 8192);
  client.write(1, 4096, 4096);
  client.commit();
  await world.advance(3000);
  return { world, a, others, client };
}

function read(client: SimClient, offset: number, length: number): SimRequest {
  const request = client.read(0, offset, length);
  client.commit();
  return request;
}

function lines(site: SimSite, event: string): string[] {
  return site.lines.filter((line) => line.startsWith(`${event} `));
}

/** The client of the story read nothing that it should not have. */
function isRight(t: Test, client: SimClient): void {
  t.same(client.wrongReads, []);
}

t.test('a read that the device fails has the content of another site, and status says so until the agent is restarted', async (t) => {
  const { world, a, client } = await story(['b']);
  intercept(a, (op) => (op.kind === 'read' && op.offset >= 4096 && op.offset < 32_768 ? EIO : 0));
  const reads = [read(client, 4096, 4096), read(client, 0, 4096), read(client, 8192, 512), read(client, 16_384, 4096)];
  await world.advance(100);
  t.same(
    reads.map(({ errno }) => errno),
    [0, 0, 0, 0],
  );
  isRight(t, client);
  t.match(a.group.status(), { health: 'degraded', reason: '2 ranges of volume data are served from site b' });
  t.same(
    a.group.status().volumes.map(({ remoteReads }) => remoteReads),
    [3, 0],
  );
  t.same(lines(a, 'read-failed'), [
    'read-failed group app: read volume data a.data: I/O error (errno 5); such reads are answered by other sites, where one can (on_io_error = "retry-remote")',
  ]);
  t.match(lines(a, 'read-remote')[0], /4096 bytes of volume data at 4096 are read from site b/);
  t.equal(lines(a, 'read-remote').length, 3, 'once for what is new');
  const write = client.write(0, 4096, 4096);
  client.commit();
  await world.advance(100);
  t.equal(write?.errno, 0, 'a write goes to the device');
  t.equal(read(client, 4096, 4096).errno, undefined);
  await world.advance(100);
  isRight(t, client);
  t.equal(lines(a, 'read-remote').length, 3);
  await a.restart('power');
  await world.advance(5000);
  t.match(a.group.status(), { health: 'healthy', reason: '' });
});

t.test('what was acknowledged before the read arrived is in the answer, however far the other site is behind', async (t) => {
  const { world, a, others, client } = await story(['b']);
  const [b] = others as [SimSite];
  intercept(b, writesHang);
  const write = client.write(0, 4096, 4096);
  client.commit();
  await world.advance(1000);
  t.equal(write?.errno, 0);
  t.equal(a.group.applier.appliedLsn, client.history.written.length, 'it is on the volume of the primary');
  t.ok(b.group.applier.appliedLsn < client.history.written.length, 'and not on the other one');
  intercept(a, readsFail);
  const late = read(client, 0, 16_384);
  await world.advance(1000);
  t.equal(late.isDone, false, 'it waits for the other site');
  intercept(b, undefined);
  await world.advance(100);
  t.equal(late.errno, 0);
  isRight(t, client);
});

t.test('records that are not on the volume yet win, also when they get there while the other site is asked', async (t) => {
  const { world, a, others, client } = await story(['b']);
  const [b] = others as [SimSite];
  // On the way to the volume of the primary, and not applied at the site, which waits for nothing but what was applied before them.
  intercept(a, (op) => (op.kind === 'read' ? EIO : op.kind === 'sync' ? 0 : 'hang'));
  client.write(0, 4096, 4096);
  client.discard('zero', 0, 16_384, 2048);
  client.write(0, 20_480, 512);
  client.commit();
  await world.settle();
  intercept(b, (op) => (op.kind === 'write' || op.kind === 'zero' ? 'hang' : op.kind === 'read' ? 'hang' : 0));
  const first = read(client, 0, 65_536);
  await world.advance(50);
  intercept(a, readsFail);
  await world.advance(50);
  t.equal(a.group.applier.appliedLsn, client.history.written.length, 'they are applied here by now');
  t.equal(first.isDone, false);
  intercept(b, (op) => (op.kind === 'read' || op.kind === 'sync' ? 0 : 'hang'));
  await world.advance(50);
  t.equal(first.errno, 0);
  isRight(t, client);
});

t.test('writes over the range while its read is under way: each sector is as before or as after', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const { world, a, others, client } = await story(['b', 'c']);
  for (const site of [a, ...others]) for (const device of site.devices) device.shuffle = random;
  intercept(a, (op) => (op.kind === 'read' && random.below(3) > 0 ? EIO : 0));
  for (let round = 0; round < 300; round++) {
    for (const site of others) for (const device of site.volumeDevices) device.stopped = random.below(3) === 0;
    for (const device of a.volumeDevices) device.stopped = random.below(4) === 0;
    for (let i = 0; i < 1 + random.below(6); i++) client.act(random, 100);
    client.commit();
    if (random.below(3) > 0) await world.advance(random.below(40));
  }
  for (const site of [a, ...others]) for (const device of site.volumeDevices) device.stopped = false;
  await world.advance(20_000);
  isRight(t, client);
  t.equal(client.waiting, 0, 'all were answered');
  const pieces = a.group.status().volumes.reduce((sum, { remoteReads }) => sum + remoteReads, 0);
  t.comment(`${pieces} pieces were read elsewhere`);
  t.ok(pieces > 50);
});

t.test('with no site that can answer, the read fails: at once, or when its time is over', async (t) => {
  const { world, a, others, client } = await story(['b']);
  const [b] = others as [SimSite];
  intercept(a, readsFail);
  intercept(b, (op) => (op.kind === 'read' ? 'hang' : 0));
  const slow = read(client, 0, 4096);
  await world.advance(LINK_READ_MS - 500);
  t.equal(slow.isDone, false);
  await world.advance(600);
  t.equal(slow.errno, EIO, 'nobody answered in time');
  intercept(b, undefined);
  await world.advance(100);
  t.equal(a.group.links.get('b')?.state().session, 'connected', 'the answer that comes too late harms nobody');
  const right = read(client, 0, 4096);
  await world.advance(100);
  t.equal(right.errno, 0);
  intercept(b, (op) => (op.kind === 'read' ? 'hang' : 0));
  const lost = read(client, 0, 4096);
  await world.settle();
  t.equal(lost.isDone, false);
  a.group.links.get('b')?.meetAgain('the test says so');
  await world.settle();
  t.equal(lost.errno, EIO, 'the session ended meanwhile');
  world.block('a', 'b');
  a.group.links.get('b')?.setPaused(true);
  await world.advance(100);
  const away = read(client, 0, 4096);
  await world.settle();
  t.equal(away.errno, EIO);
  t.match(
    a.group.status().reason,
    /^3 reads of volume data failed since the agent was started; 1 range of volume data is served from site b$/,
  );
  t.same(lines(a, 'read-remote-refused').length, 2, 'why is said once for each reason');
  isRight(t, client);
});

t.test('a site that cannot read either is passed over, and so is one that does not answer', async (t) => {
  for (const verdict of [EIO, 'hang'] as const) {
    const { world, a, others, client } = await story(['b', 'c']);
    const [b, c] = others as [SimSite, SimSite];
    // Of two sites that have the same, the first is asked first.
    intercept(a, readsFail);
    intercept(b, (op) => (op.kind === 'read' ? verdict : 0));
    const request = read(client, 4096, 8192);
    await world.advance(verdict === 'hang' ? LINK_READ_MS / 2 + 100 : 100);
    t.equal(request.errno, 0);
    isRight(t, client);
    t.match(a.group.status().reason, '1 range of volume data is served from site c');
    if (verdict === EIO)
      t.match(b.group.status(), { health: 'degraded', reason: '1 reads of volume data failed since the agent was started' });
    t.equal(lines(a, 'read-remote-refused').length, 1);
    t.equal(c.group.failure, undefined);
  }
});

t.test('a site in a resync is not asked, and is when it is consistent again', async (t) => {
  const { world, a, others, client } = await story(['b'], { resync: { minDwellMs: 1 } });
  const verbs = new SiteVerbs(a.group);
  world.fold(a, 'b');
  await world.advance(1000);
  client.write(0, 0, 8192);
  client.commit();
  await world.advance(1000);
  world.blocked.clear();
  verbs.pauseSync('b');
  a.group.links.get('b')?.retry();
  await world.advance(2000);
  t.match(others[0]?.group.status(), { image: 'inconsistent' });
  intercept(a, (op) => (op.kind === 'read' && op.length === 4096 ? EIO : 0));
  const during = read(client, 4096, 4096);
  await world.settle();
  t.equal(during.errno, EIO);
  verbs.resumeSync('b');
  await world.advance(60_000);
  t.equal(a.group.status().sites[0]?.replication, 'streaming');
  const after = read(client, 4096, 4096);
  await world.advance(100);
  t.equal(after.errno, 0);
  isRight(t, client);
});

t.test('long reads come in pieces, many wait for their turn, and none keeps memory', async (t) => {
  const { world, a, client } = await story(['b'], { volumeBytes: 4 * MIB });
  for (let at = 0; at < 4 * MIB; at += MIB) client.write(0, at, MIB, false, 1);
  client.write(0, MIB - 4096, 8192);
  client.commit();
  await world.advance(1000);
  intercept(a, readsFail);
  const reads = Array.from({ length: 900 }, (_, i) =>
    i % 30 === 0 ? client.read(0, 512, 3 * MIB) : client.read(0, 4096 * (i % 500), 4096),
  );
  client.commit();
  await world.advance(1000);
  t.ok(reads.every(({ errno }) => errno === 0));
  isRight(t, client);
  intercept(a, undefined);
  const local = [read(client, 0, 3 * MIB), read(client, 0, 4096)];
  await world.settle();
  t.same(
    local.map(({ errno }) => errno),
    [0, 0],
  );
});

t.test('pass_on and detach do as they say, whoever could answer', async (t) => {
  const { world, a, client } = await story(['b'], { onIoError: 'pass_on' });
  intercept(a, readsFail);
  const request = read(client, 0, 4096);
  await world.settle();
  t.equal(request.errno, EIO);
  t.equal(a.group.status().volumes[0]?.remoteReads, 0);

  const other = await story(['b'], { onIoError: 'detach' });
  intercept(other.a, readsFail);
  read(other.client, 0, 4096);
  await other.world.settle();
  t.match(other.a.group.status(), { health: 'failed' });
});

t.test('a stop while a read waits for another site ends, and the client is told nothing wrong', async (t) => {
  const { world, a, others, client } = await story(['b']);
  intercept(others[0] as SimSite, (op) => (op.kind === 'read' ? 'hang' : 0));
  intercept(a, readsFail);
  const reads = Array.from({ length: 40 }, (_, i) => read(client, 4096 * (i % 8), 4096));
  await world.advance(100);
  await world.drive(a.group.stop());
  t.ok(client.isRevoked, 'first, so that no device of the kernel hears of it');
  t.ok(reads.every(({ errno }) => errno === EIO || errno === 108));
});

t.test('reads of a client that is gone are not asked for any more, and give their memory back', async (t) => {
  const { world, a, others, client } = await story(['b']);
  intercept(a, readsFail);
  intercept(others[0] as SimSite, (op) => (op.kind === 'read' ? 'hang' : 0));
  const gone = new SimClient(a, client.history);
  const reads = Array.from({ length: 40 }, () => gone.read(0, 0, 4096));
  gone.commit();
  await world.advance(100);
  gone.disconnect();
  t.equal(reads.filter(({ slabs }) => slabs.length > 0).length, LINK_READS_MAX, 'the others wait for nothing');
  await world.advance(2 * LINK_READ_MS);
  t.equal(reads.filter(({ isDone }) => isDone).length, LINK_READS_MAX, 'what ran has ended');
});
