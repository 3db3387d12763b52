// The history of a group as one site knows it: which epoch and incarnation wrote which LSNs. Because a triple (epoch, incarnation, LSN)
// is never used twice, comparing two lineages finds the last common record without looking at any record.

import { assert } from './assert.js';
import { LINEAGE_ENTRIES_MAX } from './limits.js';

/** Records from startLsn on (up to the next entry's startLsn - 1, or the end of the log) were written in this epoch and incarnation. */
export type LineageEntry = {
  readonly epoch: number;
  readonly incarnation: number;
  readonly startLsn: number;
  /** This site was the primary that wrote them. Local knowledge, not part of the comparison. */
  readonly own: boolean;
};

/** Ordered by startLsn, strictly; epochs never fall, and inside an epoch incarnations grow. */
export type Lineage = readonly LineageEntry[];

/** Order of writers: negative when a wrote before b. */
export function compareWriters(a: { epoch: number; incarnation: number }, b: { epoch: number; incarnation: number }): number {
  return a.epoch - b.epoch || a.incarnation - b.incarnation;
}

/**
 * Adds the writer of the record `entry.startLsn`. An entry that never got a record (same startLsn) is replaced; the same writer going on
 * changes nothing. Returns a new lineage, limited to the newest LINEAGE_ENTRIES_MAX entries.
 */
export function extendLineage(lineage: Lineage, entry: LineageEntry): Lineage {
  const last = lineage.at(-1);
  if (last === undefined) return [entry];
  if (compareWriters(last, entry) === 0) return lineage;
  assert(compareWriters(last, entry) < 0, 'a writer is newer than the one before it');
  assert(entry.startLsn >= last.startLsn, 'lineage grows by LSN');
  const kept = lineage.filter((e) => e.startLsn < entry.startLsn);
  return [...kept, entry].slice(-LINEAGE_ENTRIES_MAX);
}

/** The lineage of a log cut after `lastLsn`. */
export function cutLineage(lineage: Lineage, lastLsn: number): Lineage {
  return lineage.filter((e) => e.startLsn <= lastLsn);
}

/** The lineage of another site, with this one's knowledge of what it wrote itself. */
export function withOwn(lineage: Lineage, ours: Lineage): Lineage {
  return lineage.map((entry) => ({
    ...entry,
    own: ours.some((o) => o.own && o.epoch === entry.epoch && o.incarnation === entry.incarnation),
  }));
}

/** The entry that wrote `lsn`, or undefined when the lineage does not reach back (or on) that far. */
export function writerOf(lineage: Lineage, lsn: number): LineageEntry | undefined {
  return lineage.findLast((e) => e.startLsn <= lsn);
}

/** Result of a comparison: `common` is the last LSN both have (0: none). `unknown`: one lineage was shortened past the fork. */
export type LineageComparison = { readonly common: number; readonly unknown: boolean };

/**
 * The last record that two logs have in common. `aLast` and `bLast` are the last LSNs of the logs. Total and symmetric.
 * A shared writer shares all its records up to the shorter end, because a site only ever takes a prefix of what a writer wrote.
 */
export function compareLineages(a: Lineage, aLast: number, b: Lineage, bLast: number): LineageComparison {
  if (aLast === 0 || bLast === 0) return { common: 0, unknown: false };
  for (let i = a.length - 1; i >= 0; i--) {
    const entry = a[i] as LineageEntry;
    const j = b.findIndex((e) => compareWriters(e, entry) === 0);
    if (j < 0) continue;
    const other = b[j] as LineageEntry;
    if (other.startLsn !== entry.startLsn && i > 0 && j > 0) return { common: 0, unknown: true };
    const aEnd = Math.min(aLast, (a[i + 1]?.startLsn ?? aLast + 1) - 1);
    const bEnd = Math.min(bLast, (b[j + 1]?.startLsn ?? bLast + 1) - 1);
    return { common: Math.min(aEnd, bEnd), unknown: false };
  }
  // A lineage that does not begin with the first record, or names no writer at all, does not show where the histories parted.
  const reachesBack = [a, b].every((lineage) => writerOf(lineage, 1) !== undefined);
  return { common: 0, unknown: !reachesBack };
}
