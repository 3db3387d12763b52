// The sum of what the targets get: each of them fails when it had fewer inputs than planned.

import t from 'tap';
import { INPUTS, INPUTS_PROMISED } from './plan.js';

t.test('all targets together get as many inputs as promised', async (t) => {
  const planned = Object.values(INPUTS).reduce((sum, inputs) => sum + inputs, 0);
  t.ok(planned >= INPUTS_PROMISED, `${planned} inputs`);
  t.comment(`figure fuzz, inputs of all targets in JavaScript: at least ${planned}`);
});
