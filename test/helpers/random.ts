// Seeded random numbers for tests: a failing run can be repeated with SEED=... (printed by the test).

import { Random as SeededRandom } from '../../src/sim/random.js';

/** A generator seeded from SEED or the time. */
export class Random extends SeededRandom {
  constructor(seed: number = Number(process.env['SEED'] ?? Date.now() % 1_000_000_007)) {
    super(seed);
  }
}
