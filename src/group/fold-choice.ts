// Which site the log need not be kept for any more: one that is further behind than its limits allow, or the one that keeps a full log from
// moving on, as its configuration says. Decides; group/site-bitmaps carries it out.

import type { Clock } from '../core/ports.js';
import type { Log } from '../disk/log.js';
import type { Applier } from './applier.js';
import type { SiteProgress, Sites } from './sites.js';

/** A site is folded when this much of the log is used, so that writers need not wait for it. */
export const FOLD_ABOVE = 7 / 8;
/** It must free at least this part of the log. */
export const FOLD_FREES = 1 / 8;

/** What the choice depends on. */
export interface FoldGroup {
  readonly log: Log;
  readonly applier: Applier;
  readonly sites: Sites;
  /** Since when writers wait for log space; 0: they do not. */
  readonly logFullSince: number;
  /** A site changes between log and bitmap no more often. */
  readonly minDwellMs: number;
  /** Regions are being copied to it: it is not away, although no records flow yet. */
  isCopying(site: SiteProgress): boolean;
  /** The log is full of what the site lacks, and its configuration says that writes fail then. */
  refuseWrites(site: SiteProgress): void;
}

/** `isGivenUp`: nothing is to record what it lacks. `waitMs`: it must stay with the log so long. */
export type Fold = { readonly site: SiteProgress; readonly why: string; readonly isGivenUp: boolean; readonly waitMs: number };

export class FoldChoice {
  readonly #group: FoldGroup;
  readonly #clock: Clock;
  /** Clock time at which a site went back to the log. */
  readonly #returnedMs = new Map<string, number>();
  /** Sites that are to be folded whatever room there is in the log, and why. */
  readonly #degrading = new Map<string, string>();

  constructor(group: FoldGroup, clock: Clock) {
    this.#group = group;
    this.#clock = clock;
  }

  /** A site is too far behind, for this reason; undefined: it may stay. */
  degrade(name: string, reason: string | undefined): void {
    if (reason === undefined) this.#degrading.delete(name);
    else this.#degrading.set(name, reason);
  }

  /** A site went back to the log. */
  returned(name: string): void {
    this.#returnedMs.set(name, this.#clock.nowMs());
  }

  /** There may be something to choose. */
  get isDue(): boolean {
    return this.#isShort || this.#degrading.size > 0;
  }

  /** The site to fold next. */
  next(): Fold | undefined {
    const candidates = [this.#degraded(), this.#isShort ? this.#foldable() : undefined];
    const [site] = candidates.filter((candidate) => candidate !== undefined).sort((x, y) => this.#dwellMs(x) - this.#dwellMs(y));
    if (site === undefined) return undefined;
    const degrading = this.#degrading.get(site.config.name);
    return { site, why: degrading ?? 'the log is full', isGivenUp: this.#isGivenUp(site), waitMs: this.#dwellMs(site) };
  }

  get #isShort(): boolean {
    const { log, logFullSince } = this.#group;
    return log.usedBytes >= log.ring.bytes * FOLD_ABOVE || logFullSince > 0;
  }

  /**
   * How long a site must stay with the log yet. Not when the log is short of space because of one that is away: writers would wait for
   * nothing, because it cannot catch up meanwhile. But one that would be given up may come back in that time.
   */
  #dwellMs(site: SiteProgress): number {
    const isDegrading = this.#degrading.has(site.config.name);
    if (this.#isShort && this.#isAway(site) && !isDegrading && !this.#isGivenUp(site)) return 0;
    const returnedMs = this.#returnedMs.get(site.config.name) ?? Number.NEGATIVE_INFINITY;
    return Math.max(0, returnedMs + this.#group.minDwellMs - this.#clock.nowMs());
  }

  /** Nothing is to record what it lacks, should it be folded now. */
  #isGivenUp(site: SiteProgress): boolean {
    return site.config.logFull === 'detach' && !this.#degrading.has(site.config.name) && !hasBitmap(site);
  }

  #degraded(): SiteProgress | undefined {
    for (const name of this.#degrading.keys()) {
      const site = this.#group.sites.find(name);
      if (site !== undefined && site.bitmap === undefined) return site;
    }
    return undefined;
  }

  #foldable(): SiteProgress | undefined {
    const site = this.#holder();
    if (site === undefined) return undefined;
    const { logFull } = site.config;
    // The log is kept for the end of its resync. What the bitmap has is lost by nothing else than going back to it.
    if (hasBitmap(site) && logFull !== 'bitmap-if-disconnected' && logFull !== 'throttle') return site;
    switch (logFull) {
      case 'bitmap-if-disconnected':
        return this.#isAway(site) ? site : undefined;
      case 'throttle':
        return hasBitmap(site) && this.#isAway(site) ? site : undefined;
      case 'fail':
        this.#group.refuseWrites(site);
        return undefined;
      case 'detach':
        // It costs a whole copy: not before somebody waits.
        return this.#group.logFullSince > 0 ? site : undefined;
      default:
        return site;
    }
  }

  /** Nothing brings it nearer, also where that is because its copy is paused or waits for its turn. */
  #isAway(site: SiteProgress): boolean {
    return !site.connected && !this.#group.isCopying(site);
  }

  /** The site that needs the oldest records, if the log could forget a good part of them without it. */
  #holder(): SiteProgress | undefined {
    const { sites, applier, log } = this.#group;
    let holder: SiteProgress | undefined;
    for (const site of sites.all) if (site.neededFrom < (holder?.neededFrom ?? applier.appliedLsn)) holder = site;
    if (holder === undefined) return undefined;
    const frees = log.trimmedAt(applier.appliedLsn).trimmedPosition - log.trimmedAt(holder.neededFrom).trimmedPosition;
    return frees >= log.ring.bytes * FOLD_FREES ? holder : undefined;
  }
}

/** A bitmap tells what the site lacks, but for what the log is kept for. */
function hasBitmap({ bitmap }: SiteProgress): boolean {
  return bitmap !== undefined && bitmap.isDetached !== true;
}
