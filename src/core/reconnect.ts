// What two sites do when they meet: one pure total function of what each says about itself. Both sides compute it from the same two
// inputs and must agree. Every outcome has a rule label, which status, events and `lvr explain` print.

import type { ErrorCode } from './errors.js';
import { compareLineages, type Lineage } from './lineage.js';
import { PLANTED } from './planted.js';

/** What a site says about its copy of a group when it connects. LSNs are 0 when there is none. */
export type SiteHistory = {
  readonly site: string;
  readonly role: 'primary' | 'secondary';
  /** Hex UUID of the group's history; all zero when the site never took part in one (blank). */
  readonly groupUuid: string;
  readonly blank: boolean;
  /** Every volume read as zeroes before the first record was applied. */
  readonly bornZero: boolean;
  readonly epoch: number;
  readonly lineage: Lineage;
  /** Records up to here are gone from the log. */
  readonly trimmed: number;
  /** Records up to here may be on the volumes. */
  readonly applied: number;
  /** Last record in the log. */
  readonly last: number;
  /** UUID of the resync that is overwriting the volumes here, which are no image of any moment until it ends; '' when there is none. */
  readonly resync: string;
  /** What this site has kept for the other one, whose records the log no longer holds. */
  readonly bitmap: BitmapOffer | undefined;
};

/**
 * A dirty bitmap for one site. `base`: who has everything up to here lacks at most what it says; undefined when bits were cleared since, so
 * that only the site in the resync `uuid` may use it. `isKept`: the log is kept from the base on all the same.
 */
export type BitmapOffer = { readonly uuid: string; readonly base: number | undefined; readonly isKept: boolean };

/** `a` and `b` name the arguments of decideReconnect. */
export type Side = 'a' | 'b';

/**
 * stream: `sender` ships from LSN `from` on; before that the other side cuts its log after from - 1 when `cut` is set, and adopts the
 * group's UUID when `adopt` is set. resync: `sender` copies what its bitmap `uuid` says; the other side does the same first, and applies
 * all it then has. stepDown: `side` becomes secondary, durably, and both reconnect. idle: nothing flows. refuse: nothing changes.
 */
export type ReconnectPlan =
  | {
      readonly rule: string;
      readonly action: 'stream';
      readonly sender: Side;
      readonly from: number;
      readonly cut: boolean;
      readonly adopt: boolean;
    }
  | {
      readonly rule: string;
      readonly action: 'resync';
      readonly sender: Side;
      readonly from: number;
      readonly cut: boolean;
      readonly adopt: boolean;
      readonly uuid: string;
    }
  | { readonly rule: string; readonly action: 'stepDown'; readonly side: Side; readonly reason: string }
  | { readonly rule: string; readonly action: 'idle'; readonly reason: string }
  | { readonly rule: string; readonly action: 'refuse'; readonly code: ErrorCode; readonly reason: string };

/** The reconnection table (rules C1..C18). Total: every pair of histories gives exactly one plan. */
export function decideReconnect(a: SiteHistory, b: SiteHistory): ReconnectPlan {
  if (!a.blank && !b.blank && a.groupUuid !== b.groupUuid) {
    return refuse('C1', 'UNRELATED', `${a.site} and ${b.site} hold different groups of the same name`);
  }
  if (a.role === 'secondary' && b.role === 'secondary') {
    return { rule: 'C2', action: 'idle', reason: 'both sites are secondary: promote one' };
  }
  if (a.role === 'primary' && b.role === 'primary') return decidePrimaries(a, b);
  return a.role === 'primary' ? decideStream(a, b, 'a') : decideStream(b, a, 'b');
}

function decidePrimaries(a: SiteHistory, b: SiteHistory): ReconnectPlan {
  if (a.epoch === b.epoch) {
    return refuse('C3', 'DIVERGED', `${a.site} and ${b.site} were both promoted to epoch ${a.epoch}`);
  }
  const older = a.epoch < b.epoch ? a : b;
  const newer = a.epoch < b.epoch ? b : a;
  return decideStepDown(older, newer, a.epoch < b.epoch ? 'a' : 'b', 'C4', 'C5');
}

/** The older primary gives way only if it has nothing that the newer history lacks. */
function decideStepDown(older: SiteHistory, newer: SiteHistory, side: Side, yes: string, no: string): ReconnectPlan {
  const { common, unknown } = compareLineages(older.lineage, older.last, newer.lineage, newer.last);
  if ((!unknown && common === older.last) || PLANTED === 'older-primary-gives-way') {
    return {
      rule: yes,
      action: 'stepDown',
      side,
      reason: `${newer.site} was promoted to epoch ${newer.epoch} and has everything ${older.site} has`,
    };
  }
  const what = unknown ? 'the fork point is no longer known' : `LSNs ${common + 1}..${older.last} exist only there`;
  return refuse(no, 'DIVERGED', `${newer.site} was promoted to epoch ${newer.epoch}, but ${older.site} has writes of its own: ${what}`);
}

function decideStream(primary: SiteHistory, secondary: SiteHistory, sender: Side): ReconnectPlan {
  if (secondary.blank) return decideBlank(primary, secondary, sender);
  const name = secondary.site;
  if (secondary.epoch > primary.epoch) return decideStepDown(primary, secondary, sender, 'C8', 'C9');
  const { bitmap } = primary;
  if (secondary.resync !== '') {
    if (bitmap?.uuid === secondary.resync) {
      return { rule: 'C15', action: 'resync', sender, from: secondary.last + 1, cut: false, adopt: false, uuid: bitmap.uuid };
    }
    return refuse('C16', 'NEEDS_SEED', `${name} needs a seed: it is in the middle of a resync that ${primary.site} cannot go on with`);
  }
  const { common, unknown } = compareLineages(primary.lineage, primary.last, secondary.lineage, secondary.last);
  if (unknown) return refuse('C10', 'NEEDS_SEED', `${name} needs a seed: the histories no longer reach back to what both have`);
  if (secondary.last > common) {
    const apart = decideExtra(primary, secondary, common);
    if (apart !== undefined) return apart;
  }
  const begin = { sender, from: common + 1, cut: secondary.last > common, adopt: false };
  const isInLog = common >= primary.trimmed;
  if (isInLog && (bitmap === undefined || bitmap.isKept)) return { rule: 'C14', action: 'stream', ...begin };
  if (covers(bitmap, common)) return { rule: 'C17', action: 'resync', ...begin, uuid: bitmap.uuid };
  if (isInLog) return { rule: 'C14', action: 'stream', ...begin };
  return refuse(
    'C13',
    'NEEDS_SEED',
    `${name} needs a seed: it has LSN ${common}, the log of ${primary.site} starts at ${primary.trimmed + 1}`,
  );
}

/** A site that never took part: it starts with the first record, or from the bitmap of everything there ever was. */
function decideBlank(primary: SiteHistory, secondary: SiteHistory, sender: Side): ReconnectPlan {
  const { bitmap } = primary;
  const areBornZero = primary.bornZero && secondary.bornZero;
  if (primary.trimmed === 0 && areBornZero && (bitmap === undefined || bitmap.isKept)) {
    return { rule: 'C6', action: 'stream', sender, from: 1, cut: false, adopt: true };
  }
  if (areBornZero && covers(bitmap, 0)) {
    return { rule: 'C18', action: 'resync', sender, from: 1, cut: false, adopt: true, uuid: bitmap.uuid };
  }
  const why =
    primary.trimmed > 0 ? `the log of ${primary.site} starts at LSN ${primary.trimmed + 1}` : 'a volume held data before it joined';
  return refuse('C7', 'NEEDS_SEED', `${secondary.site} needs a seed: ${why}`);
}

function covers(bitmap: BitmapOffer | undefined, common: number): bitmap is BitmapOffer {
  return bitmap?.base !== undefined && common >= bitmap.base;
}

/** Records of a secondary that the primary lacks: undefined when they can be cut off. */
function decideExtra(primary: SiteHistory, secondary: SiteHistory, common: number): ReconnectPlan | undefined {
  const { site: name, lineage, last } = secondary;
  const own = lineage.some((entry, i) => entry.own && entry.startLsn <= last && (lineage[i + 1]?.startLsn ?? last + 1) > common + 1);
  const extra = `LSNs ${common + 1}..${last}`;
  if (own) return refuse('C11', 'DIVERGED', `${name} wrote ${extra} itself, which ${primary.site} does not have`);
  if (secondary.applied > common && PLANTED !== 'applied-may-be-cut')
    return refuse('C12', 'DIVERGED', `${name} has applied ${extra}, which ${primary.site} does not have`);
  return undefined;
}

function refuse(rule: string, code: ErrorCode, reason: string): ReconnectPlan {
  return { rule, action: 'refuse', code, reason };
}
