// Superblocks: valid ones go round, damaged ones are invalid, and what has a right checksum is taken only when every field is possible.

import fc from 'fast-check';
import t from 'tap';
import { LINEAGE_ENTRIES_MAX, SITES_PER_GROUP_MAX, VOLUMES_PER_GROUP_MAX } from '../../src/core/limits.js';
import { decodeSuperblock, encodeSuperblock, isPartOf, SUPERBLOCK_BYTES, type Superblock } from '../../src/format/superblock.js';
import { arbitrarySuperblock, SUPERBLOCK_FIELDS, sealSuperblock, superblockFrom } from './drawn-superblock.js';
import { fuzz, judge } from './harness.js';
import { inPlace, mutate, several } from './mutate.js';

/** What the rest of lvr relies on without looking again. */
function isPossible(superblock: Superblock): boolean {
  const { voidAfter, volumes, sites, lineage, ringBytes, trimmedPosition } = superblock;
  const { sequence, epoch, incarnation, trimmedLsn, trimmedChain, appliedLsn, durableLsn, primaryDurableLsn, highWater = 0 } = superblock;
  const own = [
    sequence,
    epoch,
    incarnation,
    trimmedLsn,
    trimmedChain,
    appliedLsn,
    durableLsn,
    primaryDurableLsn,
    ringBytes,
    trimmedPosition,
    highWater,
  ];
  const others = [
    ...[voidAfter.lsn, voidAfter.epoch, voidAfter.incarnation],
    ...volumes.flatMap((volume) => [volume.sizeBytes, volume.blockBytes]),
    ...sites.map((site) => site.ackedLsn),
    ...lineage.flatMap((entry) => [entry.epoch, entry.incarnation, entry.startLsn]),
  ];
  const inOrder = lineage.every((entry, i) => {
    const before = lineage[i - 1];
    if (before === undefined) return true;
    const isNewer = entry.epoch > before.epoch || (entry.epoch === before.epoch && entry.incarnation > before.incarnation);
    return isNewer && entry.startLsn > before.startLsn;
  });
  return (
    [...own, ...others].every((value) => Number.isSafeInteger(value) && value >= 0) &&
    ringBytes > 0 &&
    ringBytes % 4096 === 0 &&
    trimmedPosition % 4096 === 0 &&
    highWater % 4096 === 0 &&
    volumes.length <= VOLUMES_PER_GROUP_MAX &&
    sites.length <= SITES_PER_GROUP_MAX &&
    lineage.length <= LINEAGE_ENTRIES_MAX &&
    inOrder
  );
}

const blank = superblockFrom({ numbers: [], names: [], volumes: 1, sites: 0, lineage: 0, flags: 0 });

fuzz(t, {
  name: 'superblock',
  draw: fc.record({ drawn: arbitrarySuperblock, mutations: several(inPlace), sealed: fc.boolean(), torn: fc.nat(31) }),
  expected: ['round', 'valid', 'invalid', 'newer'],
  probe: ({ drawn, mutations, sealed, torn }, count) => {
    const original = superblockFrom(drawn);
    const whole = new Uint8Array(SUPERBLOCK_BYTES);
    encodeSuperblock(original, whole);
    if (mutations.length === 0) {
      const back = decodeSuperblock(whole);
      judge(back.kind === 'valid' && JSON.stringify(back.superblock) === JSON.stringify(original), 'a superblock goes round');
      judge(isPossible(original), 'what the test draws is possible');
      // Torn after some sectors: it does not count, unless what is missing was zero anyway.
      const cut = whole.slice().fill(0, torn * 512);
      judge((decodeSuperblock(cut).kind === 'valid') === (Buffer.compare(cut, whole) === 0), 'a torn superblock does not count');
      return count('round');
    }
    const bytes = mutate(whole, SUPERBLOCK_FIELDS, mutations);
    if (sealed) sealSuperblock(bytes);
    const copy = bytes.slice();
    const got = decodeSuperblock(bytes);
    judge(Buffer.compare(copy, bytes) === 0, 'decoding changes nothing');
    isPartOf(bytes, blank);
    count(got.kind);
    if (got.kind !== 'valid') return;
    if (!sealed) judge(Buffer.compare(bytes, whole) === 0, 'damage is found by the checksum');
    judge(isPossible(got.superblock), `impossible fields: ${JSON.stringify(got.superblock)}`);
    const again = new Uint8Array(SUPERBLOCK_BYTES);
    encodeSuperblock(got.superblock, again);
    const second = decodeSuperblock(again);
    judge(second.kind === 'valid' && JSON.stringify(second.superblock) === JSON.stringify(got.superblock), 'what was read can be written');
  },
});
