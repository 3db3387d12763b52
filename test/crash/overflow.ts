// Crash images of two real processes in the story of an overflow: a slow link fills the log, the secondary is tracked by a bitmap, comes
// back by a resync, and each process is killed in the middle of one. Judged as in both-sites.ts; a promotion in the middle of a resync puts
// the old content back first. With flushes of no effect at the secondary it must fail.
//
// SEED chooses load and images. LVR_OVERFLOW_PAIRS (400) sets the pairs. The first pair that fails is kept below .cache/.

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Random } from '../helpers/random.js';
import { REPOSITORY, Workspace } from '../helpers/workspace.js';
import { judgePairs } from './judge-pairs.js';
import { recordOverflow } from './overflow-workload.js';
import type { PairFigures } from './pair-figures.js';
import { eatmydata, noFlush, preloading } from './preloads.js';

const PAIRS_DEFAULT = 400;
const CONTROL_PAIRS = 60;
const PAIRS = Number(process.env['LVR_OVERFLOW_PAIRS'] ?? PAIRS_DEFAULT);

const workspace = new Workspace('overflow');
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);

/** Records the story and judges pairs of images of it. */
async function pairsOf(
  t: Test,
  name: string,
  environmentOfB: Readonly<Record<string, string>>,
  wanted: number,
  keepIn?: string,
): Promise<PairFigures> {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const startMs = performance.now();
  const recording = await recordOverflow(workspace, random, name, environmentOfB);
  const recordedMs = performance.now();
  const figures = await judgePairs({ recording, seed: random.seed, wanted, keepIn });
  const seconds = [recordedMs - startMs, performance.now() - recordedMs].map((ms) => (ms / 1000).toFixed(1));
  t.comment(`figures: ${name}, SEED=${random.seed}: ${recording.answers} answers; ${figures.line()}; in ${seconds.join(' + ')} s`);
  return figures;
}

t.test('power cuts of both sites while the log overflows and the site comes back by a resync', { timeout: 290_000 }, async (t) => {
  const figures = await pairsOf(t, 'overflow', {}, PAIRS, join(REPOSITORY, '.cache', 'crash-pairs', 'overflow'));
  const { pairs, tracked, inResync, violations } = figures;
  const sum = violations.reunion + violations.failover;
  t.comment(
    `figure crash images, of an overflow: ${pairs} pairs (${tracked} tracked by a bitmap, ${inResync} in a resync, ${sum} violations)`,
  );
  t.same(figures.problems, []);
  t.same(figures.violations, { reunion: 0, failover: 0 });
  if (PAIRS < PAIRS_DEFAULT) return;
  const least = { pairs: 320, torn: 80, reunions: 300, twice: 30, takeovers: 250, refused: 200, tracked: 100, inResync: 80 };
  for (const [what, wanted] of Object.entries(least)) {
    const reached = figures[what as keyof typeof least];
    t.ok(reached >= wanted, `${what}: ${reached}, at least ${wanted}`);
  }
});

t.test('control: a secondary whose disks are never flushed, and the check fails', { timeout: 290_000 }, async (t) => {
  const figures = await pairsOf(t, 'overflow-control', preloading(eatmydata(), noFlush(workspace)), CONTROL_PAIRS);
  t.comment(`such as: ${figures.problems.slice(0, 2).join(' AND ')}`);
  t.ok(figures.violations.reunion > figures.pairs / 10, `${figures.violations.reunion} of ${figures.pairs} reunions fail`);
  t.ok(figures.violations.failover > figures.pairs / 10, `${figures.violations.failover} of ${figures.pairs} failovers fail`);
});
