// The link of one group to one site: dials while this site is primary, accepts what the listener brings, has at most one session, and
// says what state it is in.
//
//   offline ──> connecting ──> handshaking ──> connected
//      ^            |               |              |
//      └────────────┴───────────────┴──────────────┘   lost: again after a growing, jittered delay (primary), or wait (secondary)
//   refused: as offline, with the reason; a primary tries again like after a loss
//
// A newer accepted session replaces the older one. When both ends dial at once, both keep the dial of the site whose name sorts first.

import { DOUBLE_ZERO } from '../core/doubles.js';
import { LvrError, messageOf } from '../core/errors.js';
import type { SiteConfig, SiteMode } from '../core/group-config.js';
import { LINK_BACKOFF_MAX_MS, LINK_BACKOFF_MIN_MS, LINK_CONNECT_MS, LINK_PING_MS, LINK_TICK_MS } from '../core/limits.js';
import type { Clock, Log, Timer } from '../core/ports.js';
import type { Replication, Session as SessionStatus } from '../core/status.js';
import type { Hello } from '../format/wire.js';
import { checkHello, insecureRefusal, isLoopback } from './handshake.js';
import type { ByteStream, Network, ReadOwner, ReceiveSink, Refusal, ShipSource, VolumeRead } from './ports.js';
import { Session } from './session.js';
import type { SessionEnd, SessionOwner } from './session-parts.js';

/** What a link needs. `random` gives numbers from 0 to below 1; `onChange` is called when session, replication or reason changed. */
export type SiteLinkOptions = {
  readonly group: ShipSource & ReceiveSink;
  readonly config: SiteConfig;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: () => number;
  /** Plain TCP beyond this machine is allowed. */
  readonly insecure: boolean;
  readonly log: Log;
  readonly onChange?: () => void;
};

/** The link as status shows it. Times in milliseconds of the link's clock. */
export type LinkState = {
  readonly session: SessionStatus;
  readonly replication: Replication;
  /** Why the session is refused or offline, in words; empty while connected. */
  readonly reason: string;
  /** LvrError code of the last refusal; empty otherwise. */
  readonly code: string;
  /** Rule of the last plan (core/reconnect.ts), empty before the first. */
  readonly rule: string;
  readonly remoteRole: 'primary' | 'secondary' | undefined;
  /** Clock time at which the site was heard last; 0: never. */
  readonly lastSeenMs: number;
  /** Round trip of the last heartbeat; 0: none yet. */
  readonly rttMs: number;
  /** Last LSN sent in this session. */
  readonly sentLsn: number;
  /** The session is plain TCP beyond this machine. */
  readonly insecure: boolean;
};

/** Totals since the link was made. A resent record is one that an earlier session had already sent. */
export type LinkCounters = {
  sentBytes: number;
  sentRecords: number;
  receivedBytes: number;
  receivedRecords: number;
  connects: number;
  resentRecords: number;
};

export class SiteLink implements SessionOwner {
  readonly #options: SiteLinkOptions;
  readonly #site: string;
  #role: 'primary' | 'secondary' = 'secondary';
  /** Epoch at the last change of role; -1: not started. */
  #epoch = -1;
  #started = false;
  #session: Session | undefined;
  /** Counts dials, so that one that was given up is recognised when it ends. */
  #dialNumber = 0;
  #dialing: Promise<void> | undefined;
  /** Sessions that ended but whose work for the group still goes on. */
  readonly #ending = new Set<Promise<void>>();
  #failures = 0;
  #retryAtMs = DOUBLE_ZERO;
  #timer: Timer | undefined;
  #lastTickMs = DOUBLE_ZERO;
  #status: SessionStatus = 'offline';
  #reason = '';
  #code = '';
  #rule = '';
  #remoteRole: 'primary' | 'secondary' | undefined;
  #lastSeenMs = DOUBLE_ZERO;
  #rttMs = DOUBLE_ZERO;
  #highestSentLsn = DOUBLE_ZERO;
  #shown = 'offline stopped ';
  #mode: SiteMode;
  #isPaused = false;
  readonly #totals: LinkCounters = {
    sentBytes: DOUBLE_ZERO,
    sentRecords: 0,
    receivedBytes: DOUBLE_ZERO,
    receivedRecords: 0,
    connects: 0,
    resentRecords: 0,
  };

  constructor(options: SiteLinkOptions) {
    this.#options = options;
    this.#site = options.config.name;
    this.#mode = options.config.mode;
  }

  /** Begins to dial (primary) or to accept. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#lastTickMs = this.#options.clock.nowMs();
    this.#armTick();
    this.roleChanged();
  }

  /** Ends the session; resolves when nothing of this link touches the group any more. */
  async stop(): Promise<void> {
    this.#started = false;
    this.#epoch = -1;
    this.#timer?.cancel();
    this.#dialNumber++;
    this.#session?.bye('the agent stops');
    await Promise.all(this.#ending);
  }

  /** The group was promoted or demoted: the two sites must meet again. */
  roleChanged(): void {
    if (!this.#started) return;
    const { role, epoch } = this.#options.group.history(this.#site);
    if (role === this.#role && epoch === this.#epoch) return;
    this.#role = role;
    this.#epoch = epoch;
    this.#dialNumber++;
    this.#session?.bye(`site ${this.#options.group.site} is ${this.#role} now`);
    this.#failures = 0;
    this.#retryAtMs = 0;
    this.#code = '';
    this.#show('offline', this.#isPaused ? this.#pauseReason : '');
    this.#maybeDial();
  }

  /** The session goes by what no longer holds: ends it, so that the sites decide anew. */
  meetAgain(reason: string): void {
    this.#session?.bye(reason);
  }

  /** No session while paused. True when that changed something. */
  setPaused(isPaused: boolean): boolean {
    if (isPaused === this.#isPaused) return false;
    this.#isPaused = isPaused;
    if (isPaused) {
      this.#dialNumber++;
      this.#session?.bye(this.#pauseReason);
      this.#show('offline', this.#pauseReason);
    } else {
      this.#show('offline', '');
      this.retry();
    }
    return true;
  }

  get #pauseReason(): string {
    return `the link to site ${this.#site} is paused at site ${this.#options.group.site}`;
  }

  /** Dials at once, whatever went wrong before (primary). */
  retry(): void {
    this.#failures = 0;
    this.#retryAtMs = 0;
    this.#maybeDial();
  }

  /** What the site is asked for in sessions from now on. */
  setMode(mode: SiteMode): void {
    this.#mode = mode;
  }

  /** There may be something to send: a batch was sealed or the durable LSN moved. Called by the group once per turn. */
  pump(): void {
    this.#session?.pump();
  }

  /**
   * Asks the site for a piece of a volume. Returns what cancels that; undefined: it has no session in which it receives records, or does
   * not know how to answer.
   */
  read(read: VolumeRead, owner: ReadOwner): (() => void) | undefined {
    return this.#session?.read(read, owner);
  }

  /**
   * Takes over an accepted stream whose hello came from this link's site. A refusal is for the listener to send; the stream stays the
   * listener's then. Must be called before the stream delivers more bytes.
   */
  accept(stream: ByteStream, hello: Hello): Refusal | undefined {
    const { group, insecure } = this.#options;
    if (!this.#started) return { code: 'WRONG_GROUP', reason: `group ${group.name} is stopping at site ${group.site}` };
    if (this.#isPaused) return { code: 'FAILED', reason: this.#pauseReason };
    const refusal = !insecure && !isLoopback(stream.remote) ? insecureRefusal(stream.remote) : checkHello(hello, group, this.#site);
    if (refusal !== undefined) {
      if (this.#session === undefined) this.#refused(refusal);
      return refusal;
    }
    const older = this.#session;
    if (older?.dialed && !older.isRunning && group.site < this.#site) {
      return { code: 'FAILED', reason: `site ${group.site} is connecting to ${this.#site} itself` };
    }
    this.#dialNumber++;
    older?.replace();
    this.#open(stream, hello.session, hello);
    return undefined;
  }

  /** The state as of now. */
  state(): LinkState {
    const session = this.#session;
    return {
      session: this.#status,
      replication: this.#replication(),
      reason: this.#reason,
      code: this.#code,
      rule: session?.rule || this.#rule,
      remoteRole: session?.remoteRole ?? this.#remoteRole,
      lastSeenMs: session?.lastReceivedMs ?? this.#lastSeenMs,
      rttMs: session?.rttMs ?? this.#rttMs,
      sentLsn: session?.sentLsn ?? 0,
      insecure: session !== undefined && !isLoopback(session.remote),
    };
  }

  /** Totals as of now. */
  get counters(): Readonly<LinkCounters> {
    const { counters, sentLsn } = this.#session ?? {};
    const totals = { ...this.#totals };
    if (counters === undefined) return totals;
    totals.sentBytes += counters.sentBytes;
    totals.sentRecords += counters.sentRecords;
    totals.receivedBytes += counters.receivedBytes;
    totals.receivedRecords += counters.receivedRecords;
    totals.resentRecords += resent(counters.sentRecords, sentLsn ?? 0, this.#highestSentLsn);
    return totals;
  }

  // ---- Sessions ----

  sessionChanged(session: Session): void {
    if (session !== this.#session) return;
    if (!session.isRunning) return this.#show(this.#status, this.#reason);
    if (this.#status !== 'connected') {
      this.#failures = 0;
      this.#totals.connects++;
      this.#code = '';
      this.#options.log.info('link-connected', `site ${this.#site} is connected`, this.#fields({ rule: session.rule }));
    }
    this.#show('connected', '');
  }

  sessionEnded(session: Session, end: SessionEnd): void {
    if (session !== this.#session) return;
    const totals = this.counters;
    const { rule, remoteRole, sentLsn } = session;
    Object.assign(this.#totals, totals);
    this.#highestSentLsn = Math.max(this.#highestSentLsn, sentLsn);
    this.#lastSeenMs = session.lastReceivedMs;
    this.#rttMs = session.rttMs;
    if (rule !== '') this.#rule = rule;
    if (remoteRole !== undefined) this.#remoteRole = remoteRole;
    this.#session = undefined;
    this.#track(session.settled());
    if (end.kind === 'refused') return this.#refused(end);
    this.#failed(end.reason, end.kind === 'lost');
  }

  #open(stream: ByteStream, id: number, hello: Hello | undefined): void {
    const { group, clock } = this.#options;
    const before = Promise.all(this.#ending).then(() => {});
    this.#session = new Session({ group, site: this.#site, mode: this.#mode, clock, owner: this, before }, stream, id, hello);
    this.#show('handshaking', this.#reason);
    this.#session.start();
  }

  /** Keeps work that outlives its session until it ended, for stop(). */
  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#ending.delete(tracked));
    this.#ending.add(tracked);
  }

  // ---- Dialing ----

  #maybeDial(): void {
    const { clock } = this.#options;
    if (!this.#started || this.#isPaused || this.#role !== 'primary' || this.#session !== undefined || this.#dialing !== undefined) return;
    if (clock.nowMs() < this.#retryAtMs) return;
    this.#dialing = this.#dial(++this.#dialNumber).finally(() => {
      this.#dialing = undefined;
      this.#maybeDial();
    });
  }

  async #dial(number: number): Promise<void> {
    const { config, network, insecure, random } = this.#options;
    this.#show('connecting', this.#reason);
    let stream: ByteStream;
    try {
      stream = await network.connect(config.host, config.port, LINK_CONNECT_MS);
    } catch (error) {
      if (!(error instanceof LvrError) && (error as { code?: unknown }).code === undefined) throw error;
      if (number === this.#dialNumber) this.#failed(`site ${this.#site} at ${config.host}:${config.port}: ${messageOf(error)}`, true);
      return;
    }
    if (number !== this.#dialNumber) return stream.destroy();
    if (!insecure && !isLoopback(stream.remote)) {
      stream.destroy();
      return this.#refused(insecureRefusal(stream.remote));
    }
    this.#open(stream, Math.floor(random() * Number.MAX_SAFE_INTEGER), undefined);
  }

  #refused(refusal: { readonly code: string; readonly reason: string }): void {
    const isNews = this.#code !== refusal.code || this.#reason !== refusal.reason;
    this.#code = refusal.code;
    this.#backOff(true);
    this.#show('refused', refusal.reason);
    if (isNews) this.#options.log.warn('link-refused', refusal.reason, this.#fields({ code: refusal.code, rule: this.#rule }));
  }

  /** The session or the dial ended without a refusal. An orderly end is followed by a dial after the shortest delay. */
  #failed(reason: string, isLoss: boolean): void {
    const wasConnected = this.#status === 'connected';
    this.#code = '';
    if (!isLoss) this.#failures = 0;
    this.#backOff(isLoss);
    this.#show('offline', reason);
    if (wasConnected) this.#options.log.warn('link-lost', reason, this.#fields({}));
  }

  /** Doubles the delay with every failure since the last connection; between half and all of it, so that sites do not dial in step. */
  #backOff(isLoss: boolean): void {
    const { clock, random } = this.#options;
    const delayMs = Math.min(LINK_BACKOFF_MAX_MS, LINK_BACKOFF_MIN_MS * 2 ** Math.min(this.#failures, 16));
    if (isLoss) this.#failures++;
    this.#retryAtMs = clock.nowMs() + delayMs * (0.5 + random() / 2);
  }

  #armTick(): void {
    this.#timer = this.#options.clock.after(LINK_TICK_MS, () => {
      if (!this.#started) return;
      const nowMs = this.#options.clock.nowMs();
      const late = nowMs - this.#lastTickMs > LINK_PING_MS;
      this.#lastTickMs = nowMs;
      this.#armTick();
      this.#session?.tick(nowMs, late);
      this.#forgetRefusal(nowMs);
      this.#maybeDial();
    });
  }

  /** A secondary that refused a primary which never came back shows it as away. */
  #forgetRefusal(nowMs: number): void {
    if (this.#status !== 'refused' || this.#role === 'primary') return;
    if (nowMs - this.#retryAtMs > 2 * LINK_BACKOFF_MAX_MS) this.#show('offline', this.#reason);
  }

  // ---- State ----

  #replication(): Replication {
    const session = this.#session;
    if (this.#isPaused) return 'paused';
    if (session?.isRunning === true && session.isResyncing) return 'resyncing';
    if (session === undefined || !session.isRunning || session.catchingUp === undefined) return 'stopped';
    return session.catchingUp ? 'catchingUp' : 'streaming';
  }

  #show(status: SessionStatus, reason: string): void {
    this.#status = status;
    this.#reason = reason;
    const shown = `${status} ${this.#replication()} ${reason}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#options.onChange?.();
  }

  #fields(more: Record<string, unknown>): Record<string, unknown> {
    return { group: this.#options.group.name, site: this.#site, ...more };
  }
}

/** How many of the last `count` records up to `sentLsn` had been sent before. */
function resent(count: number, sentLsn: number, highestSentLsn: number): number {
  return Math.max(0, Math.min(count, highestSentLsn - (sentLsn - count)));
}
