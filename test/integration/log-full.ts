// A link that is too slow for its writers, with real processes: the log overflows, the site is tracked by a bitmap, and comes back to the
// log when the link is fast again. Nobody is told of an error, no read waits, and both sites hold the same in the end. Then the same story
// with kill -9 of either side at random moments.
//
// LVR_OVERFLOW_ROUNDS (3) overflows, LVR_OVERFLOW_KILL_SECONDS (60) of kills; SEED repeats a run.

import t from 'tap';
import { sleep, until } from '../helpers/command.js';
import { BLOCK_BYTES, History, readImage } from '../helpers/history.js';
import { Load } from '../helpers/load.js';
import type { NbdClient } from '../helpers/nbd-client.js';
import { Random } from '../helpers/random.js';
import {
  countEvents,
  differingVolumes,
  MIB,
  makeSlowSites,
  type SlowSites,
  siteB,
  startSlowSites,
  waitEqual,
} from '../helpers/slow-sites.js';
import { Workspace } from '../helpers/workspace.js';

const ROUNDS = Number(process.env['LVR_OVERFLOW_ROUNDS'] ?? 3);
const KILL_MS = Number(process.env['LVR_OVERFLOW_KILL_SECONDS'] ?? 60) * 1000;
const VOLUMES = ['data', 'wal'];
const LOG_BYTES = 16 * MIB;
const REGION_BYTES = 65536;
const WRITE_RATE = 10 * MIB;
/** A read that takes longer has waited for something. */
const READ_MS_MAX = 2000;
/** The site comes and goes this fast. */
const RESYNC = 'min_dwell = 1';

const workspace = new Workspace('log-full');
const random = new Random();
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);
t.comment(`SEED=${random.seed}`);

function optionsOf(volumeBytes: number): { volumes: Record<string, string>; logSize: string } {
  return { volumes: Object.fromEntries(VOLUMES.map((volume) => [volume, `${volumeBytes}`])), logSize: `${LOG_BYTES}` };
}

/** Reads all over a volume, over and over, until stopped; knows how long the slowest one took. */
class Reader {
  readonly #client: NbdClient;
  readonly #blocks: number;
  readonly #done: Promise<void>;
  #running = true;
  longestMs = 0;
  reads = 0;
  errors = 0;

  constructor(client: NbdClient, blocks: number) {
    this.#client = client;
    this.#blocks = blocks;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (this.#running && this.errors === 0) {
      const startMs = performance.now();
      await this.#client.read(random.below(this.#blocks) * BLOCK_BYTES, BLOCK_BYTES).catch(() => this.errors++);
      this.longestMs = Math.max(this.longestMs, performance.now() - startMs);
      this.reads++;
      await sleep(2);
    }
  }
}

type Tap = Pick<typeof t, 'equal' | 'ok' | 'comment' | 'same'>;

/** The link becomes slow until the log has overflowed three times over, then fast. `rests`: the writers rest from then on. */
async function overflow(t: Tap, { a, link }: SlowSites, load: Load, round: number, volumeBytes: number, rests: boolean): Promise<void> {
  link.rate = WRITE_RATE / 10;
  const startBytes = load.sentBytes;
  const isOver = async (): Promise<true | undefined> => (load.sentBytes > startBytes + 3 * LOG_BYTES ? true : undefined);
  await until('three times the log is written', 60_000, isOver);
  if (rests) await load.stop();
  const slow = siteB((await a.status())?.sites);
  t.equal(slow?.tracking, 'bitmap', `overflow ${round}: the site is tracked by a bitmap`);
  t.equal(countEvents(a, 'bitmap-mode'), round, `overflow ${round}: the bitmap was entered once`);
  const dirtyBytes = slow?.dirtyBytes ?? 0;
  const [fastBytes, passedBytes] = [load.sentBytes, link.passedBytes];
  link.rate = Number.POSITIVE_INFINITY;
  await a.waitStatus('the site is back on the log', () => countEvents(a, 'bitmap-left') === round, 60_000);
  const copied = link.passedBytes - passedBytes;
  // Whoever goes on writing makes regions dirty again, a whole one with each block.
  const dirtied = Math.min(VOLUMES.length * volumeBytes, dirtyBytes) + ((load.sentBytes - fastBytes) / BLOCK_BYTES) * REGION_BYTES;
  t.ok(copied <= dirtied + LOG_BYTES, `overflow ${round}: ${copied} bytes went over, ${dirtyBytes} were dirty`);
  const shown = [dirtyBytes, copied].map((bytes) => (bytes / MIB).toFixed(1));
  t.comment(`figures: overflow ${round}, writers ${rests ? 'rest' : 'go on'}: ${shown[0]} MiB dirty, ${shown[1]} MiB went over`);
}

t.test(`a log that overflows three times over on a link of a tenth, ${ROUNDS} times`, { timeout: 240_000 }, async (t) => {
  const volumeBytes = 24 * MIB;
  const blocks = volumeBytes / BLOCK_BYTES;
  const sites = await makeSlowSites(workspace, optionsOf(volumeBytes), RESYNC, 'slow');
  const { a, b } = sites;
  await startSlowSites(sites);
  const clients = await Promise.all(VOLUMES.map((volume) => a.connect(volume)));
  const reader = new Reader(await a.connect('data'), blocks);
  const history = new History(VOLUMES.length, blocks);
  const load = new Load(clients, history, random, { depth: 8, blocksMax: 128, flushEvery: 100, fuaEvery: 200, bytesPerSecond: WRITE_RATE });
  load.start();
  for (let round = 1; round <= ROUNDS; round++) await overflow(t, sites, load, round, volumeBytes, round === ROUNDS);
  await reader.stop();
  t.equal(load.errors + reader.errors, 0, 'no request was answered with an error');
  t.ok(reader.longestMs < READ_MS_MAX, `the longest of ${reader.reads} reads took ${reader.longestMs.toFixed(0)} ms`);
  t.comment(`figures: ${load.answers} answers, ${reader.reads} reads, the longest took ${reader.longestMs.toFixed(0)} ms`);
  t.equal(countEvents(a, 'bitmap-mode'), ROUNDS, 'the bitmap was entered once for each overflow');
  t.equal(countEvents(a, 'bitmap-left'), ROUNDS, 'and left once');
  const images = await Promise.all(clients.map((client, volume) => readImage(client, volume, blocks)));
  t.same(history.check(images, history.answeredMax).problems, [], 'the primary has what was written');
  await waitEqual(sites, 60_000);
  t.same(await Promise.all([a.stop(), b.stop()]), [0, 0], 'both end in order');
  t.same(differingVolumes(sites, VOLUMES), [], 'both sites hold the same');
});

/** The primary as a client sees it: connected, checked against what must be there, under load. */
async function takeUp(
  { a }: SlowSites,
  history: History,
  blocks: number,
  problems: string[],
): Promise<{ load: Load; clients: NbdClient[] }> {
  const clients = await Promise.all(VOLUMES.map((volume) => a.connect(volume)));
  const images = await Promise.all(clients.map((client, volume) => readImage(client, volume, blocks)));
  problems.push(...history.check(images, history.flushedMax).problems);
  history.rebase(images);
  const load = new Load(clients, history, random, {
    depth: 8,
    blocksMax: 128,
    flushEvery: 50,
    fuaEvery: 100,
    bytesPerSecond: 2 * WRITE_RATE,
  });
  load.start();
  return { load, clients };
}

t.test('kill -9 of either side at random moments of that story', { timeout: KILL_MS + 180_000 }, async (t) => {
  const volumeBytes = 8 * MIB;
  const blocks = volumeBytes / BLOCK_BYTES;
  const sites = await makeSlowSites(workspace, optionsOf(volumeBytes), RESYNC, 'killed');
  const { a, b, link } = sites;
  await startSlowSites(sites);
  const history = new History(VOLUMES.length, blocks);
  const problems: string[] = [];
  let { load, clients } = await takeUp(sites, history, blocks, problems);
  const endMs = performance.now() + KILL_MS;
  const kills = { a: 0, b: 0, inBitmap: 0, inResync: 0 };
  while (performance.now() < endMs && problems.length === 0) {
    link.rate = random.below(3) === 0 ? WRITE_RATE / 10 : random.below(2) === 0 ? WRITE_RATE : Number.POSITIVE_INFINITY;
    await sleep(random.below(2500));
    const status = siteB((await a.status())?.sites);
    if (status?.tracking === 'bitmap') kills.inBitmap++;
    if (status?.replication === 'resyncing') kills.inResync++;
    if (random.below(2) === 0) {
      kills.b++;
      await b.kill();
      b.spawn();
      continue;
    }
    kills.a++;
    await a.kill();
    await Promise.all(clients.map((client) => client.closed));
    if (load.errors > 0) problems.push(`${load.errors} requests were answered with an error`);
    a.spawn();
    ({ load, clients } = await takeUp(sites, history, blocks, problems));
  }
  link.rate = Number.POSITIVE_INFINITY;
  await load.stop();
  t.equal(load.errors, 0, 'no request was answered with an error');
  await waitEqual(sites, 60_000);
  const images = await Promise.all(clients.map((client, volume) => readImage(client, volume, blocks)));
  problems.push(...history.check(images, history.answeredMax).problems);
  t.same(problems, [], 'after each start the primary has every flushed write, and one prefix');
  t.comment(
    `figures: ${kills.a} kills of the primary, ${kills.b} of the secondary; ${kills.inBitmap} in bitmap mode, ${kills.inResync} in a resync`,
  );
  t.ok(kills.a > 2 && kills.b > 2 && kills.inBitmap > 2, 'kills came where they matter');
  t.ok(countEvents(b, 'resync-ended') > 0, 'some resyncs came to their end');
  t.same(await Promise.all([a.stop(), b.stop()]), [0, 0], 'both end in order');
  t.same(differingVolumes(sites, VOLUMES), [], 'both sites hold the same');
});
