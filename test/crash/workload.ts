// A real lvrd under load on recorded disks: a primary that starts on blank ones, wraps its log, is killed, stopped and started again, or a
// secondary of one.

import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { REGION_BYTES_DEFAULT } from '../../src/core/dirty-map.js';
import { BitmapStore } from '../../src/disk/bitmap-store.js';
import { RING_START } from '../../src/format/superblock.js';
import { undoBytes } from '../../src/group/open.js';
import { makePair, startPair, TestAgent } from '../helpers/agent.js';
import { sleep, until } from '../helpers/command.js';
import { BLOCK_BYTES, History, readImage, type SentWrite } from '../helpers/history.js';
import { Load } from '../helpers/load.js';
import type { NbdClient } from '../helpers/nbd-client.js';
import type { Random } from '../helpers/random.js';
import type { Workspace } from '../helpers/workspace.js';
import { RecordedDisks } from './recorded-disks.js';
import { type Entry, Trace } from './trace.js';

const MIB = 1048576;
export const VOLUMES = ['data', 'wal'] as const;
export const VOLUME_BYTES = 4 * MIB;
export const VOLUME_BLOCKS = VOLUME_BYTES / BLOCK_BYTES;
export const LOG_BYTES = 16 * MIB;
export const RING_BYTES = LOG_BYTES - RING_START;
/** The same for the configuration. */
export const SIZES = { volumes: Object.fromEntries(VOLUMES.map((name) => [name, '4MiB'])), logSize: '16MiB' } as const;
export const LAPS_MS = 60_000;
/** What the kernel still had to write comes in this time. */
export const AFTER_END_MS = 100;

/** One load between two starts of the process: entries [from, to) of the trace are judged by what it wrote on top of `base`. */
export interface Phase {
  /** Per volume, in the order sent. */
  readonly writes: readonly (readonly SentWrite[])[];
  readonly base: readonly Float64Array[];
  readonly from: number;
  readonly to: number;
  /** What was promised in the end. */
  readonly promised: readonly number[];
}

export interface Recording {
  readonly entries: readonly Entry[];
  /** Bytes written to the ring of the log, over all laps. */
  readonly ringBytes: number;
  readonly phases: readonly Phase[];
  /** Up to here nothing says yet that the group has a log. */
  readonly createdAt: number;
  readonly answers: number;
  readonly role: 'primary' | 'secondary';
}

export interface WorkloadOptions {
  readonly name: string;
  readonly io: 'buffered' | 'direct';
  readonly writeCache?: boolean;
  readonly environment: Readonly<Record<string, string>>;
  /** When each phase ends, in laps of the log, and how: kill -9 or an orderly stop, both under load. */
  readonly ends: readonly { readonly laps: number; readonly by: 'kill' | 'stop' }[];
}

/** Runs it and gives back plain data. */
export async function record(workspace: Workspace, random: Random, options: WorkloadOptions): Promise<Recording> {
  const trace = new Trace();
  let history = new History(VOLUMES.length, VOLUME_BLOCKS);
  // Without a write cache every answer is a promise, and an orderly stop keeps all of them.
  let isStopped = false;
  const promised = (): number[] => [...(options.writeCache === false || isStopped ? history.answeredMax : history.flushedMax)];
  trace.promised = promised;
  const { io, environment, writeCache = true } = options;
  const agentOptions = { site: 'a', role: 'primary', ...SIZES, io, environment, writeCache } as const;
  const agent = new TestAgent(workspace, agentOptions, options.name);
  const recorded = await recordedDisksOf(workspace, [agent], trace, random);
  const phases: Phase[] = [];
  let createdAt = 0;
  let answers = 0;
  for (const [round, { laps, by }] of options.ends.entries()) {
    agent.spawn();
    const clients = await Promise.all(VOLUMES.map((volume) => agent.connect(volume)));
    if (round === 0) createdAt = trace.entries.length;
    const base = await Promise.all(clients.map((client, volume) => readImage(client, volume, VOLUME_BLOCKS)));
    const from = trace.entries.length;
    const { nextSequence } = history;
    const previous = phases.at(-1);
    if (previous !== undefined) phases[phases.length - 1] = { ...previous, to: from };
    history = new History(VOLUMES.length, VOLUME_BLOCKS, nextSequence);
    isStopped = false;
    answers += await loadFor(clients, history, random, () => trace.position >= laps * RING_BYTES);
    if (by === 'kill') await agent.kill();
    else if ((await agent.stop()) !== 0) throw new Error(`the agent did not stop in order:\n${agent.story()}`);
    await Promise.all(clients.map((client) => client.closed));
    await sleep(AFTER_END_MS);
    isStopped = by === 'stop';
    phases.push({ writes: history.writes, base, from: round === 0 ? 0 : from, to: trace.entries.length, promised: promised() });
  }
  await recorded.close();
  return { entries: trace.entries, ringBytes: trace.position, phases, createdAt, answers, role: 'primary' };
}

/**
 * A secondary on recorded disks, whose primary answers a write only when it is durable in the secondary's log. Both processes are killed
 * under load, the primary first.
 */
export async function recordSecondary(workspace: Workspace, random: Random, name: string, laps: number): Promise<Recording> {
  const trace = new Trace();
  const history = new History(VOLUMES.length, VOLUME_BLOCKS);
  trace.promised = () => [...history.answeredMax];
  const pair = await makePair(workspace, 'logged', { ...SIZES, io: 'direct' }, name);
  const recorded = await recordedDisksOf(workspace, [pair.b], trace, random);
  await startPair(pair);
  const createdAt = trace.entries.length;
  const clients = await Promise.all(VOLUMES.map((volume) => pair.a.connect(volume)));
  const base = VOLUMES.map(() => new Float64Array(VOLUME_BLOCKS));
  const answers = await loadFor(clients, history, random, () => trace.position >= laps * RING_BYTES);
  await pair.a.kill();
  await Promise.all(clients.map((client) => client.closed));
  await pair.b.kill();
  await sleep(AFTER_END_MS);
  const phase = { writes: history.writes, base, from: 0, to: trace.entries.length, promised: [...history.answeredMax] };
  await recorded.close();
  return { entries: trace.entries, ringBytes: trace.position, phases: [phase], createdAt, answers, role: 'secondary' };
}

/** The disks of a site in the order in which they are recorded. `hasStores`: with those of its bitmaps and its undo store. */
export function disksOfSite(hasStores: boolean): readonly { readonly name: string; readonly file: string; readonly sizeBytes: number }[] {
  const volumes = VOLUMES.map((name) => ({ name, file: `${name}.img`, sizeBytes: VOLUME_BYTES }));
  const disks = [{ name: 'log', file: 'app.log', sizeBytes: LOG_BYTES }, ...volumes];
  if (!hasStores) return disks;
  const sizes = VOLUMES.map(() => VOLUME_BYTES);
  const bitmaps = { name: 'bitmaps', file: 'state/groups/app.bitmaps', sizeBytes: BitmapStore.sizeBytes(sizes, REGION_BYTES_DEFAULT) };
  return [...disks, bitmaps, { name: 'undo', file: 'state/groups/app.undo', sizeBytes: undoBytes(sizes) }];
}

/** Recorded disks in the places where agents look for theirs; those of each agent after those of the one before. */
export async function recordedDisksOf(
  workspace: Workspace,
  agents: readonly TestAgent[],
  trace: Trace,
  random: Random,
  hasStores = false,
): Promise<RecordedDisks> {
  const places = agents.flatMap((agent) => disksOfSite(hasStores).map((disk) => ({ agent, ...disk })));
  const disks = places.map(({ agent, name, sizeBytes }) => ({ name: `${agent.site}.${name}`, sizeBytes }));
  if (hasStores) for (const { directory } of agents) mkdirSync(join(directory, 'state', 'groups'), { recursive: true, mode: 0o700 });
  const recorded = await RecordedDisks.open(workspace, join((agents[0] as TestAgent).directory, 'disks'), disks, trace, random);
  for (const [i, { agent, file }] of places.entries()) symlinkSync(recorded.devices[i] as string, join(agent.directory, file));
  return recorded;
}

/** Loads both volumes until `done`. Returns the number of answers. */
export async function loadFor(clients: readonly NbdClient[], history: History, random: Random, done: () => boolean): Promise<number> {
  const load = new Load(clients, history, random, { depth: 12, blocksMax: 48, flushEvery: 25, fuaEvery: 30, zeroEvery: 12 });
  load.start();
  await until('the log goes round', LAPS_MS, async () => (done() ? true : undefined));
  if (load.errors > 0) throw new Error(`${load.errors} requests were answered with an error`);
  return load.answers;
}
