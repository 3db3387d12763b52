// Zeroes what can have been left in a log behind its end: by a crash the writes in flight and the rest of the lap they may have skipped, by
// a cut what the primary had in memory and lost, and the headers of records that were cut off the last batch. Nothing was ever written
// behind the high-water mark.

import type { LvrError } from '../core/errors.js';
import { lookBehindEnd } from '../core/high-water.js';
import { BLOCK_BYTES, GROUP_PAYLOAD_BYTES } from '../core/limits.js';
import { recordHeaderAt } from '../format/batch.js';
import { RING_START } from '../format/superblock.js';
import type { Log } from './log.js';
import { syncDevice, writeDurably, zeroDevice } from './promises.js';

/** Durable when it resolves. Nothing may be appended meanwhile. */
export async function wipeLeftovers(log: Log): Promise<void> {
  await wipeCutRecords(log);
  await wipeBehind(log);
}

/**
 * The same for a log that forgets all of its records: nobody looks at those that it has. Rejects with DEVICE_FAILED or DISK_FULL, and the
 * log has failed then: nobody knows what stands behind its end.
 */
export async function wipeBehind(log: Log): Promise<void> {
  const { device, ring, appendPosition, freePosition, store } = log;
  const most = Math.min(ring.limit(freePosition), appendPosition + 2 * GROUP_PAYLOAD_BYTES);
  const end = lookBehindEnd(store.current.highWater, appendPosition, most);
  const wiped: Promise<void>[] = [];
  // In one turn: when the size of the log changes meanwhile, what is free in one layout may be in use in the other.
  for (let at = appendPosition; at < end; ) {
    const length = Math.min(end - at, ring.toEnd(at));
    wiped.push(zeroDevice(device, RING_START + ring.offset(at), length));
    at += length;
  }
  // All of them have ended before anything is appended, or the log closed.
  const failure = (await Promise.allSettled(wiped)).find((result) => result.status === 'rejected');
  await orFail(log, failure === undefined ? syncDevice(device) : Promise.reject(failure.reason));
}

/** A failed write or flush is final. */
async function orFail(log: Log, change: Promise<void>): Promise<void> {
  try {
    await change;
  } catch (error) {
    log.fail(error as LvrError);
    throw error;
  }
}

/** Nothing else in the block of headers changes, so a torn write does no harm. */
async function wipeCutRecords(log: Log): Promise<void> {
  const { device, ring, index, reader } = log;
  if (index.count === 0) return;
  const { firstLsn, position } = index.at(index.count - 1);
  const batch = await reader.readBatch(firstLsn);
  try {
    const cut = batch.arena.bytes.subarray(batch.start + recordHeaderAt(batch.count), batch.start + BLOCK_BYTES);
    if (cut.every((byte) => byte === 0)) return;
    cut.fill(0);
    await orFail(log, writeDurably(device, batch.arena, batch.start, BLOCK_BYTES, RING_START + ring.offset(position)));
  } finally {
    batch.release();
  }
}
