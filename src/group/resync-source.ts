// The copying side of a resync: what the bitmap of a site says, read from the volumes in ascending order, pass after pass.
//
// Volumes, not the overlay: what is on a volume is durable in the log, so the other site never gets what this one could lose. A region is
// `pending` until its read begins; a record that gets to its volume makes it pending again. A bit is cleared when the other site has the
// region durably and nothing made it pending since.
//
// Passes go on until the rest is small against the room in the log. Then the log is kept from the base on (the last record on the volumes)
// and nothing is marked any more; what is copied afterwards may hold records behind the base, up to the highest that may be on a volume
// when the last read ended. That is the end: who applies the records from the base to the end over the copy has the state of the end.

import type { Checksum } from '../core/compare-rule.js';
import type { DirtyMap } from '../core/dirty-map.js';
import { LvrError } from '../core/errors.js';
import { MIB, RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import { cutLineage } from '../core/lineage.js';
import { PLANTED } from '../core/planted.js';
import type { Clock, Crc32c, Device } from '../core/ports.js';
import type { PaceLimits } from '../core/resync-pace.js';
import { ResyncTurn, type ResyncTurns } from '../core/resync-turns.js';
import { BatchPool, type CreateArena } from '../disk/batch-pool.js';
import type { Log } from '../disk/log.js';
import type { LogBatch } from '../disk/log-batch.js';
import { readDeviceOnce } from '../disk/promises.js';
import { isZero } from '../format/bytes.js';
import type { Compared, ResyncEnd } from '../format/wire.js';
import type { RegionPiece } from '../link/ports.js';
import type { Applier } from './applier.js';
import { type DirtyRun, DirtyRuns } from './dirty-runs.js';
import { ResyncCompare } from './resync-compare.js';
import type { ResyncPacer } from './resync-pacer.js';
import type { SiteBitmaps } from './site-bitmaps.js';

/** Memory for regions on their way. */
const POOL_BYTES = 32 * MIB;

/** Pieces that are read from the volumes before their turn. */
const READS_MAX = 4;

/** Between two passes that found next to nothing to copy. */
const PASS_MS = 1_000;

/** A piece on its way. `left`: what it waits for, the frames that are not durable there, and an answer. */
type Sent = DirtyRun & { left: number };

/** A frame that was handed out: of which piece, and how much content it has. */
type Frame = { readonly sent: Sent; readonly bytes: number };

/** A piece that is being read, or was. */
type Read = { readonly sent: Sent; readonly batch: LogBatch | undefined };

export type ResyncParts = {
  readonly site: string;
  /** Size of the ring of the log of the site, which has to hold what is written from the base to the end; Infinity: not known. */
  readonly siteLogBytes: number;
  readonly devices: readonly Device[];
  readonly log: Log;
  readonly applier: Applier;
  readonly bitmaps: SiteBitmaps;
  readonly pacer: ResyncPacer;
  /** Whether the site is asked first what it has. */
  readonly checksum: Checksum;
  readonly minDwellMs: number;
  readonly clock: Clock;
  readonly crc32c: Crc32c;
  readonly createArena: CreateArena;
  /** Flushes the volumes, unless that is no longer wanted when its turn comes; a failure is that of the group. Never rejects. */
  readonly checkpoint: (isWanted: () => boolean) => Promise<void>;
  /** Whose turn it is to copy. */
  readonly turns: ResyncTurns;
  readonly isPaused: boolean;
  /** Pieces are durable at the other site. */
  readonly onMoved: () => void;
  readonly onStopped: () => void;
};

/** One resync of one site, as long as its session lasts. */
export class ResyncSource {
  readonly #parts: ResyncParts;
  readonly #pool: BatchPool;
  #map: DirtyMap | undefined;
  #runs: DirtyRuns | undefined;
  /** Pieces handed out and not yet durable at the other site, oldest first. */
  readonly #sent: Sent[] = [];
  /** Frames of them that are not, in the order in which they were handed out: #frames[0] is number #doneCount. */
  readonly #frames: Frame[] = [];
  readonly compare: ResyncCompare<Sent>;
  /** What is read ahead, in the order in which it goes. */
  readonly #ahead: Promise<Read>[] = [];
  /** Bytes of the pieces that were begun and are not durable at the other site. */
  #begunBytes = 0;
  #doneCount = 0;
  #base: number | undefined;
  #stopped = false;
  #waiting: (() => void) | undefined;
  readonly turn: ResyncTurn;
  #sleeping: (() => void) | undefined;
  /** Bytes durable at the other site. */
  copiedBytes = 0;

  constructor(parts: ResyncParts) {
    this.#parts = parts;
    this.#pool = new BatchPool(parts.createArena, POOL_BYTES, 'large');
    this.#pool.onFree = () => this.#wake();
    this.compare = new ResyncCompare(parts.checksum, parts.clock, parts.crc32c);
    this.turn = new ResyncTurn(parts.turns, parts.isPaused, () => this.#wake());
  }

  /** Bytes that are not known to be durable at the other site, as far as is known now; undefined before the copy begins. */
  get leftBytes(): number | undefined {
    return this.#map && this.#map.pendingBytes + this.#begunBytes;
  }

  get copyBytesPerSecond(): number {
    return this.#parts.pacer.copyRate;
  }

  setPace(limits: PaceLimits): void {
    this.#parts.pacer.setLimits(limits, this.#parts.clock.nowMs());
    // Who sleeps out the old rate asks again.
    this.#sleeping?.();
  }

  /** Prepares the bitmap, durably; nothing is sent before. */
  async start(): Promise<void> {
    this.#map = await this.#parts.bitmaps.startCopy(this.#parts.site);
    this.#runs = new DirtyRuns(this.#map, this.#parts.devices);
    if (!this.#stopped) this.turn.start();
  }

  /** The next piece; undefined when nothing waits to be copied now. Waits for its turn and for memory. */
  async next(): Promise<RegionPiece | undefined> {
    while (!this.turn.isRunning && !this.#stopped) await this.moved();
    this.#assertSound();
    if (this.#mayFinish()) await this.#keepLog();
    await this.#readAhead();
    if (this.compare.hasNext) return this.#difference();
    const read = await this.#ahead.shift();
    if (read === undefined) return undefined;
    await this.#turn(read.sent.meta.isZero ? 0 : read.sent.meta.length);
    if (!this.#stopped) return this.#piece(read);
    read.batch?.release();
    return undefined;
  }

  /** Behind stop(): resolves when nothing is read any more. */
  async settled(): Promise<void> {
    for (const read of this.#ahead.splice(0)) (await read.catch(() => undefined))?.batch?.release();
  }

  /** So many pieces of this session are durable at the other site. Words when that cannot be. */
  done(count: number): string | undefined {
    const map = this.#map as DirtyMap;
    if (count < this.#doneCount || count - this.#doneCount > this.#frames.length) return `${count} regions are done, which were not sent`;
    if (this.compare.isOpen(this.#doneCount, count)) return `piece ${count} is done, and a question before it was not answered`;
    for (const { sent, bytes } of this.#frames.splice(0, count - this.#doneCount)) {
      sent.left--;
      this.compare.sent(bytes);
    }
    // In order: several pieces may be of one region, and the last of them stands for it.
    while (this.#sent[0]?.left === 0) {
      const { meta, first, end } = this.#sent.shift() as Sent;
      for (let region = first; region < end; region++) map.done(meta.volume, region);
      this.copiedBytes += meta.length;
      this.#begunBytes -= meta.length;
      this.#parts.pacer.copied(meta.length);
    }
    this.#doneCount = count;
    this.#parts.onMoved();
    this.#wake();
    return undefined;
  }

  /** What the other site has of a piece. Words when that cannot be. */
  compared({ piece, same }: Compared): string | undefined {
    const answer = this.compare.answered(piece, same);
    if (typeof answer === 'string') return answer;
    answer.copy.left += answer.pieces - 1;
    this.#parts.pacer.spared(answer.sameBytes);
    // Who waits for the rate need not wait as long any more.
    this.#sleeping?.();
    this.#wake();
    return undefined;
  }

  /** Pieces that are not durable at the other site. */
  get unfinished(): number {
    return this.#sent.length;
  }

  /** Everything is copied and durable there: the end mark, or undefined when there is more to copy. */
  async end(): Promise<ResyncEnd | undefined> {
    const { log, applier, site, bitmaps, siteLogBytes } = this.#parts;
    if (this.#base === undefined) {
      // What is written while the site has to stay is copied while it does: all of it at once might be more than the log holds.
      const dwellMs = this.#dwellMs;
      if (dwellMs > 0) await this.#sleep(Math.min(dwellMs, PASS_MS));
      else await this.#keepLog();
      return undefined;
    }
    if ((this.#map as DirtyMap).pendingRegions > 0 || this.#sent.length + this.#ahead.length > 0) return undefined;
    const base = PLANTED === 'resync-overwrites-newer-write' ? applier.appliedLsn : this.#base;
    // 0 would say that the end is not known.
    const end = Math.max(base, Math.min(applier.startedLsn, log.durableLsn), 1);
    // What was read may be what the kernel could not write, or no longer what it was to write, and is vouched for by this flush alone: when
    // it fails, the next start writes the records from the log again, which the site has to get as well.
    await this.#flushVolumes();
    this.#assertSound();
    if (this.#stopped) return undefined;
    if (log.bytesBehind(base) > siteLogBytes)
      throw new LvrError('FAILED', `since LSN ${base} more was written than the log of ${site} holds`);
    const chain = await log.chainAt(base);
    bitmaps.copied(site, end);
    return { base, chain, end, lineage: cutLineage(log.lineage, base) };
  }

  /** Resolves when a piece was done or memory came back, or the session ended. */
  moved(): Promise<void> {
    if (this.#stopped || this.compare.takeNews()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.compare.stop();
    this.turn.stop();
    this.#parts.pacer.stop();
    this.#parts.onStopped();
    this.#sleeping?.();
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  /** Volumes of a group that has failed are no image that records lead on from. */
  #assertSound(): void {
    if (this.#parts.log.failed !== undefined) throw this.#parts.log.failed;
  }

  async #keepLog(): Promise<void> {
    if (this.#base !== undefined || this.#stopped) return;
    this.#base = await this.#parts.bitmaps.keepLog(this.#parts.site);
    // Beside the copy of the rest, so that the flush before the end mark has little left to do.
    void this.#parts.checkpoint(() => !this.#stopped);
  }

  /** Resolves when the volumes are flushed, or the session ended: the next one does not wait for a slow disk. */
  async #flushVolumes(): Promise<void> {
    let isDone = false;
    void this.#parts
      .checkpoint(() => !this.#stopped)
      .then(() => {
        isDone = true;
        this.#wake();
      });
    while (!isDone && !this.#stopped) await this.moved();
  }

  /** A site does not come and go more often than minDwellMs. */
  get #dwellMs(): number {
    const { clock, bitmaps, site, minDwellMs } = this.#parts;
    return bitmaps.foldedMs(site) + minDwellMs - clock.nowMs();
  }

  /** Until the time is over, or the session. */
  #sleep(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#parts.clock.after(ms, resolve);
      this.#sleeping = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #mayFinish(): boolean {
    const { log, clock, bitmaps, site, siteLogBytes, pacer, minDwellMs } = this.#parts;
    const nowMs = clock.nowMs();
    pacer.step(log.appendPosition, nowMs);
    if (this.#base !== undefined || this.#stopped) return false;
    const headroom = Math.min(log.ring.bytes - log.usedBytes, log.ring.bytes / 2, siteLogBytes / 2);
    return pacer.mayFinish(this.leftBytes ?? 0, headroom, nowMs - bitmaps.foldedMs(site), minDwellMs);
  }

  /** Waits until so many bytes may go. */
  async #turn(bytes: number): Promise<void> {
    const { pacer, clock } = this.#parts;
    for (let ms = pacer.take(bytes, clock.nowMs()); ms > 0 && !this.#stopped; ms = pacer.take(bytes, clock.nowMs())) {
      await this.#sleep(ms);
    }
  }

  /** Begins as many reads as may be under way; waits for memory only when there is none. */
  async #readAhead(): Promise<void> {
    while (this.#ahead.length < READS_MAX && !this.#stopped) {
      const batch = this.#pool.take(RECORD_PAYLOAD_BYTES_MAX);
      if (batch === undefined) {
        if (this.#ahead.length > 0 || this.compare.hasNext) return;
        await this.moved();
        continue;
      }
      const run = this.#runs?.next();
      if (run === undefined || run.meta.isZero) batch.release();
      if (run === undefined) return;
      this.#begunBytes += run.meta.length;
      const next = { ...run, left: 0 };
      const read = run.meta.isZero ? Promise.resolve({ sent: next, batch: undefined }) : this.#read(next, batch);
      // Its failure is met when its turn comes.
      read.catch(() => undefined);
      this.#ahead.push(read);
    }
  }

  async #read(next: Sent, batch: LogBatch): Promise<Read> {
    const { meta } = next;
    const { devices, crc32c } = this.#parts;
    const { bytes } = batch.arena;
    const { length } = meta;
    try {
      await readDeviceOnce(devices[meta.volume] as Device, batch.arena, batch.dataStart, length, meta.offset);
    } catch (error) {
      batch.release();
      throw error;
    }
    batch.payloadBytes = length;
    if (isZero(bytes, batch.dataStart, batch.dataStart + length)) {
      batch.release();
      return { sent: { ...next, meta: { ...meta, isZero: true } }, batch: undefined };
    }
    return { sent: { ...next, meta: { ...meta, crc: crc32c(bytes, batch.dataStart, length) } }, batch };
  }

  /** A piece goes: all of it, or hashes of it first. */
  #piece({ sent, batch }: Read): RegionPiece {
    const { meta } = sent;
    const hashes = batch && this.compare.ask(this.#doneCount + this.#frames.length, sent, meta, batch);
    sent.left = hashes === undefined ? 1 : 2;
    this.#sent.push(sent);
    this.#frames.push({ sent, bytes: hashes === undefined && batch !== undefined ? meta.length : 0 });
    if (PLANTED === 'bit-cleared-on-send') {
      for (let region = sent.first; region < sent.end; region++) (this.#map as DirtyMap).done(sent.meta.volume, region);
    }
    return { meta, batch: hashes === undefined ? batch : undefined, start: batch?.dataStart ?? 0, hashes };
  }

  /** What an answer has left to send goes; the rate was paid for with the question. */
  #difference(): RegionPiece | undefined {
    const next = this.compare.next();
    if (next === undefined) return undefined;
    this.#frames.push({ sent: next.copy, bytes: next.piece.meta.length });
    return next.piece;
  }
}
