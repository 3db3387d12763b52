// Every fourth device operation of the scenarios in which a log overflows goes wrong, one at a time. See failing-io.ts; in a file of its
// own, so that the two run beside each other.

import t from 'tap';
import { apart } from '../helpers/apart.js';
import { type nthIo, OVERFLOW_SCENARIOS } from './nth-io.js';

t.setTimeout(890_000);

const OVERFLOW_STEP = 4;

t.test('whichever of them fails, nothing promised is lost and the sites come together', { timeout: 890_000 }, async (t) => {
  const names = OVERFLOW_SCENARIOS.map(({ name }) => name);
  const figures = await apart<typeof nthIo>(new URL('./nth-io.js', import.meta.url), 'nthIo', 0, OVERFLOW_STEP, names);
  t.equal(figures.violation?.message ?? '', '', figures.what);
  t.ok(figures.runs >= 1_000, `${figures.runs} runs`);
  t.comment(`figure simulator, fail-Nth-I/O runs of resyncs: ${figures.runs}`);
});
