// Moves durable records from the log to the devices, in LSN order where they overlap, many at a time where they do not.
//
// Order of durability. A record is written to its device only when it is durable in the local log and, on a secondary, recorded as durable
// at the primary: the owner states both as one limit. Batches normally are still in memory; at start, and on a secondary after one, they
// are read back from the log. `applied` moves over a batch when all of it and of the batches before it have been written.

import { assert } from '../core/assert.js';
import { ConflictFilter } from '../core/conflict-filter.js';
import { DOUBLE_ZERO } from '../core/doubles.js';
import { LvrError } from '../core/errors.js';
import { DIRECT_PAYLOAD_BYTES } from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import type { Arena, Device, IoTarget } from '../core/ports.js';
import type { CreateArena } from '../disk/batch-pool.js';
import { findBatch, type LogBatch } from '../disk/log-batch.js';
import type { LogReader } from '../disk/log-reader.js';
import { LsnWaiters } from '../disk/lsn-waiters.js';
import { deviceError } from '../disk/promises.js';
import { recordHasPayload, recordLength, recordMayUnmap, recordOffset, recordVolume } from '../format/record.js';

/** Device operations in flight. */
const OPERATIONS_MAX = 256;
/** Batches read ahead from the log, and how many of them at once. */
const FETCHED_MAX = 24;
const READS_MAX = 20;

/** Told by the applier. */
export interface ApplyOwner {
  /** The records of `batch` and all before are on the devices (not flushed). The applier lets go of the batch after this call. */
  batchApplied(batch: LogBatch): void;
  /** A device write or a read of the log failed; the record stays in the log, nothing further is applied. */
  applyFailed(error: LvrError): void;
}

/** Gives the applier what is no longer in memory. */
export type ReadsBack = Pick<LogReader, 'readBatch' | 'lastOf'>;

export class Applier implements IoTarget {
  readonly #devices: readonly Device[];
  readonly #reader: ReadsBack;
  readonly #owner: ApplyOwner;
  readonly #createArena: CreateArena;
  readonly #conflicts = new ConflictFilter();
  // Batches in LSN order: [0, #submitting) are submitted whole, #submitting is next.
  #batches: LogBatch[] = [];
  #submitting = 0;
  #record = 0;
  #payloadAt = 0;
  #lastSubmittedLsn: number;
  #appliedLsn: number;
  #limitLsn = DOUBLE_ZERO;
  #fetching = false;
  #fetched: Promise<void> = Promise.resolve();
  // In-flight operations by tag.
  readonly #opBatch: (LogBatch | undefined)[] = new Array<LogBatch | undefined>(OPERATIONS_MAX).fill(undefined);
  readonly #opHeader = new Float64Array(OPERATIONS_MAX);
  /** A place for each operation, made when it is needed: for payloads that stand in their batch where their device cannot take them. */
  #aligned: Arena | undefined;
  readonly #freeOps: number[] = Array.from({ length: OPERATIONS_MAX }, (_, i) => i);
  readonly #waiters = new LsnWaiters();
  #failure: LvrError | undefined;
  /** Counts cuts: a batch whose read began before one may hold records that no longer count. */
  #cuts = 0;
  #inPump = false;
  #pumpAgain = false;

  /** Everything up to `appliedLsn` is on the devices already. */
  constructor(devices: readonly Device[], reader: ReadsBack, appliedLsn: number, owner: ApplyOwner, createArena: CreateArena) {
    this.#devices = devices;
    this.#reader = reader;
    this.#owner = owner;
    this.#createArena = createArena;
    this.#appliedLsn = appliedLsn;
    this.#lastSubmittedLsn = appliedLsn;
  }

  get appliedLsn(): number {
    return this.#appliedLsn;
  }

  /** Records beyond this have certainly not touched a device (in this run). */
  get startedLsn(): number {
    return this.#record === 0 ? this.#lastSubmittedLsn : (this.#batches[this.#submitting] as LogBatch).lastLsn;
  }

  /** A sealed batch, in LSN order; held by the applier until it is applied. */
  add(batch: LogBatch): void {
    batch.hold();
    this.#batches.push(batch);
  }

  /** The batch in memory that holds `lsn`; undefined when it is applied or only in the log. */
  find(lsn: number): LogBatch | undefined {
    return findBatch(this.#batches, 0, lsn);
  }

  /** Every batch in memory that is not applied. */
  forEach(fn: (batch: LogBatch) => void): void {
    for (const batch of this.#batches) fn(batch);
  }

  /**
   * Gives up the memory of the next batch when nothing else frees any: none is being applied, and this one may not be yet. It is read back
   * from the log when its turn comes, so it must be `durableLsn` or before. At the end of a resync the last record that must be here before
   * the first may be applied can be further away than memory reaches. False when there is none.
   */
  evict(durableLsn: number): boolean {
    const batch = this.#batches[0];
    if (batch === undefined || this.#submitting > 0 || this.#record > 0) return false;
    if (batch.firstLsn <= this.#limitLsn || batch.lastLsn > durableLsn) return false;
    this.#batches.shift();
    batch.release();
    return true;
  }

  /** Forgets batches after `lsn`: the log was cut there and none of them was submitted. */
  cut(lsn: number): void {
    assert(this.startedLsn <= lsn, 'applied records are never cut');
    this.#cuts++;
    this.#limitLsn = Math.min(this.#limitLsn, lsn);
    while (this.#batches.length > this.#submitting && (this.#batches.at(-1) as LogBatch).lastLsn > lsn) {
      (this.#batches.pop() as LogBatch).release();
    }
  }

  /** The log began anew behind `lsn`, and the volumes hold what it says up to there. Nothing is being applied. */
  rebase(lsn: number): void {
    assert(this.#submitting === 0 && this.#record === 0 && this.#freeOps.length === OPERATIONS_MAX, 'nothing is being applied');
    this.#cuts++;
    for (const batch of this.#batches.splice(0)) batch.release();
    this.#limitLsn = lsn;
    this.#lastSubmittedLsn = lsn;
    this.#appliedLsn = lsn;
  }

  /** Records up to `lsn` may be applied. Work starts at once. */
  allow(lsn: number): void {
    if (lsn <= this.#limitLsn) return;
    this.#limitLsn = lsn;
    this.pump();
  }

  /** Resolves when everything up to `lsn` is applied; rejects when applying has failed. */
  reached(lsn: number): Promise<void> {
    if (this.#appliedLsn >= lsn) return Promise.resolve();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#waiters.wait(lsn);
  }

  /** Nothing further is applied: the group cannot go on. What is under way ends. */
  halt(error: LvrError): void {
    this.#failure ??= error;
    this.#waiters.fail(error);
  }

  /** The same for an orderly end, before the devices are closed: resolves when the log is not read any more either. */
  end(): Promise<void> {
    this.halt(new LvrError('FAILED', 'the group has stopped'));
    return this.#fetched;
  }

  /** Submits what may be submitted. */
  pump(): void {
    if (this.#inPump) {
      this.#pumpAgain = true;
      return;
    }
    this.#inPump = true;
    do {
      this.#pumpAgain = false;
      this.#submitAll();
    } while (this.#pumpAgain);
    this.#inPump = false;
  }

  // Completions may run inside kick(): they ask for another round.
  #submitAll(): void {
    if (this.#failure !== undefined) return;
    let queued = false;
    while (this.#freeOps.length > 0) {
      const batch = this.#batches[this.#submitting];
      if (batch === undefined || batch.firstLsn > this.#lastSubmittedLsn + 1) {
        this.#fetch();
        break;
      }
      if (batch.lastLsn > this.#limitLsn) break;
      if (this.#record === 0) {
        this.#payloadAt = batch.dataStart;
        batch.unapplied = batch.count;
      }
      if (!this.#submitRecord(batch)) break;
      queued = true;
      if (++this.#record === batch.count) {
        this.#lastSubmittedLsn = Math.max(this.#lastSubmittedLsn, batch.lastLsn);
        this.#record = 0;
        this.#submitting++;
        if (batch.unapplied === 0) this.#advance();
      }
    }
    if (queued) for (const device of this.#devices) device.kick();
  }

  /** Queues the device operation of the current record; false when it may overlap one in flight. */
  #submitRecord(batch: LogBatch): boolean {
    const bytes = batch.arena.bytes;
    const header = batch.headerAt(this.#record);
    const volume = recordVolume(bytes, header);
    const offset = recordOffset(bytes, header);
    const length = recordLength(bytes, header);
    const device = this.#devices[volume] as Device;
    if (offset % device.blockBytes !== 0 || length % device.blockBytes !== 0) {
      this.#fail(blocksGrew(device, batch.firstLsn + this.#record));
      return false;
    }
    if (!this.#conflicts.isFree(volume, offset, length) && PLANTED !== 'overlaps-unordered') return false;
    this.#conflicts.add(volume, offset, length);
    const tag = this.#freeOps.pop() as number;
    this.#opBatch[tag] = batch;
    this.#opHeader[tag] = header;
    if (recordHasPayload(bytes, header)) {
      if (this.#payloadAt % device.blockBytes === 0) device.write(batch.arena, this.#payloadAt, length, offset, false, this, tag);
      else this.#writeAligned(device, bytes.subarray(this.#payloadAt, this.#payloadAt + length), offset, tag);
      this.#payloadAt += length;
    } else {
      device.zero(offset, PLANTED === 'zero-not-applied' ? 512 : length, recordMayUnmap(bytes, header), this, tag);
    }
    return true;
  }

  /** Behind a record of a volume with smaller blocks a payload is not aligned as its device needs it. */
  #writeAligned(device: Device, payload: Uint8Array, offset: number, tag: number): void {
    assert(payload.length <= DIRECT_PAYLOAD_BYTES, 'a long payload is the first of its batch');
    this.#aligned ??= this.#createArena(OPERATIONS_MAX * DIRECT_PAYLOAD_BYTES);
    const at = tag * DIRECT_PAYLOAD_BYTES;
    this.#aligned.bytes.set(payload, at);
    device.write(this.#aligned, at, payload.length, offset, false, this, tag);
  }

  ioDone(tag: number, error: number): void {
    const batch = this.#opBatch[tag] as LogBatch;
    const bytes = batch.arena.bytes;
    const header = this.#opHeader[tag] as number;
    const volume = recordVolume(bytes, header);
    this.#opBatch[tag] = undefined;
    this.#freeOps.push(tag);
    this.#conflicts.remove(volume, recordOffset(bytes, header), recordLength(bytes, header));
    if (error !== 0) {
      this.#fail(deviceError('write volume', (this.#devices[volume] as Device).path, error));
      return;
    }
    if (--batch.unapplied === 0) this.#advance();
    this.pump();
  }

  #advance(): void {
    let done = 0;
    while (done < this.#submitting && (this.#batches[done] as LogBatch).unapplied === 0) {
      const batch = this.#batches[done] as LogBatch;
      this.#appliedLsn = Math.max(this.#appliedLsn, batch.lastLsn);
      done++;
    }
    if (done === 0) return;
    const applied = this.#batches.splice(0, done);
    this.#submitting -= done;
    for (const batch of applied) {
      this.#owner.batchApplied(batch);
      batch.release();
    }
    this.#waiters.reached(this.#appliedLsn);
  }

  /** Reads what is missing in memory back from the log, in order. */
  #fetch(): void {
    if (this.#fetching || this.#failure !== undefined || this.#lastSubmittedLsn >= this.#limitLsn) return;
    this.#fetching = true;
    this.#fetched = this.#fetchAll()
      .then(() => {
        this.#fetching = false;
        this.pump();
      })
      .catch((error: unknown) => {
        if (!(error instanceof LvrError)) throw error;
        this.#fetching = false;
        this.#fail(error);
      });
  }

  async #fetchAll(): Promise<void> {
    const cuts = this.#cuts;
    const reads: Promise<LogBatch>[] = [];
    let lsn = this.#lastSubmittedLsn + 1;
    try {
      for (;;) {
        // What is in memory behind a gap may have been applied while others were read: it is not read again.
        lsn = Math.max(lsn, this.#lastSubmittedLsn + 1);
        while (reads.length < READS_MAX && this.#wantsFetch(lsn, reads.length)) {
          const read = this.#reader.readBatch(lsn);
          // Its failure is met when its turn comes.
          read.catch(() => undefined);
          reads.push(read);
          lsn = (this.#reader.lastOf(lsn) ?? lsn) + 1;
        }
        const batch = await reads.shift();
        if (batch === undefined) return;
        if (cuts !== this.#cuts || this.#failure !== undefined) {
          batch.release();
          return;
        }
        assert(batch.firstLsn > this.#lastSubmittedLsn, 'what is read back was not applied yet');
        // Batches may have been applied and dropped from the front meanwhile; the place is found anew.
        const at = this.#placeOf(batch.firstLsn);
        this.#batches.splice(at, 0, batch);
        this.pump();
      }
    } finally {
      for (const read of reads) (await read.catch(() => undefined))?.release();
    }
  }

  /** `lsn` is to be read: nobody has it in memory, and there is room for what is read ahead. */
  #wantsFetch(lsn: number, reading: number): boolean {
    return lsn <= this.#limitLsn && this.find(lsn) === undefined && this.#placeOf(lsn) - this.#submitting + reading < FETCHED_MAX;
  }

  #placeOf(lsn: number): number {
    const at = this.#batches.findIndex((batch) => batch.firstLsn > lsn);
    return at < 0 ? this.#batches.length : at;
  }

  #fail(error: LvrError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#waiters.fail(error);
    this.#owner.applyFailed(error);
  }
}

/** Only what the configuration or a replaced device has changed: requests of clients fit the blocks of their time. */
function blocksGrew({ path, blockBytes }: Device, lsn: number): LvrError {
  return new LvrError(
    'DEVICE_CHANGED',
    `${path} has blocks of ${blockBytes} bytes by now, and LSN ${lsn} in the log was written in smaller ones`,
    {
      hint: 'set io = "buffered" for the volume, or put its device back',
    },
  );
}
