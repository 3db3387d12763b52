// Makes a failing run small: lines are taken away, in ever smaller groups, as long as the same oracle still objects; then requests of a
// load and waits are made fewer. What is left is a script that a person can read.

import type { Knobs } from './knobs.js';
import { type Outcome, runLines } from './run.js';

/** A smaller run with the same fault. */
export type Shrunk = { readonly lines: readonly string[]; readonly outcome: Outcome; readonly runs: number };

/** Shrinks a run that `oracle` objected to, in at most `runsMax` runs. */
export async function shrink(knobs: Knobs, lines: readonly string[], first: Outcome, runsMax = 250): Promise<Shrunk> {
  let best = lines.slice(0, first.lines);
  let outcome = first;
  let runs = 0;
  const tryLines = async (candidate: readonly string[]): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs++;
    const result = await runLines(knobs, candidate);
    if (result.oracle !== first.oracle) return false;
    // Lines behind the failing one are not needed; a fault met after the last line needs them all.
    best = candidate.slice(0, result.lines);
    outcome = result;
    return true;
  };
  for (let group = Math.ceil(best.length / 2); group >= 1; group = group === 1 ? 0 : Math.ceil(group / 2)) {
    for (let at = 0; at < best.length && runs < runsMax; ) {
      if (!(await tryLines([...best.slice(0, at), ...best.slice(at + group)]))) at += group;
    }
  }
  for (let at = 0; at < best.length && runs < runsMax; at++) {
    for (let less = lessOf(best[at] as string); less !== undefined; less = lessOf(best[at] as string)) {
      if (!(await tryLines(best.map((line, i) => (i === at ? less : line)) as string[]))) break;
    }
  }
  return { lines: best, outcome, runs };
}

/** The same line with half as much of what it does; undefined when there is no less. */
function lessOf(line: string): string | undefined {
  const load = /^load (\S+) (\d+) (\d+.*)$/.exec(line);
  if (load !== null && Number(load[2]) > 1) return `load ${load[1]} ${Math.floor(Number(load[2]) / 2)} ${load[3]}`;
  const wait = /^wait (\d+)$/.exec(line);
  return wait !== null && Number(wait[1]) > 1 ? `wait ${Math.floor(Number(wait[1]) / 2)}` : undefined;
}
