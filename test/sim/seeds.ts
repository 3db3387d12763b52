// Random runs of three and more sites, the same in every run of the suite: no promise may be broken, and the generator must reach what it
// claims to reach.

import t from 'tap';
import { REQUIRED_COUNTS, runSeeds } from './batches.js';

t.setTimeout(890_000);

const FIRST = 1;
const SEEDS = 1400;

t.test('no promise is broken in any of the random runs, and every situation that matters is met', { timeout: 890_000 }, async (t) => {
  const sums = await runSeeds(FIRST, SEEDS);
  t.equal(sums.failure, '', 'repeat with: lvr selftest --seed N --rounds 1');
  t.equal(sums.seeds, SEEDS);
  t.ok(sums.repeated >= SEEDS / 50, 'some seeds ran twice, with the same hash');
  const missed = REQUIRED_COUNTS.filter((what) => !sums.counts.has(what));
  t.same(missed, [], 'situations that no run has met');
  t.comment(JSON.stringify(Object.fromEntries([...sums.counts].sort())));
  t.comment(`figure simulator, seeds: ${sums.seeds} (${sums.repeated} twice)`);
  t.comment(`figure simulator, virtual hours: ${sums.virtualHours.toFixed(1)}`);
  t.comment(`figure simulator, answers and site checks judged: ${sums.answers}, ${sums.checks}`);
  t.comment(`figure simulator, situations that must be met: ${REQUIRED_COUNTS.length - missed.length} of ${REQUIRED_COUNTS.length}`);
});
