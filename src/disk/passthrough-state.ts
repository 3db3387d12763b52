// What a group remembers of a log that it gave up, and how a start goes on from there.
//
// Order of durability. Giving up: 1. the superblock, on the spare device; 2. the mark. From then on the log does not count: it is never
// replayed again, because the volumes hold what it has and may hold newer content. Coming back: 1. both superblocks of the new log, behind
// every record that a site can have, with a UUID of its own, so that what the old one left in the ring is not of it; 2. whatever else knows
// the log by its UUID; 3. the mark is gone. A start that is cut off in between does it again, with another UUID.

import { LvrError } from '../core/errors.js';
import { nextHighWater } from '../core/high-water.js';
import { BLOCK_BYTES } from '../core/limits.js';
import type { Arena, Device } from '../core/ports.js';
import { isZero } from '../format/bytes.js';
import { MARK_AT, PASSTHROUGH_BYTES, type PassthroughMark, putPassthroughMark, readPassthroughMark } from '../format/passthrough-mark.js';
import { RING_START, SUPERBLOCK_BYTES, type Superblock } from '../format/superblock.js';
import type { LogMemory } from './log-open.js';
import { readDevice, writeDurably } from './promises.js';
import { loadSuperblock, SuperblockStore } from './superblock-store.js';

/** A log that was given up: the mark, and the superblock that counts instead of those of the log. */
export type GivenUp = { readonly mark: PassthroughMark; readonly superblock: Superblock };

/** What the spare device says; undefined: the log counts. Rejects with LOG_SUPERBLOCK when it is damaged, or DEVICE_FAILED. */
export async function loadGivenUp(spare: Device, memory: Pick<LogMemory, 'createArena'>): Promise<GivenUp | undefined> {
  const arena = memory.createArena(PASSTHROUGH_BYTES);
  await readDevice(spare, arena, 0, PASSTHROUGH_BYTES, 0);
  const mark = readPassthroughMark(arena.bytes, MARK_AT);
  if (mark === undefined) {
    // Superblocks of a log that was not given up after all must not be taken for newer ones another time.
    if (!isZero(arena.bytes, 0, MARK_AT)) await writeDurably(spare, zeroes(memory, MARK_AT), 0, MARK_AT, 0);
    return undefined;
  }
  const { superblock } = await loadSuperblock(spare, arena);
  if (typeof mark !== 'string' && superblock !== undefined) return { mark, superblock };
  const what = typeof mark === 'string' ? `the mark of ${spare.path} cannot be used: ${mark}` : `${spare.path} has no superblock`;
  throw new LvrError('LOG_SUPERBLOCK', `${what}; it says which log of the group counts`, {
    hint: 'promote another site, and let this one take its first copy anew',
  });
}

/** Makes durable that the log does not count any more. */
export async function markGivenUp(spare: Device, memory: Pick<LogMemory, 'createArena'>, mark: PassthroughMark): Promise<void> {
  const arena = memory.createArena(BLOCK_BYTES);
  putPassthroughMark(arena.bytes, 0, mark);
  await writeDurably(spare, arena, 0, BLOCK_BYTES, MARK_AT);
}

/** The log counts again: durable before it returns. */
export async function clearMark(spare: Device, memory: Pick<LogMemory, 'createArena'>): Promise<void> {
  await writeDurably(spare, zeroes(memory, BLOCK_BYTES), 0, BLOCK_BYTES, MARK_AT);
}

/** Whatever the memory was used for before. */
function zeroes(memory: Pick<LogMemory, 'createArena'>, lengthBytes: number): Arena {
  const arena = memory.createArena(lengthBytes);
  arena.bytes.fill(0, 0, lengthBytes);
  return arena;
}

/**
 * Writes both superblocks of an empty log that goes on where the one that was given up ended, on a device of `sizeBytes`. Durable before it
 * returns. Rejects with DEVICE_FAILED or DISK_FULL.
 */
export async function beginAnew(device: Device, memory: LogMemory, { mark, superblock }: GivenUp, sizeBytes: number): Promise<void> {
  if (superblock.role === 'secondary' && superblock.appliedLsn < superblock.durableLsn) {
    throw new LvrError(
      'LOG_CORRUPT',
      `log ${device.path}: records up to LSN ${superblock.durableLsn} were given up before they were applied`,
      {
        hint: 'let this site take its first copy anew',
      },
    );
  }
  const arena = memory.createArena(2 * SUPERBLOCK_BYTES);
  const loaded = await loadSuperblock(device, arena);
  const ringBytes = Math.floor((sizeBytes - RING_START) / BLOCK_BYTES) * BLOCK_BYTES;
  // One more than any site can have: who has the last record of the old log is told by its bitmap, not by a chain value.
  const lsn = Math.max(superblock.durableLsn, mark.lsn) + 1;
  const { ringChange: _, ...kept } = superblock;
  const next: Superblock = {
    ...kept,
    sequence: Math.max(superblock.sequence, loaded.superblock?.sequence ?? 0),
    logUuid: memory.newUuid(),
    ringBytes,
    highWater: nextHighWater(undefined, 0, ringBytes),
    trimmedLsn: lsn,
    trimmedPosition: 0,
    trimmedChain: 0,
    appliedLsn: lsn,
    durableLsn: lsn,
    primaryDurableLsn: lsn,
    voidAfter: { lsn, epoch: superblock.epoch, incarnation: superblock.incarnation },
  };
  const slot = loaded.slots.findIndex((content) => content.kind === 'valid' && content.superblock === loaded.superblock);
  const store = new SuperblockStore(device, arena, next, Math.max(0, slot));
  await store.update((current) => current);
  await store.update((current) => current);
}
