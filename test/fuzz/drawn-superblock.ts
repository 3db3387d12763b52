// Possible superblocks out of plain drawn data, and where their numbers stand.

import fc from 'fast-check';
import { LINEAGE_ENTRIES_MAX, SITES_PER_GROUP_MAX, VOLUMES_PER_GROUP_MAX } from '../../src/core/limits.js';
import { putU32 } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { SUPERBLOCK_BYTES, type Superblock } from '../../src/format/superblock.js';
import type { Field } from './mutate.js';

/** A superblock as it is drawn: `numbers` and `names` are used in turn, the rest are counts. */
export type DrawnSuperblock = {
  readonly numbers: readonly number[];
  readonly names: readonly string[];
  readonly volumes: number;
  readonly sites: number;
  readonly lineage: number;
  readonly flags: number;
};

const small = fc.nat(1000);
const large = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

export const arbitrarySuperblock: fc.Arbitrary<DrawnSuperblock> = fc.record({
  numbers: fc.array(fc.oneof(small, large, fc.constantFrom(0, 1, 0xffff_ffff, 2 ** 32, Number.MAX_SAFE_INTEGER)), { maxLength: 12 }),
  names: fc.array(fc.constantFrom('a', 'data', 'x'.repeat(63), 'a.b_c-d', '0'), { maxLength: 4 }),
  volumes: fc.oneof(fc.nat(2), fc.nat(VOLUMES_PER_GROUP_MAX)),
  sites: fc.oneof(fc.nat(2), fc.nat(SITES_PER_GROUP_MAX)),
  lineage: fc.oneof(fc.nat(3), fc.nat(LINEAGE_ENTRIES_MAX)),
  flags: fc.nat(7),
});

/** The superblock that was drawn. */
export function superblockFrom(drawn: DrawnSuperblock): Superblock {
  let at = 0;
  const number = (): number => drawn.numbers[at++ % Math.max(1, drawn.numbers.length)] ?? at;
  const name = (): string => drawn.names[at++ % Math.max(1, drawn.names.length)] ?? 'app';
  const half = (): number => Math.floor(number() / 2);
  return {
    sequence: number(),
    logUuid: half().toString(16).padStart(32, '5'),
    groupUuid: half().toString(16).padStart(32, '0'),
    group: name(),
    site: name(),
    ringBytes: 4096 * (1 + Math.floor(number() / 4097)),
    epoch: number(),
    incarnation: number(),
    role: (drawn.flags & 1) === 0 ? 'primary' : 'secondary',
    bornZero: (drawn.flags & 2) !== 0,
    trimmedLsn: number(),
    trimmedPosition: 4096 * Math.floor(number() / 4097),
    trimmedChain: number() >>> 0,
    appliedLsn: number(),
    durableLsn: number(),
    voidAfter: { lsn: number(), epoch: number(), incarnation: number() },
    primaryDurableLsn: number(),
    volumes: Array.from({ length: drawn.volumes }, () => ({ name: name(), sizeBytes: number(), blockBytes: number() >>> 0 })),
    sites: Array.from({ length: drawn.sites }, () => ({ name: name(), ackedLsn: number() })),
    lineage: Array.from({ length: drawn.lineage }, (_, i) => ({
      epoch: 1 + Math.floor(i / 3),
      incarnation: 1 + i,
      startLsn: 1 + 7 * i,
      own: i % 2 === 0,
    })),
    ...((drawn.flags & 4) === 0 ? {} : { highWater: 4096 * (1 + Math.floor(number() / 4097)) }),
  };
}

/** Makes the checksum of a slot right. */
export function sealSuperblock(slot: Uint8Array): void {
  putU32(slot, 12, crc32cSmall(slot, 16, SUPERBLOCK_BYTES - 16, crc32cSmall(slot, 0, 12)));
}

const u64 = (at: number): Field => ({ at, bytes: 8 });

/** Where the numbers of a superblock stand: see src/format/superblock.ts. */
export const SUPERBLOCK_FIELDS: readonly Field[] = [
  ...[16, 184, 192, 200, 216, 224, 240, 248, 256, 264, 272, 280, 392].map(u64),
  ...[8, 232, 236].map((at): Field => ({ at, bytes: 4 })),
  ...[288, 290, 292].map((at): Field => ({ at, bytes: 2 })),
  ...[208, 209, 0, 56, 120].map((at): Field => ({ at, bytes: 1 })),
  ...[512, 640, 512 + 31 * 128].flatMap((at): Field[] => [u64(at + 64), { at: at + 72, bytes: 4 }, { at: at + 62, bytes: 2 }]),
  ...[4608, 4736].map((at) => u64(at + 64)),
  ...[6656, 6688, 6720].flatMap((at) => [u64(at), u64(at + 8), u64(at + 16)]),
];
