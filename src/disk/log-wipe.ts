// Zeroes what can have been left in a log behind its end: by a crash the writes in flight and the rest of the lap they may have skipped, by
// a cut what the primary had in memory and lost, and the headers of records that were cut off the last batch. Nothing was ever written
// behind the high-water mark.

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

/** The same for a log that forgets all of its records: nobody looks at those that it has. */
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
  await Promise.all(wiped);
  await syncDevice(device);
}

/** Nothing else in the block of headers changes, so a torn write does no harm. */
async function wipeCutRecords({ device, ring, index, reader }: Log): Promise<void> {
  if (index.count === 0) return;
  const { firstLsn, position } = index.at(index.count - 1);
  const batch = await reader.readBatch(firstLsn);
  try {
    const cut = batch.arena.bytes.subarray(batch.start + recordHeaderAt(batch.count), batch.start + BLOCK_BYTES);
    if (cut.every((byte) => byte === 0)) return;
    cut.fill(0);
    await writeDurably(device, batch.arena, batch.start, BLOCK_BYTES, RING_START + ring.offset(position));
  } finally {
    batch.release();
  }
}
