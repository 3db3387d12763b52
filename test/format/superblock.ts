// Superblocks: every field comes back, every flipped bit is seen, blank and newer ones are told apart from damage.

import t from 'tap';
import { LINEAGE_ENTRIES_MAX, SITES_PER_GROUP_MAX, VOLUMES_PER_GROUP_MAX } from '../../src/core/limits.js';
import { putU16, putU32 } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import {
  decodeSuperblock,
  encodeSuperblock,
  isPartOf,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_VERSION,
  type Superblock,
} from '../../src/format/superblock.js';
import { flipBit } from '../helpers/bits.js';

const full: Superblock = {
  sequence: 41,
  logUuid: '0123456789abcdef0123456789abcdef',
  groupUuid: 'fedcba9876543210fedcba9876543210',
  group: 'a'.repeat(63),
  site: 'b'.repeat(63),
  ringBytes: 2 ** 40,
  epoch: 7,
  incarnation: 2 ** 45 + 3,
  role: 'secondary',
  bornZero: true,
  trimmedLsn: 100,
  trimmedPosition: 2 ** 42,
  trimmedChain: 0xffffffff,
  appliedLsn: 110,
  durableLsn: 120,
  voidAfter: { lsn: 90, epoch: 6, incarnation: 5 },
  primaryDurableLsn: 119,
  highWater: 2 ** 42 + 4096 * 7,
  volumes: Array.from({ length: VOLUMES_PER_GROUP_MAX }, (_, i) => ({ name: `v${i}`, sizeBytes: 2 ** 40 + i, blockBytes: 512 << (i % 4) })),
  sites: Array.from({ length: SITES_PER_GROUP_MAX }, (_, i) => ({ name: `s${i}`, ackedLsn: 1000 + i })),
  lineage: Array.from({ length: LINEAGE_ENTRIES_MAX }, (_, i) => ({
    epoch: i + 1,
    incarnation: 9,
    startLsn: 10 * i + 1,
    own: i % 2 === 0,
  })),
};

function encoded(superblock: Superblock = full): Uint8Array {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES).fill(0xcc);
  encodeSuperblock(superblock, bytes);
  return bytes;
}

function resealed(change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = encoded();
  change(bytes);
  putU32(bytes, 12, crc32cSmall(bytes, 16, SUPERBLOCK_BYTES - 16, crc32cSmall(bytes, 0, 12)));
  return bytes;
}

t.test('every field comes back, with tables full and empty', async (t) => {
  const sparse: Superblock = { ...full, role: 'primary', bornZero: false, volumes: [], sites: [], lineage: [] };
  delete sparse.highWater;
  const bitmaps = ([{ isKept: true, base: 7 }, { isKept: false }, { isKept: false, isDetached: true }] as const).map((bitmap, i) => ({
    name: `t${i}`,
    ackedLsn: i,
    bitmap: { uuid: full.logUuid, slot: i, base: undefined, ...bitmap },
  }));
  for (const superblock of [full, sparse, { ...full, sites: bitmaps }])
    t.same(decodeSuperblock(encoded(superblock)), { kind: 'valid', superblock });
});

t.test('every single-bit flip makes a superblock invalid', async (t) => {
  const bytes = encoded();
  const missed: number[] = [];
  for (let bit = 0; bit < SUPERBLOCK_BYTES * 8; bit++) {
    flipBit(bytes, 0, bit);
    if (decodeSuperblock(bytes).kind !== 'invalid') missed.push(bit);
    flipBit(bytes, 0, bit);
  }
  t.same(missed, []);
  t.equal(decodeSuperblock(bytes).kind, 'valid');
});

t.test('zeroes are no superblock, and one byte of anything is not zeroes', async (t) => {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  t.same(decodeSuperblock(bytes), { kind: 'zero' });
  bytes[SUPERBLOCK_BYTES - 1] = 1;
  t.same(decodeSuperblock(bytes), { kind: 'invalid' });
});

t.test('a superblock torn at any sector is invalid, or whole', async (t) => {
  const before = encoded();
  const after = encoded({ ...full, sequence: 43, trimmedLsn: 111, appliedLsn: 130, durableLsn: 131 });
  for (let at = 512; at < SUPERBLOCK_BYTES; at += 512) {
    const torn = before.slice();
    torn.set(after.subarray(0, at));
    const { kind } = decodeSuperblock(torn);
    if (kind === 'valid') t.ok(Buffer.compare(torn, after) === 0, `at ${at}`);
    else t.equal(kind, 'invalid', `at ${at}`);
  }
});

t.test(
  'any sectors of a superblock, with zeroes for the others, are a part of it, also under another UUID; a foreign sector is not',
  async (t) => {
    const whole = encoded({ ...full, logUuid: 'f'.repeat(32) });
    t.ok(isPartOf(new Uint8Array(SUPERBLOCK_BYTES), full), 'nothing of it');
    t.ok(isPartOf(whole, full), 'all of it');
    for (let at = 0; at < SUPERBLOCK_BYTES; at += 512) {
      const only = new Uint8Array(SUPERBLOCK_BYTES);
      only.set(whole.subarray(at, at + 512), at);
      t.ok(isPartOf(only, full), `only the sector at ${at}`);
      const foreign = whole.slice();
      foreign[at + 511] = 0x5a;
      t.notOk(isPartOf(foreign, full), `a foreign byte in the sector at ${at}`);
    }
    t.notOk(isPartOf(whole, { ...full, group: 'other' }));
  },
);

t.test('a newer version is called newer, impossible counts invalid', async (t) => {
  const version = SUPERBLOCK_VERSION + 1;
  t.same(decodeSuperblock(resealed((bytes) => putU32(bytes, 8, version))), { kind: 'newer', version });
  for (const [at, count] of [
    [288, VOLUMES_PER_GROUP_MAX + 1],
    [290, SITES_PER_GROUP_MAX + 1],
    [292, LINEAGE_ENTRIES_MAX + 1],
  ] as const) {
    t.equal(decodeSuperblock(resealed((bytes) => putU16(bytes, at, count))).kind, 'invalid', `count at ${at}`);
  }
});

t.test('fields that no version writes make a superblock invalid, although its checksum is right', async (t) => {
  const u64s = [16, 184, 192, 200, 216, 224, 240, 248, 256, 264, 272, 280, 392, 512 + 64, 4608 + 64, 6656, 6664, 6672];
  for (const at of u64s) t.equal(decodeSuperblock(resealed((bytes) => bytes.fill(0xff, at, at + 8))).kind, 'invalid', `2^64-1 at ${at}`);
  const bad: [string, (bytes: Uint8Array) => void][] = [
    ['version 0', (bytes) => putU32(bytes, 8, 0)],
    ['no role', (bytes) => bytes.fill(0, 208, 209)],
    ['a third role', (bytes) => bytes.fill(3, 208, 209)],
    ['no ring', (bytes) => bytes.fill(0, 184, 192)],
    ['a ring of half a block', (bytes) => putU32(bytes, 184, 2048)],
    ['a position inside a block', (bytes) => putU32(bytes, 224, 512)],
    ['a high-water mark inside a block', (bytes) => putU32(bytes, 392, 512)],
    ['a group without a name', (bytes) => bytes.fill(0, 56, 120)],
    ['a site name without an end', (bytes) => bytes.fill(0x61, 120, 184)],
    ['a volume name in another alphabet', (bytes) => bytes.fill(0x1b, 512, 513)],
    ['a lineage that goes back', (bytes) => bytes.copyWithin(6656 + 32, 6656, 6656 + 32)],
  ];
  for (const [name, spoil] of bad) t.equal(decodeSuperblock(resealed(spoil)).kind, 'invalid', name);
});

t.test('what does not fit is a defect, not a superblock', async (t) => {
  t.throws(
    () => encoded({ ...full, lineage: [...full.lineage, { epoch: 999, incarnation: 1, startLsn: 9999, own: true }] }),
    /lineage fits/,
  );
  const volume = { name: 'v', sizeBytes: 4096, blockBytes: 512 };
  t.throws(() => encoded({ ...full, volumes: [...full.volumes, volume] }), /volumes and sites fit/);
  t.throws(() => encoded({ ...full, sites: [...full.sites, { name: 's', ackedLsn: 0 }] }), /volumes and sites fit/);
  t.throws(() => encoded({ ...full, group: 'g'.repeat(64) }), /longer than its field/);
  t.throws(() => encodeSuperblock(full, new Uint8Array(512)), /16 KiB/);
  t.throws(() => decodeSuperblock(new Uint8Array(512)), /16 KiB/);
});
