// A log full of what one site lacks, by `log_full` of that site: writes fail, or the log moves on without it, which needs a seed then.

import t from 'tap';
import type { LogFull } from '../../src/core/group-config.js';
import { SiteVerbs } from '../../src/group/site-verbs.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, SimWorld } from '../helpers/sim-group.js';

const EIO = 5;
const PIECE = 65536;
const FILLS_LOG = 400;

type Story = { world: SimWorld; a: SimSite; b: SimSite; history: History; client: SimClient };

async function away(t: { comment(text: string): void }, logFull: LogFull): Promise<Story> {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], logFull });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  client.write(0, 0, 4096);
  client.commit();
  await world.advance(1000);
  b.crash('power');
  await world.advance(1000);
  return { world, a, b, history, client };
}

/** As a front end does whose write was not admitted. */
function waitForRoom(site: SimSite): void {
  site.group.backends.get('data')?.waitForRoom({ roomAvailable: () => undefined });
}

function hangFlushes(site: SimSite): void {
  for (const device of site.volumeDevices) device.intercept = (op) => (op.kind === 'sync' ? 'hang' : 0);
}

/** Writes until one is not admitted, is answered with an error, or the log has gone round several times. */
async function fill({ world, a, client }: Story, tries = FILLS_LOG): Promise<{ admitted: number; refused: number }> {
  let admitted = 0;
  let refused = 0;
  for (let i = 0; i < tries; i++) {
    const write = client.write(i % 2, (i % 3) * PIECE, PIECE, false, 1);
    client.commit();
    await world.settle();
    if (write === undefined) {
      waitForRoom(a);
      await world.advance(20);
    } else if (write.errno === EIO) refused++;
    else admitted++;
    if (refused === 3) break;
  }
  return { admitted, refused };
}

const siteOf = (site: SimSite) => site.group.status().sites[0];

t.test('fail: writes fail while the log is full of what the site lacks, flushes and reads do not, and it ends by itself', async (t) => {
  const story = await away(t, 'fail');
  const { world, a, b, client, history } = story;
  const { admitted, refused } = await fill(story);
  t.ok(admitted > 150 && refused === 3, `${admitted} admitted, ${refused} refused`);
  const before = history.answered;
  const flush = client.flush();
  const read = client.read(0, 0, 4096);
  const zero = client.discard('zero', 0, 0, 4096);
  client.commit();
  await world.settle();
  t.same([flush.errno, read.errno, zero?.errno], [0, 0, EIO], 'what was admitted is as good as ever');
  t.match(a.group.status(), { health: 'degraded', reason: /log is full of what site b lacks, and writes fail/ });
  t.ok(a.lines.some((line) => line.startsWith('log-full-fails ')));
  t.equal(siteOf(a)?.tracking, 'log', 'nothing is forgotten');
  await a.restart('power');
  t.ok(a.group.log.appendedLsn >= before, 'what was answered is there after a power cut');
  await b.start();
  await world.advance(120_000);
  t.match(siteOf(a), { session: 'connected', replication: 'streaming', tracking: 'log' });
  const again = new SimClient(a, history);
  const write = again.write(0, 0, PIECE);
  again.flush();
  again.commit();
  await world.advance(5000);
  t.equal(write?.errno, 0);
  for (const site of [a, b]) t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
});

t.test('fail: writers that wait already are told, and writes are taken again when the site is back, in the same run', async (t) => {
  const story = await away(t, 'fail');
  const { world, a, b, client } = story;
  await fill(story);
  t.equal(a.group.writePath?.refusedFor, 'b');
  await b.start();
  await world.advance(120_000);
  t.equal(a.group.writePath?.refusedFor, undefined);
  const write = client.write(0, 0, PIECE);
  client.commit();
  await world.settle();
  t.equal(write?.errno, 0);
  t.match(a.group.status(), { health: 'healthy', reason: '' });
});

t.test('bitmap: writers do not wait for a site that is away, not even when it was just back from its bitmap', async (t) => {
  const story = await away(t, 'bitmap');
  const { world, a, b } = story;
  const folds = (): number => a.lines.filter((line) => line.startsWith('bitmap-mode ')).length;
  await fill(story);
  t.same([folds(), siteOf(a)?.tracking], [1, 'bitmap']);
  await b.start();
  for (let i = 0; i < 600 && siteOf(a)?.tracking !== 'log'; i++) await world.advance(100);
  t.equal(siteOf(a)?.tracking, 'log');
  b.crash('power');
  await world.advance(100);
  const beginMs = world.clock.nowMs();
  let read = 0;
  a.logDevice.onQueued = (op) => {
    if (op.kind === 'read') read += op.length;
  };
  const { admitted } = await fill(story);
  t.ok(admitted >= FILLS_LOG - 5, `${admitted} of ${FILLS_LOG} admitted at once`);
  t.ok(world.clock.nowMs() - beginMs < 2000, `in ${world.clock.nowMs() - beginMs} ms`);
  t.same([folds(), siteOf(a)?.tracking], [2, 'bitmap']);
  t.ok(a.lines.some((line) => / site b \(away\) is tracked by a bitmap /.test(line)));
  t.ok(read > 0 && read < a.group.log.ring.bytes / 8, `${read} bytes of the log were read to know what b lacks`);
  await b.start();
  await world.advance(120_000);
  t.match(siteOf(a), { session: 'connected', replication: 'streaming', tracking: 'log' });
  for (const site of [a, b]) t.same(differences(story.history, story.history.written.length, site.image()).slice(0, 5), []);
});

t.test('bitmap: a site that is connected and was just back from its bitmap keeps a full log for a while', async (t) => {
  const story = await away(t, 'bitmap');
  const { world, a, b } = story;
  await fill(story);
  await b.start();
  for (let i = 0; i < 600 && siteOf(a)?.tracking !== 'log'; i++) await world.advance(100);
  const backMs = world.clock.nowMs();
  // It receives and does not log.
  b.logDevice.intercept = (op) => (op.kind === 'write' ? 'hang' : 0);
  const folds = (): number => a.lines.filter((line) => line.startsWith('bitmap-mode ')).length;
  await fill(story);
  for (let i = 0; i < 1000 && folds() === 1; i++) {
    t.equal(siteOf(a)?.session, 'connected');
    await world.advance(20);
  }
  t.ok(Math.abs(world.clock.nowMs() - backMs - 10_000) < 500, `folded ${world.clock.nowMs() - backMs} ms after it was back`);
  t.notOk(a.lines.some((line) => / site b \(away\) is tracked /.test(line) && line === a.lines.at(-1)));
});

t.test('detach: no writer fails, the site is given up durably before the log moves on, and it is told that it needs a seed', async (t) => {
  const story = await away(t, 'detach');
  const { world, a, b, history } = story;
  const refusals: string[] = [];
  // The state on the disk at every superblock write: what was forgotten that b lacks, without b being given up.
  a.logDevice.onQueued = () => {
    const { current } = a.group.log.store;
    const site = current.sites.find((s) => s.name === 'b');
    if (current.trimmedLsn > 1 && site?.bitmap?.isDetached !== true) refusals.push(`trimmed ${current.trimmedLsn}`);
  };
  const begin = world.clock.wallMs();
  const { admitted, refused } = await fill(story, 3 * FILLS_LOG);
  const behindFor = (world.clock.wallMs() - begin) / 1000;
  t.equal(refused, 0);
  t.ok(admitted > 2 * FILLS_LOG, `${admitted} of ${3 * FILLS_LOG} admitted`);
  t.same(refusals, []);
  t.match(siteOf(a), { tracking: 'none', dirtyBytes: 2 * 256 * 1024, reason: /it needs a seed/ });
  const isHonest = (bytes: number, seconds: number): boolean => {
    const { lagBytes = 0, lagSeconds = 0 } = siteOf(a) ?? {};
    return lagBytes >= bytes && lagSeconds >= seconds;
  };
  t.ok(
    behindFor > 0 && isHonest((admitted - 2) * PIECE, behindFor - 0.001),
    `what the log has forgotten counts: ${JSON.stringify(siteOf(a))}`,
  );
  t.match(a.group.status(), { health: 'degraded' });
  t.ok(a.lines.some((line) => line.startsWith('site-detached ')));
  await world.advance(5000);
  await a.restart('power');
  t.match(siteOf(a), { tracking: 'none' });
  await world.advance(5000);
  t.ok(isHonest(2 * 256 * 1024, 5), `also after a restart: ${JSON.stringify(siteOf(a))}`);
  t.notOk(
    a.lines.some((line) => line.startsWith('bitmap-damaged ')),
    'there is no bitmap to be damaged',
  );
  await b.start();
  await world.advance(60_000);
  t.match(siteOf(a), { session: 'refused', rule: 'C13', tracking: 'none', reason: /b needs a seed.*log_full = "detach"/ });
  t.match(a.group.status(), { health: 'degraded', reason: /b needs a seed/ });
  t.same(differences(history, history.written.length, a.image()).slice(0, 5), []);
});

t.test(
  'detach: a site that comes back before the log has moved on goes on from the log, and counts again when it has caught up',
  async (t) => {
    const story = await away(t, 'detach');
    const { world, a, b, history, client } = story;
    for (let i = 0; i < FILLS_LOG && siteOf(a)?.tracking !== 'none'; i++) {
      if (client.write(i % 2, (i % 3) * PIECE, PIECE, false, 1) === undefined) {
        // The flag becomes durable, and the checkpoint that follows it does not come to its end.
        hangFlushes(a);
        waitForRoom(a);
        await world.advance(20);
      }
      client.commit();
      await world.settle();
    }
    t.equal(siteOf(a)?.tracking, 'none');
    a.crash('power');
    await b.start();
    await a.start(() => hangFlushes(a));
    await world.advance(120_000);
    t.match(siteOf(a), { session: 'connected', replication: 'streaming', tracking: 'log', reason: '' });
    t.equal(a.group.log.store.current.sites[0]?.bitmap, undefined, 'durably');
    for (const device of a.volumeDevices) device.intercept = undefined;
    await world.advance(5000);
    const end = a.group.log.appendedLsn;
    for (const site of [a, b]) t.same(differences(history, end, site.image()).slice(0, 5), []);
  },
);

t.test('fail: set to throttle while writes fail, they wait from then on', async (t) => {
  const story = await away(t, 'fail');
  const { world, a, client } = story;
  await fill(story);
  t.match(a.group.status(), { health: 'degraded', reason: /writes fail/ });
  const verbs = new SiteVerbs(a.group);
  verbs.set('b', { ...verbs.settings('b'), logFull: 'throttle' });
  t.equal(client.write(0, 0, PIECE, false, 1), undefined, 'not admitted');
  waitForRoom(a);
  await world.advance(100);
  t.match(a.group.status(), { health: 'degraded', reason: /writers wait/ });
});
