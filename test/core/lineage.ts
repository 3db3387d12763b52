// Lineages against a model: logs whose records are named by their writer, compared record by record.

import t from 'tap';
import { LINEAGE_ENTRIES_MAX } from '../../src/core/limits.js';
import {
  compareLineages,
  compareWriters,
  cutLineage,
  extendLineage,
  type Lineage,
  type LineageEntry,
  withOwn,
  writerOf,
} from '../../src/core/lineage.js';

/** Writers in the order in which they can have written. */
const WRITERS = [
  { epoch: 1, incarnation: 1 },
  { epoch: 1, incarnation: 2 },
  { epoch: 2, incarnation: 1 },
  { epoch: 3, incarnation: 7 },
] as const;

/** All logs of at most `length` records: for each LSN the index of its writer, never falling. */
function allLogs(length: number): number[][] {
  const logs: number[][] = [[]];
  for (let at = 0; at < logs.length; at++) {
    const log = logs[at] as number[];
    if (log.length === length) continue;
    for (let writer = log.at(-1) ?? 0; writer < WRITERS.length; writer++) logs.push([...log, writer]);
  }
  return logs;
}

function lineageOf(log: readonly number[]): Lineage {
  let lineage: Lineage = [];
  for (const [i, writer] of log.entries()) {
    lineage = extendLineage(lineage, { ...(WRITERS[writer] as (typeof WRITERS)[number]), startLsn: i + 1, own: false });
  }
  return lineage;
}

function commonOf(a: readonly number[], b: readonly number[]): number {
  let common = 0;
  while (common < a.length && common < b.length && a[common] === b[common]) common++;
  return common;
}

/** Two logs can both exist when no writer is in both behind the point where they part. */
function canBoth(a: readonly number[], b: readonly number[]): boolean {
  const common = commonOf(a, b);
  return a.slice(common).every((writer) => !b.slice(common).includes(writer));
}

t.test('a comparison finds the last common record of all pairs of small logs, and is symmetric', async (t) => {
  const logs = allLogs(5);
  let pairs = 0;
  let wrong = 0;
  for (const a of logs) {
    for (const b of logs) {
      if (!canBoth(a, b)) continue;
      pairs++;
      const result = compareLineages(lineageOf(a), a.length, lineageOf(b), b.length);
      const swapped = compareLineages(lineageOf(b), b.length, lineageOf(a), a.length);
      if (result.unknown || result.common !== commonOf(a, b) || swapped.common !== result.common || swapped.unknown) wrong++;
    }
  }
  t.equal(wrong, 0);
  t.ok(pairs > 3000, `${pairs} pairs`);
});

t.test('a writer that opened the log and wrote nothing changes no comparison', async (t) => {
  let wrong = 0;
  const opened = (log: readonly number[]): Lineage =>
    extendLineage(lineageOf(log), { epoch: 4, incarnation: 9, startLsn: log.length + 1, own: true });
  for (const a of allLogs(4)) {
    for (const b of allLogs(4)) {
      if (!canBoth(a, b)) continue;
      const common = commonOf(a, b);
      if (compareLineages(opened(a), a.length, lineageOf(b), b.length).common !== common) wrong++;
      if (compareLineages(lineageOf(a), a.length, opened(b), b.length).common !== common) wrong++;
    }
  }
  t.equal(wrong, 0);
});

t.test('a shortened lineage gives the last common record or says that it is unknown', async (t) => {
  let wrong = 0;
  let unknown = 0;
  for (const a of allLogs(4)) {
    for (const b of allLogs(4)) {
      if (!canBoth(a, b)) continue;
      for (let keep = 1; keep <= 2; keep++) {
        for (const [left, right] of [
          [lineageOf(a).slice(-keep), lineageOf(b)],
          [lineageOf(a).slice(-keep), lineageOf(b).slice(-keep)],
        ] as const) {
          const result = compareLineages(left, a.length, right, b.length);
          const swapped = compareLineages(right, b.length, left, a.length);
          if (result.unknown !== swapped.unknown || (!result.unknown && result.common !== swapped.common)) wrong++;
          if (result.unknown) unknown++;
          else if (result.common !== commonOf(a, b)) wrong++;
        }
      }
    }
  }
  t.equal(wrong, 0);
  t.ok(unknown > 0, 'the case occurs');
});

t.test('lineages that contradict each other, or name no writer, give no common record', async (t) => {
  const entry = (incarnation: number, startLsn: number): LineageEntry => ({ epoch: 1, incarnation, startLsn, own: false });
  const long = [entry(1, 1), entry(2, 4)];
  const unknown = { common: 0, unknown: true };
  t.same(compareLineages(long, 9, [entry(1, 1), entry(2, 5)], 9), unknown, 'one writer with two beginnings');
  t.same(compareLineages([entry(1, 1), entry(2, 5)], 9, long, 9), unknown);
  // What a lineage begins with may have begun earlier.
  t.same(compareLineages(long, 9, [entry(2, 6)], 8), { common: 8, unknown: false });
  t.same(compareLineages([entry(2, 6)], 8, long, 9), { common: 8, unknown: false });
  t.same(compareLineages([], 9, long, 9), unknown, 'records without a writer');
  t.same(compareLineages(long, 9, [], 9), unknown);
});

t.test('extending keeps the order and the bound', async (t) => {
  const first: LineageEntry = { epoch: 1, incarnation: 1, startLsn: 1, own: true };
  const second: LineageEntry = { epoch: 1, incarnation: 2, startLsn: 1, own: true };
  t.same(extendLineage([], first), [first]);
  t.same(extendLineage([first], first), [first], 'the same writer goes on');
  t.same(extendLineage([first], second), [second], 'an entry without a record is replaced');
  t.throws(() => extendLineage([second], first), /newer/);
  t.throws(() => extendLineage([{ ...first, startLsn: 5 }], { ...second, startLsn: 4 }), /grows/);
  let lineage: Lineage = [];
  for (let i = 1; i <= LINEAGE_ENTRIES_MAX + 5; i++)
    lineage = extendLineage(lineage, { epoch: 1, incarnation: i, startLsn: i, own: false });
  t.equal(lineage.length, LINEAGE_ENTRIES_MAX);
  t.equal(lineage[0]?.startLsn, 6, 'the oldest went');
  t.ok(lineage.every((entry, i) => i === 0 || compareWriters(lineage[i - 1] as LineageEntry, entry) < 0));
});

t.test('a cut lineage is the lineage of the cut log, and names the writer of every record', async (t) => {
  let wrong = 0;
  for (const log of allLogs(4)) {
    for (let last = 0; last <= log.length; last++) {
      if (JSON.stringify(cutLineage(lineageOf(log), last)) !== JSON.stringify(lineageOf(log.slice(0, last)))) wrong++;
    }
    for (const [i, writer] of log.entries()) {
      const entry = writerOf(lineageOf(log), i + 1);
      if (entry === undefined || compareWriters(entry, WRITERS[writer] as (typeof WRITERS)[number]) !== 0) wrong++;
    }
  }
  t.equal(wrong, 0);
  t.equal(writerOf([{ epoch: 1, incarnation: 1, startLsn: 5, own: false }], 4), undefined);
});

t.test('a lineage of another site gets this site’s knowledge of what it wrote itself', async (t) => {
  const theirs = WRITERS.slice(0, 3).map((writer, i) => ({ ...writer, startLsn: 10 * i + 1, own: i === 0 }));
  const ours = WRITERS.slice(0, 2).map((writer, i) => ({ ...writer, startLsn: 10 * i + 1, own: i === 1 }));
  const more = [...ours, { epoch: 2, incarnation: 9, startLsn: 21, own: true }, { epoch: 9, incarnation: 1, startLsn: 31, own: true }];
  t.same(
    withOwn(theirs, more).map(({ own }) => own),
    [false, true, false],
  );
});
