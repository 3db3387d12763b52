// A group with its log in plain memory: source and sink of a link, strict about everything the ports promise.

import { LvrError } from '../../src/core/errors.js';
import type { Lsn } from '../../src/core/ids.js';
import {
  BATCH_RECORDS_MAX,
  BLOCK_BYTES,
  LINK_READ_BATCHES_MAX,
  SLAB_LARGE_PAYLOAD_BYTES,
  SLAB_SMALL_PAYLOAD_BYTES,
} from '../../src/core/limits.js';
import { cutLineage, extendLineage, type Lineage } from '../../src/core/lineage.js';
import type { BitmapOffer, ReconnectPlan, SiteHistory } from '../../src/core/reconnect.js';
import { LogBatch } from '../../src/disk/log-batch.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import {
  chainOf,
  putIdentity,
  recordEpoch,
  recordHasPayload,
  recordIncarnation,
  recordLength,
  recordLsn,
  recordPayloadCrc,
  recordPrevChain,
  sealIdentity,
} from '../../src/format/record.js';
import type { ReadAnswer, ReceiveSink, Refusal, RegionEvent, ShipSource, VolumeDescription, VolumeRead } from '../../src/link/ports.js';

/** What the fake log keeps of a record. */
export type FakeRecord = { readonly epoch: number; readonly incarnation: number; readonly chain: number };

export const FAKE_UUID = 'ab'.repeat(16);

export class FakeGroup implements ShipSource, ReceiveSink {
  readonly name = 'app';
  readonly site: string;
  role: 'primary' | 'secondary';
  groupUuid: string;
  blank: boolean;
  epoch = 1;
  incarnation = 1;
  lineage: Lineage = [];
  trimmed = 0;
  bitmap: BitmapOffer | undefined;
  volumeList: VolumeDescription[] = [{ name: 'data', sizeBytes: 1 << 30, blockBytes: 512 }];
  /** records[i] is LSN i + 1. */
  records: FakeRecord[] = [];
  /** Batches of the whole log; those from memoryFromLsn on are "in memory". */
  batches: LogBatch[] = [];
  memoryFromLsn = 1;
  durableLsn = 0;
  loggedLsn = 0;
  appliedLsn = 0;
  /** Slabs the sink may lease at once, and has. */
  leasesMax = 1000;
  leased = 0;
  /** Whether CRCs are checked (not in measurements). */
  isChecking = true;
  /** How far logged and applied follow at commit(). */
  isLogging = true;
  reads = 0;
  readsAtOnce = 0;
  readsAtOnceMax = 0;
  commits = 0;
  knownDurable = 0;
  prepared: ReconnectPlan[] = [];
  preparesAtOnce = 0;
  preparesAtOnceMax = 0;
  stepDowns = 0;
  readonly events: string[] = [];
  onStepDown: (() => void) | undefined;
  /** Holds the answers of prepare() and stepDown() back. */
  gate: Promise<void> | undefined;
  refusal: Refusal | undefined;
  readonly progress: { received: number; durable: number; applied: number } = { received: 0, durable: 0, applied: 0 };
  #onRoom: (() => void) | undefined;
  #onProgress: (() => void) | undefined;

  constructor(site: string, role: 'primary' | 'secondary') {
    this.site = site;
    this.role = role;
    this.blank = role === 'secondary';
    this.groupUuid = role === 'primary' ? FAKE_UUID : '0'.repeat(32);
    if (role === 'secondary') this.epoch = 0;
  }

  // ---- Making records ----

  /** Appends and seals one batch of writes (or trims when payloadBytes is 0) and makes it durable. */
  append(count: number, payloadBytes: number): LogBatch {
    const batch = this.#newBatch(Math.max(count * payloadBytes, 1));
    batch.reset();
    batch.firstLsn = this.sealedLsn + 1;
    const { bytes } = batch.arena;
    for (let i = 0; i < count; i++) {
      const lsn = batch.firstLsn + i;
      const at = batch.dataStart + i * payloadBytes;
      if (this.isChecking) for (let b = 0; b < payloadBytes; b += 8) bytes[at + b] = lsn + b;
      const header = batch.headerAt(i);
      const { epoch, incarnation } = this;
      const common = { lsn: lsn as Lsn, epoch, incarnation, offset: 512 * (lsn % 1000), volume: 0, timeUs: lsn };
      if (payloadBytes > 0) putIdentity(bytes, header, { ...common, length: payloadBytes, kind: 'write', mayUnmap: false });
      else putIdentity(bytes, header, { ...common, length: 4096, kind: 'trim', mayUnmap: true });
      const crc = payloadBytes === 0 || !this.isChecking ? 0 : crc32cSmall(bytes, at, payloadBytes);
      sealIdentity(bytes, header, crc, this.records.at(-1)?.chain ?? 0);
      this.records.push({ epoch, incarnation, chain: chainOf(bytes, header) });
    }
    batch.count = count;
    batch.payloadBytes = count * payloadBytes;
    this.lineage = extendLineage(this.lineage, { epoch: this.epoch, incarnation: this.incarnation, startLsn: batch.firstLsn, own: true });
    this.batches.push(batch);
    this.durableLsn = this.sealedLsn;
    this.loggedLsn = this.sealedLsn;
    this.appliedLsn = this.sealedLsn;
    return batch;
  }

  /** Only LSNs above this are in memory. */
  forget(lsn: number): void {
    this.memoryFromLsn = lsn + 1;
  }

  #newBatch(payloadBytes: number): LogBatch {
    const capacity = payloadBytes <= SLAB_SMALL_PAYLOAD_BYTES ? SLAB_SMALL_PAYLOAD_BYTES : SLAB_LARGE_PAYLOAD_BYTES;
    const arena = { bytes: new Uint8Array(BLOCK_BYTES + capacity), address: 0 };
    return new LogBatch(arena, 0, capacity, () => {
      this.leased--;
      const fn = this.#onRoom;
      this.#onRoom = undefined;
      fn?.();
    });
  }

  // ---- LinkGroup ----

  readonly logBytes = 1 << 30;

  volumes(): readonly VolumeDescription[] {
    return this.volumeList;
  }

  history(): SiteHistory {
    const { site, role, groupUuid, blank, epoch, lineage, trimmed, bitmap } = this;
    const last = this.records.length;
    return {
      site,
      role,
      groupUuid,
      blank,
      bornZero: true,
      epoch,
      lineage,
      trimmed,
      applied: this.appliedLsn,
      last,
      resync: '',
      bitmap,
    };
  }

  // Resyncs are tested with real groups (test/group/resync.ts, the simulator); here the bitmap of the hello is gone when it is asked for.
  resync(): undefined {}

  leaseRegion(): LogBatch | undefined {
    return undefined;
  }

  receiveRegion(): string {
    return 'a fake group takes no regions';
  }

  compareRegion(): string {
    return 'a fake group takes no questions';
  }

  onRegions(_fn: ((event: RegionEvent) => void) | undefined): void {}

  async endResync(): Promise<void> {}

  async chainAt(lsn: number): Promise<number> {
    const record = lsn < this.trimmed ? undefined : this.records[lsn - 1];
    if (record === undefined) throw new LvrError('LOG_CORRUPT', `no LSN ${lsn} at ${this.site}`);
    return record.chain;
  }

  async reached(): Promise<void> {}

  async stepDown(plan: ReconnectPlan): Promise<void> {
    await this.gate;
    this.stepDowns++;
    this.prepared.push(plan);
    this.role = 'secondary';
    this.onStepDown?.();
  }

  // ---- ShipSource ----

  get sealedLsn(): number {
    return this.records.length;
  }

  #find(lsn: number): LogBatch | undefined {
    const batch = this.batches.find((b) => lsn >= b.firstLsn && lsn <= b.lastLsn);
    batch?.hold();
    return batch;
  }

  holdBatch(lsn: number): LogBatch | undefined {
    return lsn < this.memoryFromLsn ? undefined : this.#find(lsn);
  }

  async readBatch(lsn: number): Promise<LogBatch> {
    this.reads++;
    this.readsAtOnceMax = Math.max(this.readsAtOnceMax, ++this.readsAtOnce);
    await Promise.resolve();
    this.readsAtOnce--;
    const batch = this.#find(lsn);
    if (batch === undefined) throw new LvrError('LOG_CORRUPT', `no LSN ${lsn} at ${this.site}`);
    return batch;
  }

  readonly readBatchesMax = LINK_READ_BATCHES_MAX;

  lastOfBatch(lsn: number): number | undefined {
    const batch = this.#find(lsn);
    batch?.release();
    return batch?.lastLsn;
  }

  siteStreaming(site: string, from: number): void {
    this.events.push(`streaming ${site} ${from}`);
  }

  /** Last LSN that was told of as sent. */
  sentLsn = 0;

  siteSent(site: string, lsn: number): void {
    if (lsn <= this.sentLsn || lsn > this.sealedLsn) this.events.push(`sent ${site} ${lsn} after ${this.sentLsn}`);
    this.sentLsn = lsn;
  }

  siteProgress(_site: string, received: number, durable: number, applied: number): void {
    Object.assign(this.progress, { received, durable, applied });
  }

  siteGone(site: string): void {
    this.events.push(`gone ${site}`);
  }

  // ---- ReceiveSink ----

  get receivedLsn(): number {
    return this.records.length;
  }

  async prepare(plan: ReconnectPlan & { action: 'stream' }, primary: SiteHistory): Promise<void> {
    this.preparesAtOnceMax = Math.max(this.preparesAtOnceMax, ++this.preparesAtOnce);
    await this.gate;
    this.preparesAtOnce--;
    this.prepared.push(plan);
    if (plan.cut) {
      this.records.length = plan.from - 1;
      this.loggedLsn = Math.min(this.loggedLsn, plan.from - 1);
      this.lineage = cutLineage(this.lineage, plan.from - 1);
    }
    if (plan.adopt) {
      this.groupUuid = primary.groupUuid;
      this.blank = false;
    }
    this.epoch = primary.epoch;
  }

  leaseBatch(payloadBytes: number): LogBatch | undefined {
    if (this.leased >= this.leasesMax) return undefined;
    this.leased++;
    const batch = this.#newBatch(Math.max(payloadBytes, 1));
    batch.reset();
    return batch;
  }

  onRoom(fn: () => void): void {
    this.#onRoom = fn;
  }

  receive(batch: LogBatch): Refusal | undefined {
    const refusal = this.refusal ?? this.#take(batch);
    if (this.isLogging || refusal !== undefined) batch.release();
    else this.pending.push(batch);
    return refusal;
  }

  #take(batch: LogBatch): Refusal | undefined {
    if (batch.firstLsn !== this.sealedLsn + 1) throw new Error(`a gap: ${batch.firstLsn} behind ${this.sealedLsn}`);
    if (batch.count < 1 || batch.count > BATCH_RECORDS_MAX) throw new Error('count');
    const { bytes } = batch.arena;
    let at = batch.dataStart;
    for (let i = 0; i < batch.count; i++) {
      const header = batch.headerAt(i);
      const length = recordHasPayload(bytes, header) ? recordLength(bytes, header) : 0;
      if (this.isChecking && length > 0 && crc32cSmall(bytes, at, length) !== recordPayloadCrc(bytes, header)) {
        return { code: 'LOG_CORRUPT', reason: `payload of LSN ${batch.firstLsn + i}` };
      }
      at += length;
      if (recordPrevChain(bytes, header) !== (this.records.at(-1)?.chain ?? 0)) return { code: 'DIVERGED', reason: 'chain' };
      const epoch = recordEpoch(bytes, header);
      const incarnation = recordIncarnation(bytes, header);
      this.lineage = extendLineage(this.lineage, { epoch, incarnation, startLsn: recordLsn(bytes, header), own: false });
      this.records.push({ epoch, incarnation, chain: chainOf(bytes, header) });
    }
    if (at - batch.dataStart !== batch.payloadBytes) throw new Error('payload length');
    return undefined;
  }

  /** Batches received while isLogging is false. */
  readonly pending: LogBatch[] = [];

  primaryDurable(lsn: number): void {
    if (lsn > this.sealedLsn) throw new Error('durable at the primary, but not here');
    this.knownDurable = lsn;
  }

  /** Reads of the primary, for the test to answer. */
  readonly asked: { readonly read: VolumeRead; readonly answer: ReadAnswer }[] = [];

  readVolume(read: VolumeRead, answer: ReadAnswer): void {
    this.asked.push({ read, answer });
  }

  onProgress(fn: (() => void) | undefined): void {
    this.#onProgress = fn;
  }

  commit(): void {
    this.commits++;
    if (this.isLogging) this.log();
  }

  /** Everything received is durable here, and applied as far as the primary is durable. */
  log(): void {
    this.loggedLsn = this.records.length;
    this.appliedLsn = Math.max(this.appliedLsn, Math.min(this.knownDurable, this.loggedLsn));
    for (const batch of this.pending.splice(0)) batch.release();
    this.#onProgress?.();
  }
}
