// The ring log of a group: appends batches, knows what is durable, reads batches back, cuts and frees.
//
// Order of durability. `durable` moves over a batch only when it and all before it have been written (write-queue.ts). Ring space is reused
// only after the superblock that no longer needs it is durable (free() is called by the checkpoint after its superblock write). A failed
// write is final: nothing further becomes durable until the agent is restarted.

import { assert } from '../core/assert.js';
import { LvrError } from '../core/errors.js';
import { cutLineage, extendLineage, type Lineage, type LineageEntry } from '../core/lineage.js';
import { PLANTED } from '../core/planted.js';
import type { Device } from '../core/ports.js';
import type { Ring } from '../core/ring.js';
import { batchBytes } from '../format/batch.js';
import { putUuid } from '../format/bytes.js';
import { recordEpoch, recordIncarnation, recordTimeUs } from '../format/record.js';
import type { Superblock } from '../format/superblock.js';
import { HighWater } from './high-water.js';
import type { LogBatch } from './log-batch.js';
import type { LogIndex } from './log-index.js';
import type { LogOwner, LogParts } from './log-parts.js';
import type { LogReader } from './log-reader.js';
import { ackedUpTo, welcomeOf } from './log-welcome.js';
import { wipeBehind, wipeLeftovers } from './log-wipe.js';
import { LsnWaiters } from './lsn-waiters.js';
import { type CrcSpans, sealForLog, sealIdentities } from './seal.js';
import type { SuperblockStore } from './superblock-store.js';
import { WriteQueue, type WriteQueueOwner } from './write-queue.js';

export class Log implements WriteQueueOwner {
  readonly device: Device;
  readonly store: SuperblockStore;
  readonly index: LogIndex;
  readonly reader: LogReader;
  readonly ring: Ring;
  readonly #crc32cSpans: CrcSpans;
  readonly #uuid = new Uint8Array(16);
  #owner: LogOwner | undefined;
  #lineage: Lineage;
  #appendedLsn: number;
  #durableLsn: number;
  #chain: number;
  #appendPosition: number;
  #freePosition: number;
  #trimmedLsn: number;
  #failed: LvrError | undefined;
  /** Durable at the primary: as told, and as written in a durable batch or superblock of this log. */
  #primaryDurableLsn: number;
  #recordedPrimaryDurableLsn: number;
  readonly #highWater: HighWater;
  readonly #writes: WriteQueue;
  readonly #waiters = new LsnWaiters();
  /** Nothing may be appended: the layout of the ring is about to change. */
  isHeld = false;
  /** Counts how often the log began anew: positions noted before mean nothing afterwards. */
  beginnings = 0;

  constructor(parts: LogParts) {
    this.device = parts.device;
    this.store = parts.store;
    this.index = parts.index;
    this.reader = parts.reader;
    this.ring = parts.ring;
    this.#crc32cSpans = parts.crc32cSpans;
    putUuid(this.#uuid, 0, parts.store.current.logUuid);
    this.#lineage = parts.lineage;
    this.#appendedLsn = parts.lastLsn;
    this.#durableLsn = parts.lastLsn;
    this.#chain = parts.lastChain;
    this.#appendPosition = parts.endPosition;
    this.#freePosition = parts.store.current.trimmedPosition;
    this.#trimmedLsn = parts.store.current.trimmedLsn;
    this.#primaryDurableLsn = parts.primaryDurableLsn;
    this.#recordedPrimaryDurableLsn = parts.primaryDurableLsn;
    this.#highWater = new HighWater(
      parts.store,
      parts.ring,
      () => this.#appendPosition,
      () => this.#writes.resume(),
    );
    this.#writes = new WriteQueue(parts.device, parts.ring, this.#highWater, this);
    // A superblock whose write failed may stand on the disk all the same: whatever is done after it could contradict it.
    parts.store.onFailed = (error) => this.fail(error);
  }

  /** Must be called once before the first append. */
  setOwner(owner: LogOwner): void {
    this.#owner = owner;
  }

  get appendedLsn(): number {
    return this.#appendedLsn;
  }

  get durableLsn(): number {
    return this.#durableLsn;
  }

  get trimmedLsn(): number {
    return this.#trimmedLsn;
  }

  get lineage(): Lineage {
    return this.#lineage;
  }

  /** Chain value of the last appended record. */
  get chain(): number {
    return this.#chain;
  }

  /** Ring bytes that cannot be reused yet. */
  get usedBytes(): number {
    return this.#appendPosition - this.#freePosition;
  }

  /** Ring bytes of the batches that hold records behind `lsn`, which is retained or the last one trimmed. */
  bytesBehind(lsn: number): number {
    return this.#appendPosition - (this.index.find(lsn + 1)?.position ?? this.#appendPosition);
  }

  /** Where the next batch goes, unless the rest of the lap is too short for it. */
  get appendPosition(): number {
    return this.#appendPosition;
  }

  /** Everything before can be reused. */
  get freePosition(): number {
    return this.#freePosition;
  }

  get failed(): LvrError | undefined {
    return this.#failed;
  }

  /** Log writes submitted and not completed. */
  get inFlight(): number {
    return this.#writes.inFlight;
  }

  /** Batches appended and not yet durable. */
  get undurable(): number {
    return this.#writes.undurable;
  }

  /** True when a batch with up to `payloadBytes` of payload can be appended now. */
  hasRoom(payloadBytes: number): boolean {
    if (this.isHeld) return false;
    if (PLANTED === 'room-ignored') return true;
    return this.ring.fits(this.#appendPosition, this.#freePosition, batchBytes(payloadBytes)) && !this.#writes.isFull;
  }

  /** Batches appended of which submit() has not heard. */
  get unsubmitted(): number {
    return this.#writes.unsubmitted;
  }

  /** Writes every appended batch as soon as the device may take it; the ones that are written in one call cost it one flush. */
  submit(): void {
    this.#writes.submit();
  }

  /** Seals a batch of own records (identities complete but for CRC and chain) and queues it for submit(). Room was checked. */
  appendOwn(batch: LogBatch): void {
    this.#append(batch, sealIdentities(batch, this.#chain, this.#crc32cSpans), true);
  }

  /** Queues a batch for submit() whose identities were sealed elsewhere and verified; `chain` is that of its last record. */
  appendReceived(batch: LogBatch, chain: number): void {
    const bytes = batch.arena.bytes;
    for (let i = 0; i < batch.count; i++) {
      const header = batch.headerAt(i);
      const writer = { epoch: recordEpoch(bytes, header), incarnation: recordIncarnation(bytes, header) };
      const last = this.#lineage.at(-1);
      if (last === undefined || last.epoch !== writer.epoch || last.incarnation !== writer.incarnation) {
        this.#lineage = extendLineage(this.#lineage, { ...writer, startLsn: batch.firstLsn + i, own: false });
      }
    }
    this.#append(batch, chain, false);
  }

  #append(batch: LogBatch, chain: number, own: boolean): void {
    assert(batch.firstLsn === this.#appendedLsn + 1, 'appended LSNs are contiguous');
    const total = batchBytes(batch.payloadBytes);
    batch.position = this.ring.place(this.#appendPosition, total);
    assert(!this.isHeld && batch.position + total <= this.ring.limit(this.#freePosition), 'the log does not overwrite what it still needs');
    batch.primaryDurableLsn = own ? this.#durableLsn : this.#primaryDurableLsn;
    sealForLog(batch, this.#durableLsn, batch.primaryDurableLsn, this.#uuid);
    const { firstLsn, count, position } = batch;
    const timeUs = recordTimeUs(batch.arena.bytes, batch.headerAt(0));
    this.index.push({ firstLsn, count, position, totalBytes: total, timeUs, chain }, batch.payloadBytes);
    this.#appendPosition = position + total;
    this.#appendedLsn = batch.lastLsn;
    this.#chain = chain;
    this.#highWater.appended();
    this.#writes.push(batch);
  }

  batchWritten(batch: LogBatch): void {
    this.#durableLsn = batch.lastLsn;
    if (batch.primaryDurableLsn > this.#recordedPrimaryDurableLsn) this.#recordedPrimaryDurableLsn = batch.primaryDurableLsn;
    this.#owner?.batchDurable(batch);
  }

  writesEnded(): void {
    this.#settle();
  }

  writeFailed(error: LvrError): void {
    this.fail(error);
  }

  /** The primary says that records up to `lsn` are durable there. Written with the next batch, or by recordPrimaryDurable(). */
  setPrimaryDurable(lsn: number): void {
    if (lsn > this.#primaryDurableLsn) this.#primaryDurableLsn = lsn;
  }

  /** Highest LSN up to which this log knows, over any crash, that records are durable at the primary. */
  get recordedPrimaryDurableLsn(): number {
    return this.#recordedPrimaryDurableLsn;
  }

  /** True when what the primary said is newer than what the log records and no batch is on its way to record it. */
  get primaryDurableUnrecorded(): boolean {
    return this.#primaryDurableLsn > this.#recordedPrimaryDurableLsn && this.undurable === 0;
  }

  /** Records it in the superblock. */
  async recordPrimaryDurable(): Promise<void> {
    let primaryDurableLsn = 0;
    // Read when its turn to be written comes: a cut may stand in front of it, and what it cut off is durable nowhere.
    await this.store.update((current) => {
      primaryDurableLsn = Math.max(current.primaryDurableLsn, this.#primaryDurableLsn);
      return { ...current, primaryDurableLsn };
    });
    this.#recordedPrimaryDurableLsn = Math.max(this.#recordedPrimaryDurableLsn, primaryDurableLsn);
  }

  /** Ends this log for this process: the cause is reported once, and nothing becomes durable any more. */
  fail(cause: LvrError): void {
    if (this.#failed !== undefined) return;
    this.#failed = new LvrError('LOG_FAILED', `log ${this.device.path}: ${cause.message}`, {
      hint: 'repair the device, then restart the agent: it recovers from what is durable',
      cause,
    });
    this.#writes.stop();
    this.#owner?.logFailed(this.#failed);
    this.#settle();
  }

  /**
   * Chain value of a retained record, of the trimmed one, or 0 for LSN 0. Rejects with LOG_CORRUPT, DEVICE_FAILED, or NOT_FOUND (trimmed).
   */
  async chainAt(lsn: number): Promise<number> {
    if (lsn === this.#appendedLsn) return this.#chain;
    if (lsn === this.store.current.trimmedLsn) return this.store.current.trimmedChain;
    const entry = this.index.find(lsn);
    if (entry === undefined) throw new LvrError('NOT_FOUND', `log ${this.device.path}: LSN ${lsn} is no longer in the log`);
    return lsn === entry.firstLsn + entry.count - 1 ? entry.chain : this.reader.chainOfRecord(entry, lsn);
  }

  /** The superblock fields of a log trimmed up to `lsn` at most (whole batches only); the current ones when nothing can be trimmed. */
  trimmedAt(lsn: number): Pick<Superblock, 'trimmedLsn' | 'trimmedPosition' | 'trimmedChain'> {
    const { trimmedLsn, trimmedPosition, trimmedChain } = this.store.current;
    const end = this.index.batchEndBefore(Math.min(lsn, this.#durableLsn));
    const entry = end > trimmedLsn ? this.index.find(end) : undefined;
    if (entry === undefined) return { trimmedLsn, trimmedPosition, trimmedChain };
    const next = this.index.find(end + 1);
    return { trimmedLsn: end, trimmedPosition: next?.position ?? this.#appendPosition, trimmedChain: entry.chain };
  }

  /** Frees what the durable superblock no longer needs. Call after its update. */
  free(): void {
    const { trimmedLsn, trimmedPosition } = this.store.current;
    this.index.trim(trimmedLsn);
    this.#trimmedLsn = trimmedLsn;
    this.#freePosition = trimmedPosition;
  }

  /**
   * Starts a new writer: from now on appended records carry this epoch and incarnation. Durable before it returns; leftovers of older
   * writers behind the end of the log are void from then on. `change` sets further superblock fields in the same write.
   */
  async beginWriting(writer: { epoch: number; incarnation: number }, change: Partial<Superblock>): Promise<void> {
    const entry: LineageEntry = { ...writer, startLsn: this.#appendedLsn + 1, own: true };
    const lineage = extendLineage(this.#lineage, entry);
    await this.store.update((current) => ({
      ...current,
      ...change,
      ...writer,
      durableLsn: this.#durableLsn,
      sites: ackedUpTo(change.sites ?? current.sites, this.#appendedLsn),
      lineage,
      voidAfter: { lsn: this.#appendedLsn, epoch: writer.epoch, incarnation: writer.incarnation - 1 },
    }));
    this.#lineage = lineage;
  }

  /**
   * Prepares for received records of `writer` (log-welcome.ts). Durable before it returns. Rejects with DIVERGED when a retained record is
   * newer.
   */
  async welcome(writer: { epoch: number; incarnation: number }): Promise<void> {
    assert(this.undurable === 0, 'records of another writer are awaited when the log is quiet');
    const { newest, current } = this.store;
    const host = { path: this.device.path, lsn: this.#appendedLsn, lineage: this.#lineage, newest, current };
    const welcome = welcomeOf(writer, host);
    if (welcome === undefined) return;
    const { lineage, voidAfter } = welcome;
    if (welcome.wipes && PLANTED !== 'leftovers-kept') await wipeLeftovers(this);
    await this.store.update((superblock) => ({ ...superblock, lineage, voidAfter }));
    this.#lineage = lineage;
  }

  /**
   * Forgets every record: the log goes on behind `lsn`, a record with this chain value that it does not have. `change` sets further
   * superblock fields in the same write. Durable before it returns. No write may be in flight.
   */
  async rebase(lsn: number, chain: number, lineage: Lineage, change: Partial<Superblock>): Promise<void> {
    assert(this.undurable === 0, 'a log begins anew only when it is quiet');
    // A log that goes back must not find, behind its new end, a record that knows later ones durable.
    if (lsn < this.#appendedLsn) await wipeBehind(this);
    await this.store.update((current) => ({
      ...current,
      ...change,
      lineage,
      trimmedLsn: lsn,
      trimmedPosition: this.#appendPosition,
      trimmedChain: chain,
      appliedLsn: lsn,
      durableLsn: lsn,
      primaryDurableLsn: lsn,
    }));
    this.beginnings++;
    this.index.trim(Number.POSITIVE_INFINITY);
    this.#lineage = lineage;
    this.#chain = chain;
    this.#appendedLsn = lsn;
    this.#durableLsn = lsn;
    this.#trimmedLsn = lsn;
    this.#primaryDurableLsn = lsn;
    this.#recordedPrimaryDurableLsn = lsn;
    this.#freePosition = this.#appendPosition;
  }

  /** Resolves when every appended batch is durable. Rejects with LOG_FAILED. */
  quiet(): Promise<void> {
    return this.reached(Number.POSITIVE_INFINITY);
  }

  /** Resolves when the appended record `lsn` is durable. Rejects with LOG_FAILED. */
  reached(lsn: number): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    if (this.undurable === 0 || lsn <= this.#durableLsn) return Promise.resolve();
    this.submit();
    return this.#waiters.wait(lsn);
  }

  /** Resolves when the log writes nothing by itself any more, provided that nothing is appended: its device can be closed. */
  settled(): Promise<void> {
    return this.#highWater.settled();
  }

  #settle(): void {
    if (this.#failed !== undefined) this.#waiters.fail(this.#failed);
    else this.#waiters.reached(this.undurable === 0 ? Number.POSITIVE_INFINITY : this.#durableLsn);
  }

  /** Cuts the log after `lsn`, durably, together with `change`: later records never count again. No write may be in flight. */
  async cut(lsn: number, change: Partial<Superblock> = {}): Promise<void> {
    assert(this.undurable === 0, 'a log is cut only when it is quiet');
    if (lsn === this.#appendedLsn) return this.store.update((current) => ({ ...current, ...change }));
    const chain = await this.chainAt(lsn);
    const last = this.#lineage.at(-1);
    assert(last !== undefined, 'records have a writer');
    const lineage = cutLineage(this.#lineage, lsn);
    // A crash may have left records there of a newer writer than any in the log: they are not void, and know later records durable.
    await wipeLeftovers(this);
    await this.store.update((current) => ({
      ...current,
      ...change,
      durableLsn: PLANTED === 'cut-forgotten' ? current.durableLsn : lsn,
      sites: ackedUpTo(current.sites, lsn),
      lineage,
      voidAfter: { lsn, epoch: last.epoch, incarnation: last.incarnation },
      // The batches that recorded it may be among those cut off, and records up to it may be on the volumes.
      primaryDurableLsn: Math.min(Math.max(current.primaryDurableLsn, this.#recordedPrimaryDurableLsn), lsn),
    }));
    this.index.cut(lsn, chain);
    const entry = this.index.find(lsn);
    this.#lineage = lineage;
    this.#chain = chain;
    this.#appendedLsn = lsn;
    this.#durableLsn = lsn;
    this.#primaryDurableLsn = Math.min(this.#primaryDurableLsn, lsn);
    this.#recordedPrimaryDurableLsn = Math.min(this.#recordedPrimaryDurableLsn, lsn);
    this.#appendPosition = entry === undefined ? this.store.current.trimmedPosition : entry.position + entry.totalBytes;
  }
}
