// The history of a site in a hello: what both ends decide from.

import { LINEAGE_ENTRIES_MAX } from '../core/limits.js';
import { compareWriters, type LineageEntry } from '../core/lineage.js';
import type { BitmapOffer, SiteHistory } from '../core/reconnect.js';
import { lvr } from './wire.gen.js';
import { count, isCount, UUID_PATTERN } from './wire-values.js';

/** A history as the generated encoder takes it. */
export function historyToWire(history: SiteHistory): lvr.History.$Properties {
  const { groupUuid, blank, bornZero, epoch, trimmed, applied, last, resync } = history;
  const role = history.role === 'primary' ? lvr.Role.PRIMARY : lvr.Role.SECONDARY;
  const bitmap = history.bitmap === undefined ? null : bitmapToWire(history.bitmap);
  return { role, groupUuid, blank, bornZero, epoch, lineage: [...history.lineage], trimmed, applied, last, resync, bitmap };
}

function bitmapToWire({ uuid, base, isKept }: BitmapOffer): lvr.Bitmap.$Properties {
  return { uuid, base: base ?? null, kept: isKept };
}

function readBitmap(message: lvr.Bitmap.$Properties | null | undefined): BitmapOffer | string | undefined {
  if (!message) return undefined;
  const wire = message as lvr.Bitmap;
  if (!UUID_PATTERN.test(wire.uuid)) return 'hello: no valid bitmap UUID';
  const base = wire.base === null || wire.base === undefined ? undefined : count(wire.base);
  if (base !== undefined && !isCount(base)) return 'hello: base of the bitmap is out of range';
  return { uuid: wire.uuid, base, isKept: wire.kept };
}

// The classes say what a decoder returns: messages whose missing fields read as zero, false, empty. The generated types of nested messages
// (…$Properties) say what an encoder takes.

/** The history of `site` in a decoded hello; words when it is not possible. */
export function readHistory(site: string, message: lvr.History.$Properties | null | undefined): SiteHistory | string {
  if (!message) return 'hello: no history';
  const wire = message as lvr.History;
  const { role, groupUuid } = wire;
  if (role !== lvr.Role.PRIMARY && role !== lvr.Role.SECONDARY) return `hello: role ${role} is not known`;
  if (!UUID_PATTERN.test(groupUuid)) return 'hello: no valid group UUID';
  const { resync } = wire;
  if (resync !== '' && !UUID_PATTERN.test(resync)) return 'hello: no valid resync UUID';
  const bitmap = readBitmap(wire.bitmap);
  if (typeof bitmap === 'string') return bitmap;
  const numbers = [count(wire.epoch), count(wire.trimmed), count(wire.applied), count(wire.last)] as const;
  if (!numbers.every(isCount)) return 'hello: a number of the history is out of range';
  if (numbers[1] > numbers[2] || numbers[2] > numbers[3]) return 'hello: positions of the history are out of order';
  const lineage = readLineage(wire.lineage as lvr.LineageEntry[], numbers[0]);
  if (typeof lineage === 'string') return lineage;
  return {
    site,
    role: role === lvr.Role.PRIMARY ? 'primary' : 'secondary',
    groupUuid,
    blank: wire.blank,
    bornZero: wire.bornZero,
    epoch: numbers[0],
    lineage,
    trimmed: numbers[1],
    applied: numbers[2],
    last: numbers[3],
    resync,
    bitmap,
  };
}

/** A decoded lineage, in the order that core/lineage.ts promises to everyone who compares lineages; words when it is not. */
export function readLineage(wire: readonly lvr.LineageEntry[], epochMax: number): LineageEntry[] | string {
  if (wire.length > LINEAGE_ENTRIES_MAX) return `hello: ${wire.length} lineage entries`;
  const lineage: LineageEntry[] = [];
  for (const { epoch, incarnation, startLsn, own } of wire) {
    const entry = { epoch: count(epoch), incarnation: count(incarnation), startLsn: count(startLsn), own };
    if (!isCount(entry.epoch) || !isCount(entry.incarnation) || !isCount(entry.startLsn)) return 'hello: a lineage entry is out of range';
    if (entry.epoch < 1 || entry.epoch > epochMax || entry.incarnation < 1 || entry.startLsn < 1)
      return 'hello: a lineage entry is not possible';
    const before = lineage.at(-1);
    if (before && (compareWriters(before, entry) >= 0 || before.startLsn >= entry.startLsn)) return 'hello: lineage is out of order';
    lineage.push(entry);
  }
  return lineage;
}
