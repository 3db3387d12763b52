// Further random runs. The suite takes the same ones every time, so that a commit always gives the same result; SEED=N and `make soak` make
// others. What those find is kept as a file in test/scenarios, because a seed means another run as soon as the generator changes.

import t from 'tap';
import { runSeeds } from './batches.js';

t.setTimeout(890_000);

const SEEDS = 600;
t.test('no promise is broken in further runs, of a seed that can be chosen', { timeout: 890_000 }, async (t) => {
  const first = Number(process.env['SEED'] ?? 1_000_001);
  t.comment(`SEED=${first}`);
  const sums = await runSeeds(first, SEEDS);
  t.equal(sums.failure, '', 'repeat with: lvr selftest --seed N --rounds 1');
  t.equal(sums.seeds, SEEDS);
  t.comment(`figure simulator, seeds, further: ${sums.seeds} from ${first}`);
  t.comment(`figure simulator, virtual hours, further: ${sums.virtualHours.toFixed(1)}`);
});
