// Crash images of two real processes: writes and flushes of a primary and its secondary under load are recorded in one order, what a power
// cut of both can leave at an instant is built, the product recovers both, brings them together again, or lets the secondary take over and
// the old primary come back. The same without flushes must fail.
//
// SEED chooses load and images; the trace itself depends on timing as well. LVR_CRASH_PAIRS sets the pairs of each mode. The first pair
// that fails is kept below .cache/.

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Random } from '../helpers/random.js';
import { REPOSITORY, Workspace } from '../helpers/workspace.js';
import { judgePairs } from './judge-pairs.js';
import type { PairFigures } from './pair-figures.js';
import { type PairWorkload, recordPair } from './pair-workload.js';
import { eatmydata, noFlush, preloading } from './preloads.js';

const PAIRS_DEFAULT = 300;
const PAIRS = Number(process.env['LVR_CRASH_PAIRS'] ?? PAIRS_DEFAULT);
const CONTROL_PAIRS = 40;
const ENDS = [
  { laps: 0.6, first: 'b' },
  { laps: 1.3, first: 'a' },
] as const;
const HONEST = { a: {}, b: {} };
/** What the pairs of a mode must have been. */
const LEAST = {
  ...{ pairs: 250, torn: 50, creation: 10, reunions: 250, caughtUp: 20, tailsCut: 10, twice: 20, again: 50 },
  ...{ takeovers: 200, followed: 20, refused: 20, laps: 1 },
};
type Counted = keyof typeof LEAST;
const COUNTED = Object.keys(LEAST) as Counted[];
/** Who was the faster one in a recording decides whether its cuts find one site ahead or the other: more are made until there is enough. */
const RECORDINGS_MAX = 4;

const workspace = new Workspace('pairs');
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);

/** Records what `plan` says and judges pairs of images of it. */
async function pairsOf(t: Test, plan: PairWorkload, wanted: number, keepIn?: string): Promise<PairFigures> {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const startMs = performance.now();
  const recording = await recordPair(workspace, random, plan);
  const recordedMs = performance.now();
  const figures = await judgePairs({ recording, seed: random.seed, wanted, keepIn });
  const seconds = [recordedMs - startMs, performance.now() - recordedMs].map((ms) => (ms / 1000).toFixed(1));
  t.comment(`figures: ${plan.name}, SEED=${random.seed}: ${recording.answers} answers; ${figures.line()}; in ${seconds.join(' + ')} s`);
  return figures;
}

function isEnough(reached: ReadonlyMap<Counted, number>): boolean {
  return COUNTED.every((what) => (reached.get(what) ?? 0) >= LEAST[what]);
}

const totals = { pairs: 0, reunions: 0, takeovers: 0, violations: 0 };

for (const mode of ['async', 'logged'] as const) {
  t.test(`mode ${mode}: both sites of every power cut come together, and a failover mixes nothing`, async (t) => {
    const keepIn = join(REPOSITORY, '.cache', 'crash-pairs', mode);
    const reached = new Map<Counted, number>();
    for (let recordings = 1; recordings <= RECORDINGS_MAX && !isEnough(reached); recordings++) {
      const figures = await pairsOf(t, { name: `both-${mode}`, mode, environment: HONEST, ends: ENDS }, PAIRS, keepIn);
      t.same(figures.problems, []);
      t.same(figures.violations, { reunion: 0, failover: 0 });
      totals.pairs += figures.pairs;
      totals.reunions += figures.reunions;
      totals.takeovers += figures.takeovers;
      totals.violations += figures.violations.reunion + figures.violations.failover;
      if (PAIRS < PAIRS_DEFAULT) return;
      for (const what of COUNTED) reached.set(what, (reached.get(what) ?? 0) + figures[what]);
    }
    for (const what of COUNTED) t.ok((reached.get(what) ?? 0) >= LEAST[what], `${what}: ${reached.get(what)}, at least ${LEAST[what]}`);
  });
}

t.test('control: a secondary whose log and volumes are never flushed, and the check fails', async (t) => {
  const environment = { a: {}, b: preloading(eatmydata(), noFlush(workspace)) };
  const plan = { name: 'both-control-b', mode: 'logged', environment, ends: [{ laps: 0.8, first: 'a' }] } as const;
  const figures = await pairsOf(t, plan, CONTROL_PAIRS);
  t.ok(figures.flushes.a > 20 && figures.flushes.b < 8, `${figures.flushes.a} and ${figures.flushes.b} flushes`);
  t.comment(`such as: ${figures.problems.slice(0, 2).join(' AND ')}`);
  t.ok(figures.violations.reunion > figures.pairs / 10, `${figures.violations.reunion} of ${figures.pairs} reunions fail`);
  t.ok(figures.violations.failover > figures.pairs / 10, `${figures.violations.failover} of ${figures.pairs} failovers fail`);
});

t.test('control: with eatmydata at both sites only flushes of volumes are lost, and the check fails', async (t) => {
  const environment = { a: preloading(eatmydata()), b: preloading(eatmydata()) };
  const plan = { name: 'both-control-eatmydata', mode: 'logged', environment, ends: [{ laps: 1.2, first: 'a' }] } as const;
  const figures = await pairsOf(t, plan, CONTROL_PAIRS);
  t.comment(`such as: ${figures.problems.slice(0, 2).join(' AND ')}`);
  t.ok(figures.violations.reunion > figures.pairs / 10, `${figures.violations.reunion} of ${figures.pairs} reunions fail`);
  t.ok(figures.violations.failover > figures.pairs / 10, `${figures.violations.failover} of ${figures.pairs} failovers fail`);
});

t.test('figures', async (t) => {
  const { pairs, reunions, takeovers, violations } = totals;
  t.comment(`figure crash images, of both sites: ${pairs} pairs (${reunions} reunions, ${takeovers} failovers, ${violations} violations)`);
  t.ok(pairs > 0);
});
