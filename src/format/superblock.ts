// The superblock of a log: all that must be known before the first record is read, and the only place where progress is written. Two slots
// of 16 KiB at the start of the log, written in turn; the valid one with the higher sequence counts, so a torn write loses nothing.
// Little endian:
//
//      at  size  field
//       0     8  magic "LVRsuper"
//       8     4  version (3; a reader takes lower ones, whose missing fields are zero); a reader refuses a higher one
//      12     4  CRC32C over bytes 0..12 and 16..16384
//      16     8  sequence, grows by one with every write
//      24    16  UUID of this log                      40    16  UUID of the group's history (zero: blank)
//      56    64  group name                           120    64  site name
//     184     8  ring size, bytes                     192     8  epoch          200     8  highest incarnation used here
//     208     1  role (1 primary, 2 secondary)        209     1  flags (bit 0: volumes were born zero)       210  6  zero
//     216     8  trimmed LSN                          224     8  position of the batch after it
//     232     4  chain value of the trimmed record    236     4  zero
//     240     8  applied LSN (checkpoint)             248     8  durable LSN at the time of writing
//     256     8  void after LSN  264  8  void epoch  272  8  void incarnation
//     280     8  LSN known durable at the primary (secondary only)
//     288     2  volumes   290  2  sites   292  2  lineage entries
//     294     1  resync under way here (1: the volumes are no image of any moment)    295  1  what it overwrites is kept (1)
//     296    16  UUID of that resync          312     8  LSN that the volumes had before it    320  4  chain value of that record
//     324     4  zero                         328     8  LSN from which on they are consistent again (0: not known yet)
//     336    16  UUID of what is kept
//     352     8  position at the start of the ring, after its size was changed (a flag follows)
//     360     8  positions from here on lie so     368  8  size, 376  8  base of the ring as it was before: earlier ones lie so
//     384     1  its size was changed              385     7  zero
//     392     8  high-water mark: no batch was ever written at this position or behind it (zero: not known)       400..512 zero
//     512   128 each  volumes (32): name 64, size 8, block size 4, zero
//    4608   128 each  sites (16): name 64, acked LSN 8, tracking 1 (1: bitmap), flags 1 (bit 0: the log is kept from the base on,
//                     bit 1: no base, bit 2: given up, there is no bitmap), bitmap slot 1, zero 5, base LSN 8, UUID of the bitmap 16, zero
//    6656    32 each  lineage (128): epoch 8, incarnation 8, start LSN 8, flags 1 (bit 0 own), zero
//   10752..16384 zero
//
// A site that is tracked by a bitmap lacks what the bitmap says, and may be brought up to date from it if it has everything up to the base
// (or is in the resync of the bitmap's UUID).
//
// "Void": records with an LSN above `after` whose writer (epoch, incarnation) is not newer than the one named were cut off and never count
// again, whatever is left of them in the ring.

import { assert } from '../core/assert.js';
import { NAME_PATTERN } from '../core/ids.js';
import { BLOCK_BYTES, LINEAGE_ENTRIES_MAX, SECTOR_BYTES, SITES_PER_GROUP_MAX, VOLUMES_PER_GROUP_MAX } from '../core/limits.js';
import { compareWriters, type Lineage, type LineageEntry } from '../core/lineage.js';
import type { RingChange } from '../core/ring.js';
import { getName, getU16, getU32, getU64, getUuid, isZero, putName, putU16, putU32, putU64, putUuid, type Uuid } from './bytes.js';
import { crc32cSmall } from './crc32c.js';

export const SUPERBLOCK_BYTES = 16 * 1024;
export const SUPERBLOCK_VERSION = 3;
/** The ring starts here; the two slots stand at 0 and SUPERBLOCK_BYTES. */
export const RING_START = 64 * 1024;

const MAGIC = 'LVRsuper';
const CRC_AT = 12;
const UUID_AT = 24;
const NAME_BYTES = 64;
const ROLE_AT = 208;
const VOLUMES_AT = 512;
const SITES_AT = 4608;
const LINEAGE_AT = 6656;
const ENTRY_BYTES = 128;
const RESYNC_AT = 294;
const RING_CHANGE_AT = 352;
const HIGH_WATER_AT = 392;
const LINEAGE_ENTRY_BYTES = 32;

/**
 * How a site is tracked that the log no longer covers. `base`: a site that has everything up to here lacks at most what the bitmap says;
 * undefined when bits were cleared, so that only the site in the resync `uuid` may use it. `isKept`: the log is kept from the base on.
 * `isDetached`: the site was given up, and nothing stands in the slot; unless the log still reaches back to it, it needs a seed.
 */
export type SiteBitmap = {
  readonly uuid: Uuid;
  readonly slot: number;
  readonly base: number | undefined;
  readonly isKept: boolean;
  readonly isDetached?: true;
};

/** What this agent knows of a site, durably. */
export type SuperblockSite = { readonly name: string; readonly ackedLsn: number; readonly bitmap?: SiteBitmap | undefined };

/**
 * A resync that overwrites this site's volumes: `uuid` is that of the primary's bitmap, UUID_NONE when it does not go on because what it
 * has overwritten is being put back. `fromLsn`, `fromChain`: where the volumes stood before; `endLsn`: where they are consistent again, 0
 * while it is not known; `undo`: UUID in the undo store of everything overwritten so far, undefined when that was not kept.
 */
export type ResyncState = {
  readonly uuid: Uuid;
  readonly fromLsn: number;
  readonly fromChain: number;
  readonly endLsn: number;
  readonly undo: Uuid | undefined;
};

/** Content of a superblock; see the table above for the meaning of each field. */
export type Superblock = {
  sequence: number;
  logUuid: Uuid;
  groupUuid: Uuid;
  group: string;
  site: string;
  ringBytes: number;
  ringChange?: RingChange | undefined;
  epoch: number;
  incarnation: number;
  role: 'primary' | 'secondary';
  bornZero: boolean;
  trimmedLsn: number;
  trimmedPosition: number;
  trimmedChain: number;
  appliedLsn: number;
  durableLsn: number;
  voidAfter: { lsn: number; epoch: number; incarnation: number };
  primaryDurableLsn: number;
  volumes: readonly { name: string; sizeBytes: number; blockBytes: number }[];
  sites: readonly SuperblockSite[];
  lineage: Lineage;
  resync?: ResyncState | undefined;
  /** See core/high-water.ts; undefined in a superblock of a version that did not have it. */
  highWater?: number | undefined;
};

/** What stands in a slot: nothing (zeroes), a newer version, bytes that are no superblock, or one. */
export type SlotContent =
  | { kind: 'zero' }
  | { kind: 'newer'; version: number }
  | { kind: 'invalid' }
  | { kind: 'valid'; superblock: Superblock };

/** Encodes a superblock into `bytes` (SUPERBLOCK_BYTES long). */
export function encodeSuperblock(superblock: Superblock, bytes: Uint8Array): void {
  assert(bytes.length === SUPERBLOCK_BYTES, 'a superblock slot has 16 KiB');
  assert(superblock.volumes.length <= VOLUMES_PER_GROUP_MAX && superblock.sites.length <= SITES_PER_GROUP_MAX, 'volumes and sites fit');
  assert(superblock.lineage.length <= LINEAGE_ENTRIES_MAX, 'lineage fits');
  bytes.fill(0);
  for (let i = 0; i < 8; i++) bytes[i] = MAGIC.charCodeAt(i);
  putU32(bytes, 8, SUPERBLOCK_VERSION);
  putU64(bytes, 16, superblock.sequence);
  putUuid(bytes, UUID_AT, superblock.logUuid);
  putUuid(bytes, 40, superblock.groupUuid);
  putName(bytes, 56, NAME_BYTES, superblock.group);
  putName(bytes, 120, NAME_BYTES, superblock.site);
  putU64(bytes, 184, superblock.ringBytes);
  putU64(bytes, 192, superblock.epoch);
  putU64(bytes, 200, superblock.incarnation);
  bytes[ROLE_AT] = superblock.role === 'primary' ? 1 : 2;
  bytes[209] = superblock.bornZero ? 1 : 0;
  putU64(bytes, 216, superblock.trimmedLsn);
  putU64(bytes, 224, superblock.trimmedPosition);
  putU32(bytes, 232, superblock.trimmedChain);
  putU64(bytes, 240, superblock.appliedLsn);
  putU64(bytes, 248, superblock.durableLsn);
  putU64(bytes, 256, superblock.voidAfter.lsn);
  putU64(bytes, 264, superblock.voidAfter.epoch);
  putU64(bytes, 272, superblock.voidAfter.incarnation);
  putU64(bytes, 280, superblock.primaryDurableLsn);
  putU16(bytes, 288, superblock.volumes.length);
  putU16(bytes, 290, superblock.sites.length);
  putU16(bytes, 292, superblock.lineage.length);
  putResync(superblock.resync, bytes);
  putRingChange(superblock.ringChange, bytes);
  putU64(bytes, HIGH_WATER_AT, superblock.highWater ?? 0);
  putTables(superblock, bytes);
  putU32(bytes, CRC_AT, checksum(bytes));
}

function putResync(resync: ResyncState | undefined, bytes: Uint8Array): void {
  if (resync === undefined) return;
  bytes[RESYNC_AT] = 1;
  bytes[RESYNC_AT + 1] = resync.undo === undefined ? 0 : 1;
  putUuid(bytes, RESYNC_AT + 2, resync.uuid);
  putU64(bytes, RESYNC_AT + 18, resync.fromLsn);
  putU32(bytes, RESYNC_AT + 26, resync.fromChain);
  putU64(bytes, RESYNC_AT + 34, resync.endLsn);
  if (resync.undo !== undefined) putUuid(bytes, RESYNC_AT + 42, resync.undo);
}

function putRingChange(change: RingChange | undefined, bytes: Uint8Array): void {
  if (change === undefined) return;
  putU64(bytes, RING_CHANGE_AT, change.base);
  putU64(bytes, RING_CHANGE_AT + 8, change.from);
  putU64(bytes, RING_CHANGE_AT + 16, change.oldBytes);
  putU64(bytes, RING_CHANGE_AT + 24, change.oldBase);
  bytes[RING_CHANGE_AT + 32] = 1;
}

function getRingChange(bytes: Uint8Array): RingChange | undefined {
  if (bytes[RING_CHANGE_AT + 32] !== 1) return undefined;
  return {
    base: getU64(bytes, RING_CHANGE_AT),
    from: getU64(bytes, RING_CHANGE_AT + 8),
    oldBytes: getU64(bytes, RING_CHANGE_AT + 16),
    oldBase: getU64(bytes, RING_CHANGE_AT + 24),
  };
}

function getResync(bytes: Uint8Array): ResyncState | undefined {
  if (bytes[RESYNC_AT] !== 1) return undefined;
  return {
    uuid: getUuid(bytes, RESYNC_AT + 2),
    undo: bytes[RESYNC_AT + 1] === 1 ? getUuid(bytes, RESYNC_AT + 42) : undefined,
    fromLsn: getU64(bytes, RESYNC_AT + 18),
    fromChain: getU32(bytes, RESYNC_AT + 26),
    endLsn: getU64(bytes, RESYNC_AT + 34),
  };
}

function putBitmap(bitmap: SiteBitmap, bytes: Uint8Array, at: number): void {
  bytes[at] = 1;
  bytes[at + 1] = (bitmap.isKept ? 1 : 0) | (bitmap.base === undefined ? 2 : 0) | (bitmap.isDetached === true ? 4 : 0);
  bytes[at + 2] = bitmap.slot;
  putU64(bytes, at + 8, bitmap.base ?? 0);
  putUuid(bytes, at + 16, bitmap.uuid);
}

function getBitmap(bytes: Uint8Array, at: number): SiteBitmap | undefined {
  if (bytes[at] !== 1) return undefined;
  const flags = bytes[at + 1] as number;
  return {
    uuid: getUuid(bytes, at + 16),
    slot: bytes[at + 2] as number,
    base: (flags & 2) === 2 ? undefined : getU64(bytes, at + 8),
    isKept: (flags & 1) === 1,
    ...((flags & 4) === 4 ? { isDetached: true } : {}),
  };
}

function putTables(superblock: Superblock, bytes: Uint8Array): void {
  superblock.volumes.forEach((volume, i) => {
    const at = VOLUMES_AT + i * ENTRY_BYTES;
    putName(bytes, at, NAME_BYTES, volume.name);
    putU64(bytes, at + 64, volume.sizeBytes);
    putU32(bytes, at + 72, volume.blockBytes);
  });
  superblock.sites.forEach((site, i) => {
    const at = SITES_AT + i * ENTRY_BYTES;
    putName(bytes, at, NAME_BYTES, site.name);
    putU64(bytes, at + 64, site.ackedLsn);
    if (site.bitmap !== undefined) putBitmap(site.bitmap, bytes, at + 72);
  });
  superblock.lineage.forEach((entry, i) => {
    const at = LINEAGE_AT + i * LINEAGE_ENTRY_BYTES;
    putU64(bytes, at, entry.epoch);
    putU64(bytes, at + 8, entry.incarnation);
    putU64(bytes, at + 16, entry.startLsn);
    bytes[at + 24] = entry.own ? 1 : 0;
  });
}

/** Decodes a slot. Never throws: damaged bytes are `invalid`, and so are fields with values that no version writes. */
export function decodeSuperblock(bytes: Uint8Array): SlotContent {
  assert(bytes.length === SUPERBLOCK_BYTES, 'a superblock slot has 16 KiB');
  if (isZero(bytes, 0, bytes.length)) return { kind: 'zero' };
  for (let i = 0; i < 8; i++) if (bytes[i] !== MAGIC.charCodeAt(i)) return { kind: 'invalid' };
  if (getU32(bytes, CRC_AT) !== checksum(bytes)) return { kind: 'invalid' };
  const version = getU32(bytes, 8);
  if (version > SUPERBLOCK_VERSION) return { kind: 'newer', version };
  if (version < 1 || bytes[ROLE_AT] === 0 || (bytes[ROLE_AT] as number) > 2) return { kind: 'invalid' };
  const counts = [getU16(bytes, 288), getU16(bytes, 290), getU16(bytes, 292)] as const;
  if (counts[0] > VOLUMES_PER_GROUP_MAX || counts[1] > SITES_PER_GROUP_MAX || counts[2] > LINEAGE_ENTRIES_MAX) return { kind: 'invalid' };
  const superblock: Superblock = {
    sequence: getU64(bytes, 16),
    logUuid: getUuid(bytes, UUID_AT),
    groupUuid: getUuid(bytes, 40),
    group: getName(bytes, 56, NAME_BYTES),
    site: getName(bytes, 120, NAME_BYTES),
    ringBytes: getU64(bytes, 184),
    epoch: getU64(bytes, 192),
    incarnation: getU64(bytes, 200),
    role: bytes[ROLE_AT] === 1 ? 'primary' : 'secondary',
    bornZero: ((bytes[209] as number) & 1) === 1,
    trimmedLsn: getU64(bytes, 216),
    trimmedPosition: getU64(bytes, 224),
    trimmedChain: getU32(bytes, 232),
    appliedLsn: getU64(bytes, 240),
    durableLsn: getU64(bytes, 248),
    voidAfter: { lsn: getU64(bytes, 256), epoch: getU64(bytes, 264), incarnation: getU64(bytes, 272) },
    primaryDurableLsn: getU64(bytes, 280),
    volumes: table(VOLUMES_AT, ENTRY_BYTES, counts[0], (at) => ({
      name: getName(bytes, at, NAME_BYTES),
      sizeBytes: getU64(bytes, at + 64),
      blockBytes: getU32(bytes, at + 72),
    })),
    sites: table(SITES_AT, ENTRY_BYTES, counts[1], (at) => readSite(bytes, at)),
    lineage: table(LINEAGE_AT, LINEAGE_ENTRY_BYTES, counts[2], (at) => readEntry(bytes, at)),
  };
  const resync = getResync(bytes);
  if (resync !== undefined) superblock.resync = resync;
  const ringChange = getRingChange(bytes);
  if (ringChange !== undefined) superblock.ringChange = ringChange;
  const highWater = getU64(bytes, HIGH_WATER_AT);
  if (highWater !== 0) superblock.highWater = highWater;
  return isPossible(superblock) ? { kind: 'valid', superblock } : { kind: 'invalid' };
}

/** What everybody relies on who is given a superblock. Numbers that are too large were read as NaN, which is no safe integer. */
function isPossible(superblock: Superblock): boolean {
  const { voidAfter, volumes, sites, lineage, ringBytes, trimmedPosition, resync } = superblock;
  const { sequence, epoch, incarnation, trimmedLsn, appliedLsn, durableLsn, primaryDurableLsn, highWater = 0 } = superblock;
  const numbers = [sequence, epoch, incarnation, trimmedLsn, appliedLsn, durableLsn, primaryDurableLsn, ringBytes, trimmedPosition];
  return (
    numbers.every(Number.isSafeInteger) &&
    [voidAfter.lsn, voidAfter.epoch, voidAfter.incarnation, highWater].every(Number.isSafeInteger) &&
    volumes.every(({ sizeBytes }) => Number.isSafeInteger(sizeBytes)) &&
    sites.every(({ ackedLsn, bitmap }) => [ackedLsn, bitmap?.base ?? 0].every(Number.isSafeInteger)) &&
    [resync?.fromLsn ?? 0, resync?.endLsn ?? 0].every(Number.isSafeInteger) &&
    ringBytes > 0 &&
    ringBytes % BLOCK_BYTES === 0 &&
    trimmedPosition % BLOCK_BYTES === 0 &&
    highWater % BLOCK_BYTES === 0 &&
    [superblock.group, superblock.site, ...[...volumes, ...sites].map(({ name }) => name)].every((name) => NAME_PATTERN.test(name)) &&
    isInOrder(lineage)
  );
}

/** The order that core/lineage.ts promises. */
function isInOrder(lineage: Lineage): boolean {
  return lineage.every((entry, i) => {
    const before = lineage[i - 1];
    if (![entry.epoch, entry.incarnation, entry.startLsn].every(Number.isSafeInteger)) return false;
    return before === undefined || (compareWriters(before, entry) < 0 && before.startLsn < entry.startLsn);
  });
}

function readSite(bytes: Uint8Array, at: number): SuperblockSite {
  const bitmap = getBitmap(bytes, at + 72);
  const site = { name: getName(bytes, at, NAME_BYTES), ackedLsn: getU64(bytes, at + 64) };
  return bitmap === undefined ? site : { ...site, bitmap };
}

function readEntry(bytes: Uint8Array, at: number): LineageEntry {
  return {
    epoch: getU64(bytes, at),
    incarnation: getU64(bytes, at + 8),
    startLsn: getU64(bytes, at + 16),
    own: bytes[at + 24] === 1,
  };
}

function table<T>(start: number, entryBytes: number, count: number, read: (at: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => read(start + i * entryBytes));
}

/**
 * True for a slot in which a write of `superblock` was cut off: each sector is zero or what the write would have put there. UUID and
 * checksum differ from one attempt to create a log to the next and do not count.
 */
export function isPartOf(bytes: Uint8Array, superblock: Superblock): boolean {
  const expected = new Uint8Array(SUPERBLOCK_BYTES);
  encodeSuperblock(superblock, expected);
  expected.set(bytes.subarray(CRC_AT, CRC_AT + 4), CRC_AT);
  expected.set(bytes.subarray(UUID_AT, UUID_AT + 16), UUID_AT);
  for (let at = 0; at < SUPERBLOCK_BYTES; at += SECTOR_BYTES) {
    const sector = bytes.subarray(at, at + SECTOR_BYTES);
    if (!sector.every((byte) => byte === 0) && !sector.every((byte, i) => byte === expected[at + i])) return false;
  }
  return true;
}

function checksum(bytes: Uint8Array): number {
  return crc32cSmall(bytes, 16, SUPERBLOCK_BYTES - 16, crc32cSmall(bytes, 0, CRC_AT));
}
