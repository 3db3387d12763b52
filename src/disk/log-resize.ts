// Changes the size of a log while it is in use. Nothing that stands in it is moved (core/ring.ts).
//
// Order of durability: 1. the device is long enough; 2. nothing is appended any more; 3. both superblocks have the new layout: a start that
// finds one of them damaged must not read with the old layout what was written with the new one; 4. appending goes on, in the new layout.
// A crash before 3. leaves the old size, or the new one with everything in it. A file is cut short when no superblock refers to anything
// behind its new end.

import { LvrError } from '../core/errors.js';
import { BLOCK_BYTES, LOG_BYTES_MIN, MIB } from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import type { Device } from '../core/ports.js';
import type { RingLayout } from '../core/ring.js';
import { RING_START } from '../format/superblock.js';
import type { Log } from './log.js';

/**
 * Makes the log `sizeBytes` long. Resolves to false when it had that size and its file has no surplus. `quiesce` is called when nothing may
 * be appended any more: it hands over what waits to be. Rejects, with nothing changed, with USAGE (too small, not whole blocks), LOG_SIZE
 * (what is used does not fit, or the change before is not over), DISK_FULL or DEVICE_UNUSABLE (the device is too short).
 */
export async function resizeLog(log: Log, sizeBytes: number, quiesce: () => void): Promise<boolean> {
  const { device, ring } = log;
  const bytes = sizeBytes - RING_START;
  checkSize(sizeBytes);
  if (log.failed !== undefined) throw log.failed;
  const isNew = bytes !== ring.bytes;
  if (isNew) {
    newLayout(log, bytes);
    if (device.sizeBytes < sizeBytes) await lengthen(device, sizeBytes);
    await change(log, bytes, quiesce);
  }
  return (await shorten(log)) || isNew;
}

function checkSize(sizeBytes: number): void {
  if (sizeBytes < LOG_BYTES_MIN)
    throw new LvrError('USAGE', `a log of ${sizeBytes} bytes is too small: ${LOG_BYTES_MIN / MIB} MiB is the least`);
  if (sizeBytes % BLOCK_BYTES !== 0) throw new LvrError('USAGE', `${sizeBytes} bytes are not whole blocks of ${BLOCK_BYTES} bytes`);
}

/** The layout with this size as of now. Throws LOG_SIZE. */
function newLayout(log: Log, bytes: number): RingLayout {
  const { device, ring, freePosition, appendPosition, usedBytes } = log;
  if (!ring.isSettled(freePosition)) {
    throw new LvrError('LOG_SIZE', `log ${device.path}: records from before the last change of its size are still needed`, {
      hint: 'try again when the sites have caught up',
    });
  }
  const layout = ring.withSize(bytes, freePosition, appendPosition);
  if (layout !== undefined) return layout;
  throw new LvrError('LOG_SIZE', `log ${device.path}: ${usedBytes} bytes of it are used, they do not fit into ${bytes + RING_START}`, {
    hint: 'choose a larger size, or try again when the sites have caught up',
    details: { usedBytes },
  });
}

async function lengthen(device: Device, sizeBytes: number): Promise<void> {
  if (device.resize !== undefined) await device.resize(sizeBytes);
  if (device.sizeBytes >= sizeBytes) return;
  throw new LvrError('DEVICE_UNUSABLE', `${device.path} has ${device.sizeBytes} bytes, ${sizeBytes} are asked for`, {
    hint: 'enlarge the device first (lvextend), then try again',
  });
}

async function change(log: Log, bytes: number, quiesce: () => void): Promise<void> {
  quiesce();
  log.isHeld = true;
  try {
    const layout = newLayout(log, bytes);
    const slots = PLANTED === 'resize-in-one-slot' ? 1 : 2;
    for (let slot = 0; slot < slots; slot++) {
      await log.store.update((current) => ({ ...current, ringBytes: layout.bytes, ringChange: layout.change }));
    }
    log.ring.adopt(layout);
  } finally {
    log.isHeld = false;
  }
}

/** Cuts off what the file has behind the end of the log. False when it has nothing there, or something there may still be read. */
async function shorten(log: Log): Promise<boolean> {
  const { device, ring, store } = log;
  const end = RING_START + ring.bytes;
  if (device.resize === undefined || device.sizeBytes < end + BLOCK_BYTES || !ring.isSettled(store.current.trimmedPosition)) return false;
  // The older superblock, too, needs nothing there.
  await store.update((current) => current);
  const before = device.sizeBytes;
  await device.resize(end);
  return device.sizeBytes < before;
}
