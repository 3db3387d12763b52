// Admission of writes on a primary: gives each its LSN and its place in the open batch, seals batches for the log, and answers requests
// when
// the acknowledgement rule allows.
//
// One turn: front ends admit any number of requests, then call commit(), which seals the open batch unless enough log writes are in flight
// (then the batch goes on growing until one completes: group commit). LSN order is admission order; a record is in the overlay from its
// admission until it is on its device.

import { assert } from '../core/assert.js';
import { DOUBLE_ZERO } from '../core/doubles.js';
import type { LvrError } from '../core/errors.js';
import type { Lsn } from '../core/ids.js';
import {
  BATCH_RECORDS_MAX,
  GATHER_MS,
  MIB,
  OPEN_BATCH_WRITES_MAX,
  RECORD_PAYLOAD_BYTES_MAX,
  RECORD_ZERO_BYTES_MAX,
  SLAB_SMALL_PAYLOAD_BYTES,
} from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import type { BackendClient, Clock, IoRequest, RoomWaiter, Timer } from '../core/ports.js';
import type { BatchPool } from '../disk/batch-pool.js';
import type { Log } from '../disk/log.js';
import type { LogBatch } from '../disk/log-batch.js';
import { putIdentity, type RecordIdentity } from '../format/record.js';
import type { Applier } from './applier.js';
import { LogGather } from './log-gather.js';
import { type Overlay, ZEROES } from './overlay.js';
import type { Passthrough } from './passthrough.js';
import { Replies } from './replies.js';
import type { Sites } from './sites.js';

const EIO = 5;

/** Log space that ends a time in which writes were refused: well above what one write needs, so that they are not refused by turns. */
function freeAgain(ringBytes: number): number {
  return Math.max(4 * RECORD_PAYLOAD_BYTES_MAX, Math.min(ringBytes / 20, 20 * MIB));
}

export type WritePathParts = {
  readonly log: Log;
  readonly pool: BatchPool;
  readonly overlay: Overlay;
  readonly applier: Applier;
  readonly sites: Sites;
  readonly clock: Clock;
  /** Writes may be answered before they are durable here. */
  readonly writeCache: () => boolean;
  /** When the log fails, requests are not answered any more instead of with errors. */
  readonly holdsOnLogError: boolean;
  readonly passthrough: Pick<Passthrough, 'durableLsn' | 'sealed' | 'settleFlushes'>;
  /** New batches are sealed, or durable moved: links may have something to send. */
  readonly onSealed: () => void;
  /** The log has no room for more (called at every refusal). */
  readonly onLogFull: () => void;
};

export class WritePath {
  readonly replies = new Replies();
  readonly #parts: WritePathParts;
  readonly #log: Log;
  readonly #gather: LogGather;
  #open: LogBatch | undefined;
  #lastLsn: number;
  #payloadBytes = DOUBLE_ZERO;
  /** Writes are answered as soon as they are admitted. */
  #instant = false;
  #failed: LvrError | undefined;
  #refusedFor: string | undefined;
  /** The log has failed, and nothing is answered. */
  #isHeld = false;
  #timeUs = DOUBLE_ZERO;
  #gathering: Timer | undefined;
  #waiters = new Set<RoomWaiter>();
  #waking = false;
  /** Long writes of which a piece was refused: their end must not be answered with success. Weak: the end may never come. */
  readonly #torn = new WeakSet<IoRequest>();
  // Reused for every record, so that admission allocates nothing.
  readonly #record: Omit<RecordIdentity, 'payloadCrc' | 'prevChain'>;

  constructor(parts: WritePathParts, writer: { epoch: number; incarnation: number }) {
    this.#parts = parts;
    this.#log = parts.log;
    this.#gather = new LogGather(parts.log, parts.clock);
    this.#lastLsn = parts.log.appendedLsn;
    this.#record = { lsn: 0 as Lsn, ...writer, offset: 0, length: 0, volume: 0, kind: 'write', mayUnmap: false, timeUs: 0 };
    this.release();
  }

  /** Last LSN given out. */
  get lastLsn(): number {
    return this.#lastLsn;
  }

  /** Payload admitted and not yet sealed into a batch of the log. */
  get unsealedBytes(): number {
    return this.#open?.payloadBytes ?? 0;
  }

  /** All payload bytes admitted in this run. */
  get payloadBytes(): number {
    return this.#payloadBytes;
  }

  /** Writers wait for memory or log space, or writes are refused because there is none. */
  get isShortOfRoom(): boolean {
    return this.#waiters.size > 0 || this.#refusedFor !== undefined;
  }

  /** The site whose configuration says that writes fail while the log is full of what it lacks, while they do. */
  get refusedFor(): string | undefined {
    return this.#refusedFor;
  }

  /** From now on, and until there is log space again, new writes are answered EIO. What was admitted is not concerned. */
  refuseFor(site: string): void {
    this.#refusedFor = site;
    this.wake();
  }

  /** Writes are not refused for this site any more: what the log has no room for waits. */
  endRefusalFor(site: string): void {
    if (this.#refusedFor === site) this.#refusedFor = undefined;
  }

  /** Copies and admits a short write; false when there is no room. */
  writeCopy(volume: number, request: IoRequest, source: Uint8Array, start: number): boolean {
    if (this.#isHeld) return false;
    if (this.#refuseWrite(request)) return true;
    const batch = this.#room(request.length, 1);
    if (batch === undefined) return false;
    const at = batch.dataStart + batch.payloadBytes;
    batch.arena.bytes.set(source.subarray(start, start + request.length), at);
    this.#add(batch, volume, 'write', request.offset, request.length, false, at);
    this.#answer(request);
    return true;
  }

  /** Memory for one piece of a long write; undefined when there is none. */
  lease(length: number): LogBatch | undefined {
    assert(length <= RECORD_PAYLOAD_BYTES_MAX, 'a piece fits a record');
    return this.#parts.pool.take(length);
  }

  /** Admits a piece received into a leased batch; false when the log has no room. */
  writeLeased(volume: number, request: IoRequest, pieceOffset: number, batch: LogBatch, length: number): boolean {
    const last = pieceOffset + length === request.length;
    if (this.#isHeld) return false;
    if (pieceOffset === 0) this.#torn.delete(request);
    if (this.#mustRefuse() || this.#refusedFor !== undefined || this.#torn.has(request)) {
      batch.release();
      this.#torn.add(request);
      if (!last) return true;
      this.#torn.delete(request);
      request.owner.completed(request, EIO);
      return true;
    }
    if (this.#parts.sites.throttled) return false;
    this.#seal();
    if (!this.#log.hasRoom(length)) {
      this.#parts.onLogFull();
      return false;
    }
    this.#add(batch, volume, 'write', request.offset + pieceOffset, length, false, batch.dataStart);
    this.#open = batch;
    // Before it is sealed: a device that is fast enough has written it before seal() returns, and nothing else might release the answer.
    if (last) this.#answer(request);
    this.#seal();
    return true;
  }

  /** Admits a zero or trim request as one or more records; false when there is no room. */
  discard(volume: number, request: IoRequest): boolean {
    if (this.#isHeld) return false;
    if (this.#refuseWrite(request)) return true;
    const count = Math.ceil(request.length / RECORD_ZERO_BYTES_MAX);
    assert(count <= BATCH_RECORDS_MAX, 'a discard fits one batch');
    const batch = this.#room(0, count);
    if (batch === undefined) return false;
    const end = request.offset + request.length;
    for (let offset = request.offset; offset < end; offset += RECORD_ZERO_BYTES_MAX) {
      const length = Math.min(RECORD_ZERO_BYTES_MAX, end - offset);
      const kind = request.op === 'trim' ? 'trim' : 'zero';
      this.#add(batch, volume, kind, offset, length, kind === 'trim' || !request.noHole, ZEROES);
    }
    this.#answer(request);
    return true;
  }

  /** Answers when everything admitted so far is as durable as the sites' modes ask. */
  flush(request: IoRequest): void {
    if (this.#mustRefuse() && !this.#isHeld) return request.owner.completed(request, EIO);
    if (PLANTED === 'flush-answered-early') return request.owner.completed(request, 0);
    this.replies.flush(PLANTED === 'flush-misses-open-batch' ? this.#log.appendedLsn : this.#lastLsn, request);
    this.release();
    this.#parts.passthrough.settleFlushes();
  }

  /**
   * Ends a turn: writes what was sealed (log-gather.ts). Before that seals the open batch, unless enough is in flight, or nobody waits for
   * what is in it: then it may grow for GATHER_MS, because a batch costs much more than a record in it.
   */
  commit(): void {
    this.#timeUs = 0;
    this.#considerOpen();
    this.#gather.turnEnded(this.replies.waiting > 0);
  }

  #considerOpen(): void {
    if (this.#open === undefined || this.#log.inFlight >= OPEN_BATCH_WRITES_MAX) return;
    if (this.replies.waiting > 0) this.#seal();
    else if (this.#gathering === undefined) {
      this.#gathering = this.#parts.clock.after(GATHER_MS, () => {
        this.#gathering = undefined;
        if (this.#failed === undefined) this.sealAll();
      });
    }
  }

  /** Seals the open batch whatever is in flight, and has all batches written. */
  sealAll(): void {
    this.#seal();
    this.#log.submit();
  }

  /** Positions moved: answers what may be answered now. */
  release(): void {
    if (this.#isHeld) return;
    const { sites } = this.#parts;
    const writeCache = this.#parts.writeCache();
    const limits = sites.update(this.#lastLsn, this.#parts.passthrough.durableLsn, writeCache);
    this.#instant = writeCache && sites.all.every((site) => site.effectiveMode === 'async');
    if (limits.failing) this.replies.failAll(EIO);
    else if (this.#failed === undefined) this.replies.release(limits.writeLsn, limits.flushLsn);
  }

  /**
   * Nothing is admitted or answered any more; what waits is answered EIO because its fate is unknown, or held for ever: its client goes on
   * when an agent whose log works takes its requests again.
   */
  fail(error: LvrError): void {
    this.#failed = error;
    this.#isHeld = this.#parts.holdsOnLogError && error.code === 'LOG_FAILED';
    if (this.#isHeld) return;
    this.replies.failAll(EIO);
    this.wake();
  }

  waitForRoom(waiter: RoomWaiter): void {
    this.#waiters.add(waiter);
  }

  /** The client is gone: nothing of it waits for an answer or for room any more. */
  forget(client: BackendClient): void {
    this.replies.forget(client);
    this.#waiters.delete(client);
  }

  /** Memory or log space came back, or writers need not wait for a site any more: tells waiters once, at the end of the turn. */
  wake(): void {
    if (this.#isHeld) return;
    const { ring, usedBytes } = this.#log;
    if (this.#refusedFor !== undefined && ring.bytes - usedBytes >= freeAgain(ring.bytes)) this.#refusedFor = undefined;
    if (this.#waiters.size === 0 || this.#waking || (this.#parts.sites.throttled && this.#failed === undefined)) return;
    this.#waking = true;
    this.#parts.clock.soon(() => {
      this.#waking = false;
      const waiters = this.#waiters;
      this.#waiters = new Set();
      for (const waiter of waiters) waiter.roomAvailable();
    });
  }

  #mustRefuse(): boolean {
    return this.#failed !== undefined || this.#parts.sites.limits.failing;
  }

  #refuseWrite(request: IoRequest): boolean {
    if (!this.#mustRefuse() && this.#refusedFor === undefined) return false;
    request.owner.completed(request, EIO);
    return true;
  }

  /** The open batch with room for all that, a new one if needed; undefined when memory or log is full, or writers are to wait. */
  #room(payloadBytes: number, records: number): LogBatch | undefined {
    if (this.#parts.sites.throttled) return undefined;
    const open = this.#open;
    if (open !== undefined) {
      if (open.hasRoom(payloadBytes) && open.count + records <= BATCH_RECORDS_MAX) return open;
      this.#seal();
    }
    if (!this.#log.hasRoom(SLAB_SMALL_PAYLOAD_BYTES)) {
      this.#parts.onLogFull();
      return undefined;
    }
    this.#open = this.#parts.pool.take(SLAB_SMALL_PAYLOAD_BYTES);
    return this.#open;
  }

  #add(
    batch: LogBatch,
    volume: number,
    kind: RecordIdentity['kind'],
    offset: number,
    length: number,
    mayUnmap: boolean,
    payloadAt: number,
  ): void {
    if (this.#timeUs === 0) this.#timeUs = this.#parts.clock.wallMs() * 1000;
    const record = this.#record;
    record.lsn = ++this.#lastLsn as Lsn;
    record.volume = volume;
    record.kind = kind;
    record.offset = offset;
    record.length = length;
    record.mayUnmap = mayUnmap;
    record.timeUs = this.#timeUs;
    if (batch.count === 0) batch.firstLsn = this.#lastLsn;
    putIdentity(batch.arena.bytes, batch.headerAt(batch.count), record);
    batch.count++;
    if (payloadAt !== ZEROES) {
      batch.payloadBytes += length;
      this.#payloadBytes += length;
    }
    this.#parts.overlay.add(volume, offset, length, batch, payloadAt);
  }

  #answer(request: IoRequest): void {
    if (this.#instant && (!request.fua || PLANTED === 'fua-ignored')) request.owner.completed(request, 0);
    else this.replies.write(this.#lastLsn, request);
  }

  #seal(): void {
    const batch = this.#open;
    if (batch === undefined) return;
    this.#open = undefined;
    batch.sealedMs = this.#parts.clock.nowMs();
    this.#parts.applier.add(batch);
    this.#parts.passthrough.sealed(batch);
    this.#log.appendOwn(batch);
    this.#gather.appended();
    if (PLANTED === 'device-before-log') this.#parts.applier.allow(batch.lastLsn);
    batch.release();
    this.#parts.onSealed();
  }
}
