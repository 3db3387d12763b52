// Random runs that no run of the suite has made before. What they find is kept as a file in test/scenarios, because a seed means another
// run as soon as the generator changes.

import t from 'tap';
import { runSeeds } from './batches.js';

t.setTimeout(890_000);

const SEEDS = 600;
t.test('no promise is broken in runs with fresh seeds', { timeout: 890_000 }, async (t) => {
  const first = Number(process.env['SEED'] ?? Date.now() % 1_000_000_007);
  t.comment(`SEED=${first}`);
  const sums = await runSeeds(first, SEEDS);
  t.equal(sums.failure, '', 'repeat with: lvr selftest --seed N --rounds 1');
  t.equal(sums.seeds, SEEDS);
  t.comment(`figure simulator, fresh seeds: ${sums.seeds} from ${first}, ${sums.virtualHours.toFixed(0)} virtual hours`);
});
