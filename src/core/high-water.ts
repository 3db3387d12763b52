// The high-water mark of a log: no batch was ever written at or beyond this position, so a start need not look there. Superblocks hold it,
// and it moves ahead of the writer. Pure arithmetic; disk/high-water.ts writes it.
//
// A batch may be written only up to the mark of either superblock: the newer one may be lost, and a start then goes by the other one. So
// with steps of equal size a mark is written two steps before it is needed, and one write for each step is enough.

import { BLOCK_BYTES, HIGH_WATER_STEP_BYTES_MAX } from './limits.js';

/** Bytes that the mark moves ahead with each superblock that is written for it: an even number of blocks. */
export function highWaterStep(ringBytes: number): number {
  const unit = 2 * BLOCK_BYTES;
  return Math.max(1, Math.floor(Math.min(HIGH_WATER_STEP_BYTES_MAX, ringBytes / 8) / unit)) * unit;
}

/** The mark of the superblock that is written next, with `position` the end of what has been appended. It never goes back. */
export function nextHighWater(mark: number | undefined, position: number, ringBytes: number): number {
  return Math.max(mark ?? 0, position + 2.5 * highWaterStep(ringBytes));
}

/** True when a superblock should be written for the mark: `position` comes within half a step of `limit`, the lower one of both marks. */
export function isHighWaterDue(limit: number, position: number, ringBytes: number): boolean {
  return position > limit - highWaterStep(ringBytes) / 2;
}

/**
 * Up to where a scan that ended at `position` has to look for later records, at most up to `end`. A mark that the log goes beyond is none:
 * whoever wrote that did not keep it.
 */
export function lookBehindEnd(mark: number | undefined, position: number, end: number): number {
  return mark !== undefined && mark > position ? Math.min(mark, end) : end;
}
