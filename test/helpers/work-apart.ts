// Work for the test of apart.ts.

import type { Knobs } from '../../src/sim/knobs.js';
import { type Outcome, runLines } from '../../src/sim/run.js';

export async function doubled(values: ReadonlyMap<string, Uint8Array>): Promise<Map<string, number[]>> {
  return new Map([...values].map(([name, bytes]) => [name, [...bytes].map((byte) => byte * 2)]));
}

export async function failing(): Promise<void> {
  throw new RangeError('it went wrong');
}

export async function forgotten(): Promise<void> {
  void Promise.reject(new RangeError('nobody waits for this'));
  await new Promise((resolve) => setTimeout(resolve, 1000));
}

/** What one run comes to, with a promise that fails while nobody waits for it. */
export function runWithRejection(knobs: Knobs): Promise<Outcome> {
  setImmediate(() => void Promise.reject(new RangeError('nobody waits for this')));
  return runLines(knobs, ['load a 5 1', 'flush a', 'wait 3000'], { idleMs: 0 });
}
