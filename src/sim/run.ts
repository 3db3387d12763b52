// One run from its first line to its last: chaos as the lines say, then everything is healed and the sites must come together in bounded
// virtual time, or say why they cannot.

import { LvrError } from '../core/errors.js';
import { SLAB_LARGE_PAYLOAD_BYTES } from '../core/limits.js';
import { generate } from './generate.js';
import type { Knobs } from './knobs.js';
import { Script } from './script.js';
import { isSeedNeeded } from './seed-reason.js';
import type { SimSite } from './site.js';
import { Violation } from './violation.js';
import { shortly, type World } from './world.js';

/** What came of a run. `oracle` is empty when nothing was violated. */
export type Outcome = {
  readonly oracle: string;
  readonly message: string;
  /** Lines carried out; the failing one is the last. */
  readonly lines: number;
  readonly hash: number;
  readonly virtualMs: number;
  readonly events: number;
  /** Device operations before everything was healed. */
  readonly operations: number;
  readonly answers: number;
  readonly checks: number;
  readonly counts: ReadonlyMap<string, number>;
};

/** Longest time that healed sites may take to come together: two back-offs of a minute, a minute without room, and what else there is. */
const CONVERGE_MS = 600_000;
const POLL_MS = 2_000;
const ANSWER_MS = 60_000;
/** Every run lasts this long at least: what only shows after minutes shows. */
const RUN_MS = 560_000;

/** `nth`: an operation that goes wrong; `seen`: takes all operations; `idleMs`: the run lasts this long at least. */
export type RunOptions = { readonly nth?: World['nth']; readonly seen?: World['seen']; readonly idleMs?: number };

/** Runs what a seed decides. */
export function runSeed(seed: number): Promise<Outcome> {
  const { knobs, lines } = generate(seed);
  return runLines(knobs, lines);
}

// Rejections that nobody handles end a process of the product, so they end a run. They show when the event loop turns.
const rejections: unknown[] = [];
let isListening = false;

function listen(): void {
  if (isListening) return;
  isListening = true;
  process.on('unhandledRejection', (error) => rejections.push(error));
}

/** Runs a script, with healing and convergence at its end. */
export async function runLines(knobs: Knobs, lines: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const script = new Script({ ...knobs });
  const { world, oracle } = script;
  world.nth = options.nth;
  world.seen = options.seen;
  let done = 0;
  const failure = await finish(script, async () => {
    await script.begin();
    for (const line of lines) {
      done++;
      await script.line(line);
    }
    await converge(script, options.idleMs ?? RUN_MS);
  });
  return {
    oracle: failure?.oracle ?? '',
    message: failure?.message ?? '',
    lines: done,
    hash: world.hash,
    virtualMs: world.nowMs,
    events: world.clock.events,
    operations: world.operationsBeforeHealing,
    answers: oracle.answers,
    checks: oracle.checks,
    counts: world.counts,
  };
}

/** Does the work of a run and ends its world; returns what was violated. */
export async function finish(script: Script, work: () => Promise<void>): Promise<Violation | undefined> {
  listen();
  let failure: Violation | undefined;
  try {
    await work();
  } catch (error) {
    failure = error instanceof Violation ? error : asViolation(error);
  }
  script.end();
  await new Promise((resolve) => setImmediate(resolve));
  for (const error of rejections.splice(0)) failure ??= asViolation(error);
  // What an oracle saw first counts, not what came of it.
  if (failure !== undefined && script.violation !== undefined) failure = script.violation;
  script.world.trace(failure === undefined ? 0 : failure.message.length);
  return failure;
}

/** What the product throws where nothing may be thrown. Defects of the simulator itself are not dressed up. */
function asViolation(error: unknown): Violation {
  if (error instanceof LvrError && error.code === 'USAGE') throw error;
  const stack = error instanceof Error ? (error.stack ?? '').split('\n').slice(1, 5).join(' ') : '';
  return new Violation('assertion', `${error instanceof Error ? error.name : ''} ${shortly(error)} ${stack}`);
}

// ---- the second phase

async function converge(script: Script, idleMs: number): Promise<void> {
  const { world } = script;
  await heal(script);
  const until = world.nowMs + CONVERGE_MS;
  let primary: SimSite | undefined;
  for (;;) {
    await world.run(POLL_MS);
    if (script.violation !== undefined) throw script.violation;
    script.checkAll();
    primary = await choosePrimary(script);
    if (primary === undefined && isNobodyLeft(script)) {
      world.count('every copy refused, loudly');
      return;
    }
    const waiting = primary === undefined ? 'there is no primary' : whyWaiting(script, primary);
    if (waiting === undefined) break;
    if (world.nowMs < until) continue;
    throw new Violation('convergence', `${CONVERGE_MS / 1000} s after everything was healed: ${waiting}`);
  }
  if (primary === undefined) return;
  await mustAnswer(script, primary);
  script.checkAll();
  for (const site of world.sites) if (site !== primary && isInSync(primary, site)) script.oracle.checkEqual(primary, site);
  // The rest of the time passes without load: nothing may change.
  if (world.nowMs < idleMs) await world.run(idleMs - world.nowMs);
  script.checkAll();
  if (script.violation !== undefined) throw script.violation;
}

/** No faults, no cuts, every process running, restarted where its group has failed or its device hangs. */
async function heal(script: Script): Promise<void> {
  const { world } = script;
  const hung = world.sites.filter((site) => site.disks.some((disk) => world.isHung(disk)));
  world.healAll();
  world.clearFaults();
  for (const site of world.sites) {
    if (site.isUp && site.clock.isPaused) site.resume();
    if (hung.includes(site) || (site.isUp && site.group.failure !== undefined)) script.crash(site, 'power', false);
  }
  await world.run(10);
  for (const site of world.sites) script.start(site);
  await world.run(30_000);
  // Start again what began while faults were about and hangs for ever, or failed just then.
  for (const site of world.sites) {
    if (site.isUp && site.group.failure === undefined) continue;
    if (script.refusals.has(site.name)) continue;
    script.crash(site, 'power', false);
    script.start(site);
  }
}

/** The site that the others must come to: the primary of the newest epoch; promoted here when there is none. */
async function choosePrimary(script: Script): Promise<SimSite | undefined> {
  const up = script.world.sites.filter((site) => site.isUp && site.group.failure === undefined);
  // What a resync has begun to overwrite comes last: it would be rolled back.
  const rank = (site: SimSite): number =>
    site.group.log.store.current.epoch * 1e9 + site.group.log.appendedLsn - (site.group.resyncs.target.isActive ? 1e12 : 0);
  const primaries = up.filter((site) => site.group.role === 'primary').sort((a, b) => rank(b) - rank(a));
  if (primaries[0] !== undefined) return primaries[0];
  const best = up.filter(canLead).sort((a, b) => rank(b) - rank(a))[0];
  if (best !== undefined && !best.group.changing) await script.promote(best, false, true);
  return undefined;
}

/** It has a copy of some moment, or what it takes to go back to one. */
function canLead(site: SimSite): boolean {
  const { epoch, resync } = site.group.log.store.current;
  return epoch > 0 && (resync?.undo !== undefined || resync === undefined);
}

/** Every site refuses to start, and says why, or has nothing that it could lead with. */
function isNobodyLeft({ world, refusals }: Script): boolean {
  return refusals.size > 0 && world.sites.every((site) => refusals.has(site.name) || (site.isUp && !canLead(site)));
}

function isInSync(primary: SimSite, site: SimSite): boolean {
  if (!site.isUp) return false;
  const state = primary.group.links.get(site.name)?.state();
  const lsn = primary.group.log.appendedLsn;
  return (
    state?.session === 'connected' &&
    state.replication === 'streaming' &&
    site.group.log.durableLsn === lsn &&
    site.group.applier.appliedLsn === lsn &&
    primary.group.applier.appliedLsn === lsn
  );
}

/** Why the sites have not come together yet; undefined when every site has, or has a good reason not to. */
function whyWaiting(script: Script, primary: SimSite): string | undefined {
  for (const site of script.world.sites) {
    if (site === primary || isInSync(primary, site)) continue;
    if (!site.isUp) {
      if (script.refusals.has(site.name)) continue;
      return `${site.name} does not start`;
    }
    const ours = primary.group.links.get(site.name)?.state();
    const theirs = site.group.links.get(primary.name)?.state();
    const code = ours?.code || theirs?.code || '';
    const reason = ours?.reason || theirs?.reason || '';
    if (reason === '' || !isGoodReason(script, primary, site, code)) {
      return `${site.name} is ${ours?.session} ${ours?.replication} ${code} at ${primary.name} (${reason})`;
    }
    script.world.count(`apart ${code}`);
  }
  return undefined;
}

/** A refusal is good when its cause is real: the histories have parted, or the records needed are gone. */
function isGoodReason(script: Script, primary: SimSite, site: SimSite, code: string): boolean {
  const { oracle, world } = script;
  const isExcused = oracle.isExcused(site.name) || oracle.isExcused(primary.name);
  const lsn = site.group.log.appendedLsn;
  switch (code) {
    case 'DIVERGED':
      // First of all: an epoch that somebody else was promoted to rules out that the primary may take back what it lost.
      if (isExcused || isRivalEpoch(script, primary, site)) return true;
      if (oracle.isOwnTail(primary, site)) return false;
      return oracle.haveParted(primary, site) || lsn > primary.group.log.appendedLsn;
    case 'NEEDS_SEED':
      return isExcused || isSeedNeeded(oracle, primary, site);
    case 'UNDO_FULL':
      return world.knobs.undo === 'required' && world.knobs.undoEntries > 0;
    case 'LOG_CORRUPT':
      // A record that the log was told it has, and has not: found when it is read for the other site.
      return isExcused;
    case 'UNRELATED':
      return isExcused || !world.knobs.disciplined;
    default:
      return false;
  }
}

/**
 * Rules C3 and C9: promoted to the same epoch, or to a newer one that is primary no more, while the primary wrote on in its own. A
 * secondary follows one of two primaries of the same epoch.
 */
function isRivalEpoch({ oracle, world }: Script, primary: SimSite, site: SimSite): boolean {
  const epochOf = (other: SimSite): number => other.group.log.store.current.epoch;
  const [ours, theirs] = [epochOf(primary), epochOf(site)];
  if (ours === theirs) return world.sites.some((s) => s !== primary && s.isUp && s.group.role === 'primary' && epochOf(s) === ours);
  return theirs > ours && (primary.group.log.appendedLsn > site.group.log.appendedLsn || oracle.haveParted(primary, site));
}

/** The surviving primary serves: a write and a flush are answered, unless a site that it may not go on without is away for a reason. */
async function mustAnswer(script: Script, primary: SimSite): Promise<void> {
  const { world } = script;
  if (world.knobs.onDisconnect !== 'continue' && !world.sites.every((site) => site === primary || isInSync(primary, site))) return;
  const until = world.nowMs + ANSWER_MS;
  while (script.client(primary, 0) === undefined && world.nowMs < until) await world.run(100);
  const client = script.client(primary, 0);
  if (client === undefined) throw new Violation('progress', `${primary.name} serves no clients: ${primary.group.unavailable}`);
  // One that stays apart for a good reason connects again and again, and may be just connected.
  const followers = world.sites.filter((site) => site !== primary && isInSync(primary, site));
  client.write(0, 0, 4096);
  const flush = client.flush();
  client.commit();
  while (!flush.isDone && world.nowMs < until) await world.run(50);
  if (!flush.isDone) throw new Violation('progress', `${primary.name} does not answer a flush in ${ANSWER_MS / 1000} s`);
  await world.run(5_000);
  // A site that stays apart may keep the log full.
  const { ring } = primary.group.log;
  if (script.isAnyoneShortOfRoom(primary) && primary.group.log.hasRoom(Math.min(2 * SLAB_LARGE_PAYLOAD_BYTES, ring.bytes / 2)))
    throw new Violation('progress', `a client of ${primary.name} waits for room that there is`);
  for (const site of followers) {
    if (!isInSync(primary, site))
      throw new Violation('convergence', `${site.name} follows ${primary.name} but does not get its last write`);
    if (primary.group.sites.find(site.name)?.bitmap !== undefined)
      throw new Violation('convergence', `${site.name} has everything, but ${primary.name} still tracks it by a bitmap`);
  }
}
