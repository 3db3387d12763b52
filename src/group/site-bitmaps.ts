// What sites lack that the log no longer holds: a dirty bitmap for each site that was away, or slow, for longer than the log lasts.
//
// Order of durability (master invariant: no record is forgotten that a site lacks, unless the bitmap of that site covers it durably):
//   1. a site is folded: the regions of every retained record that it lacks are marked; 2. its bitmap is durable; 3. the superblock says
//   that the site is tracked by it; 4. only then a checkpoint may free what the site lacks. From 1. on the regions of a record are marked
//   when it is on its volume; every checkpoint makes the marks durable before its superblock. A start marks what it finds in the log, so
//   marks that were not durable are made again.
//   A superblock without base is durable before the first bit is cleared (group/resync-source), and one without bitmap only after the site
//   has everything.

import { assert } from '../core/assert.js';
import type { DirtyMap } from '../core/dirty-map.js';
import { LvrError } from '../core/errors.js';
import { PLANTED } from '../core/planted.js';
import type { Clock, Log as Reporter, Timer } from '../core/ports.js';
import type { BitmapOffer } from '../core/reconnect.js';
import type { BitmapStore } from '../disk/bitmap-store.js';
import type { LogBatch } from '../disk/log-batch.js';
import type { SiteBitmap, SuperblockSite } from '../format/superblock.js';
import type { BitmapGroup } from './bitmap-group.js';
import { FOLD_FREES, FoldChoice } from './fold-choice.js';
import { markBatch, markRetained } from './marks.js';
import type { SiteProgress } from './sites.js';
import type { Tracked } from './tracked.js';

export class SiteBitmaps {
  readonly #group: BitmapGroup;
  readonly #store: BitmapStore;
  readonly #clock: Clock;
  readonly #reporter: Reporter;
  readonly #tracked = new Map<string, Tracked>();
  /** Sites of which the superblock does not say yet that they are back in the log. */
  readonly #returning = new Set<string>();
  readonly #choice: FoldChoice;
  /** Clock time at which it was folded, in this process. */
  readonly #foldedMs = new Map<string, number>();
  #dwelling: Timer | undefined;
  #considering = false;
  #work: Promise<void> = Promise.resolve();
  #folding = false;
  /** It is being folded: a session that goes by the log ends with that. */
  #foldingSite: SiteProgress | undefined;
  #failed = false;
  #stopped = false;

  constructor(group: BitmapGroup, store: BitmapStore, clock: Clock, reporter: Reporter) {
    this.#group = group;
    this.#store = store;
    this.#clock = clock;
    this.#reporter = reporter;
    this.#choice = new FoldChoice(group, clock);
  }

  stop(): void {
    this.#stopped = true;
    this.#dwelling?.cancel();
  }

  /** Loads what the superblock names and marks what the log holds besides. Before anything is applied. */
  async load(): Promise<void> {
    const { log, sites } = this.#group;
    for (const { name, bitmap } of log.store.current.sites) {
      const site = sites.find(name);
      if (bitmap === undefined || site === undefined) continue;
      site.bitmap = bitmap;
      // Since when it lacks something is not known any more: since the oldest record that is left at least, or since now.
      site.missingSinceUs = log.index.timeOf(log.trimmedLsn + 1) || this.#clock.wallMs() * 1000;
      if (bitmap.isDetached === true) continue;
      const map = this.#group.newMap();
      this.#alarm(name, (await this.#store.load(bitmap.slot, map, bitmap.uuid)).badPages);
      // A secondary keeps its log for nobody; everything in it is marked below.
      site.bitmap = this.#group.role === 'primary' ? bitmap : { ...bitmap, isKept: false };
      this.#tracked.set(name, { site, map, slot: bitmap.slot, uuid: bitmap.uuid, marks: true, endLsn: undefined });
    }
    await this.#markRetained([...this.#tracked.values()], log.trimmedLsn);
    await this.#store.renew([...this.#tracked.values()]);
  }

  #alarm(site: string, badPages: number): void {
    if (badPages === 0) return;
    const message = `group ${this.#group.name}: ${badPages} pages of the bitmap of site ${site} are damaged and count as all dirty`;
    this.#reporter.error('bitmap-damaged', message, { group: this.#group.name, site, badPages });
  }

  /** What this site has for another one, for its history. */
  offer(site: string): BitmapOffer | undefined {
    const bitmap = this.#group.sites.find(site)?.bitmap;
    return bitmap && { uuid: bitmap.uuid, base: bitmap.isDetached === true ? undefined : bitmap.base, isKept: bitmap.isKept };
  }

  /** Clock time at which a site was folded; long ago when that was before this process. */
  foldedMs(site: string): number {
    return this.#foldedMs.get(site) ?? Number.NEGATIVE_INFINITY;
  }

  /** The bitmap of a site, for who judges it. */
  mapOf(site: string): DirtyMap | undefined {
    return this.#tracked.get(site)?.map;
  }

  /** Bytes that a site lacks according to its bitmap. */
  dirtyBytes(site: string): number {
    return this.#tracked.get(site)?.map.dirtyBytes ?? 0;
  }

  /** Per-site fields of the superblock as of now. */
  superblockSites(): SuperblockSite[] {
    return this.#group.sites.all.map(({ config, durable, bitmap }) => ({ name: config.name, ackedLsn: durable, bitmap }));
  }

  /** A batch is on the volumes. */
  applied(batch: LogBatch): void {
    for (const { map, marks } of this.#tracked.values()) if (marks) markBatch(map, batch);
  }

  /** Makes the marks durable: before a superblock lets the log forget the records that made them. */
  async flush(): Promise<void> {
    if (PLANTED === 'log-dropped-before-bitmap') return;
    for (const { slot, map, uuid } of [...this.#tracked.values()]) await this.#store.flush(slot, map, uuid);
  }

  /**
   * The log is not to be kept for a site any more, which is that far behind: folds it as soon as it may change, and once: a site that is
   * back from its bitmap may catch up. undefined: it may stay.
   */
  degrade(name: string, reason: string | undefined): void {
    this.#choice.degrade(name, reason);
    this.consider();
  }

  /**
   * Called when log space got short or a site's state changed: folds the site that keeps the log from moving on, if there is one. At the
   * end of the turn, because it ends a session, which may be what changed.
   */
  consider(): void {
    for (const site of this.#group.sites.all) if (site.bitmap?.isDetached === true) this.#readmit(site);
    if (this.#considering || this.#folding || !this.#choice.isDue) return;
    this.#considering = true;
    this.#clock.soon(() => {
      this.#considering = false;
      this.#consider();
    });
  }

  #consider(): void {
    const { role, changing } = this.#group;
    if (this.#folding || this.#failed || this.#stopped || role !== 'primary' || changing) return;
    const fold = this.#choice.next();
    if (fold === undefined) return;
    if (fold.waitMs > 0) {
      this.#dwelling?.cancel();
      this.#dwelling = this.#clock.after(fold.waitMs, () => this.consider());
      return;
    }
    this.#folding = true;
    this.#inTurn(() => this.#foldNext())
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#folding = false;
        this.consider();
      });
  }

  /** Chosen anew when its turn comes: the site may be back in the log meanwhile. */
  async #foldNext(): Promise<void> {
    const fold = this.#choice.next();
    if (fold === undefined || fold.waitMs > 0 || this.#group.changing) return;
    const { site, why } = fold;
    this.#foldingSite = site;
    if (site.missingSinceUs === 0) site.missingSinceUs = this.#group.log.index.timeOf(site.durable + 1);
    site.writtenAtDurable ??= this.#group.writtenUpTo(site.durable);
    await (fold.isGivenUp ? this.#detach(site) : this.#fold(site, why)).finally(() => {
      this.#foldingSite = undefined;
    });
  }

  /** The log is about to keep nothing for anybody: this site is tracked by its bitmap, durably, unless it was given up. */
  track(site: SiteProgress, why: string): Promise<void> {
    return this.#inTurn(async () => void (site.bitmap?.isDetached !== true && (await this.#fold(site, why))));
  }

  async #fold(site: SiteProgress, why: string): Promise<void> {
    const { log, name } = this.#group;
    const away = site.connected || this.#group.isCopying(site) ? '' : ' (away)';
    const known = this.#tracked.get(site.config.name);
    // The site may have what this one has not made durable, and others take the place of what is lost.
    const from = Math.min(site.neededFrom, log.durableLsn);
    const tracked = known ?? this.#begin(site);
    // What the log had forgotten before, as a secondary does without asking, no bitmap knows.
    const least = PLANTED === 'bitmap-base-too-old' ? from : Math.max(from, log.trimmedLsn);
    const base = known === undefined ? least : site.bitmap?.base;
    tracked.endLsn = undefined;
    // From here on what is applied is marked; the session that would have ended the tracking ends without it.
    tracked.marks = true;
    this.#group.siteFolded(site);
    await this.#markRetained([tracked], from);
    if (known === undefined) await this.#store.create(tracked.slot, tracked.uuid, tracked.map);
    else await this.#store.flush(tracked.slot, tracked.map, tracked.uuid);
    const bitmap: SiteBitmap = { uuid: tracked.uuid, slot: tracked.slot, base, isKept: false };
    await this.#record(site, bitmap);
    site.bitmap = bitmap;
    this.#choice.degrade(site.config.name, undefined);
    this.#foldedMs.set(site.config.name, this.#clock.nowMs());
    const message = `group ${name}: ${why}, site ${site.config.name}${away} is tracked by a bitmap from LSN ${from + 1} on`;
    this.#reporter.warn('bitmap-mode', message, { group: name, site: site.config.name, lsn: from, used: log.usedBytes });
    this.#group.siteFolded(site);
    this.#group.logFreed();
  }

  /**
   * The log may move on without the site: recorded durably first, in the place of any bitmap it had. If it comes back before the log has
   * moved on, it goes on from there, but nothing is kept for it until it has caught up.
   */
  async #detach(site: SiteProgress): Promise<void> {
    const { log, name } = this.#group;
    const lsn = site.neededFrom;
    const bitmap: SiteBitmap = { uuid: this.#group.newUuid(), slot: 0, base: undefined, isKept: false, isDetached: true };
    await this.#record(site, bitmap);
    this.#tracked.delete(site.config.name);
    site.bitmap = bitmap;
    const message = `group ${name}: the log is full and moves on without site ${site.config.name}, which needs a seed (log_full = "detach")`;
    this.#reporter.error('site-detached', message, { group: name, site: site.config.name, lsn, used: log.usedBytes });
    this.#group.siteFolded(site);
    this.#group.logFreed();
  }

  /** A site that was given up and streams from the log all the same, and has all but a little: the log keeps what it lacks again. */
  #readmit(site: SiteProgress): void {
    const { log } = this.#group;
    if (!site.connected || this.#returning.has(site.config.name) || site.durable < log.store.newest.trimmedLsn) return;
    if (log.index.payloadAfter(site.durable) > log.ring.bytes * FOLD_FREES) return;
    site.bitmap = { ...(site.bitmap as SiteBitmap), base: site.durable, isKept: true };
    this.#return(site);
  }

  #begin(site: SiteProgress): Tracked {
    const { log, sites } = this.#group;
    // A slot that a superblock still names, or may soon, is not begun anew.
    const bitmaps = [...log.store.current.sites, ...sites.all].map(({ bitmap }) => bitmap);
    const named = bitmaps.flatMap((bitmap) => (bitmap === undefined ? [] : [bitmap.slot]));
    const used = new Set([...[...this.#tracked.values()].map(({ slot }) => slot), ...named]);
    let slot = 0;
    while (used.has(slot)) slot++;
    const tracked = { site, map: this.#group.newMap(), slot, uuid: this.#group.newUuid(), marks: true, endLsn: undefined };
    this.#tracked.set(site.config.name, tracked);
    return tracked;
  }

  /** Durably says how a site is tracked. */
  #record(site: SiteProgress, bitmap: SiteBitmap | undefined): Promise<void> {
    return this.#group.log.store.update((current) => ({
      ...current,
      sites: this.superblockSites().map((entry) => (entry.name === site.config.name ? { ...entry, bitmap } : entry)),
    }));
  }

  /** Marks what the log holds behind `from` and the volumes have. Where it cannot be read, everything counts as dirty. */
  async #markRetained(tracked: readonly Tracked[], from: number): Promise<void> {
    const { name, log, applier } = this.#group;
    const unread = await markRetained(tracked, from, log, applier);
    if (unread === undefined) return;
    const sites = tracked.map(({ site }) => site.config.name).join(', ');
    this.#reporter.error('bitmap-all-dirty', `group ${name}: all of site ${sites} counts as dirty: ${unread.message}`, { group: name });
  }

  /** Marks what the log was kept for, durably. */
  async #markKept(tracked: Tracked): Promise<void> {
    tracked.endLsn = undefined;
    if (!tracked.marks) {
      tracked.marks = true;
      await this.#markRetained([tracked], tracked.site.neededFrom);
    }
    await this.#store.flush(tracked.slot, tracked.map, tracked.uuid);
  }

  /**
   * The role is about to be given up: from then on the log keeps nothing for anybody, so whatever it was to keep is marked. Durable before
   * it returns. No fold and no copy may begin any more.
   */
  async retire(): Promise<void> {
    await this.#work;
    if (PLANTED === 'kept-log-not-marked') return;
    for (const tracked of this.#tracked.values()) {
      const { site } = tracked;
      if (site.bitmap === undefined) continue;
      await this.#markKept(tracked);
      // It may have come back to the log meanwhile.
      if (site.bitmap !== undefined) site.bitmap = { ...site.bitmap, isKept: false };
    }
  }

  /** The volumes here are about to be overwritten with what no record says: every site that is tracked may lack all of it. */
  overwriting(): void {
    if (PLANTED === 'overwritten-not-marked') return;
    for (const { map } of this.#tracked.values()) map.markAll();
  }

  /** One change of how sites are tracked after the other. */
  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const turn = this.#work.then(work);
    this.#work = turn.then(() => undefined).catch(() => undefined);
    return turn;
  }

  #assertPrimary(site: string): void {
    const { role, changing, name } = this.#group;
    if (role === 'primary' && !changing) return;
    throw new LvrError('ROLE', `group ${name}: site ${site} cannot be brought back while the role changes`);
  }

  // ---- a resync of the site

  /** The map of a site that is about to be copied from: complete, with every bit to be copied, and durably without base. */
  startCopy(name: string): Promise<DirtyMap> {
    return this.#inTurn(() => this.#startCopy(name));
  }

  async #startCopy(name: string): Promise<DirtyMap> {
    this.#assertPrimary(name);
    const tracked = this.#tracked.get(name);
    if (tracked?.site.bitmap === undefined) throw new LvrError('FAILED', `site ${name} is not tracked by a bitmap any more`);
    const { site, map } = tracked;
    await this.#markKept(tracked);
    const bitmap: SiteBitmap = { uuid: tracked.uuid, slot: tracked.slot, base: undefined, isKept: false };
    await this.#record(site, bitmap);
    site.bitmap = bitmap;
    map.retryAll();
    return map;
  }

  /** The rest is small: from now on the log keeps what the site lacks. Returns the base, the last record that the map covers. Durable. */
  keepLog(name: string): Promise<number> {
    return this.#inTurn(() => this.#keepLog(name));
  }

  async #keepLog(name: string): Promise<number> {
    this.#assertPrimary(name);
    const tracked = this.#tracked.get(name);
    assert(tracked?.marks === true, `site ${name} is being copied to`);
    const { site } = tracked;
    const base = this.#group.applier.appliedLsn;
    tracked.marks = false;
    site.bitmap = { uuid: tracked.uuid, slot: tracked.slot, base, isKept: true };
    await this.#record(site, site.bitmap);
    return base;
  }

  /** The end mark is about to be sent. */
  copied(name: string, endLsn: number): void {
    const tracked = this.#tracked.get(name);
    if (tracked?.marks === false) tracked.endLsn = endLsn;
  }

  /** The positions of a site moved. True when they count, because its copy is consistent. */
  progress(site: SiteProgress, applied: number): boolean {
    const tracked = this.#tracked.get(site.config.name);
    if (tracked === undefined) return true;
    if (tracked.endLsn === undefined || applied < tracked.endLsn) return false;
    this.#return(tracked.site);
    return true;
  }

  /** A session ships from the log to a site that is consistent: it needs no bitmap. */
  streaming(site: SiteProgress, from: number): void {
    const tracked = this.#tracked.get(site.config.name);
    if (tracked === undefined || site.bitmap === undefined || tracked.endLsn !== undefined || this.#foldingSite === site) return;
    // The log moved on since the sites agreed: the sender will find nothing, and they meet again.
    if (from <= this.#group.log.store.newest.trimmedLsn) return;
    // What it lacks must stay in the log until the superblock knows.
    site.bitmap = { ...site.bitmap, base: Math.min(from - 1, this.#group.log.durableLsn), isKept: true };
    this.#return(site);
  }

  #return(site: SiteProgress): void {
    const [name, group] = [site.config.name, this.#group.name];
    this.#tracked.delete(name);
    this.#returning.add(name);
    this.#choice.returned(name);
    this.#record(site, undefined)
      .then(() => {
        this.#returning.delete(name);
        this.#choice.returned(name);
        if (!this.#tracked.has(name)) {
          site.bitmap = undefined;
          site.missingSinceUs = 0;
          site.writtenAtDurable = undefined;
          this.#group.siteReturned(site);
        }
        this.#reporter.info('bitmap-left', `group ${group}: site ${name} is tracked by the log again`, { group, site: name });
        this.#group.logFreed();
      })
      .catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (this.#failed || this.#stopped) return;
    this.#failed = true;
    this.#group.failed(error instanceof LvrError ? error : new LvrError('FAILED', String(error)));
  }
}
