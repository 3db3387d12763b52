// Many runs in a row, a part of them twice, with what they add up to. `lvr selftest`, the test suite and `make soak` come in here.

import { generate } from './generate.js';
import { printKnobs } from './knobs.js';
import { type Outcome, runSeed } from './run.js';
import { type Shrunk, shrink } from './shrink.js';

/** One seed in so many is run twice, and both runs must have the same hash. */
const REPEAT_EVERY = 50;

/** What the runs came to. `failure` is the first run that violated something; nothing is run after it. */
export type SelftestResult = {
  readonly seeds: number;
  readonly repeated: number;
  readonly virtualHours: number;
  readonly events: number;
  readonly answers: number;
  readonly checks: number;
  /** In how many runs something happened. */
  readonly counts: Record<string, number>;
  readonly failure: Failure | null;
};

/** A run that violated something; `hash` sums up all that happened in it, `script` is the run as lines, shrunk if wanted. */
export type Failure = {
  readonly seed: number;
  readonly oracle: string;
  readonly message: string;
  readonly hash: number;
  readonly script: readonly string[];
};

/** A failure as people read it; the same seed gives the same bytes. */
export function failureText({ seed, message, hash, script }: Failure): string {
  return `seed ${seed} violates ${message} (trace ${hash.toString(16).padStart(8, '0')})\n\n${script.join('\n')}`;
}

/** What a selftest is told. `shrinks`: a failing run is made small. */
export type SelftestOptions = {
  readonly seed: number;
  readonly rounds: number;
  readonly shrinks: boolean;
  readonly onRun?: (seed: number) => void;
};

/** Runs `rounds` seeds from `seed` on. */
export async function selftest({ seed, rounds, shrinks, onRun }: SelftestOptions): Promise<SelftestResult> {
  const sums = { seeds: 0, repeated: 0, virtualHours: 0, events: 0, answers: 0, checks: 0 };
  const counts = new Map<string, number>();
  for (let at = seed; at < seed + rounds; at++) {
    const outcome = await runSeed(at);
    onRun?.(at);
    sums.seeds++;
    sums.virtualHours += outcome.virtualMs / 3.6e6;
    sums.events += outcome.events;
    sums.answers += outcome.answers;
    sums.checks += outcome.checks;
    for (const what of outcome.counts.keys()) counts.set(what, (counts.get(what) ?? 0) + 1);
    let failed: Outcome | undefined = outcome.oracle === '' ? undefined : outcome;
    if (failed === undefined && at % REPEAT_EVERY === 0) {
      sums.repeated++;
      const again = await runSeed(at);
      if (again.hash !== outcome.hash) failed = { ...again, oracle: 'determinism', message: 'two runs of this seed differ' };
    }
    if (failed === undefined) continue;
    const script = await failureScript(at, failed, shrinks && failed.oracle !== 'determinism');
    const { oracle, message, hash } = failed;
    return { ...sums, counts: sorted(counts), failure: { seed: at, oracle, message, hash, script } };
  }
  return { ...sums, counts: sorted(counts), failure: null };
}

/** The failing run as a script with its knobs, shrunk if wanted. */
async function failureScript(seed: number, outcome: Outcome, shrinks: boolean): Promise<string[]> {
  const { knobs, lines } = generate(seed);
  let shrunk: Shrunk = { lines: lines.slice(0, outcome.lines), outcome, runs: 0 };
  if (shrinks) shrunk = await shrink(knobs, lines, outcome);
  return [...printKnobs(knobs), ...shrunk.lines, `# ${shrunk.outcome.message}`];
}

function sorted(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
