// Zeroes what can have been left in a log behind its end: by a crash the writes in flight and the rest of the lap they may have skipped, by
// a cut what the primary had in memory and lost.

import { GROUP_PAYLOAD_BYTES } from '../core/limits.js';
import { RING_START } from '../format/superblock.js';
import type { Log } from './log.js';
import { syncDevice, zeroDevice } from './promises.js';

/** Durable when it resolves. Nothing may be appended meanwhile. */
export async function wipeLeftovers({ device, ring, appendPosition, freePosition }: Log): Promise<void> {
  const end = appendPosition + Math.min(ring.limit(freePosition) - appendPosition, 2 * GROUP_PAYLOAD_BYTES);
  for (let at = appendPosition; at < end; ) {
    const length = Math.min(end - at, ring.toEnd(at));
    await zeroDevice(device, RING_START + ring.offset(at), length);
    at += length;
  }
  await syncDevice(device);
}
