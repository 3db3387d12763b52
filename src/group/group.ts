// A consistency group: volumes that share one log, one write order and one role. Owns log, devices, memory, links; the parts beside this
// file do the work. Everything runs on one thread, so a role change needs no lock: it sets `changing`, which closes every door first.

import { assert } from '../core/assert.js';
import type { LvrError } from '../core/errors.js';
import type { GroupConfig } from '../core/group-config.js';
import { PLANTED } from '../core/planted.js';
import type { Backend, Device } from '../core/ports.js';
import type { SiteHistory } from '../core/reconnect.js';
import type { GroupStatus } from '../core/status.js';
import { BatchPool } from '../disk/batch-pool.js';
import type { Log } from '../disk/log.js';
import type { LogBatch } from '../disk/log-batch.js';
import type { KnownEnd } from '../disk/log-open.js';
import { UUID_NONE } from '../format/bytes.js';
import { SiteLink } from '../link/link.js';
import { Applier } from './applier.js';
import { Checkpointer } from './checkpoint.js';
import { DeviceErrors } from './device-errors.js';
import type { GroupEnv } from './env.js';
import { LinkPort } from './link-port.js';
import { Overlay } from './overlay.js';
import { Passthrough } from './passthrough.js';
import { PrimaryDurable } from './primary-durable.js';
import { ReadServer } from './read-server.js';
import { Reads } from './reads.js';
import { RemoteReads } from './remote-reads.js';
import { resizeGroupLog } from './resize.js';
import { type GroupStores, Resyncs } from './resyncs.js';
import { Roles } from './roles.js';
import { ShipCache } from './ship-cache.js';
import { Sites } from './sites.js';
import { startGrace } from './start-grace.js';
import { groupStatus } from './status.js';
import { Volume } from './volume.js';
import { WritePath } from './write-path.js';

export class Group {
  readonly name: string;
  readonly config: GroupConfig;
  readonly env: GroupEnv;
  readonly log: Log;
  readonly devices: readonly Device[];
  readonly pool: BatchPool;
  readonly overlay: Overlay;
  readonly reads: Reads;
  readonly applier: Applier;
  readonly sites: Sites;
  readonly shipCache = new ShipCache();
  readonly deviceErrors = new DeviceErrors(this);
  readonly remoteReads = new RemoteReads(this);
  readonly readServer = new ReadServer(this);
  readonly passthrough: Passthrough;
  readonly checkpointer: Checkpointer;
  readonly resyncs: Resyncs;
  readonly links: ReadonlyMap<string, SiteLink>;
  readonly backends: ReadonlyMap<string, Backend>;
  readonly #volumes: readonly Volume[];
  readonly #port: LinkPort;
  readonly #primaryDurable: PrimaryDurable;
  readonly #roles: Roles;
  role: 'primary' | 'secondary';
  /** Clients may use the volumes (once started, primary and healthy). */
  open = false;
  changing = false;
  joining = false;
  resizing: Promise<unknown> | undefined;
  writePath: WritePath | undefined;
  /** Called once when the group can no longer go on. */
  onFailed: ((error: LvrError) => void) | undefined;
  #failure: LvrError | undefined;
  #logFullSince = 0;
  #pumping = false;

  /** Made by openGroup() from an opened log and devices; nothing is applied yet. */
  constructor(config: GroupConfig, env: GroupEnv, log: Log, devices: readonly Device[], stores: GroupStores) {
    this.name = config.name;
    this.config = config;
    this.env = env;
    this.log = log;
    this.devices = devices;
    this.role = log.store.current.role;
    this.pool = new BatchPool(env.memory.createArena, env.payloadBytes);
    this.pool.onFree = () => this.roomAvailable();
    this.pool.reclaim = () => (this.role === 'primary' ? this.shipCache.evict(this.sites) : this.applier.evict(this.log.durableLsn));
    this.overlay = new Overlay(devices.length);
    this.reads = new Reads(devices, this.overlay, env.memory.createArena, this.remoteReads);
    this.applier = new Applier(devices, log.reader, log.store.current.appliedLsn, this, env.memory.createArena);
    // A site may have acknowledged records that a crash cost this one: what is written in their place it does not have.
    const ackedMax = PLANTED === 'acked-not-clamped' ? Number.POSITIVE_INFINITY : log.appendedLsn;
    this.sites = new Sites(config.sites, new Map(log.store.current.sites.map((s) => [s.name, Math.min(s.ackedLsn, ackedMax)])));
    this.resyncs = new Resyncs(this, stores);
    this.checkpointer = new Checkpointer({
      log,
      devices,
      applier: this.applier,
      clock: env.clock,
      neededFrom: (applied) => this.#neededFrom(applied),
      sites: () => this.resyncs.bitmaps.superblockSites(),
      flushBitmaps: () => this.resyncs.bitmaps.flush(),
      onFreed: () => this.roomAvailable(),
      onFailed: (error) => this.#fail(error),
    });
    this.#volumes = config.volumes.map((volume, i) => new Volume(this, i, volume, devices[i] as Device));
    this.backends = new Map(config.volumes.map((volume, i) => [volume.name, this.#volumes[i] as Volume]));
    this.#port = new LinkPort(this, env.memory.crc32cSpans, env.clock);
    this.#primaryDurable = new PrimaryDurable(
      log,
      env.clock,
      () => this.allowApply(),
      (error) => this.#fail(error),
    );
    this.links = new Map(config.sites.map((site) => [site.name, this.#makeLink(site)]));
    this.#roles = new Roles(this);
    this.passthrough = new Passthrough(this);
    log.setOwner(this);
  }

  #makeLink(config: GroupConfig['sites'][number]): SiteLink {
    const { network, clock, random, insecure, log } = this.env;
    return new SiteLink({
      group: this.#port,
      config,
      network,
      clock,
      random,
      insecure,
      log,
      onChange: () => this.#linkChanged(config.name),
    });
  }

  get uuid(): string {
    return this.log.store.current.groupUuid;
  }

  get site(): string {
    return this.env.site;
  }

  /**
   * What the log may forget of what is applied. A secondary keeps what it has room for: once promoted it ships from there to sites that
   * have less. During a promotion nothing is forgotten, because what the old primary lost is being applied.
   */
  #neededFrom(appliedLsn: number): number {
    if (PLANTED === 'trim-forgets-sites') return appliedLsn;
    if (this.role === 'primary') return this.sites.neededFrom(appliedLsn);
    return this.changing || this.log.usedBytes < this.log.ring.bytes / 2 ? this.log.trimmedLsn : appliedLsn;
  }

  get failure(): LvrError | undefined {
    return this.#failure;
  }

  /** Since when writers wait for log space, or are refused for lack of it (monotonic ms); 0: they are not. */
  get logFullSince(): number {
    const isShort = this.writePath?.isShortOfRoom === true && !this.log.isHeld && !this.sites.throttled;
    return isShort ? this.#logFullSince : 0;
  }

  /** Clients connected to any volume. */
  get connections(): number {
    return this.#volumes.reduce((sum, volume) => sum + volume.connections, 0);
  }

  get unavailable(): string | undefined {
    if (this.#failure !== undefined) return `group ${this.name} has failed: ${this.#failure.message}`;
    if (this.role === 'secondary') return `group ${this.name} is secondary on site ${this.site}: use it on its primary, or promote it here`;
    return this.open && !this.changing ? undefined : `group ${this.name} is starting, stopping or changing its role`;
  }

  readonly linkFor = (site: string): SiteLink | undefined => this.links.get(site);

  volumes(): { name: string; sizeBytes: number; blockBytes: number }[] {
    return this.config.volumes.map((volume, i) => {
      const { sizeBytes, blockBytes } = this.devices[i] as Device;
      return { name: volume.name, sizeBytes, blockBytes };
    });
  }

  /** This site's history for another site, with everything admitted so far in it. */
  history(forSite: string): SiteHistory {
    this.writePath?.sealAll();
    const { log } = this;
    const superblock = log.store.current;
    const mayBeApplied =
      this.role === 'primary' ? this.applier.startedLsn : Math.max(this.applier.startedLsn, log.recordedPrimaryDurableLsn);
    this.#roles.shownLsn = log.appendedLsn;
    return {
      site: this.site,
      role: this.role,
      groupUuid: superblock.groupUuid,
      blank: superblock.groupUuid === UUID_NONE,
      bornZero: superblock.bornZero,
      epoch: superblock.epoch,
      lineage: log.lineage,
      trimmed: log.trimmedLsn,
      applied: Math.min(mayBeApplied, log.appendedLsn),
      last: log.appendedLsn,
      resync: superblock.resync?.uuid ?? '',
      bitmap: this.resyncs.bitmaps.offer(forSite),
    };
  }

  /** Links first; a primary opens its volumes only after its sites had a chance to say that it was replaced. */
  async start(options: { takesOver: boolean } = { takesOver: false }): Promise<void> {
    for (const link of this.links.values()) link.start();
    this.rolesChanged();
    this.checkpointer.start();
    await startGrace(this, options.takesOver);
    this.open = true;
  }

  status(): GroupStatus {
    return groupStatus(this);
  }

  readonly resizeLog = (sizeBytes: number): Promise<{ changed: boolean }> => resizeGroupLog(this, sizeBytes);

  promote(options: { force: boolean }): Promise<{ changed: boolean; epoch: string }> {
    return this.#roles.promote(options.force);
  }

  demote(): Promise<{ changed: boolean; behind: string[] }> {
    return this.#roles.demote();
  }

  readonly becomeSecondary = (reason: string): Promise<void> => this.#roles.stepDown(reason);

  /** A checkpoint while clients are served, so that the next start has little to replay. */
  async settle(): Promise<void> {
    if (this.#failure === undefined) await this.checkpointer.run();
  }

  /** After stop(): where the log ends; undefined when that is not sure. */
  get end(): KnownEnd | undefined {
    const { log } = this;
    const isSure = this.#failure === undefined && !this.passthrough.isActive && log.appendedLsn === log.durableLsn;
    return isSure ? { logUuid: log.store.current.logUuid, lsn: log.appendedLsn } : undefined;
  }

  /** Closes volumes, ends links, applies and checkpoints everything, closes the devices. */
  async stop(options: { quick: boolean } = { quick: false }): Promise<void> {
    await this.#roles.stop(options.quick);
    await Promise.all([this.resizing, this.passthrough.settled(), this.checkpointer.settled(), this.log.settled()]);
    this.#primaryDurable.stop();
    await this.resyncs.stop();
    // What is not applied is left to the next start: nothing may reach a device that is being closed.
    await this.applier.end();
    this.reads.dropWaiting();
    this.remoteReads.stop();
    const devices = [...this.devices, this.log.device, ...this.resyncs.stores.devices];
    for (const closed of await Promise.allSettled(devices.map((device) => device.close())))
      if (closed.status === 'rejected') throw closed.reason;
  }

  /** Drops every client. */
  revoke(): void {
    for (const volume of this.#volumes) volume.revoke();
  }

  /** Begins to admit writes as this writer (role primary, everything applied). */
  openWritePath(writer: { epoch: number; incarnation: number }): void {
    assert(this.applier.appliedLsn === this.log.appendedLsn, 'a primary has applied its log before it writes');
    const { log, pool, overlay, applier, sites } = this;
    this.writePath = new WritePath(
      {
        log,
        pool,
        overlay,
        applier,
        sites,
        clock: this.env.clock,
        writeCache: () => this.config.writeCache && !this.#volumes.some((volume) => volume.hasLasting),
        holdsOnLogError: this.config.onLogError === 'suspend',
        passthrough: this.passthrough,
        onSealed: () => this.#pumpSoon(),
        onLogFull: () => this.#logFull(),
      },
      writer,
    );
  }

  rolesChanged(): void {
    for (const link of this.links.values()) link.roleChanged();
  }

  /** Ends a front end's turn. */
  commit(): void {
    this.writePath?.commit();
    for (const device of this.devices) device.kick();
  }

  // ---- the log, the applier and the links report here

  batchDurable(batch: LogBatch): void {
    if (this.role === 'primary') {
      this.resyncs.batchDurable(batch);
      // Clients first, then the next batch; the volumes can wait.
      this.writePath?.release();
      this.writePath?.commit();
      this.applier.allow(this.log.durableLsn);
      this.#pumpSoon();
    } else {
      this.allowApply();
      this.#port.progressed();
      this.#port.wake();
    }
  }

  readonly logFailed = (error: LvrError): void => this.#fail(error);

  batchApplied(batch: LogBatch): void {
    this.resyncs.applied(batch);
    if (this.role === 'primary') {
      this.overlay.removeBatch(batch);
      if (batch.lastLsn > this.sites.sentToConnected()) this.shipCache.keep(batch);
    } else this.#port.progressed();
    this.checkpointer.consider();
    this.passthrough.settleFlushes();
  }

  readonly applyFailed = (error: LvrError): void => this.#fail(error);

  allowApply(): void {
    if (this.role !== 'secondary' || this.joining) return;
    this.#primaryDurable.record();
    if (this.resyncs.target.isActive) return this.resyncs.target.consider();
    if (PLANTED === 'applied-before-primary-durable') this.applier.allow(this.log.durableLsn);
    this.applier.allow(Math.min(this.log.durableLsn, this.log.recordedPrimaryDurableLsn));
  }

  siteChanged(): void {
    this.resyncs.siteChanged();
    this.shipCache.releaseTo(this.sites.sentToConnected());
    this.writePath?.release();
    this.checkpointer.consider();
    if (this.logFullSince > 0) this.checkpointer.urge();
  }

  get unsealedBytes(): number {
    return this.writePath?.unsealedBytes ?? 0;
  }

  get writtenBytes(): number {
    return this.writePath?.payloadBytes ?? 0;
  }

  consistent(): void {
    this.allowApply();
    this.#port.progressed();
  }

  siteReturned(name: string): void {
    this.#linkChanged(name);
  }

  #linkChanged(name: string): void {
    const site = this.sites.find(name);
    const state = this.links.get(name)?.state();
    if (site === undefined || state === undefined) return;
    // Once caught up, a site counts until its session ends: a mode other than async bounds how far it can be behind, and falling back to
    // async here would answer writes that the site does not have. A copy that is not consistent yet protects nothing.
    const isWhole = site.bitmap === undefined;
    site.streaming = isWhole && site.connected && (site.streaming || (state.session === 'connected' && state.replication === 'streaming'));
    this.siteChanged();
  }

  #pumpSoon(): void {
    if (this.#pumping || this.links.size === 0) return;
    this.#pumping = true;
    this.env.clock.soon(() => {
      this.#pumping = false;
      for (const link of this.links.values()) link.pump();
    });
  }

  #logFull(): void {
    if (this.writePath?.isShortOfRoom !== true) this.#logFullSince = this.env.clock.nowMs();
    this.checkpointer.urge();
    this.resyncs.bitmaps.consider();
  }

  roomAvailable(): void {
    this.writePath?.wake();
    this.#port.wake();
  }

  #fail(error: LvrError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.env.log.error('group-failed', `group ${this.name}: ${error.message}`, { group: this.name, code: error.code });
    this.checkpointer.stop();
    this.applier.halt(error);
    this.log.submit(); // what was answered from memory, as far as the device takes it now
    this.log.fail(error);
    this.writePath?.fail(error);
    this.onFailed?.(error);
  }
}
