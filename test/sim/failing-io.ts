// Every device operation of thirteen scenarios goes wrong, one at a time, in eight ways.

import t from 'tap';
import { apart } from '../helpers/apart.js';
import { type nthIo, SCENARIOS, WAYS } from './nth-io.js';

t.setTimeout(890_000);

const RUNS_MIN = 10_000;

t.test('whichever device operation fails, nothing promised is lost and the sites come together', { timeout: 890_000 }, async (t) => {
  const names = SCENARIOS.map(({ name }) => name);
  const figures = await apart<typeof nthIo>(new URL('./nth-io.js', import.meta.url), 'nthIo', 0, 1, names);
  t.equal(figures.violation?.message ?? '', '', figures.what);
  t.ok(figures.runs >= RUNS_MIN, `${figures.runs} runs`);
  t.comment(`figure simulator, fail-Nth-I/O runs: ${figures.runs} (${SCENARIOS.length} scenarios, ${WAYS.length} ways)`);
});
