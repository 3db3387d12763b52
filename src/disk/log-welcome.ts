// What must be durable before a log takes records of another writer, which may be older than one that was begun here, or that a crash has
// left no record of: the end of a log that a crash cost this site can come back from one that kept it.

import { LvrError } from '../core/errors.js';
import { compareWriters, cutLineage, type Lineage } from '../core/lineage.js';
import type { Superblock } from '../format/superblock.js';

/** The log that is to take them: its last LSN, and which writers it knows, of records and as its superblocks note them. */
type Host = {
  readonly path: string;
  readonly lsn: number;
  readonly lineage: Lineage;
  readonly newest: Superblock;
  readonly current: Superblock;
};

/** `wipes`: what stands behind the end of the log would count again, because the mark that makes it void goes back. */
export type Welcome = Pick<Superblock, 'lineage' | 'voidAfter'> & { readonly wipes: boolean };

/** undefined: nothing need change. Throws DIVERGED when a retained record is newer. */
export function welcomeOf(
  writer: { readonly epoch: number; readonly incarnation: number },
  { path, lsn, lineage, newest, current }: Host,
): Welcome | undefined {
  // What an older writer than one that a superblock names wrote in its place would be void at the next start.
  const isNewest = [lineage.at(-1), newest.lineage.at(-1)].every((known) => known === undefined || compareWriters(writer, known) >= 0);
  if (isNewest && compareWriters(writer, current.voidAfter) > 0) return undefined;
  const kept = cutLineage(lineage, lsn);
  const last = kept.at(-1);
  if (last !== undefined && compareWriters(writer, last) < 0) {
    throw new LvrError('DIVERGED', `log ${path}: LSN ${lsn} was written after the record that is to follow it`);
  }
  const voidAfter = { lsn, epoch: writer.epoch, incarnation: writer.incarnation - 1 };
  return { lineage: kept, voidAfter, wipes: compareWriters(current.voidAfter, voidAfter) > 0 };
}

/** What sites had of records behind `lsn` does not count any more: others take their place. */
export function ackedUpTo(sites: Superblock['sites'], lsn: number): Superblock['sites'] {
  return sites.map((site) => ({ ...site, ackedLsn: Math.min(site.ackedLsn, lsn) }));
}
