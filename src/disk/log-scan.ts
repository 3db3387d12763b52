// Reads a log from its trimmed position on and finds the unbroken run of valid records: the retained history. Each batch
// is checked for log, position, LSN, writer order, chain and every CRC. What stops the run is judged by core/recovery.ts, for which
// the scan also looks behind the end for records that vouch for what is missing.

import { lookBehindEnd } from '../core/high-water.js';
import { BLOCK_BYTES, RECORD_PAYLOAD_BYTES_MAX, RECORD_ZERO_BYTES_MAX } from '../core/limits.js';
import { compareWriters, extendLineage, type Lineage, writerOf } from '../core/lineage.js';
import { PLANTED } from '../core/planted.js';
import type { Arena, Crc32c, Device } from '../core/ports.js';
import { Ring } from '../core/ring.js';
import { type BatchHeader, readBatchHeader, recordHeaderAt } from '../format/batch.js';
import { putUuid, sameUuid } from '../format/bytes.js';
import {
  chainOf,
  isHeaderValid,
  type RecordIdentity,
  readIdentity,
  recordDurableLsn,
  recordEpoch,
  recordHasPayload,
  recordIncarnation,
  recordTimeUs,
} from '../format/record.js';
import { RING_START, type Superblock } from '../format/superblock.js';
import { LogIndex } from './log-index.js';
import { LogWindow } from './log-window.js';

/** What a scan found. `endPosition` is where the next batch goes; `endReason` says what stopped the run. */
export type ScanResult = {
  readonly index: LogIndex;
  readonly lastLsn: number;
  readonly lastChain: number;
  readonly endPosition: number;
  readonly endReason: string;
  readonly lineage: Lineage;
  readonly vouchedLsn: number;
  /** Highest LSN that the log says is durable at the primary. */
  readonly primaryDurableLsn: number;
};

/** Sees every accepted record, for dumps. */
export type ScanVisitor = {
  batch?(header: BatchHeader): void;
  record?(record: RecordIdentity, chain: number): void;
};

export class LogScan {
  readonly #device: Device;
  readonly #arena: Arena;
  readonly #crc32c: Crc32c;
  readonly #superblock: Superblock;
  readonly #ring: Ring;
  readonly #uuid = new Uint8Array(16);
  readonly #index = new LogIndex();
  readonly #visitor: ScanVisitor;
  #lineage: Lineage;
  #writer: { epoch: number; incarnation: number };
  #lsn: number;
  #chain: number;
  #stop = '';
  #primaryDurableLsn: number;
  readonly #knownEnd: number | undefined;
  readonly #window: LogWindow;
  /** Where the ring ends for this scan. */
  readonly #end: number;

  /** `knownEnd`: the last LSN ever appended, from whoever appended it; a run that reaches it needs no look behind its end. */
  constructor(device: Device, arena: Arena, superblock: Superblock, crc32c: Crc32c, visitor: ScanVisitor = {}, knownEnd?: number) {
    this.#knownEnd = knownEnd;
    this.#device = device;
    this.#arena = arena;
    this.#crc32c = crc32c;
    this.#superblock = superblock;
    this.#visitor = visitor;
    this.#ring = new Ring(superblock.ringBytes, superblock.ringChange);
    this.#window = new LogWindow(device, arena, this.#ring);
    this.#end = this.#ring.limit(superblock.trimmedPosition);
    putUuid(this.#uuid, 0, superblock.logUuid);
    this.#lineage = superblock.lineage.filter((e) => e.startLsn <= superblock.trimmedLsn);
    this.#writer = writerOf(this.#lineage, superblock.trimmedLsn) ?? { epoch: 0, incarnation: 0 };
    this.#lsn = superblock.trimmedLsn;
    this.#chain = superblock.trimmedChain;
    this.#primaryDurableLsn = superblock.primaryDurableLsn;
  }

  /** Runs the scan. Rejects with DEVICE_FAILED when the log cannot be read. */
  async run(): Promise<ScanResult> {
    let position = this.#superblock.trimmedPosition;
    while (position < this.#end) {
      const next = await this.#takeNext(position);
      if (next === undefined) break;
      position = next;
    }
    const vouchedLsn = this.#lsn === this.#knownEnd ? 0 : await this.#lookBehind(position);
    // The memory can be used for other things.
    await this.#window.settled();
    return {
      index: this.#index,
      lastLsn: this.#lsn,
      lastChain: this.#chain,
      endPosition: position,
      endReason: this.#stop === '' ? 'the ring is full' : this.#stop,
      lineage: this.#lineage,
      vouchedLsn,
      primaryDurableLsn: Math.min(this.#lsn, this.#primaryDurableLsn),
    };
  }

  /**
   * Takes the batch that continues the log, at `position` or, when it did not fit there, at the start of the next lap; returns where it
   * ends. What a crash or a cut has left at `position` does not hide it: a longer batch of a later writer does not overwrite that.
   */
  async #takeNext(position: number): Promise<number | undefined> {
    let stop = '';
    for (let next = position; ; ) {
      const bytes = (await this.#isNextBatch(next)) ? await this.#takeBatch(next) : 0;
      if (bytes > 0) return next + bytes;
      if (next === position) stop = this.#stop;
      const rest = this.#ring.toEnd(next);
      next += rest;
      if (rest > BLOCK_BYTES + RECORD_PAYLOAD_BYTES_MAX || next >= this.#end) break;
    }
    this.#stop = stop;
    return undefined;
  }

  async #isNextBatch(position: number): Promise<boolean> {
    const at = await this.#window.hold(position, BLOCK_BYTES, this.#end);
    const header = readBatchHeader(this.#arena.bytes, at, this.#uuid);
    if (header === undefined) {
      this.#stop = `no batch at position ${position}`;
      return false;
    }
    if (header.position !== position || header.firstLsn !== this.#lsn + 1) {
      this.#stop = `the batch at position ${position} is an old one (position ${header.position}, LSN ${header.firstLsn})`;
      return false;
    }
    // Nobody writes such a batch, but its header would be valid.
    if (header.totalBytes > this.#ring.toEnd(position)) {
      this.#stop = `the batch at position ${position} crosses the end of the ring`;
      return false;
    }
    return true;
  }

  /** Accepts the records of a batch up to the first bad one; returns the bytes to move on, 0 when not even the first record is good. */
  async #takeBatch(position: number): Promise<number> {
    let at = await this.#window.hold(position, BLOCK_BYTES, this.#end);
    const header = readBatchHeader(this.#arena.bytes, at, this.#uuid) as BatchHeader;
    at = await this.#window.hold(position, header.totalBytes, this.#end);
    const bytes = this.#arena.bytes;
    let payloadAt = at + BLOCK_BYTES;
    let payloadBytes = 0;
    let taken = 0;
    for (; taken < header.count; taken++) {
      const record = at + recordHeaderAt(taken);
      const length = this.#takeRecord(record, payloadAt, header.payloadBytes - payloadBytes);
      if (length < 0) break;
      payloadAt += length;
      payloadBytes += length;
    }
    if (taken === 0) return 0;
    const timeUs = recordTimeUs(bytes, at + recordHeaderAt(0));
    const { firstLsn, totalBytes } = header;
    this.#index.push({ firstLsn, count: taken, position, totalBytes, timeUs, chain: this.#chain }, payloadBytes);
    this.#primaryDurableLsn = Math.max(this.#primaryDurableLsn, header.primaryDurableLsn);
    this.#visitor.batch?.({ ...header, count: taken });
    return header.totalBytes;
  }

  /** Accepts one record; returns its payload length, or -1 with #stop set. */
  #takeRecord(header: number, payloadAt: number, payloadLeft: number): number {
    const bytes = this.#arena.bytes;
    const lsn = this.#lsn + 1;
    const bad = (why: string): number => {
      this.#stop = `LSN ${lsn}: ${why}`;
      return -1;
    };
    if (!isHeaderValid(bytes, header) || !sameUuid(bytes, header + 72, this.#uuid)) return bad('damaged header');
    const record = readIdentity(bytes, header);
    if (record === undefined || record.lsn !== lsn) return bad('header of another record');
    if (!this.#isExtentPossible(record)) return bad('an extent outside its volume');
    if (PLANTED !== 'ghosts-accepted') {
      if (record.prevChain !== this.#chain) return bad('does not follow its predecessor');
      if (compareWriters(record, this.#writer) < 0) return bad('written before its predecessor');
      if (this.#isVoid(record.lsn, record)) return bad('was cut off');
    }
    const hasPayload = recordHasPayload(bytes, header);
    const length = hasPayload ? record.length : 0;
    if (length > payloadLeft) return bad('payload reaches beyond its batch');
    if (hasPayload && this.#crc32c(bytes, payloadAt, length) !== record.payloadCrc && PLANTED !== 'damaged-payload-accepted')
      return bad('damaged payload');
    this.#chain = chainOf(bytes, header);
    this.#lsn = lsn;
    if (compareWriters(record, this.#writer) > 0) {
      this.#writer = { epoch: record.epoch, incarnation: record.incarnation };
      const known = this.#superblock.lineage.find((e) => compareWriters(e, record) === 0);
      this.#lineage = extendLineage(this.#lineage, { ...this.#writer, startLsn: lsn, own: known?.own ?? false });
    }
    this.#visitor.record?.(record, this.#chain);
    return length;
  }

  #isExtentPossible({ kind, volume, offset, length }: RecordIdentity): boolean {
    const sizeBytes = this.#superblock.volumes[volume]?.sizeBytes ?? 0;
    return offset + length <= sizeBytes && length <= (kind === 'write' ? RECORD_PAYLOAD_BYTES_MAX : RECORD_ZERO_BYTES_MAX);
  }

  /** Cut off by the last cut, or by an earlier one: the lineage knows that a newer writer wrote this LSN. */
  #isVoid(lsn: number, writer: { epoch: number; incarnation: number }): boolean {
    const cut = this.#superblock.voidAfter;
    if (lsn > cut.lsn && compareWriters(writer, cut) <= 0) return true;
    const known = writerOf(this.#superblock.lineage, lsn);
    return known !== undefined && compareWriters(writer, known) < 0;
  }

  /** Highest durable LSN that any acceptable record vouches for between the end and where nothing was written any more. */
  async #lookBehind(position: number): Promise<number> {
    const end = lookBehindEnd(this.#superblock.highWater, position, this.#end);
    const bytes = this.#arena.bytes;
    let vouched = 0;
    let dataEnd = position;
    for (let p = position; p < end; p += BLOCK_BYTES) {
      while (p >= dataEnd && p < end && !this.#window.holds(p)) {
        const run = this.#run(p, end);
        if (run.zero) p += run.length;
        else dataEnd = p + run.length;
      }
      if (p >= end) break;
      const at = await this.#window.hold(p, BLOCK_BYTES, dataEnd);
      const header = readBatchHeader(bytes, at, this.#uuid);
      if (header === undefined || header.position < position || this.#ring.offset(header.position) !== this.#ring.offset(p)) continue;
      for (let i = 0; i < header.count; i++) {
        const record = at + recordHeaderAt(i);
        if (!isHeaderValid(bytes, record)) continue;
        const writer = { epoch: recordEpoch(bytes, record), incarnation: recordIncarnation(bytes, record) };
        if (compareWriters(writer, this.#writer) < 0 || this.#isVoid(header.firstLsn + i, writer)) continue;
        const durable = recordDurableLsn(bytes, record);
        // Compared, because Math.max would let a number that is none win.
        if (durable > vouched) vouched = durable;
      }
    }
    return vouched;
  }

  /** What the file system knows of `position` and the whole blocks behind it: a log in its first lap is mostly zero. */
  #run(position: number, end: number): { length: number; zero: boolean } {
    const length = Math.min(end - position, this.#ring.toEnd(position));
    const run = this.#device.extents(RING_START + this.#ring.offset(position), length, 1)[0];
    const zeroes = run?.zero === true ? Math.floor(Math.min(run.length, length) / BLOCK_BYTES) * BLOCK_BYTES : 0;
    if (zeroes > 0) return { length: zeroes, zero: true };
    return { length: Math.min(length, Math.ceil((run?.length ?? length) / BLOCK_BYTES) * BLOCK_BYTES), zero: false };
  }
}
