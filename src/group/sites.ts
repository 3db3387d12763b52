// Progress of the sites of a group as its primary knows it: what each has received, logged and applied, and whether it counts for the
// acknowledgement rule.

import { type AckLimits, ackLimits, effectiveMode, type SiteAcks } from '../core/ack-rule.js';
import { DOUBLE_ZERO } from '../core/doubles.js';
import type { SiteConfig, SiteMode } from '../core/group-config.js';
import type { PaceLimits } from '../core/resync-pace.js';
import type { SiteBitmap } from '../format/superblock.js';

/** Mutable on purpose: updated with every answer of a site. */
export class SiteProgress implements SiteAcks {
  /** Replaced when an operator changes it. */
  config: SiteConfig;
  /** Rates of its resyncs, when they are not those of the group. */
  pace: PaceLimits | undefined;
  streaming = false;
  /** See SiteAcks; group/site-limits.ts sets both. */
  enforced = false;
  refusing = false;
  connected = false;
  /** Last LSN that stands in the stream to it. */
  sent = DOUBLE_ZERO;
  received = DOUBLE_ZERO;
  durable: number;
  applied = DOUBLE_ZERO;
  /** How it is tracked, when the log does not hold all that it lacks: as in the durable superblock, or stricter. */
  bitmap: SiteBitmap | undefined;
  /** Acceptance (microseconds since 1970) of the first record it lacks, when the log forgets it; 0: not known. */
  missingSinceUs = DOUBLE_ZERO;
  /** What clients had written in this run up to the last record it has, with a bitmap (negative: before this run); undefined: not known. */
  writtenAtDurable: number | undefined;

  constructor(config: SiteConfig, ackedLsn: number) {
    this.config = config;
    this.durable = ackedLsn;
  }

  /** The log must keep what comes after; Infinity: it need not keep anything. */
  get neededFrom(): number {
    if (this.bitmap === undefined) return this.durable;
    return this.bitmap.isKept && this.bitmap.base !== undefined ? this.bitmap.base : Number.POSITIVE_INFINITY;
  }

  get mode(): SiteMode {
    return this.config.mode;
  }

  get onDisconnect(): SiteConfig['onDisconnect'] {
    return this.config.onDisconnect;
  }

  get effectiveMode(): SiteMode {
    return effectiveMode(this);
  }
}

export class Sites {
  readonly all: readonly SiteProgress[];
  /** No write is admitted at present: a site is too far behind. */
  throttled = false;
  readonly limits: AckLimits = { writeLsn: DOUBLE_ZERO, flushLsn: DOUBLE_ZERO, failing: false };

  /** `acked`: durable positions from the superblock, by site name. */
  constructor(configs: readonly SiteConfig[], acked: ReadonlyMap<string, number>) {
    this.all = configs.map((config) => new SiteProgress(config, acked.get(config.name) ?? 0));
  }

  find(name: string): SiteProgress | undefined {
    return this.all.find((site) => site.config.name === name);
  }

  /** Recomputes `limits`. */
  update(appended: number, durable: number, writeCache: boolean): AckLimits {
    ackLimits(appended, durable, writeCache, this.all, this.limits);
    return this.limits;
  }

  /** Records behind `lsn` were cut off here: no site has what comes in their place. */
  cut(lsn: number): void {
    for (const site of this.all) site.durable = Math.min(site.durable, lsn);
  }

  /** Everything up to here has been sent to every connected site; Infinity when none is connected. */
  sentToConnected(): number {
    let lsn = Number.POSITIVE_INFINITY;
    for (const site of this.all) if (site.connected && site.sent < lsn) lsn = site.sent;
    return lsn;
  }

  /** The last LSN that has been sent to any connected site; 0 when none is connected. */
  get fastestLsn(): number {
    let lsn = 0;
    for (const site of this.all) if (site.connected && site.sent > lsn) lsn = site.sent;
    return lsn;
  }

  /** No site needs the log for anything up to here: what it may forget. */
  neededFrom(upTo: number): number {
    return this.all.reduce((lsn, site) => Math.min(lsn, site.neededFrom), upTo);
  }
}
