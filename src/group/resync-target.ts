// The receiving side of a resync: regions of the primary's volumes over this site's own.
//
// Order of durability. 1. What this site has is applied and flushed. The plan says that all of it is durable at the primary: what that lost
// would stay here, because nothing marks its regions. 2. The superblock says that a resync overwrites the volumes, what they held before,
// and that its undo store (if there is one) is begun. 3. The old content of a region is durable in the undo store.
// 4. The region is written. 5. The volumes are flushed, then the primary hears how many pieces are durable. 6. The end mark: the log is
// emptied and begins anew behind the base, durably; records are logged and not applied. 7. When all records up to the end are durable here
// and known to be durable at the primary, the superblock says that the resync is over: what the log holds is applied, and from there on the
// site is as any other. Until 7. a crash leaves a site that goes on with the same resync, or is rolled back by a promotion.
//
// What this site is asked about is read and compared, in turn with the regions; nothing else changes the volumes before the end mark. What
// is the same counts like a written region: for durable with the next flush. So there is nothing to save and nothing to write for it. But
// that flush proves nothing about what an earlier process wrote and failed to flush: it may be read and yet be lost at a power cut. In a
// resync that an earlier process began, only what was not overwritten since is compared, as far as the undo store knows it.

import { assert } from '../core/assert.js';
import { ConflictFilter } from '../core/conflict-filter.js';
import { LvrError } from '../core/errors.js';
import { LINK_WINDOW_FRAMES_MAX, MIB } from '../core/limits.js';
import { withOwn } from '../core/lineage.js';
import { PLANTED } from '../core/planted.js';
import type { Crc32c, Device, IoTarget } from '../core/ports.js';
import type { CreateArena } from '../disk/batch-pool.js';
import { sameBlocks } from '../disk/content-hash.js';
import type { Log } from '../disk/log.js';
import type { LogBatch } from '../disk/log-batch.js';
import { deviceError, syncDevice } from '../disk/promises.js';
import { isUndoFull, type UndoStore } from '../disk/undo-store.js';
import { UUID_NONE } from '../format/bytes.js';
import { blocksOf, HASH_BYTES } from '../format/compare.js';
import type { RegionMeta } from '../format/frame.js';
import type { Superblock } from '../format/superblock.js';
import type { ResyncEnd } from '../format/wire.js';
import type { RegionEvent } from '../link/ports.js';
import type { Applier } from './applier.js';
import { rollBackCopy } from './roll-back.js';
import { SavedContent } from './saved-content.js';

/** Device writes of regions in flight. */
const WRITES_MAX = 16;
/** While there is more to write, a flush is worth its price for so much. */
const FLUSH_BYTES = 16 * MIB;
/** Pieces whose old content may be saved before their turn. */
const SAVE_AHEAD_MAX = 128;

/** What the target needs of its group. */
export interface TargetGroup {
  readonly name: string;
  readonly log: Log;
  readonly applier: Applier;
  readonly devices: readonly Device[];
  readonly undo: UndoStore | undefined;
  readonly undoMode: 'auto' | 'required' | 'off';
  newUuid(): string;
  /** Sites that this one tracks lack what the resync brings, durably with the next checkpoint; records behind `lsn` are gone. */
  overwriting(lsn: number): void;
  checkpoint(change: Partial<Superblock>): Promise<void>;
  /** A device failed: the group cannot go on. */
  failed(error: LvrError): void;
  /** Records may be applied that could not be before. */
  consistent(): void;
}

/** With `hashes` it is a question, and "written" when it is answered. */
type Item = {
  readonly meta: RegionMeta;
  readonly batch: LogBatch | undefined;
  readonly hashes: Uint8Array | undefined;
  isWritten: boolean;
};

export class ResyncTarget implements IoTarget {
  readonly #group: TargetGroup;
  readonly #crc32c: Crc32c;
  readonly #saved: SavedContent;
  /** Pieces of this session, oldest first: #items[0] is number #firstItem. */
  #items: Item[] = [];
  #firstItem = 0;
  #submitted = 0;
  #inFlight = 0;
  readonly #conflicts = new ConflictFilter();
  /** Pieces that are flushed, in order. */
  #doneCount = 0;
  #flushing = false;
  /** Old content cannot be kept any more: until that is decided, nothing is written. */
  #givingUp = false;
  #ending: Promise<void> | undefined;
  #rollingBack = false;
  #session = 0;
  /** This process began the resync: all that is on the volumes and was not flushed since was written by this one. */
  #isOwn = false;
  #onEvent: ((event: RegionEvent) => void) | undefined;
  #idle: (() => void) | undefined;

  constructor(group: TargetGroup, crc32c: Crc32c, createArena: CreateArena) {
    this.#group = group;
    this.#crc32c = crc32c;
    this.#saved = new SavedContent(group.undo, group.devices, createArena);
  }

  /** The volumes are no image of any moment. */
  get isActive(): boolean {
    return this.#group.log.store.current.resync !== undefined;
  }

  /** Begins or goes on with the resync `uuid`, durably. Everything in the log here is durable at the primary. */
  async prepare(uuid: string, adopted: Partial<Superblock>, goesOn: boolean): Promise<void> {
    const { log, applier } = this.#group;
    await this.stop();
    this.#session++;
    this.#firstItem = 0;
    this.#doneCount = 0;
    const before = log.store.current.resync;
    if (goesOn && before === undefined) throw new LvrError('FAILED', `group ${this.#group.name}: the resync ended while the sites met`);
    if (before !== undefined) {
      assert(before.uuid === uuid, 'another resync is refused before it is prepared');
      const isKept = before.undo !== undefined && (await this.#saved.open(before.undo, this.#group.undoMode !== 'required'));
      const kept = PLANTED === 'undo-dropped-early' ? await this.#beginUndo() : before.undo;
      const resync = { ...before, endLsn: 0, undo: isKept ? kept : undefined };
      // What comes now may be newer than the old end.
      await log.store.update((current) => (current.resync === undefined ? current : { ...current, resync }));
      if (!this.isActive) throw new LvrError('FAILED', `group ${this.#group.name}: the resync ended while the sites met`);
      return;
    }
    await log.quiet();
    this.#isOwn = true;
    const fromLsn = log.appendedLsn;
    log.setPrimaryDurable(fromLsn);
    await log.recordPrimaryDurable();
    applier.allow(fromLsn);
    await applier.reached(fromLsn);
    const resync = { uuid, fromLsn, fromChain: log.chain, endLsn: 0, undo: await this.#beginUndo() };
    this.#group.overwriting(fromLsn);
    await this.#group.checkpoint(PLANTED === 'resync-not-recorded' ? adopted : { ...adopted, resync });
  }

  /** Begins to keep what is overwritten; undefined when that is switched off, or cannot be and need not. */
  async #beginUndo(): Promise<string | undefined> {
    const { undoMode } = this.#group;
    if (!this.#saved.hasStore) return undefined;
    const uuid = this.#group.newUuid();
    try {
      await this.#saved.begin(uuid);
    } catch (error) {
      if (undoMode !== 'required') return undefined;
      if (!isUndoFull(error)) this.#group.failed(error as LvrError);
      throw error;
    }
    return uuid;
  }

  /** `fn` hears how many pieces of this session are durable, what was asked for, or why it cannot go on. */
  onEvent(fn: ((event: RegionEvent) => void) | undefined): void {
    this.#onEvent = fn;
  }

  /**
   * Takes over a piece, or with `isQuestion` hashes of its blocks in a batch that has room for it. Words when its payload is damaged, or
   * there are more pieces than any primary has on their way.
   */
  take(meta: RegionMeta, batch: LogBatch | undefined, isQuestion = false): string | undefined {
    if (this.#items.length >= LINK_WINDOW_FRAMES_MAX) {
      batch?.release();
      return `more than ${LINK_WINDOW_FRAMES_MAX} regions are on their way`;
    }
    const payloadBytes = isQuestion ? blocksOf(meta.length) * HASH_BYTES : meta.length;
    if (batch !== undefined && this.#crc32c(batch.arena.bytes, batch.dataStart, payloadBytes) !== meta.crc) {
      batch.release();
      return `a region of volume ${meta.volume} at ${meta.offset} is damaged`;
    }
    const hashes = isQuestion ? batch?.arena.bytes.slice(batch.dataStart, batch.dataStart + payloadBytes) : undefined;
    this.#items.push({ meta, batch, hashes, isWritten: false });
    this.#pump();
    return undefined;
  }

  /** Writes what may be written: in order where pieces overlap, old content saved first. */
  #pump(): void {
    if (this.#givingUp || this.#group.log.failed !== undefined) return;
    let queued = false;
    while (this.#submitted < this.#items.length && this.#inFlight < WRITES_MAX) {
      const { meta, batch, hashes } = this.#items[this.#submitted] as Item;
      if (!this.#conflicts.isFree(meta.volume, meta.offset, meta.length)) break;
      if (hashes === undefined && this.#keepsOld && this.#saved.lacks(meta)) break;
      const tag = this.#firstItem + this.#submitted++;
      this.#inFlight++;
      this.#conflicts.add(meta.volume, meta.offset, meta.length);
      const device = this.#group.devices[meta.volume] as Device;
      if (hashes !== undefined && batch !== undefined) device.read(batch.arena, batch.dataStart, meta.length, meta.offset, this, tag);
      else if (batch === undefined) device.zero(meta.offset, meta.length, true, this, tag);
      else device.write(batch.arena, batch.dataStart, meta.length, meta.offset, false, this, tag);
      queued = true;
    }
    if (queued) for (const device of this.#group.devices) device.kick();
    if (this.#keepsOld) this.#save();
    this.#flush();
  }

  ioDone(tag: number, errno: number): void {
    const item = this.#items[tag - this.#firstItem] as Item;
    this.#inFlight--;
    this.#conflicts.remove(item.meta.volume, item.meta.offset, item.meta.length);
    if (item.hashes !== undefined) this.#answer(tag, item, errno);
    item.batch?.release();
    item.isWritten = errno === 0 || item.hashes !== undefined;
    if (!item.isWritten) {
      this.#group.failed(deviceError('write volume', (this.#group.devices[item.meta.volume] as Device).path, errno));
      return this.#settle();
    }
    this.#pump();
    this.#settle();
  }

  /** What was asked about is in memory. What cannot be read, or does not prove anything, is not here: then it comes. */
  #answer(tag: number, { meta, batch, hashes }: Item, errno: number): void {
    const { arena, dataStart } = batch as LogBatch;
    const isTrusted = this.#isOwn || this.#saved.isUntouched(meta) || PLANTED === 'unflushed-content-trusted';
    const same = errno === 0 && isTrusted ? sameBlocks(arena.bytes, dataStart, meta.length, hashes as Uint8Array) : 0;
    this.#onEvent?.({ piece: tag, same });
  }

  get #keepsOld(): boolean {
    return this.#group.log.store.current.resync?.undo !== undefined && PLANTED !== 'undo-not-saved';
  }

  /** Begins to save old content under the pieces that wait, as much as may be under way. */
  #save(): void {
    for (let save = this.#saved.save(this.#waiting()); save !== undefined; save = this.#saved.save(this.#waiting())) {
      save.then(
        () => {
          this.#pump();
          this.#settle();
        },
        (error: unknown) => this.#saveFailed(error),
      );
    }
  }

  /** Pieces that are to be written next, in their order. */
  *#waiting(): Generator<RegionMeta> {
    const end = Math.min(this.#items.length, this.#submitted + SAVE_AHEAD_MAX);
    for (let i = this.#submitted; i < end; i++) {
      const { meta, hashes } = this.#items[i] as Item;
      if (hashes === undefined) yield meta;
    }
  }

  /** Where old content cannot be read or kept the resync goes on without it. If it must, it waits; a store that failed is final then. */
  #saveFailed(error: unknown): void {
    const { log, undoMode, name } = this.#group;
    if (!(error instanceof LvrError)) return this.#failed(new LvrError('FAILED', String(error)));
    if (undoMode === 'required' && error === this.#group.undo?.failed && !isUndoFull(error)) return this.#failed(error);
    // Of several saves that fail together one is enough.
    if (this.#givingUp || !this.#keepsOld) return this.#settle();
    if (undoMode === 'required') {
      this.#onEvent?.({ code: error.code, reason: `group ${name}: the resync waits: ${error.message}` });
      return this.#settle();
    }
    this.#givingUp = true;
    log.store
      .update((current) => (current.resync === undefined ? current : { ...current, resync: { ...current.resync, undo: undefined } }))
      .then(() => {
        this.#saved.forget();
        this.#givingUp = false;
        this.#pump();
        this.#settle();
      })
      .catch((error: unknown) => this.#failed(error instanceof LvrError ? error : new LvrError('FAILED', String(error))));
  }

  #failed(error: LvrError): void {
    this.#group.failed(error);
    this.#givingUp = false;
    this.#flushing = false;
    this.#settle();
  }

  /**
   * Flushes what is written, and says so, when it is much or there is nothing else to do. One flush at a time; what is written meanwhile
   * waits for the next.
   */
  #flush(): void {
    if (this.#flushing || this.#group.log.failed !== undefined) return;
    let written = 0;
    let bytes = 0;
    for (; this.#items[written]?.isWritten === true; written++) bytes += this.#items[written]?.meta.length ?? 0;
    const count = this.#firstItem + written;
    if (count === this.#doneCount || (bytes < FLUSH_BYTES && written < this.#items.length)) return;
    this.#flushing = true;
    const session = this.#session;
    const flush = PLANTED === 'regions-not-flushed' ? Promise.resolve() : Promise.all(this.#group.devices.map(syncDevice));
    flush.then(
      () => {
        this.#flushing = false;
        if (session === this.#session) {
          this.#items.splice(0, count - this.#firstItem);
          this.#submitted -= count - this.#firstItem;
          this.#firstItem = count;
          this.#doneCount = count;
          this.#onEvent?.(count);
        }
        this.#flush();
        this.#settle();
      },
      (error: unknown) => this.#failed(error instanceof LvrError ? error : new LvrError('FAILED', String(error))),
    );
  }

  /** The end mark of the primary: the log begins anew behind its base. Durable before it returns. */
  async end({ base, chain, end, lineage }: ResyncEnd): Promise<void> {
    const { log, applier } = this.#group;
    const resync = log.store.current.resync;
    if (resync === undefined || this.#items.length > 0)
      throw new LvrError('PROTOCOL', `group ${this.#group.name}: an end mark before its regions`);
    await log.quiet();
    const endLsn = PLANTED === 'end-mark-forgotten' ? 0 : Math.max(end, resync.fromLsn, 1);
    await log.rebase(base, chain, withOwn(lineage, log.lineage), { resync: { ...resync, endLsn } });
    applier.rebase(base);
  }

  /** Ends the resync when everything up to its end is here for good. Called when a position moved. */
  consider(): void {
    const { log } = this.#group;
    const { resync } = log.store.current;
    if (resync === undefined || this.#ending !== undefined || this.#rollingBack || log.failed !== undefined) return;
    const isHere = log.durableLsn >= resync.endLsn && log.recordedPrimaryDurableLsn >= resync.endLsn;
    if (resync.endLsn === 0 || !isHere) return;
    this.#ending = log.store
      .update((current) => (current.resync?.endLsn === resync.endLsn ? { ...current, resync: undefined } : current))
      .then(() => {
        if (this.isActive) return;
        this.#saved.forget();
        this.#group.consistent();
      })
      .catch(() => undefined)
      .finally(() => {
        this.#ending = undefined;
      });
  }

  /** Puts back what the resync has overwritten; the site is then what it was before it. Rejects when that cannot be. */
  async rollBack(): Promise<void> {
    this.#rollingBack = true;
    try {
      await this.stop();
      // An end that is on its way comes first: what is applied behind it must not be taken for what was there before.
      await this.#ending;
      await rollBackCopy(this.#group, this.#saved);
    } finally {
      this.#rollingBack = false;
    }
  }

  /** A start: goes on with putting back what a resync had overwritten, if that was begun. */
  async recover(): Promise<void> {
    const { resync } = this.#group.log.store.current;
    if (resync?.uuid === UUID_NONE) await this.rollBack();
    else if (resync?.undo === undefined) this.#saved.forget();
  }

  /** The session is over: resolves when nothing is being written any more. Pieces that were not submitted are forgotten. */
  async stop(): Promise<void> {
    this.#onEvent = undefined;
    this.#session++;
    for (const { batch } of this.#items.splice(this.#submitted)) batch?.release();
    if (!this.#isBusy) return this.#clear();
    await new Promise<void>((resolve) => {
      const before = this.#idle;
      this.#idle = () => {
        before?.();
        resolve();
      };
    });
    this.#clear();
  }

  #clear(): void {
    this.#items = [];
    this.#submitted = 0;
    this.#firstItem = this.#doneCount;
  }

  get #isBusy(): boolean {
    return this.#inFlight > 0 || this.#saved.saves > 0 || this.#givingUp || this.#flushing;
  }

  #settle(): void {
    if (this.#idle === undefined || this.#isBusy) return;
    const idle = this.#idle;
    this.#idle = undefined;
    idle();
  }
}
