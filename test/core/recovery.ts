// The recovery table: every input gives exactly one row, and never a row that loses what was durable.

import t from 'tap';
import { decideRecovery, type LogFacts } from '../../src/core/recovery.js';

const LSNS = [0, 1, 2, 7] as const;

function* allFacts(): Generator<LogFacts> {
  for (const superblock of ['zero', 'unfinished', 'valid', 'invalid', 'newer'] as const) {
    for (const unused of [false, true]) {
      for (const belongs of [false, true]) {
        for (const lastValidLsn of LSNS) {
          for (const superblockDurableLsn of LSNS) {
            for (const vouchedLsn of LSNS) yield { superblock, unused, belongs, lastValidLsn, superblockDurableLsn, vouchedLsn };
          }
        }
      }
    }
  }
}

/** The table as the documentation states it, written a second time. */
function expectedRow(f: LogFacts): string {
  const rows = [
    ['L1', f.superblock === 'zero' && f.unused],
    ['L2', f.superblock === 'zero' && !f.unused],
    ['L3', f.superblock === 'invalid' || (f.superblock === 'unfinished' && !f.unused)],
    ['L4', f.superblock === 'newer'],
    ['L5', f.superblock === 'valid' && !f.belongs],
    ['L6', f.superblock === 'valid' && f.belongs && f.superblockDurableLsn > f.lastValidLsn],
    ['L7', f.superblock === 'valid' && f.belongs && f.superblockDurableLsn <= f.lastValidLsn && f.vouchedLsn > f.lastValidLsn],
    ['L8', f.superblock === 'valid' && f.belongs && f.superblockDurableLsn <= f.lastValidLsn && f.vouchedLsn <= f.lastValidLsn],
    ['L9', f.superblock === 'unfinished' && f.unused],
  ] as const;
  const matching = rows.filter(([, matches]) => matches);
  if (matching.length !== 1) throw new Error(`${matching.length} rows match`);
  return matching[0]?.[0] as string;
}

const CODES = { L2: 'LOG_SUPERBLOCK', L3: 'LOG_SUPERBLOCK', L4: 'LOG_VERSION', L5: 'LOG_FOREIGN', L6: 'LOG_CORRUPT', L7: 'LOG_CORRUPT' };

t.test('every combination of facts gives the one row of the table', async (t) => {
  const seen = new Map<string, number>();
  let wrong = 0;
  for (const facts of allFacts()) {
    const decision = decideRecovery(facts);
    if (decision.row !== expectedRow(facts)) wrong++;
    if (decision.action === 'refuse' && CODES[decision.row as keyof typeof CODES] !== decision.code) wrong++;
    if (decision.action === 'create' && !['L1', 'L9'].includes(decision.row)) wrong++;
    if (decision.action === 'open' && decision.row !== 'L8') wrong++;
    if (decision.says === '') wrong++;
    seen.set(decision.row, (seen.get(decision.row) ?? 0) + 1);
  }
  t.equal(wrong, 0);
  t.same([...seen.keys()].sort(), ['L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'L8', 'L9']);
  t.equal(
    [...seen.values()].reduce((a, b) => a + b),
    5 * 2 * 2 * 4 * 4 * 4,
  );
});

t.test('a refusal for damage names the first missing LSN and the evidence', async (t) => {
  const base: LogFacts = { superblock: 'valid', unused: false, belongs: true, lastValidLsn: 9, superblockDurableLsn: 12, vouchedLsn: 11 };
  t.match(decideRecovery(base).says, 'LSN 10 is missing or damaged, but the superblock knows LSN 12 durable');
  t.match(
    decideRecovery({ ...base, superblockDurableLsn: 9 }).says,
    'LSN 10 is missing or damaged, but a later record knows LSN 11 durable',
  );
});
