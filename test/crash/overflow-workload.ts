// Two real lvrd on recorded disks whose log overflows again and again: a slow link fills it, a fast one brings the site back by a resync,
// in which each process is killed once. Bitmaps and undo stores are recorded like logs and volumes.

import { sleep, until } from '../helpers/command.js';
import { History } from '../helpers/history.js';
import { Load } from '../helpers/load.js';
import type { NbdClient } from '../helpers/nbd-client.js';
import type { Random } from '../helpers/random.js';
import { countEvents, MIB, makeSlowSites, type SlowSites, siteB, startSlowSites } from '../helpers/slow-sites.js';
import type { Workspace } from '../helpers/workspace.js';
import type { PairRecording } from './pair-workload.js';
import { Trace } from './trace.js';
import { AFTER_END_MS, recordedDisksOf, SIZES, VOLUME_BLOCKS, VOLUMES } from './workload.js';

/** Slow enough that instants of a trace fall into the copy. */
const RESYNC = 'min_dwell = 1\nmax_rate = "2MiB"';
const FAST_BYTES = 12 * MIB;
const SLOW_BYTES = MIB / 4;
const LINK_BYTES = FAST_BYTES / 10;
const STEP_MS = 60_000;
/** How long writers are faster than a copy. */
const FASTER_MS = 4_000;
/** A process is killed when so much of a copy has gone over. */
const KILL_BYTES = MIB;

/** Writes at `rate` until `holds`. */
async function load(story: Story, rate: number, what: string, holds: () => Promise<boolean>): Promise<void> {
  const { clients, history, random } = story;
  const options = { depth: 8, blocksMax: 48, flushEvery: 25, fuaEvery: 30, zeroEvery: 12, bytesPerSecond: rate };
  const writers = new Load(clients, history, random, options);
  writers.start();
  await until(what, STEP_MS, async () => ((await holds()) ? true : undefined), 20);
  await writers.stop();
  if (writers.errors > 0) throw new Error(`${writers.errors} requests were answered with an error`);
  story.answers += writers.answers;
}

type Story = {
  readonly sites: SlowSites;
  readonly clients: NbdClient[];
  readonly history: History;
  readonly random: Random;
  answers: number;
};

/** The link is slow until the site is tracked by a bitmap, then fast. */
async function overflow(story: Story): Promise<void> {
  const { a, link } = story.sites;
  link.rate = LINK_BYTES;
  const entered = countEvents(a, 'bitmap-mode');
  await load(story, FAST_BYTES, 'the log overflows', async () => countEvents(a, 'bitmap-mode') > entered);
  link.rate = Number.POSITIVE_INFINITY;
}

/** Writers go on until `holds`, at a rate at which the site comes back. */
function meanwhile(story: Story, what: string, holds: () => Promise<boolean>): Promise<void> {
  return load(story, SLOW_BYTES, what, holds);
}

/** Resolves in the middle of a resync. */
async function middle(story: Story): Promise<void> {
  const { a, link } = story.sites;
  const before = link.passedBytes;
  const isCopied = async (): Promise<boolean> =>
    siteB((await a.status())?.sites)?.tracking === 'bitmap' && link.passedBytes > before + KILL_BYTES;
  await meanwhile(story, 'a resync is in its middle', isCopied);
}

/** Writers are faster than the copy for a while: it goes on in passes, or the log overflows in its last phase. */
async function faster(story: Story): Promise<void> {
  const endMs = performance.now() + FASTER_MS;
  await load(story, FAST_BYTES, 'writers were faster than the copy', async () => performance.now() > endMs);
}

async function back(story: Story): Promise<void> {
  const { a } = story.sites;
  await meanwhile(story, 'the site is back on the log', async () => siteB((await a.status())?.sites)?.tracking === 'log');
}

/**
 * Three overflows: the site comes back, although writers are faster than the copy for a while; it is killed in the copy, starts again and
 * comes back; the primary is killed in the copy. `environmentOfB`: preloaded libraries and the like.
 */
export async function recordOverflow(
  workspace: Workspace,
  random: Random,
  name: string,
  environmentOfB: Readonly<Record<string, string>>,
): Promise<PairRecording> {
  const trace = new Trace();
  const history = new History(VOLUMES.length, VOLUME_BLOCKS);
  trace.promised = () => [...history.flushedMax];
  trace.promisedThere = () => VOLUMES.map(() => 0);
  const sites = await makeSlowSites(workspace, { ...SIZES, io: 'direct' }, RESYNC, name, environmentOfB);
  const { a, b } = sites;
  const recorded = await recordedDisksOf(workspace, [a, b], trace, random, true);
  await startSlowSites(sites);
  const createdAt = trace.entries.length;
  const clients = await Promise.all(VOLUMES.map((volume) => a.connect(volume)));
  const story: Story = { sites, clients, history, random, answers: 0 };

  await overflow(story);
  await middle(story);
  await faster(story);
  await back(story);

  await overflow(story);
  await middle(story);
  await b.kill();
  await sleep(AFTER_END_MS);
  b.spawn();
  await back(story);

  await overflow(story);
  await middle(story);
  await a.kill();
  await Promise.all(clients.map((client) => client.closed));
  await b.kill();
  await sleep(AFTER_END_MS);
  const promised = [...history.flushedMax];
  const life = { writes: history.writes, to: trace.entries.length, promised, promisedThere: VOLUMES.map(() => 0) };
  await recorded.close();
  return {
    entries: trace.entries,
    ringBytes: trace.position,
    lives: [life],
    createdAt,
    answers: story.answers,
    mode: 'async',
    hasStores: true,
  };
}
