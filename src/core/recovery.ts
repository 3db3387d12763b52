// What a start finds in a log, and what it does about it: one pure total function, each outcome a labelled row. test/core/recovery.ts
// enumerates all inputs; `lvr log show --raw` prints the row.
//
// The hard question is the end of the log. The first record that is missing or damaged is the end if nothing shows that it ever was
// durable; otherwise the log is corrupt and must not be cut. What shows it: the superblock's durable LSN, or a valid record behind it that
// was written when the missing one was already known durable, by a writer not older than the last good record's (leftovers of records that
// were cut earlier come from older writers and prove nothing).

import type { ErrorCode } from './errors.js';
import { PLANTED } from './planted.js';

/** Facts about a log at rest. */
export type LogFacts = {
  /**
   * Both slots: all zero, at least one valid, only damaged ones, or one of a newer version. `unfinished`: the second one is zero and the
   * first holds nothing but parts of the superblock with which this very log would begin.
   */
  readonly superblock: 'zero' | 'unfinished' | 'valid' | 'invalid' | 'newer';
  /** The rest of the file or device is known to be unused (just created, or zero where a ring would start). */
  readonly unused: boolean;
  /** The valid superblock names this group, this site and these volumes. */
  readonly belongs: boolean;
  /** Last LSN of the unbroken run of valid records (the trimmed LSN when there are none). */
  readonly lastValidLsn: number;
  /** Durable LSN in the superblock, after "void" was taken into account. */
  readonly superblockDurableLsn: number;
  /** Highest durable LSN that any acceptable record behind the end vouches for; 0 when there is none. */
  readonly vouchedLsn: number;
};

export type RecoveryDecision =
  | { readonly row: string; readonly action: 'create'; readonly says: string }
  | { readonly row: string; readonly action: 'open'; readonly says: string }
  | { readonly row: string; readonly action: 'refuse'; readonly code: ErrorCode; readonly says: string };

/** The recovery table, rows L1..L9. Exactly one row matches. */
export function decideRecovery(facts: LogFacts): RecoveryDecision {
  switch (facts.superblock) {
    case 'zero':
      return facts.unused
        ? { row: 'L1', action: 'create', says: 'blank: a new log is created' }
        : { row: 'L2', action: 'refuse', code: 'LOG_SUPERBLOCK', says: 'both superblocks are zero but the log is not blank' };
    case 'unfinished':
      return facts.unused
        ? { row: 'L9', action: 'create', says: 'a new log was cut off at its first write: it is created again' }
        : { row: 'L3', action: 'refuse', code: 'LOG_SUPERBLOCK', says: 'no valid superblock' };
    case 'invalid':
      return { row: 'L3', action: 'refuse', code: 'LOG_SUPERBLOCK', says: 'no valid superblock' };
    case 'newer':
      return { row: 'L4', action: 'refuse', code: 'LOG_VERSION', says: 'the superblock has a newer version' };
    case 'valid':
      return facts.belongs
        ? decideTail(facts)
        : { row: 'L5', action: 'refuse', code: 'LOG_FOREIGN', says: 'the log belongs to something else' };
  }
}

function decideTail(facts: LogFacts): RecoveryDecision {
  const end = facts.lastValidLsn;
  if (PLANTED === 'tail-always-cut') return { row: 'L8', action: 'open', says: `the log ends at LSN ${end}` };
  if (facts.superblockDurableLsn > end) {
    const says = `LSN ${end + 1} is missing or damaged, but the superblock knows LSN ${facts.superblockDurableLsn} durable`;
    return { row: 'L6', action: 'refuse', code: 'LOG_CORRUPT', says };
  }
  if (facts.vouchedLsn > end) {
    const says = `LSN ${end + 1} is missing or damaged, but a later record knows LSN ${facts.vouchedLsn} durable`;
    return { row: 'L7', action: 'refuse', code: 'LOG_CORRUPT', says };
  }
  return { row: 'L8', action: 'open', says: `the log ends at LSN ${end}` };
}
