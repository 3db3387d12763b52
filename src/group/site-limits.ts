// Watches how far sites are behind and does what their limits say (core/fall-behind.ts decides). Owner of SiteProgress.enforced and
// refusing, and of Sites.throttled.
//
// Looks after every batch that is durable here, after every answer of a site, and for max_age now and then; nothing is done or allocated
// per request, or while nothing is crossed. What a crossed limit does:
//
//   alert      nothing but telling
//   throttle   no write is admitted until the site is below its low mark; reads and flushes go on
//   sync       a write is answered only when it is durable at the site
//   degrade    the site is tracked by a bitmap from now on
//   fail       writes are answered EIO
//
// throttle and sync wait for a site that answers. While it is away its on_disconnect says what happens instead: continue (writers do not
// wait for it), block (they do) or fail (EIO). While it is tracked by a bitmap they do nothing: the log is not kept for it.
//
// Age is measured on the monotonic clock: now and then the last LSN is noted, and the first note behind what a site has tells since when at
// least it lacks something. After a start it counts from there.

import {
  type FallBehindAction,
  type FallBehindLimits,
  type FallBehindState,
  isSettled,
  KEEPS_UP,
  type LimitName,
  stepFallBehind,
} from '../core/fall-behind.js';
import type { Clock, Log as Reporter, Timer } from '../core/ports.js';
import type { Log } from '../disk/log.js';
import type { SiteProgress, Sites } from './sites.js';
import type { WritePath } from './write-path.js';

/** An age is measured in steps of this part of its limit. */
const AGE_STEPS = 32;
const AGE_STEP_MIN_MS = 10;
/** Ages are looked at this often at least. */
const AGE_LOOK_MS_MAX = 1_000;
/** Notes of the last LSN: twice the limit is covered. */
const NOTES = 2 * AGE_STEPS;

/** What the limits need of their group. */
export interface LimitedGroup {
  readonly name: string;
  readonly role: 'primary' | 'secondary';
  readonly log: Log;
  readonly sites: Sites;
  readonly writePath: WritePath | undefined;
  readonly bitmaps: {
    dirtyBytes(site: string): number;
    degrade(site: string, reason: string | undefined): void;
  };
}

/** What is done about a site now, for its status. */
export type LimitStatus = {
  /** What really happens; undefined: nothing, because nothing is crossed or the site is away or tracked by a bitmap. */
  readonly effect: FallBehindAction | undefined;
  readonly crossed: readonly LimitName[];
  readonly seconds: number;
  readonly reason: string;
};

/** When the last LSN was what, newest last. */
class Notes {
  readonly #lsns = new Float64Array(NOTES);
  readonly #times = new Float64Array(NOTES);
  #head = 0;
  #count = 0;
  #notedMs = Number.NEGATIVE_INFINITY;

  note(lsn: number, nowMs: number, everyMs: number): void {
    if (nowMs - this.#notedMs < everyMs) return;
    const last = (this.#head + this.#count - 1) % NOTES;
    if (this.#count > 0 && this.#lsns[last] === lsn) return;
    this.#notedMs = nowMs;
    const at = (this.#head + this.#count) % NOTES;
    this.#lsns[at] = lsn;
    this.#times[at] = nowMs;
    if (this.#count < NOTES) this.#count++;
    else this.#head = (this.#head + 1) % NOTES;
  }

  /** At least so old is the first record behind `lsn`. */
  ageMs(lsn: number, nowMs: number): number {
    while (this.#count > 0 && (this.#lsns[this.#head] as number) <= lsn) {
      this.#head = (this.#head + 1) % NOTES;
      this.#count--;
    }
    return this.#count === 0 ? 0 : nowMs - (this.#times[this.#head] as number);
  }
}

/** A site that has limits. */
type Limited = {
  readonly site: SiteProgress;
  readonly notes: Notes;
  limits: FallBehindLimits;
  state: FallBehindState;
  effect: FallBehindAction | undefined;
  readonly backlog: { ios: number; bytes: number; ageMs: number };
};

export class SiteLimits {
  readonly #group: LimitedGroup;
  readonly #clock: Clock;
  readonly #reporter: Reporter;
  #limited: Limited[] = [];
  #timer: Timer | undefined;
  #stopped = false;
  #throttledSinceMs = 0;
  #throttledMs = 0;

  constructor(group: LimitedGroup, clock: Clock, reporter: Reporter) {
    this.#group = group;
    this.#clock = clock;
    this.#reporter = reporter;
    for (const site of group.sites.all) if (site.config.limits !== undefined) this.set(site, site.config.limits);
  }

  /** The limits of a site from now on. */
  set(site: SiteProgress, limits: FallBehindLimits): void {
    const known = this.#limited.find((other) => other.site === site);
    if (known === undefined) {
      const backlog = { ios: 0, bytes: 0, ageMs: 0 };
      this.#limited.push({ site, limits, notes: new Notes(), state: KEEPS_UP, effect: undefined, backlog });
      return;
    }
    known.limits = limits;
    known.state = stepFallBehind(known.state, known.backlog, limits, this.#clock.nowMs());
    this.#look();
  }

  limitsOf(site: SiteProgress): FallBehindLimits {
    return this.#limited.find((other) => other.site === site)?.limits ?? {};
  }

  statusOf(site: SiteProgress): LimitStatus {
    const { state, effect } = this.#limited.find((other) => other.site === site) ?? { state: KEEPS_UP, effect: undefined };
    const isCrossed = state.crossed.length > 0;
    return {
      effect,
      crossed: state.crossed.map(({ name }) => name),
      seconds: isCrossed ? (this.#clock.nowMs() - Math.min(...state.crossed.map(({ sinceMs }) => sinceMs))) / 1000 : 0,
      reason: state.reason,
    };
  }

  /** Seconds for which writers have waited for sites, since the start. */
  get throttledSeconds(): number {
    const running = this.#throttledSinceMs === 0 ? 0 : this.#clock.nowMs() - this.#throttledSinceMs;
    return (this.#throttledMs + running) / 1000;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Positions or sites changed. Writes that may be answered or admitted now are, before it returns. */
  consider(): void {
    if (this.#limited.length > 0 && !this.#stopped) this.#look();
  }

  #look(): void {
    const nowMs = this.#clock.nowMs();
    const { sites, role, writePath } = this.#group;
    let isChanged = false;
    let isThrottled = false;
    for (const limited of this.#limited) {
      isChanged = this.#step(limited, nowMs) || isChanged;
      isThrottled = isThrottled || limited.effect === 'throttle';
    }
    if (role === 'primary') this.#armTimer();
    if (!isChanged) return;
    if (sites.throttled !== isThrottled) this.#throttle(isThrottled, nowMs);
    writePath?.release();
    if (!isThrottled) writePath?.wake();
  }

  /** True when what is done about the site changed. */
  #step(limited: Limited, nowMs: number): boolean {
    const { site, backlog, limits, state } = limited;
    this.#measure(limited, nowMs);
    if (!isSettled(state, backlog, limits)) limited.state = stepFallBehind(state, backlog, limits, nowMs);
    const effect = effectOf(limited.state.action, site);
    const isReported = limited.state !== state;
    if (!isReported && effect === limited.effect) return false;
    limited.effect = effect;
    site.enforced = effect === 'sync';
    site.refusing = effect === 'fail';
    if (isReported) this.#report(limited);
    this.#group.bitmaps.degrade(site.config.name, effect === 'degrade' ? `site ${site.config.name} is ${limited.state.reason}` : undefined);
    return true;
  }

  #measure({ site, notes, limits, backlog }: Limited, nowMs: number): void {
    const { role, writePath, log, bitmaps } = this.#group;
    const appended = writePath?.lastLsn ?? log.appendedLsn;
    const lacks = role === 'primary' && appended > site.durable;
    backlog.ios = lacks ? appended - site.durable : 0;
    backlog.bytes = lacks && limits.bytes !== undefined ? log.index.payloadAfter(site.durable) + (writePath?.unsealedBytes ?? 0) : 0;
    if (lacks && limits.bytes !== undefined && site.bitmap !== undefined) {
      backlog.bytes = Math.max(backlog.bytes, bitmaps.dirtyBytes(site.config.name));
    }
    if (limits.ageMs === undefined) return;
    if (lacks) notes.note(appended, nowMs, noteMs(limits.ageMs.high));
    backlog.ageMs = lacks ? notes.ageMs(site.durable, nowMs) : 0;
  }

  /** Runs while a site with max_age lacks something. */
  #armTimer(): void {
    if (this.#timer !== undefined) return;
    let ms = Number.POSITIVE_INFINITY;
    for (const { limits, backlog } of this.#limited) {
      if (limits.ageMs !== undefined && backlog.ios > 0) ms = Math.min(ms, AGE_LOOK_MS_MAX, noteMs(limits.ageMs.high));
    }
    if (ms === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#clock.after(ms, () => {
      this.#timer = undefined;
      this.consider();
    });
  }

  #throttle(isThrottled: boolean, nowMs: number): void {
    this.#group.sites.throttled = isThrottled;
    if (isThrottled) this.#throttledSinceMs = nowMs;
    else {
      this.#throttledMs += nowMs - this.#throttledSinceMs;
      this.#throttledSinceMs = 0;
    }
  }

  #report({ site, state, effect }: Limited): void {
    const { name } = site.config;
    const fields = { group: this.#group.name, site: name, crossed: state.crossed.map((limit) => limit.name), action: effect ?? 'none' };
    if (state === KEEPS_UP)
      this.#reporter.info('limit-ended', `group ${this.#group.name}: site ${name} is within its limits again`, fields);
    else this.#reporter.warn('limit-crossed', `group ${this.#group.name}: site ${name} is ${state.reason}`, fields);
  }
}

/** Time between two notes; the notes cover twice the limit, however long it is. */
function noteMs(highMs: number): number {
  return Math.max(AGE_STEP_MIN_MS, highMs / AGE_STEPS);
}

/** What an action means for a site as it is now. */
function effectOf(action: FallBehindAction | undefined, site: SiteProgress): FallBehindAction | undefined {
  if (action !== 'throttle' && action !== 'sync') return action;
  if (site.bitmap !== undefined) return undefined;
  if (site.connected || site.onDisconnect === 'block') return action;
  return site.onDisconnect === 'fail' ? 'fail' : undefined;
}
