// Reads batches back from the log: for a site that has fallen behind what is in memory, and for replay at start. Every batch is checked as
// a scan would, and where only headers are read, these are; what is damaged is LOG_CORRUPT and goes nowhere.

import { LvrError } from '../core/errors.js';
import { LINK_READ_BATCHES_MAX } from '../core/limits.js';
import type { Device } from '../core/ports.js';
import type { Ring } from '../core/ring.js';
import { readBatchHeader } from '../format/batch.js';
import { chainOf, isHeaderValid, recordHasPayload, recordLength, recordLsn, recordPrevChain } from '../format/record.js';
import { RING_START } from '../format/superblock.js';
import type { BatchPool } from './batch-pool.js';
import type { LogBatch } from './log-batch.js';
import { HEADERS_BYTES, type HeaderErrors, LogHeaders, type RecordVisitor } from './log-headers.js';
import type { LogIndex, LogIndexEntry } from './log-index.js';
import { readDevice } from './promises.js';
import { type CrcSpans, verifyIdentities } from './seal.js';

/** Batches for those who read one at a time: sessions that begin, sites that are folded. */
const OTHER_BATCHES = 4;

export class LogReader implements HeaderErrors {
  readonly #device: Device;
  readonly #ring: Ring;
  readonly #index: LogIndex;
  readonly #pool: BatchPool;
  readonly #uuid: Uint8Array;
  readonly #crc32cSpans: CrcSpans;
  readonly #waiting: (() => void)[] = [];

  /** `pool` bounds the memory of all readers together; readBatch waits for a free slab. See batchesEach(). */
  constructor(parts: { device: Device; ring: Ring; index: LogIndex; pool: BatchPool; uuid: Uint8Array; crc32cSpans: CrcSpans }) {
    this.#device = parts.device;
    this.#ring = parts.ring;
    this.#index = parts.index;
    this.#pool = parts.pool;
    this.#uuid = parts.uuid;
    this.#crc32cSpans = parts.crc32cSpans;
    // All of them: the slab that came back may be of the size that the first one cannot use.
    this.#pool.onFree = () => {
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
  }

  /** The batch holding `lsn`, held for the caller. Rejects with LOG_CORRUPT or DEVICE_FAILED; NOT_FOUND when it is not retained. */
  async readBatch(lsn: number): Promise<LogBatch> {
    const entry = this.#index.find(lsn);
    if (entry === undefined) throw this.notRetained(lsn);
    const batch = await this.#take(entry.totalBytes - 4096);
    try {
      await readDevice(this.#device, batch.arena, batch.start, entry.totalBytes, RING_START + this.#ring.offset(entry.position));
      this.#accept(batch, entry);
      return batch;
    } catch (error) {
      batch.release();
      // Freed and written over while it was read.
      if (this.#index.find(lsn)?.position !== entry.position) throw this.notRetained(lsn);
      throw error;
    }
  }

  /**
   * Visits the headers of all records from `from` to `to`, and of what else is in the batches of these; see LogHeaders. Rejects like
   * readBatch(); damaged payload is not noticed.
   */
  async visitHeaders(from: number, to: number, visitor: RecordVisitor): Promise<void> {
    const memory = await this.#take(HEADERS_BYTES);
    const parts = { device: this.#device, ring: this.#ring, index: this.#index, uuid: this.#uuid, errors: this };
    await new LogHeaders(parts, { from, to }).visit(memory, visitor).finally(() => memory.release());
  }

  /**
   * How many batches each of so many readers may have in hand, being read or held, at most LINK_READ_BATCHES_MAX: none of them, and nobody
   * who reads one besides, waits for what another does not let go of.
   */
  batchesEach(readers: number): number {
    const each = Math.floor((this.#pool.size - OTHER_BATCHES) / Math.max(1, readers));
    return Math.max(1, Math.min(LINK_READ_BATCHES_MAX, each));
  }

  /** The last record of the batch that holds `lsn`; undefined when it is not retained. */
  lastOf(lsn: number): number | undefined {
    const entry = this.#index.find(lsn);
    return entry && entry.firstLsn + entry.count - 1;
  }

  /** Chain value of one record in the middle of a batch. */
  async chainOfRecord(entry: LogIndexEntry, lsn: number): Promise<number> {
    const batch = await this.readBatch(entry.firstLsn);
    const chain = chainOf(batch.arena.bytes, batch.headerAt(lsn - batch.firstLsn));
    batch.release();
    return chain;
  }

  /** Checks what was read against the index and makes it a batch of the records that still count. */
  #accept(batch: LogBatch, entry: LogIndexEntry): void {
    const bytes = batch.arena.bytes;
    const header = readBatchHeader(bytes, batch.start, this.#uuid);
    const isSame =
      header !== undefined &&
      header.position === entry.position &&
      header.firstLsn === entry.firstLsn &&
      header.totalBytes === entry.totalBytes &&
      header.count >= entry.count;
    if (!isSame) {
      throw this.corrupt(entry.firstLsn, 'its batch header is damaged');
    }
    batch.firstLsn = entry.firstLsn;
    batch.count = entry.count;
    batch.position = entry.position;
    batch.payloadBytes = 0;
    for (let i = 0; i < batch.count; i++) {
      const at = batch.headerAt(i);
      if (!isHeaderValid(bytes, at) || recordLsn(bytes, at) !== entry.firstLsn + i) {
        throw this.corrupt(entry.firstLsn + i, 'its header is damaged');
      }
      if (recordHasPayload(bytes, at)) batch.payloadBytes += recordLength(bytes, at);
    }
    if (batch.payloadBytes > header.payloadBytes) throw this.corrupt(entry.firstLsn, 'its payload is larger than its batch');
    const prevChain = recordPrevChain(bytes, batch.headerAt(0));
    const chain = verifyIdentities(batch, entry.firstLsn, prevChain, this.#crc32cSpans);
    if (chain < 0) throw this.corrupt(entry.firstLsn - 1 - chain, 'its payload is damaged');
    if (chain !== entry.chain) throw this.corrupt(batch.lastLsn, 'it is not the record that was written');
  }

  async #take(payloadBytes: number): Promise<LogBatch> {
    for (;;) {
      const batch = this.#pool.take(payloadBytes);
      if (batch !== undefined) return batch;
      await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    }
  }

  /** The error for an LSN that is not in the log. */
  notRetained(lsn: number): LvrError {
    return new LvrError('NOT_FOUND', `log ${this.#device.path}: LSN ${lsn} is not in the log`);
  }

  /** The error for a batch that is not as it was written. */
  corrupt(lsn: number, why: string): LvrError {
    return new LvrError('LOG_CORRUPT', `log ${this.#device.path}: LSN ${lsn} cannot be read: ${why}`, {
      hint: 'the record was durable; keep the log as it is and restore from a site that has this LSN',
      details: { lsn },
    });
  }
}
