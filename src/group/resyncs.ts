// Everything of a group that has to do with sites the log no longer covers: bitmaps on a primary, copies to and from other sites. Joins the
// parts to their group; decides nothing.

import { DirtyMap } from '../core/dirty-map.js';
import { DOUBLE_ZERO } from '../core/doubles.js';
import type { LvrError } from '../core/errors.js';
import type { GroupConfig } from '../core/group-config.js';
import { RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import type { Device } from '../core/ports.js';
import { ResyncTurns } from '../core/resync-turns.js';
import type { BitmapStore } from '../disk/bitmap-store.js';
import type { Log } from '../disk/log.js';
import type { LogBatch } from '../disk/log-batch.js';
import type { UndoStore } from '../disk/undo-store.js';
import { batchBytes } from '../format/batch.js';
import type { Superblock } from '../format/superblock.js';
import type { SiteLink } from '../link/link.js';
import type { Applier } from './applier.js';
import type { BitmapGroup } from './bitmap-group.js';
import type { Checkpointer } from './checkpoint.js';
import type { GroupEnv } from './env.js';
import { Progress, type ProgressGroup } from './progress.js';
import { ResyncPacer } from './resync-pacer.js';
import { ResyncSource } from './resync-source.js';
import { ResyncTarget, type TargetGroup } from './resync-target.js';
import { SiteBitmaps } from './site-bitmaps.js';
import { type LimitedGroup, SiteLimits } from './site-limits.js';
import type { SiteProgress, Sites } from './sites.js';
import { WriteLatency } from './write-latency.js';
import type { WritePath } from './write-path.js';

/** Where a group keeps what is not in its log: bitmaps of sites, and what a resync overwrites (undefined: nothing is kept). */
export type GroupStores = { readonly devices: readonly Device[]; readonly bitmaps: BitmapStore; readonly undo: UndoStore | undefined };

/** Windows of the latency that is usual. */
const LEARN_MS = 1_000;

/** What resyncs need of their group. */
export interface ResyncGroup {
  readonly name: string;
  readonly role: 'primary' | 'secondary';
  readonly changing: boolean;
  readonly config: GroupConfig;
  readonly env: GroupEnv;
  readonly log: Log;
  readonly devices: readonly Device[];
  readonly applier: Applier;
  readonly sites: Sites;
  readonly checkpointer: Checkpointer;
  readonly links: ReadonlyMap<string, SiteLink>;
  readonly failure: LvrError | undefined;
  readonly logFullSince: number;
  readonly writePath: WritePath | undefined;
  /** Payload bytes that clients have written in this run. */
  readonly writtenBytes: number;
  /** Of those the ones that are in no batch of the log yet. */
  readonly unsealedBytes: number;
  /** A device failed: the group cannot go on. */
  applyFailed(error: LvrError): void;
  /** A site is tracked by the log again. */
  siteReturned(name: string): void;
  /** The copy here is consistent: records may be applied, positions count. */
  consistent(): void;
}

/** What a ring may leave unused where its lap ends, and what one more batch takes. */
const LAP_WASTE_BYTES = 2 * batchBytes(RECORD_PAYLOAD_BYTES_MAX);

export class Resyncs implements BitmapGroup, TargetGroup, LimitedGroup, ProgressGroup {
  readonly #group: ResyncGroup;
  readonly stores: GroupStores;
  readonly bitmaps: SiteBitmaps;
  readonly target: ResyncTarget;
  readonly limits: SiteLimits;
  readonly progress: Progress;
  /** Since when this process knows of what sites lack, as time of records; for those of which nothing older is known. */
  readonly openedUs: number;
  /** Sites whose resync is paused. */
  readonly paused = new Set<string>();
  readonly #latency = new WriteLatency();
  /** Where the agent has none for all groups. */
  readonly #turns = new ResyncTurns();
  #copies = 0;
  #learnedMs = DOUBLE_ZERO;

  constructor(group: ResyncGroup, stores: GroupStores) {
    this.#group = group;
    this.stores = stores;
    const { clock, log, memory } = group.env;
    this.openedUs = clock.wallMs() * 1000;
    this.bitmaps = new SiteBitmaps(this, stores.bitmaps, clock, log);
    this.progress = new Progress(this, clock);
    this.limits = new SiteLimits(this, clock, log);
    this.target = new ResyncTarget(this, memory.crc32c, memory.createArena);
  }

  /** A start: loads bitmaps, and ends the rolling back of a resync that was cut off in it. Before anything is applied. */
  async recover(): Promise<void> {
    await this.bitmaps.load();
    await this.target.recover();
  }

  async stop(): Promise<void> {
    this.bitmaps.stop();
    this.limits.stop();
    await this.stores.undo?.end();
  }

  /** The state or a position of a site changed; whoever calls releases writes afterwards. */
  siteChanged(): void {
    this.limits.consider();
    this.progress.look();
    this.bitmaps.consider();
  }

  /** A batch is on the volumes. */
  applied(batch: LogBatch): void {
    this.bitmaps.applied(batch);
  }

  /** A batch of this primary is durable: how long it took is what copies may not make much longer. */
  batchDurable(batch: LogBatch): void {
    const nowMs = this.#group.env.clock.nowMs();
    this.#latency.add(nowMs - batch.sealedMs);
    this.limits.consider();
    this.progress.look();
    if (this.#copies > 0 || nowMs - this.#learnedMs < LEARN_MS) return;
    this.#learnedMs = nowMs;
    this.#latency.learn();
  }

  /** A copy to a site, from its bitmap. `canCompare`: the site answers what it has of a piece. */
  startCopy(site: string, canCompare: boolean, siteLogBytes: number): ResyncSource {
    const { env, config, devices, log, applier } = this.#group;
    const { clock, memory } = env;
    this.#copies++;
    const source: ResyncSource = new ResyncSource({
      site,
      siteLogBytes: siteLogBytes === 0 ? Number.POSITIVE_INFINITY : siteLogBytes - Math.min(LAP_WASTE_BYTES, siteLogBytes / 8),
      devices,
      log,
      applier,
      bitmaps: this.bitmaps,
      clock,
      crc32c: memory.crc32c,
      createArena: memory.createArena,
      checksum: canCompare ? config.resync.checksum : 'off',
      pacer: new ResyncPacer(this.sites.find(site)?.pace ?? config.resync, this.#latency, log.appendPosition, clock.nowMs()),
      minDwellMs: config.resync.minDwellMs,
      checkpoint: async (isWanted) => {
        // The one under way may have begun before what counts here.
        await this.#group.checkpointer.settled();
        if (isWanted()) await this.#group.checkpointer.run();
      },
      turns: env.resyncTurns ?? this.#turns,
      isPaused: this.paused.has(site),
      onMoved: () => this.progress.look(),
      onStopped: () => {
        this.#copies--;
        this.progress.stopped(site, source);
      },
    });
    this.progress.started(site, source);
    return source;
  }

  // ---- what the parts need

  get name(): string {
    return this.#group.name;
  }

  get role(): 'primary' | 'secondary' {
    return this.#group.role;
  }

  get changing(): boolean {
    return this.#group.changing;
  }

  get log(): Log {
    return this.#group.log;
  }

  get devices(): readonly Device[] {
    return this.#group.devices;
  }

  get applier(): Applier {
    return this.#group.applier;
  }

  get sites(): Sites {
    return this.#group.sites;
  }

  get logFullSince(): number {
    return this.#group.logFullSince;
  }

  writtenUpTo(lsn: number): number {
    const { writtenBytes, unsealedBytes, log } = this.#group;
    return writtenBytes - unsealedBytes - log.index.payloadAfter(lsn);
  }

  get writtenBytes(): number {
    return this.#group.writtenBytes;
  }

  get writePath(): WritePath | undefined {
    return this.#group.writePath;
  }

  isCopying(site: SiteProgress): boolean {
    return this.progress.sourceOf(site.config.name)?.turn.isRunning === true;
  }

  get minDwellMs(): number {
    return this.#group.config.resync.minDwellMs;
  }

  get undo(): UndoStore | undefined {
    return this.stores.undo;
  }

  get undoMode(): GroupConfig['undo'] {
    return this.#group.config.undo;
  }

  newUuid(): string {
    return this.#group.env.memory.newUuid();
  }

  newMap(): DirtyMap {
    return new DirtyMap(
      this.devices.map((device) => device.sizeBytes),
      this.#group.config.regionBytes,
    );
  }

  siteFolded(site: SiteProgress): void {
    this.#group.links.get(site.config.name)?.meetAgain(`site ${site.config.name} is tracked by a bitmap now`);
  }

  siteReturned(site: SiteProgress): void {
    this.#group.siteReturned(site.config.name);
  }

  logFreed(): void {
    // How a site is tracked has changed, and nobody else says so where it has no session: its limits may wait for it no longer.
    this.limits.consider();
    this.#group.checkpointer.urge();
  }

  refuseWrites(site: SiteProgress): void {
    const { env, name, writePath, logFullSince } = this.#group;
    if (writePath === undefined || writePath.refusedFor !== undefined || logFullSince === 0) return;
    writePath.refuseFor(site.config.name);
    const message = `group ${name}: the log is full of what site ${site.config.name} lacks, and writes fail (log_full = "fail")`;
    env.log.error('log-full-fails', message, { group: name, site: site.config.name, lsn: site.neededFrom });
  }

  failed(error: LvrError): void {
    this.#group.applyFailed(error);
  }

  overwriting(lsn: number): void {
    this.bitmaps.overwriting();
    this.sites.cut(lsn);
  }

  async checkpoint(change: Partial<Superblock>): Promise<void> {
    await this.#group.checkpointer.run(change);
    if (this.#group.failure !== undefined) throw this.#group.failure;
  }

  consistent(): void {
    const { env, name, log } = this.#group;
    env.log.info('resync-ended', `group ${name} is consistent again`, { group: name, lsn: log.durableLsn });
    this.#group.consistent();
  }
}
