// What status says about time: how fast is written, when the log is full of what a site lacks, and how far a resync is. Looks once a second
// at most, when something moved or somebody asks; positions and sizes come from their owners, only the rates are kept here.

import type { Clock } from '../core/ports.js';
import { Rate } from '../core/rate.js';
import type { ResyncStatus } from '../core/status.js';
import type { Log } from '../disk/log.js';
import { FOLD_ABOVE } from './fold-choice.js';
import type { ResyncSource } from './resync-source.js';
import type { SiteProgress, Sites } from './sites.js';

const EVERY_MS = 1_000;
/** A resync has no honest estimate before. */
const ESTIMATE_AFTER_MS = 10_000;
/** Later than this is as good as never. */
const ETA_SECONDS_MAX = 30 * 86_400;

/** What progress is made of. */
export interface ProgressGroup {
  readonly role: 'primary' | 'secondary';
  readonly log: Log;
  readonly sites: Sites;
  readonly bitmaps: { dirtyBytes(site: string): number };
  /** Payload bytes that clients have written in this run. */
  readonly writtenBytes: number;
}

/** A resync that is under way. */
type Copy = { readonly source: ResyncSource; readonly sinceMs: number; readonly copied: Rate; readonly remaining: Rate };

/** Bytes: as in ResyncStatus, over several resyncs. */
export type ResyncTotals = { readonly copiedBytes: number; readonly comparedBytes: number; readonly sameBytes: number };

const NOTHING: ResyncTotals = { copiedBytes: 0, comparedBytes: 0, sameBytes: 0 };

function totals(before: ResyncTotals, { copiedBytes, compare }: ResyncSource): ResyncTotals {
  return {
    copiedBytes: before.copiedBytes + copiedBytes,
    comparedBytes: before.comparedBytes + compare.comparedBytes,
    sameBytes: before.sameBytes + compare.sameBytes,
  };
}

export class Progress {
  readonly #group: ProgressGroup;
  readonly #clock: Clock;
  readonly #copies = new Map<string, Copy>();
  /** What resyncs before have done. */
  readonly #before = new Map<string, ResyncTotals>();
  /** Log space that each site needs. */
  readonly #needed = new Map<string, Rate>();
  #written: Rate | undefined;
  #headRate: Rate | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(group: ProgressGroup, clock: Clock) {
    this.#group = group;
    this.#clock = clock;
  }

  started(site: string, source: ResyncSource): void {
    const nowMs = this.#clock.nowMs();
    const remaining = new Rate(this.#left(site, source), nowMs);
    this.#copies.set(site, { source, sinceMs: nowMs, copied: new Rate(0, nowMs), remaining });
  }

  stopped(site: string, source: ResyncSource): void {
    this.#before.set(site, totals(this.#before.get(site) ?? NOTHING, source));
    if (this.#copies.get(site)?.source === source) this.#copies.delete(site);
  }

  sourceOf(site: string): ResyncSource | undefined {
    return this.#copies.get(site)?.source;
  }

  /** What resyncs of a site have done since the start. */
  resynced(site: string): ResyncTotals {
    const before = this.#before.get(site) ?? NOTHING;
    const copy = this.#copies.get(site);
    return copy === undefined ? before : totals(before, copy.source);
  }

  /** Takes note of how things stand. */
  look(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lookedMs < EVERY_MS) return;
    this.#lookedMs = nowMs;
    const { writtenBytes, sites } = this.#group;
    this.#written ??= new Rate(writtenBytes, nowMs);
    this.#written.add(writtenBytes, nowMs);
    const head = this.#head();
    this.#headRate ??= new Rate(head, nowMs);
    this.#headRate.add(head, nowMs);
    for (const site of sites.all) {
      const { name } = site.config;
      const bytes = this.#neededBytes(site, head);
      let needed = this.#needed.get(name);
      if (needed === undefined) {
        needed = new Rate(bytes, nowMs);
        this.#needed.set(name, needed);
      }
      needed.add(bytes, nowMs);
      const copy = this.#copies.get(name);
      copy?.copied.add(copy.source.copiedBytes, nowMs);
      copy?.remaining.add(this.#left(name, copy.source), nowMs);
    }
  }

  /** Bytes of payload a second. */
  get writeRate(): number {
    this.look();
    return Math.max(0, this.#written?.perSecond ?? 0);
  }

  /** Seconds until the log is full of what the site lacks, or a bitmap takes over; undefined: not at this rate. */
  logFullEta(site: SiteProgress): number | undefined {
    this.look();
    const { log, role } = this.#group;
    if (role !== 'primary' || site.neededFrom === Number.POSITIVE_INFINITY) return undefined;
    const { logFull } = site.config;
    const isWholeUsed = logFull === 'throttle' || logFull === 'fail' || logFull === 'detach';
    const room = log.ring.bytes * (isWholeUsed ? 1 : FOLD_ABOVE);
    const grown = this.#needed.get(site.config.name)?.perSecond ?? 0;
    // A site that is away takes nothing: all that is written stays.
    const perSecond = site.connected ? grown : Math.max(grown, this.#headRate?.perSecond ?? 0);
    if (perSecond <= 0) return undefined;
    const seconds = Math.max(0, room - this.#neededBytes(site, this.#head())) / perSecond;
    return seconds > ETA_SECONDS_MAX ? undefined : seconds;
  }

  /** The resync of a site; undefined when none is under way. */
  resyncOf(site: string): ResyncStatus | undefined {
    this.look();
    const copy = this.#copies.get(site);
    if (copy === undefined) return undefined;
    const { source, sinceMs, copied, remaining } = copy;
    const seconds = (this.#clock.nowMs() - sinceMs) / 1000;
    const remainingBytes = this.#left(site, source);
    const total = source.copiedBytes + remainingBytes;
    // What is written meanwhile becomes dirty again: the rest shrinks slower than is copied.
    const shrinks = Math.min(copied.perSecond, -remaining.perSecond);
    const isKnown = source.turn.state === 'running' && seconds * 1000 >= ESTIMATE_AFTER_MS && shrinks > 0;
    return {
      state: source.turn.state,
      reason: source.turn.reason,
      percent: total === 0 ? 100 : Math.floor((1000 * source.copiedBytes) / total) / 10,
      copiedBytes: source.copiedBytes,
      comparedBytes: source.compare.comparedBytes,
      sameBytes: source.compare.sameBytes,
      remainingBytes,
      bytesPerSecond: Math.round(Math.max(0, copied.perSecond)),
      etaSeconds: isKnown ? Math.ceil(remainingBytes / shrinks) : null,
      seconds,
    };
  }

  /** Bytes that a resync has still to copy: before it begins whole regions. */
  #left(site: string, source: ResyncSource): number {
    return source.leftBytes ?? this.#group.bitmaps.dirtyBytes(site);
  }

  #head(): number {
    const { log } = this.#group;
    return log.trimmedAt(log.appendedLsn).trimmedPosition;
  }

  #neededBytes(site: SiteProgress, head: number): number {
    const { log } = this.#group;
    if (site.neededFrom === Number.POSITIVE_INFINITY) return 0;
    return Math.max(0, head - log.trimmedAt(site.neededFrom).trimmedPosition);
  }
}
