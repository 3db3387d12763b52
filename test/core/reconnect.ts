// The reconnection table against a model: all small histories meet each other, and what the plan says is checked against the records.

import t from 'tap';
import type { Lineage } from '../../src/core/lineage.js';
import { decideReconnect, type ReconnectPlan, type SiteHistory } from '../../src/core/reconnect.js';

t.setTimeout(290_000);

const WRITERS = [
  { epoch: 1, incarnation: 1 },
  { epoch: 1, incarnation: 2 },
  { epoch: 2, incarnation: 1 },
] as const;

type Case = { readonly log: readonly number[]; readonly history: SiteHistory };

const UUID = 'ab'.repeat(16);
const BLANK: Omit<SiteHistory, 'role' | 'bornZero'> = {
  site: 'x',
  groupUuid: '0'.repeat(32),
  blank: true,
  epoch: 0,
  lineage: [],
  trimmed: 0,
  applied: 0,
  last: 0,
  resync: '',
  bitmap: undefined,
};

function allLogs(length: number): number[][] {
  const logs: number[][] = [[]];
  for (let at = 0; at < logs.length; at++) {
    const log = logs[at] as number[];
    if (log.length === length) continue;
    for (let writer = log.at(-1) ?? 0; writer < WRITERS.length; writer++) logs.push([...log, writer]);
  }
  return logs;
}

/** The lineage of a log; `own`: this site wrote everything, nothing, or only what the last writer wrote. */
function lineageOf(log: readonly number[], own: 'all' | 'none' | 'last'): Lineage {
  const starts = log.flatMap((writer, i) => (i === 0 || log[i - 1] !== writer ? [{ writer, startLsn: i + 1 }] : []));
  return starts.map(({ writer, startLsn }, i) => {
    const isOwn = own === 'all' || (own === 'last' && i === starts.length - 1);
    return { ...(WRITERS[writer] as (typeof WRITERS)[number]), startLsn, own: isOwn };
  });
}

function allCases(): Case[] {
  const cases = new Map<string, Case>();
  const add = (log: readonly number[], history: SiteHistory): void => void cases.set(JSON.stringify([log, history]), { log, history });
  for (const role of ['primary', 'secondary'] as const) {
    for (const bornZero of [true, false]) add([], { ...BLANK, role, bornZero });
    for (const log of allLogs(3)) {
      const last = log.length;
      const epoch = Math.max(1, ...log.map((writer) => (WRITERS[writer] as (typeof WRITERS)[number]).epoch));
      for (const grown of [0, 1]) {
        for (const own of ['all', 'none', 'last'] as const) {
          for (const applied of new Set([0, Math.max(0, last - 1), last])) {
            for (const trimmed of new Set([0, applied])) {
              for (const keep of [1, 10]) {
                const lineage = lineageOf(log, own).slice(-keep);
                const common = { site: 'x', role, groupUuid: UUID, blank: false, bornZero: true, resync: '', bitmap: undefined };
                add(log, { ...common, epoch: epoch + grown, lineage, trimmed, applied, last });
              }
            }
          }
        }
      }
    }
  }
  return [...cases.values()];
}

function commonOf(a: readonly number[], b: readonly number[]): number {
  let common = 0;
  while (common < a.length && common < b.length && a[common] === b[common]) common++;
  return common;
}

function canBoth(a: readonly number[], b: readonly number[]): boolean {
  const common = commonOf(a, b);
  return a.slice(common).every((writer) => !b.slice(common).includes(writer));
}

/** What the plan would do wrong to the records; empty when it is safe. */
function harm(plan: ReconnectPlan, a: Case, b: Case): string {
  const common = commonOf(a.log, b.log);
  if (plan.action === 'stepDown') {
    const [older, newer] = plan.side === 'a' ? [a, b] : [b, a];
    if (older.history.role !== 'primary') return 'a secondary steps down';
    if (older.history.epoch >= newer.history.epoch) return 'the newer one steps down';
    return common === older.log.length ? '' : 'the side that steps down has writes of its own';
  }
  if (plan.action !== 'stream') return '';
  const [sender, receiver] = plan.sender === 'a' ? [a.history, b.history] : [b.history, a.history];
  const receiverLog = plan.sender === 'a' ? b.log : a.log;
  if (sender.role !== 'primary' || receiver.role !== 'secondary') return 'not from primary to secondary';
  if (plan.from !== common + 1) return 'the stream does not start behind the last common record';
  if (sender.trimmed > common) return 'the sender no longer has the records';
  if (receiver.last > common !== plan.cut) return 'cut';
  if (receiver.applied > common) return 'applied records are cut';
  if (plan.adopt !== receiver.blank) return 'adopt';
  if (plan.adopt && !(sender.bornZero && receiver.bornZero)) return 'a volume that held data is taken for empty';
  for (let lsn = common + 1; lsn <= receiverLog.length; lsn++) {
    if (receiver.lineage.findLast((entry) => entry.startLsn <= lsn)?.own) return 'writes of the receiver are cut';
  }
  return '';
}

t.test('all small histories: every pair has one plan, the same from both sides, and the plan loses nothing', async (t) => {
  const cases = allCases();
  const rules = new Map<string, number>();
  const problems = new Set<string>();
  let missed = 0;
  for (const a of cases) {
    for (const b of cases) {
      if (!canBoth(a.log, b.log)) continue;
      const plan = decideReconnect(a.history, b.history);
      rules.set(plan.rule, (rules.get(plan.rule) ?? 0) + 1);
      const swapped = decideReconnect(b.history, a.history);
      if (swapped.rule !== plan.rule || swapped.action !== plan.action) problems.add(`${plan.rule} and ${swapped.rule} by turning round`);
      if (plan.action === 'stream' && swapped.action === 'stream' && (plan.sender === swapped.sender || plan.from !== swapped.from)) {
        problems.add(`${plan.rule}: sides`);
      }
      if (plan.action === 'stepDown' && swapped.action === 'stepDown' && plan.side === swapped.side) problems.add(`${plan.rule}: sides`);
      const wrong = harm(plan, a, b);
      if (wrong !== '') problems.add(`${plan.rule}: ${wrong}`);
      if (isPlainCatchUp(a, b) && plan.action !== 'stream') missed++;
    }
  }
  t.same([...problems], []);
  t.equal(missed, 0, 'a secondary with a prefix that the log still reaches is always streamed to');
  const reached = [...rules.keys()].sort((x, y) => Number(x.slice(1)) - Number(y.slice(1)));
  const all = Array.from({ length: 14 }, (_, i) => `C${i + 1}`);
  t.same(reached, all.slice(1), 'every rule is reached (C1 needs two groups)');
});

function isPlainCatchUp(a: Case, b: Case): boolean {
  const { history: primary } = a;
  const { history: secondary } = b;
  if (primary.role !== 'primary' || secondary.role !== 'secondary' || primary.blank || secondary.blank) return false;
  if (secondary.epoch > primary.epoch || primary.lineage[0]?.startLsn !== 1) return false;
  return commonOf(a.log, b.log) === b.log.length && b.log.length >= Math.max(1, primary.trimmed) && secondary.lineage[0]?.startLsn === 1;
}

t.test('histories of two groups never touch each other', async (t) => {
  const rules = new Set<string>();
  for (const { history } of allCases()) {
    if (history.blank) continue;
    for (const role of ['primary', 'secondary'] as const) {
      const other: SiteHistory = { ...history, role, groupUuid: 'cd'.repeat(16) };
      rules.add(decideReconnect(history, other).rule).add(decideReconnect(other, history).rule);
    }
  }
  t.same([...rules], ['C1']);
});

/** Bitmaps that a primary may have for a site, and resyncs that a site may be in. */
const BITMAPS = [
  undefined,
  ...[undefined, 0, 1, 2, 3].flatMap((base) => [false, true].map((isKept) => ({ uuid: 'b1'.repeat(16), base, isKept }))),
];
const RESYNCS = ['', 'b1'.repeat(16), 'b2'.repeat(16)];

/** What a plan would do wrong, given a bitmap of the primary and a resync of the secondary. */
function harmWithBitmap(plan: ReconnectPlan, a: SiteHistory, b: SiteHistory, common: number): string {
  if (plan.action !== 'stream' && plan.action !== 'resync') return '';
  const [sender, receiver] = plan.sender === 'a' ? [a, b] : [b, a];
  const ownsRecords = receiver.lineage.some(
    (entry, i) => entry.own && entry.startLsn <= receiver.last && (receiver.lineage[i + 1]?.startLsn ?? receiver.last + 1) > common + 1,
  );
  if (plan.action === 'stream') {
    if (receiver.resync !== '') return 'an inconsistent site is streamed to';
    return plan.from <= sender.trimmed ? 'records that are gone are streamed' : '';
  }
  if (sender.role !== 'primary' || receiver.role !== 'secondary') return 'not from primary to secondary';
  if (plan.uuid !== sender.bitmap?.uuid) return 'a bitmap that there is not';
  if (receiver.resync !== '') return receiver.resync === plan.uuid ? '' : 'somebody else began the resync';
  if (sender.bitmap.base === undefined || sender.bitmap.base > common) return 'the bitmap does not cover what the site lacks';
  if (receiver.applied > common) return 'applied records of another history are under the copy';
  return ownsRecords ? 'writes of the receiver are overwritten' : '';
}

t.test('bitmaps and resyncs: one plan, the same from both sides, and only what the bitmap covers is copied', async (t) => {
  const cases = allCases();
  const primaries = cases.filter(({ history }) => history.role === 'primary' && (history.blank || history.lineage[0]?.startLsn === 1));
  const secondaries = cases.filter(({ history }) => history.role === 'secondary' && (history.blank || history.lineage[0]?.startLsn === 1));
  const rules = new Set<string>();
  const problems = new Set<string>();
  for (const a of primaries) {
    for (const b of secondaries) {
      if (!canBoth(a.log, b.log)) continue;
      for (const bitmap of BITMAPS) {
        for (const resync of b.history.blank ? [''] : RESYNCS) {
          const primary = { ...a.history, bitmap };
          const secondary = { ...b.history, resync };
          const plan = decideReconnect(primary, secondary);
          const swapped = decideReconnect(secondary, primary);
          rules.add(plan.rule);
          if (swapped.rule !== plan.rule || swapped.action !== plan.action)
            problems.add(`${plan.rule} and ${swapped.rule} by turning round`);
          const wrong = harmWithBitmap(plan, primary, secondary, commonOf(a.log, b.log));
          if (wrong !== '') problems.add(`${plan.rule}: ${wrong}`);
        }
      }
    }
  }
  t.same([...problems], []);
  for (const rule of ['C15', 'C16', 'C17', 'C18']) t.ok(rules.has(rule), `${rule} is reached`);
});
