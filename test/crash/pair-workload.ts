// Two real lvrd, primary and secondary, under load on recorded disks: all six disks are served by one event loop, in which the clients run
// as well, so that entries of both sites stand in an order in which they can have happened. A power cut "after entry n" is one instant for
// both sites and for everything clients were told.

import { makePair, type SiteMode, startPair } from '../helpers/agent.js';
import { sleep, until } from '../helpers/command.js';
import { History, readImage, type SentWrite } from '../helpers/history.js';
import type { Random } from '../helpers/random.js';
import type { Workspace } from '../helpers/workspace.js';
import { Oracle } from './oracle.js';
import { type Entry, Trace } from './trace.js';
import { AFTER_END_MS, LAPS_MS, loadFor, RING_BYTES, recordedDisksOf, SIZES, VOLUME_BLOCKS, VOLUMES } from './workload.js';

/** One life of the primary's process: entries up to `to` are judged by its writes, which begin with those it found. */
export interface Life {
  /** Per volume, in order. */
  readonly writes: readonly (readonly SentWrite[])[];
  readonly to: number;
  /** What was promised in the end, at the primary and at the secondary. */
  readonly promised: readonly number[];
  readonly promisedThere: readonly number[];
}

/** The disks of the entries are those of site a, then those of site b (workload.ts). */
export interface PairRecording {
  readonly entries: readonly Entry[];
  readonly ringBytes: number;
  readonly lives: readonly Life[];
  /** Up to here nothing says yet that the sites have a log. */
  readonly createdAt: number;
  readonly answers: number;
  readonly mode: SiteMode;
  /** Bitmaps and undo stores are recorded as well. */
  readonly hasStores: boolean;
}

export interface PairWorkload {
  readonly name: string;
  readonly mode: 'async' | 'logged';
  /** Preloaded libraries and the like, for each site. */
  readonly environment: Readonly<Record<'a' | 'b', Readonly<Record<string, string>>>>;
  /** When each life ends, in laps of the log, and which process is killed first; after `b` site a goes on alone for a while. */
  readonly ends: readonly { readonly laps: number; readonly first: 'a' | 'b' }[];
}

/** Laps that site a goes on alone. */
const ALONE_LAPS = 0.15;

/** What is true of the life under way: where it began, and what was promised since. */
class Promises {
  readonly history: History;
  readonly inherited: readonly (readonly SentWrite[])[];
  readonly #floor: readonly number[];
  readonly #mode: PairWorkload['mode'];
  /** What the secondary had been promised when it was killed. */
  #there: readonly number[] | undefined;

  constructor(mode: PairWorkload['mode'], previous: Life | undefined, base: readonly Float64Array[], firstSequence: number) {
    this.#mode = mode;
    this.history = new History(VOLUMES.length, VOLUME_BLOCKS, firstSequence);
    if (previous === undefined) {
      this.inherited = VOLUMES.map(() => []);
      this.#floor = VOLUMES.map(() => 0);
      return;
    }
    const blank = VOLUMES.map(() => new Float64Array(VOLUME_BLOCKS));
    const cuts = new Oracle(previous.writes, blank).cuts(base);
    if (cuts === undefined) throw new Error('after a restart without a power cut the volumes are no prefix of what was written');
    this.inherited = previous.writes.map((writes, volume) => writes.filter((w) => w.sequence <= (cuts[volume]?.last ?? 0)));
    this.#floor = cuts.map((cut) => cut.first);
  }

  /** What the primary must have: what it had at its start, what was flushed, and in mode logged what was answered while b was there. */
  here(): number[] {
    const { flushedMax } = this.history;
    const there = this.there();
    return this.#floor.map((floor, volume) => Math.max(floor, flushedMax[volume] as number, there[volume] as number));
  }

  there(): number[] {
    return [...(this.#there ?? (this.#mode === 'logged' ? this.history.answeredMax : VOLUMES.map(() => 0)))];
  }

  /** The secondary is about to be killed: what is answered from now on may be missing there. */
  freeze(): void {
    this.#there ??= this.there();
  }

  life(to: number): Life {
    const own = this.history.writes.map((writes) =>
      writes.map((w) => ({ ...w, answeredBefore: w.answeredBefore.map((s, other) => Math.max(s, this.#floor[other] as number)) })),
    );
    const writes = this.inherited.map((before, volume) => [...before, ...(own[volume] as SentWrite[])]);
    return { writes, to, promised: this.here(), promisedThere: this.there() };
  }
}

/** Runs it and gives back plain data. */
export async function recordPair(workspace: Workspace, random: Random, options: PairWorkload): Promise<PairRecording> {
  const { name, mode, environment } = options;
  const trace = new Trace();
  const pair = await makePair(workspace, mode, { ...SIZES, io: 'direct' }, name, environment);
  let promises = new Promises(mode, undefined, [], 1);
  trace.promised = () => promises.here();
  trace.promisedThere = () => promises.there();
  const recorded = await recordedDisksOf(workspace, [pair.a, pair.b], trace, random);
  const lives: Life[] = [];
  let createdAt = 0;
  let answers = 0;
  for (const [round, { laps, first }] of options.ends.entries()) {
    await startPair(pair);
    const clients = await Promise.all(VOLUMES.map((volume) => pair.a.connect(volume)));
    if (round === 0) createdAt = trace.entries.length;
    else {
      const base = await Promise.all(clients.map((client, volume) => readImage(client, volume, VOLUME_BLOCKS)));
      const previous = lives.at(-1) as Life;
      lives[lives.length - 1] = { ...previous, to: trace.entries.length };
      promises = new Promises(mode, previous, base, promises.history.nextSequence);
    }
    const lostBefore = losses(pair.a.output());
    answers += await loadFor(clients, promises.history, random, () => trace.position >= laps * RING_BYTES);
    if (losses(pair.a.output()) > lostBefore) throw new Error('the sites lost each other under load, and then answers promise less');
    if (first === 'b') {
      promises.freeze();
      await pair.b.kill();
      await until('site a goes on', LAPS_MS, async () => (trace.position >= (laps + ALONE_LAPS) * RING_BYTES ? true : undefined));
    }
    await pair.a.kill();
    await Promise.all(clients.map((client) => client.closed));
    await pair.b.kill();
    await sleep(AFTER_END_MS);
    lives.push(promises.life(trace.entries.length));
  }
  await recorded.close();
  return { entries: trace.entries, ringBytes: trace.position, lives, createdAt, answers, mode, hasStores: false };
}

function losses(output: string): number {
  return output.split('"event":"link-lost"').length;
}
