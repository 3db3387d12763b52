// Marking what records touch in the bitmaps of sites.

import type { DirtyMap } from '../core/dirty-map.js';
import { LvrError } from '../core/errors.js';
import { PLANTED } from '../core/planted.js';
import type { Log } from '../disk/log.js';
import type { LogBatch } from '../disk/log-batch.js';
import { recordLength, recordOffset, recordVolume } from '../format/record.js';
import type { Applier } from './applier.js';
import type { Tracked } from './tracked.js';

/** Marks the regions of every record of a batch. */
export function markBatch(map: DirtyMap, batch: LogBatch): void {
  const { bytes } = batch.arena;
  for (let i = 0; i < batch.count; i++) markRecord(map, bytes, batch.headerAt(i));
}

function markRecord(map: DirtyMap, bytes: Uint8Array, header: number): void {
  map.mark(recordVolume(bytes, header), recordOffset(bytes, header), recordLength(bytes, header));
}

/**
 * Marks the regions of all retained records after `from` that are on the volumes; the others are marked when they get there. Where the log
 * cannot be read everything is marked, because it may be anything; returns why.
 */
export async function markRetained(
  tracked: readonly Pick<Tracked, 'map'>[],
  from: number,
  log: Log,
  applier: Applier,
): Promise<LvrError | undefined> {
  const first = Math.max(from, log.trimmedLsn) + 1;
  const end = Math.min(applier.startedLsn, log.durableLsn);
  if (first > end || tracked.length === 0) return undefined;
  try {
    await log.reader.visitHeaders(first, end, (bytes, header) => {
      for (const { map } of tracked) markRecord(map, bytes, header);
    });
  } catch (error) {
    if (!(error instanceof LvrError)) throw error;
    if (PLANTED !== 'unread-log-clean') for (const { map } of tracked) map.markAll();
    return error;
  }
  return undefined;
}
