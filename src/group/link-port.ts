// The group as its links see it: the log as a source of batches on a primary, as a sink on a secondary.

import { assert } from '../core/assert.js';
import { LvrError } from '../core/errors.js';
import { compareWriters, writerOf } from '../core/lineage.js';
import { PLANTED } from '../core/planted.js';
import type { Clock } from '../core/ports.js';
import type { ReconnectPlan, SiteHistory } from '../core/reconnect.js';
import type { BatchPool } from '../disk/batch-pool.js';
import type { Log } from '../disk/log.js';
import type { LogBatch } from '../disk/log-batch.js';
import { type CrcSpans, verifyIdentities } from '../disk/seal.js';
import type { RegionMeta } from '../format/frame.js';
import { recordEpoch, recordIncarnation } from '../format/record.js';
import { FEATURE_COMPARE, type ResyncEnd } from '../format/wire.js';
import type { SiteLink } from '../link/link.js';
import type {
  ReadAnswer,
  ReceiveSink,
  Refusal,
  RegionEvent,
  ResyncRun,
  ShipSource,
  SiteOffer,
  VolumeDescription,
  VolumeRead,
} from '../link/ports.js';
import type { Applier } from './applier.js';
import { LogGather } from './log-gather.js';
import type { Passthrough } from './passthrough.js';
import type { ReadServer } from './read-server.js';
import type { Resyncs } from './resyncs.js';
import type { ShipCache } from './ship-cache.js';
import type { SiteProgress, Sites } from './sites.js';

/** What this port needs of its group. */
export interface LinkPortGroup {
  readonly name: string;
  readonly site: string;
  readonly role: 'primary' | 'secondary';
  /** A role change or stop is under way: nothing is received. */
  readonly changing: boolean;
  /** A session is preparing to receive: records and positions of any other are refused, nothing further is applied. */
  joining: boolean;
  readonly log: Log;
  readonly applier: Applier;
  readonly pool: BatchPool;
  readonly sites: Sites;
  readonly shipCache: ShipCache;
  readonly readServer: ReadServer;
  readonly passthrough: Passthrough;
  volumes(): readonly VolumeDescription[];
  history(forSite: string): SiteHistory;
  readonly resyncs: Resyncs;
  becomeSecondary(reason: string): Promise<void>;
  /** Applies what the log's durable and recorded positions allow (secondary). */
  allowApply(): void;
  siteChanged(site: SiteProgress): void;
  readonly links: ReadonlyMap<string, SiteLink>;
}

export class LinkPort implements ShipSource, ReceiveSink {
  readonly #group: LinkPortGroup;
  readonly #crc32cSpans: CrcSpans;
  readonly #gather: LogGather;
  readonly #roomWaiters: (() => void)[] = [];
  #onProgress: (() => void) | undefined;

  constructor(group: LinkPortGroup, crc32cSpans: CrcSpans, clock: Clock) {
    this.#group = group;
    this.#gather = new LogGather(group.log, clock);
    this.#crc32cSpans = crc32cSpans;
  }

  get name(): string {
    return this.#group.name;
  }

  get site(): string {
    return this.#group.site;
  }

  refuses(other: SiteHistory): Refusal | undefined {
    return this.#group.passthrough.refuses(other);
  }

  get logBytes(): number {
    return this.#group.log.ring.bytes;
  }

  volumes(): readonly VolumeDescription[] {
    return this.#group.volumes();
  }

  history(forSite: string): SiteHistory {
    return this.#group.history(forSite);
  }

  chainAt(lsn: number): Promise<number> {
    return this.#group.log.chainAt(lsn);
  }

  reached(lsn: number): Promise<void> {
    return this.#group.log.reached(lsn);
  }

  stepDown(plan: ReconnectPlan): Promise<void> {
    return this.#group.becomeSecondary('reason' in plan ? plan.reason : plan.rule);
  }

  // ---- sending

  get durableLsn(): number {
    return this.#group.log.durableLsn;
  }

  get sealedLsn(): number {
    return this.#group.log.appendedLsn;
  }

  holdBatch(lsn: number): LogBatch | undefined {
    const batch = this.#group.applier.find(lsn) ?? this.#group.shipCache.find(lsn);
    batch?.hold();
    return batch;
  }

  readBatch(lsn: number): Promise<LogBatch> {
    assert(lsn <= this.#group.log.durableLsn, 'only durable records are read back');
    return this.#group.log.reader.readBatch(lsn);
  }

  get readBatchesMax(): number {
    return this.#group.log.reader.batchesEach(this.#group.sites.all.length);
  }

  lastOfBatch(lsn: number): number | undefined {
    return this.#group.log.reader.lastOf(lsn);
  }

  resync(site: string, uuid: string, { features, logBytes }: SiteOffer): ResyncRun | undefined {
    const { role, passthrough } = this.#group;
    if (this.#site(site).bitmap?.uuid !== uuid || role !== 'primary' || passthrough.isActive) return undefined;
    return this.#group.resyncs.startCopy(site, (features & FEATURE_COMPARE) !== 0, logBytes);
  }

  siteStreaming(site: string, from: number, isBehindCopy: boolean): void {
    const progress = this.#site(site);
    // Behind a copy the site is not consistent before it says so with its positions, whatever became of its bitmap here meanwhile.
    if (!isBehindCopy) this.#group.resyncs.bitmaps.streaming(progress, from);
    progress.connected = true;
    progress.sent = from - 1;
    progress.received = isBehindCopy ? Math.min(progress.received, from - 1) : from - 1;
    progress.applied = Math.min(progress.applied, from - 1);
    progress.durable = Math.min(progress.durable, from - 1);
    this.#group.siteChanged(progress);
  }

  siteSent(site: string, lsn: number): void {
    this.#site(site).sent = lsn;
    this.#group.shipCache.releaseTo(this.#group.sites.sentToConnected());
  }

  siteProgress(site: string, received: number, durable: number, applied: number): void {
    const progress = this.#site(site);
    // A copy that is not consistent yet could still be rolled back: what it has behind the copy does not count.
    if (!this.#group.resyncs.bitmaps.progress(progress, applied)) return this.#group.siteChanged(progress);
    progress.received = received;
    progress.durable = PLANTED === 'status-optimistic' ? received : durable;
    progress.applied = applied;
    this.#group.siteChanged(progress);
  }

  siteGone(site: string): void {
    const progress = this.#site(site);
    progress.connected = false;
    progress.streaming = false;
    this.#group.siteChanged(progress);
  }

  // ---- receiving

  /** Durable before it returns: the group's identity, the primary's epoch (nothing older is accepted from now on), the cut. */
  async prepare(plan: ReconnectPlan & { action: 'stream' | 'resync' }, primary: SiteHistory): Promise<void> {
    await this.#join(() => this.#prepare(plan, primary));
  }

  /** No role changes while a session makes this site ready to receive; what may be applied then is. */
  async #join(work: (group: LinkPortGroup) => Promise<void>): Promise<void> {
    const group = this.#group;
    // The layout of a log that is held is about to change.
    if (group.role !== 'secondary' || group.changing || group.joining || group.log.isHeld || group.passthrough.isActive)
      throw new LvrError('ROLE', `group ${this.name} cannot be joined now`);
    group.joining = true;
    try {
      await work(group);
    } finally {
      group.joining = false;
      // What became durable meanwhile, also where nothing came of it.
      group.allowApply();
    }
  }

  async #prepare(plan: ReconnectPlan & { action: 'stream' | 'resync' }, primary: SiteHistory): Promise<void> {
    const { log, applier, resyncs } = this.#group;
    const isResync = plan.action === 'resync';
    const goesOn = resyncs.target.isActive;
    const adopted = plan.adopt ? { groupUuid: primary.groupUuid, bornZero: true } : {};
    const isNewer = primary.epoch > log.store.current.epoch && PLANTED !== 'epoch-not-kept';
    const epoch = isNewer ? { epoch: primary.epoch } : {};
    // A site that knows an epoch vouches for it: an older primary gives way to it when this site has all that it has. So a site that must
    // stay apart adopts nothing, and one that has more than the new primary adopts the epoch with the cut, in one update.
    if (plan.cut) this.#assertCuttable(plan.from, primary);
    else if (isNewer || (plan.adopt && !isResync)) {
      await log.store.update((current) => ({ ...current, ...(isResync ? {} : adopted), ...epoch }));
    }
    this.#leaveOthers(primary.site, isNewer);
    if (plan.cut) {
      await log.quiet();
      this.#assertCuttable(plan.from, primary);
      await log.cut(plan.from - 1, epoch);
      applier.cut(plan.from - 1);
      this.#group.sites.cut(plan.from - 1);
    }
    await log.quiet();
    if (plan.action === 'resync') return resyncs.target.prepare(plan.uuid, adopted, goesOn);
    if (log.appendedLsn !== plan.from - 1) throw new LvrError('FAILED', `group ${this.name}: the log moved while the session was prepared`);
    const writer = writerOf(primary.lineage, plan.from);
    if (writer !== undefined) await log.welcome(writer);
  }

  /** Ends sessions with primaries other than `site`: one primary at a time. Throws DIVERGED when one has the same epoch. */
  #leaveOthers(site: string, isNewer: boolean): void {
    for (const [name, link] of this.#group.links) {
      const { session, remoteRole } = link.state();
      if (name === site || session !== 'connected' || remoteRole !== 'primary') continue;
      link.roleChanged();
      if (link.state().session !== 'connected') continue;
      if (isNewer) {
        // While this site is being joined nobody else joins it, and afterwards it knows the newer epoch.
        link.meetAgain(`${site} is primary of a newer epoch`);
        continue;
      }
      throw new LvrError('DIVERGED', `group ${this.name}: ${site} and ${name} are primaries of the same epoch`);
    }
  }

  leaseRegion(payloadBytes: number): LogBatch | undefined {
    return this.#group.pool.take(payloadBytes);
  }

  receiveRegion(meta: RegionMeta, batch: LogBatch | undefined): string | undefined {
    return this.#group.resyncs.target.take(meta, batch);
  }

  compareRegion(meta: RegionMeta, batch: LogBatch): string | undefined {
    return this.#group.resyncs.target.take(meta, batch, true);
  }

  onRegions(fn: ((event: RegionEvent) => void) | undefined): void {
    this.#group.resyncs.target.onEvent(fn);
  }

  async endResync(end: ResyncEnd, primary: SiteHistory): Promise<void> {
    // A promotion in the middle would roll back a log that is about to begin anew.
    await this.#join(async ({ log, resyncs }) => {
      await resyncs.target.end(end);
      const writer = writerOf(primary.lineage, end.base + 1);
      if (writer !== undefined) await log.welcome(writer);
    });
  }

  /** Cut records stay void only for newer writers, and what may be on the volumes is never cut. */
  #assertCuttable(from: number, primary: SiteHistory): void {
    const last = this.#group.log.lineage.at(-1);
    const next = writerOf(primary.lineage, from);
    const isNewer = last === undefined || (next !== undefined && compareWriters(next, last) > 0);
    if (isNewer && (this.#group.applier.startedLsn < from || PLANTED === 'applied-may-be-cut')) return;
    throw new LvrError('DIVERGED', `group ${this.name}: LSN ${from} was written by two primaries of the same epoch`);
  }

  leaseBatch(payloadBytes: number): LogBatch | undefined {
    return this.#group.log.hasRoom(payloadBytes) ? this.#group.pool.take(payloadBytes) : undefined;
  }

  onRoom(fn: () => void): void {
    this.#roomWaiters.push(fn);
  }

  /** Memory or log space came back, or memory may be given up because what it holds stands in the log now. */
  wake(): void {
    for (const fn of this.#roomWaiters.splice(0)) fn();
  }

  receive(batch: LogBatch): Refusal | undefined {
    const { log, applier } = this.#group;
    const refuse = (code: string, reason: string): Refusal => {
      batch.release();
      return { code, reason };
    };
    if (this.#group.role !== 'secondary' || this.#group.changing) return refuse('ROLE', `group ${this.name} is not secondary here`);
    if (this.#group.joining) return refuse('ROLE', `group ${this.name} is joining another primary`);
    if (log.failed !== undefined) return refuse('LOG_FAILED', log.failed.message);
    if (recordEpoch(batch.arena.bytes, batch.headerAt(0)) > log.store.current.epoch) {
      return refuse('PROTOCOL', 'a record of an epoch that was not announced');
    }
    const first = batch.headerAt(0);
    const writer = { epoch: recordEpoch(batch.arena.bytes, first), incarnation: recordIncarnation(batch.arena.bytes, first) };
    const last = log.lineage.at(-1);
    if (last !== undefined && compareWriters(writer, last) < 0)
      return refuse('PROTOCOL', 'a record of a writer older than its predecessor');
    const chain = verifyIdentities(batch, log.appendedLsn + 1, log.chain, this.#crc32cSpans);
    if (chain < 0) return refuse('PROTOCOL', `record ${log.appendedLsn - chain} is damaged or does not follow its predecessor`);
    if (!log.hasRoom(batch.payloadBytes)) return refuse('FAILED', 'the receive log is full');
    applier.add(batch);
    log.appendReceived(batch, chain);
    this.#gather.appended();
    batch.release();
    return undefined;
  }

  primaryDurable(lsn: number): void {
    // commit() applies: told before the records of the same turn, the position stands in their batch and costs no superblock write.
    if (!this.#group.joining) this.#group.log.setPrimaryDurable(Math.min(lsn, this.#group.log.appendedLsn));
  }

  readVolume(read: VolumeRead, answer: ReadAnswer): void {
    this.#group.readServer.serve(read, answer);
  }

  get receivedLsn(): number {
    return this.#group.log.appendedLsn;
  }

  get loggedLsn(): number {
    return PLANTED === 'logged-when-received' ? this.#group.log.appendedLsn : this.#group.log.durableLsn;
  }

  get appliedLsn(): number {
    // The end of a resync is one only when it is durable here, even if nothing is left to apply.
    return this.#group.resyncs.target.isActive ? 0 : this.#group.applier.appliedLsn;
  }

  onProgress(fn: (() => void) | undefined): void {
    this.#onProgress = fn;
  }

  /** A position moved. */
  progressed(): void {
    this.#group.readServer.progressed();
    this.#onProgress?.();
  }

  commit(isAwaited: boolean): void {
    this.#group.allowApply();
    this.#gather.turnEnded(isAwaited);
  }

  #site(name: string): SiteProgress {
    const site = this.#group.sites.find(name);
    assert(site !== undefined, `site ${name} belongs to the group`);
    return site;
  }
}
