// Runs of `lvr selftest` as a user would start it, in pieces, so that what one process keeps in memory stays small.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { failureText, type SelftestResult } from '../../src/sim/selftest.js';

const LVR = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.js');
const BATCH = 200;
/** Of one batch, on a machine that has other work. */
const DEADLINE_MS = 600_000;

/** Situations that the runs of the suite must meet, so that the generator is known to reach them. */
export const REQUIRED_COUNTS = [
  'log created',
  'log ends at',
  'log wrapped',
  'writers wait for log space',
  'crash inside recovery',
  'crash inside a role change',
  'crash inside a join',
  'crash while a primary hears its sites',
  'crash with log writes in flight',
  'crash loses unflushed log sectors',
  'half-open connection',
  'closed connection delivers late',
  'event link-rejected',
  'paused',
  'promoted',
  'demoted',
  'event stepped-down',
  'event link-refused',
  'event group-failed',
  'effective mode is less',
  'writes fail while a site is away',
  'catching up',
  'records cut that the primary had lost',
  'apart DIVERGED',
  'apart NEEDS_SEED',
  'corrupt log refused',
  'start refused LOG_FOREIGN',
  'loud LOG_FAILED',
  'loud DEVICE_FAILED',
  'loud DISK_FULL',
  'slow device',
  'bitmap',
  'bitmap and log',
  'event read-failed',
  'event read-remote',
  'event read-remote-refused',
  'event bitmap-mode',
  'event bitmap-left',
  'event bitmap-damaged',
  'event resync-ended',
  'resyncing',
  'seen in a resync',
  'promoted in mid-resync',
  'bitmap of a consistent site checked',
  'bitmap of a site in resync checked',
  'compared and the same',
  'compared and different',
  'page of a bitmap damaged in both copies',
  'page of a bitmap damaged in one copy',
  ...['bitmap', 'kept', 'copying', 'ending', 'log'].map((state) => `until ${state}`),
  'apart UNDO_FULL',
  'disks blank',
  'disks rollback',
  ...['eio', 'eio-sticky', 'enospc', 'short', 'hang', 'flush-eio', 'read-eio', 'lost', 'phantom', 'misdirect', 'rot'].map(
    (kind) => `fault ${kind}`,
  ),
  ...['C3', 'C4', 'C5', 'C6', 'C7', 'C8', 'C9', 'C11', 'C12', 'C13', 'C14', 'C15', 'C16', 'C17'].map((rule) => `rule ${rule}`),
];

/** What many batches came to; `failure` is empty when nothing was violated. */
export type Sums = Omit<SelftestResult, 'counts' | 'failure'> & { readonly counts: Map<string, number>; readonly failure: string };

/** Runs `rounds` seeds from `first` on. Stops at the first violation. */
export async function runSeeds(first: number, rounds: number): Promise<Sums> {
  const sums = { seeds: 0, repeated: 0, virtualHours: 0, events: 0, answers: 0, checks: 0 };
  const counts = new Map<string, number>();
  for (let at = first; at < first + rounds; at += BATCH) {
    const result = await selftest(at, Math.min(BATCH, first + rounds - at));
    for (const key of ['seeds', 'repeated', 'virtualHours', 'events', 'answers', 'checks'] as const) sums[key] += result[key];
    for (const [what, count] of Object.entries(result.counts)) counts.set(what, (counts.get(what) ?? 0) + count);
    const { failure } = result;
    if (failure !== null) return { ...sums, counts, failure: failureText(failure) };
  }
  return { ...sums, counts, failure: '' };
}

function selftest(seed: number, rounds: number): Promise<SelftestResult> {
  const parameters = [LVR, 'selftest', '--seed', String(seed), '--rounds', String(rounds), '-o', 'json'];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, parameters, { timeout: DEADLINE_MS, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout) as SelftestResult);
      } catch {
        reject(new Error(`selftest of seeds from ${seed}: ${error?.message ?? 'no result'} ${stderr.slice(-2000)}`));
      }
    });
  });
}
