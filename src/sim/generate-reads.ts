// Lines about devices that cannot read: for a while many reads of a volume of a site fail, while it is loaded. Drawn apart, so that runs
// without them stay what they were.

import { Random } from './random.js';
import { VOLUMES } from './site.js';

/** One run in so many has some. */
const PERCENT = 12;

/** `lines` with one to three such times among them, or as they are. */
export function withReadErrors(seed: number, lines: readonly string[], names: readonly string[]): readonly string[] {
  const random = new Random(seed ^ 0x0ead);
  if (!random.chance(PERCENT)) return lines;
  const result = [...lines];
  for (let more = random.pick([1, 1, 2, 3]); more > 0; more--) {
    const site = random.chance(75) ? 'a' : random.pick(names);
    const faults = VOLUMES.filter(() => random.chance(70)).map((volume) => `fault ${site} ${volume} read-eio 0 ${1 + random.below(60)}`);
    // Another site may not be able to read either.
    if (random.chance(25)) faults.push(`fault ${random.pick(names)} ${random.pick(VOLUMES)} read-eio 0 ${1 + random.below(10)}`);
    const loads = Array.from({ length: 1 + random.below(3) }, () => `load ${site} ${20 + random.below(60)} ${random.below(1e9)}`);
    result.splice(random.below(result.length + 1), 0, ...faults, ...loads);
  }
  return result;
}
