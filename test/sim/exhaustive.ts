// All short lives of one site with every crash point, and logs damaged in every place.

import t from 'tap';
import { apart } from '../helpers/apart.js';
import type { damagedLogs, smallWorlds } from './small-worlds.js';

t.setTimeout(890_000);

const WORLDS = new URL('./small-worlds.js', import.meta.url);
const STATES_MIN = 50_000;

t.test(
  'every sequence of up to three operations survives a crash at every point, and crashes of its recovery',
  { timeout: 890_000 },
  async (t) => {
    const figures = await apart<typeof smallWorlds>(WORLDS, 'smallWorlds', 0, 1);
    t.equal(figures.violation?.message ?? '', '', figures.what);
    t.ok(figures.states >= STATES_MIN, `${figures.states} crash states`);
    t.comment(`figure simulator, exhaustive crash states: ${figures.states} of ${figures.sequences} sequences`);
  },
);

t.test('a log that is damaged anywhere but at its end is refused', { timeout: 890_000 }, async (t) => {
  const figures = await apart<typeof damagedLogs>(WORLDS, 'damagedLogs');
  t.equal(figures.violation?.message ?? '', '', figures.what);
  t.ok(figures.states >= 30);
});
