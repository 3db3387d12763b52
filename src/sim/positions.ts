// What can be said of positions alone.

import type { Group } from '../group/group.js';
import type { History } from './history.js';

/** What is wrong with the positions of a site, invariant 1; undefined when they are in order. */
export function positionsProblem(log: Group['log'], { appliedLsn }: Group['applier']): string | undefined {
  const { trimmedLsn, durableLsn, appendedLsn } = log;
  if (trimmedLsn <= appliedLsn && appliedLsn <= durableLsn && durableLsn <= appendedLsn) return undefined;
  return `trimmed ${trimmedLsn}, applied ${appliedLsn}, durable ${durableLsn}, appended ${appendedLsn}`;
}

/** The last record that two histories have in common, of the first `lastA` and `lastB`. */
export function commonOf(a: History | undefined, lastA: number, b: History | undefined, lastB: number): number {
  if (a === b) return Math.min(lastA, lastB);
  // Histories that differ in one record differ in all behind it.
  let [same, end] = [0, a === undefined || b === undefined ? 0 : Math.min(lastA, lastB)];
  while (same < end) {
    const middle = Math.ceil((same + end) / 2);
    if (a?.written[middle - 1]?.serial === b?.written[middle - 1]?.serial) same = middle;
    else end = middle - 1;
  }
  return same;
}
