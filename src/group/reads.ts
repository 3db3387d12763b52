// Reads of a group's volumes: unapplied records are copied from memory at once, the rest comes from the device. What is on the device for
// a range without an unapplied record cannot be changed by anything older, so the two compose without waiting for each other.

import { assert } from '../core/assert.js';
import type { SegmentVisitor } from '../core/intervals.js';
import { KIB, RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import type { Arena, Device, ExtentRun, IoRequest, IoTarget, RequestOwner, Slab } from '../core/ports.js';
import type { CreateArena } from '../disk/batch-pool.js';
import type { LogBatch } from '../disk/log-batch.js';
import { type Overlay, putSegment, ZEROES } from './overlay.js';

const SMALL_BYTES = 16 * KIB;
const SMALL_COUNT = 512;
const LARGE_COUNT = 64;
/** Device parts of reads under way, from which on no further piece is begun: one piece between unapplied sectors has a thousand. */
const PARTS_MAX = 1024;
/** Unapplied segments that one question about allocation looks at; the answer is shorter when there are more. */
const SEGMENTS_MAX = 2048;
const EIO = 5;
const ESHUTDOWN = 108;

class ReadSlab implements Slab {
  readonly arena: Arena;
  readonly dataStart: number;
  readonly dataCapacity: number;

  constructor(arena: Arena, dataStart: number, dataCapacity: number) {
    this.arena = arena;
    this.dataStart = dataStart;
    this.dataCapacity = dataCapacity;
  }
}

/** A read under way; its index is the tag of its device parts. `left`: parts, and one for the pieces from `piece` on, not begun yet. */
type OpenRead = { request: IoRequest | undefined; volume: number; piece: number; left: number; hasFailed: boolean; isDropped: boolean };

type WaitingRead = { readonly volume: number; readonly request: IoRequest };

/** What becomes of reads that a device failed, or can no longer be trusted with. */
export interface FailedReads {
  /**
   * A write, zero or flush of a volume has failed: the kernel counts what it could not write as clean and may forget it, so what it reads
   * may be older than what was answered, without an error. No read is answered with it.
   */
  readonly isOver: boolean;
  /** A device failed to read a part, before anything else becomes of the read. */
  partFailed(volume: number, errno: number): void;
  /** All parts of a read have ended, and one of them failed: it is answered by Reads.end(), now or later. Its slabs hold nothing of use. */
  answer(volume: number, request: IoRequest): void;
}

/** Lays unapplied records over what was read from the device: offset 0 of the volume would be at `base` of the memory. */
class InPlace implements SegmentVisitor<LogBatch> {
  #bytes: Uint8Array = new Uint8Array();
  #base = 0;

  begin(bytes: Uint8Array, base: number): void {
    this.#bytes = bytes;
    this.#base = base;
  }

  segment(start: number, end: number, batch: LogBatch, base: number): void {
    putSegment(this.#bytes, this.#base + start, end - start, batch, base);
  }
}

export class Reads implements IoTarget, SegmentVisitor<LogBatch> {
  readonly #devices: readonly Device[];
  readonly #overlay: Overlay;
  readonly #failed: FailedReads;
  readonly #small: ReadSlab[] = [];
  readonly #large: ReadSlab[] = [];
  readonly #open: OpenRead[] = [];
  readonly #free: number[] = [];
  // Reads that wait for slabs, oldest first. Short ones do not wait behind long ones, whose slabs a slow client may keep.
  #waitingSmall: WaitingRead[] = [];
  #waitingLarge: WaitingRead[] = [];
  #isStarting = false;
  /** Device parts under way. */
  #parts = 0;
  /** Reads with pieces that are not begun, oldest first. */
  readonly #stalled: number[] = [];
  readonly #inPlace = new InPlace();
  // State of the piece that segment() is called for.
  #slab: ReadSlab;
  #pieceStart = 0;
  #cursor = 0;
  #device: Device;
  #tag = 0;

  constructor(devices: readonly Device[], overlay: Overlay, createArena: CreateArena, failed: FailedReads) {
    this.#failed = failed;
    this.#devices = devices;
    this.#overlay = overlay;
    const small = createArena(SMALL_COUNT * SMALL_BYTES);
    for (let i = SMALL_COUNT - 1; i >= 0; i--) this.#small.push(new ReadSlab(small, i * SMALL_BYTES, SMALL_BYTES));
    const large = createArena(LARGE_COUNT * RECORD_PAYLOAD_BYTES_MAX);
    for (let i = LARGE_COUNT - 1; i >= 0; i--) {
      this.#large.push(new ReadSlab(large, i * RECORD_PAYLOAD_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX));
    }
    this.#slab = this.#small[0] as ReadSlab;
    this.#device = devices[0] as Device;
  }

  /** Starts a read; it completes inside when no device is needed, else after kick() of the devices. */
  read(volume: number, request: IoRequest): void {
    const waiting = request.length <= SMALL_BYTES ? this.#waitingSmall : this.#waitingLarge;
    if (waiting.length > 0 || !this.#takeSlabs(request)) waiting.push({ volume, request });
    else this.#start(volume, request);
  }

  /** What a range reads as, into bytes[start, start + length), if nothing has to be waited for. False: read() will tell more. */
  readNow(volume: number, bytes: Uint8Array, start: number, length: number, offset: number): boolean {
    if (this.#failed.isOver) return false;
    if ((this.#devices[volume] as Device).readNow?.(bytes, start, length, offset) !== true) return false;
    // Nothing is applied between the two, and what is applied later does not change what is laid over here.
    if (!this.#overlay.isEmpty(volume)) {
      this.#inPlace.begin(bytes, start - offset);
      this.#overlay.visit(volume, offset, offset + length, this.#inPlace);
    }
    return true;
  }

  /** Less than half of the large slabs are free: the other half may stand in the sockets of slow clients, this one is for everybody. */
  get isShort(): boolean {
    return this.#large.length < LARGE_COUNT / 2;
  }

  /** The devices are about to be closed: what waits is answered, and nothing is started any more. */
  dropWaiting(): void {
    for (const { request } of [...this.#waitingSmall.splice(0), ...this.#waitingLarge.splice(0)])
      request.owner.completed(request, ESHUTDOWN);
    for (const tag of this.#stalled.splice(0)) {
      (this.#open[tag] as OpenRead).isDropped = true;
      this.#partDone(tag, 0);
    }
  }

  /** Gives the slabs of a completed read back, which may start a waiting one. */
  release(request: IoRequest): void {
    // Emptied by pop(): setting a length costs more than everything else here.
    for (let slab = request.slabs.pop(); slab !== undefined; slab = request.slabs.pop()) {
      (slab.dataCapacity === SMALL_BYTES ? this.#small : this.#large).push(slab as ReadSlab);
    }
    // A read that needs no device ends, and is released, inside #start(): it must not start the next one there, as deep as the queue is
    // long.
    if (this.#isStarting) return;
    this.#isStarting = true;
    while (this.#startFirst(this.#waitingSmall) || this.#startFirst(this.#waitingLarge));
    this.#isStarting = false;
  }

  /** Starts the read that waits longest; false when there is none, or no memory for it. */
  #startFirst(waiting: WaitingRead[]): boolean {
    const next = waiting[0];
    if (next === undefined || !this.#takeSlabs(next.request)) return false;
    waiting.shift();
    this.#start(next.volume, next.request);
    this.#device.kick();
    return true;
  }

  /** The client is gone: nothing of it that waits for memory is read any more, nor answered. */
  forget(client: RequestOwner): void {
    this.#waitingSmall = this.#waitingSmall.filter(({ request }) => request.owner !== client);
    this.#waitingLarge = this.#waitingLarge.filter(({ request }) => request.owner !== client);
  }

  #takeSlabs(request: IoRequest): boolean {
    const small = request.length <= SMALL_BYTES;
    const pool = small ? this.#small : this.#large;
    const count = small ? 1 : Math.ceil(request.length / RECORD_PAYLOAD_BYTES_MAX);
    if (pool.length < count) return false;
    assert(request.slabs.length === 0, 'a request that is read has no slabs yet');
    for (let i = 0; i < count; i++) request.slabs.push(pool.pop() as ReadSlab);
    return true;
  }

  #start(volume: number, request: IoRequest): void {
    const tag = this.#free.pop() ?? this.#open.push({ request, volume, piece: 0, left: 1, hasFailed: false, isDropped: false }) - 1;
    const open = this.#open[tag] as OpenRead;
    open.request = request;
    open.volume = volume;
    open.piece = 0;
    open.left = 1;
    open.hasFailed = false;
    open.isDropped = false;
    if (this.#stalled.length > 0 || !this.#startPieces(tag)) this.#stalled.push(tag);
  }

  /** Begins the pieces of a read that are left; false when there are too many parts under way. */
  #startPieces(tag: number): boolean {
    const open = this.#open[tag] as OpenRead;
    const { volume } = open;
    const { offset, length, slabs } = open.request as IoRequest;
    this.#tag = tag;
    this.#device = this.#devices[volume] as Device;
    while (open.piece < slabs.length) {
      if (this.#parts >= PARTS_MAX) return false;
      this.#slab = slabs[open.piece] as ReadSlab;
      this.#pieceStart = offset + open.piece++ * RECORD_PAYLOAD_BYTES_MAX;
      this.#cursor = this.#pieceStart;
      const pieceEnd = Math.min(offset + length, this.#pieceStart + RECORD_PAYLOAD_BYTES_MAX);
      if (!this.#overlay.isEmpty(volume)) this.#overlay.visit(volume, this.#pieceStart, pieceEnd, this);
      if (this.#cursor < pieceEnd) this.#readGap(pieceEnd);
    }
    this.#partDone(tag, 0);
    return true;
  }

  /** Goes on with reads that wait for parts of others to end. */
  #resume(): void {
    while (this.#stalled.length > 0) {
      const tag = this.#stalled[0] as number;
      const { volume } = this.#open[tag] as OpenRead;
      const isBegun = this.#startPieces(tag);
      if (isBegun) this.#stalled.shift();
      (this.#devices[volume] as Device).kick();
      if (!isBegun) return;
    }
  }

  /** An unapplied range of the current piece: read what lies before it, copy it. */
  segment(start: number, end: number, batch: LogBatch, base: number): void {
    if (start > this.#cursor) this.#readGap(start);
    const to = this.#slab.dataStart + (start - this.#pieceStart);
    putSegment(this.#slab.arena.bytes, to, end - start, batch, base);
    this.#cursor = end;
  }

  #readGap(end: number): void {
    (this.#open[this.#tag] as OpenRead).left++;
    this.#parts++;
    const to = this.#slab.dataStart + (this.#cursor - this.#pieceStart);
    this.#device.read(this.#slab.arena, to, end - this.#cursor, this.#cursor, this, this.#tag);
    this.#cursor = end;
  }

  ioDone(tag: number, error: number): void {
    this.#parts--;
    this.#partDone(tag, error);
    if (this.#stalled.length > 0 && this.#parts < PARTS_MAX) this.#resume();
  }

  #partDone(tag: number, error: number): void {
    const open = this.#open[tag] as OpenRead;
    if (error !== 0) {
      open.hasFailed = true;
      this.#failed.partFailed(open.volume, error);
    }
    if (--open.left > 0) return;
    // Another read may have this place as soon as it is free.
    const { volume, hasFailed, isDropped } = open;
    const request = open.request as IoRequest;
    open.request = undefined;
    this.#free.push(tag);
    if (isDropped) this.end(request, ESHUTDOWN);
    else if (this.#failed.isOver) this.end(request, EIO);
    else if (hasFailed) this.#failed.answer(volume, request);
    else request.owner.completed(request, 0);
  }

  /** Answers a read that was handed on as failed. With success its slabs stay its own, and hold what was read. */
  end(request: IoRequest, errno: number): void {
    if (errno !== 0) this.release(request);
    request.owner.completed(request, errno);
  }

  /** Allocation of a range: the device's answer, with unapplied records laid over it; perhaps of its beginning only. */
  extents(volume: number, offset: number, length: number, max: number): ExtentRun[] {
    // Data that could not be written leaves a hole.
    if (this.#failed.isOver) return [{ length, zero: false }];
    const runs = (this.#devices[volume] as Device).extents(offset, length, max);
    const covered = offset + runs.reduce((sum, run) => sum + run.length, 0);
    const result: ExtentRun[] = [];
    const add = (runLength: number, zero: boolean): void => {
      const last = result.at(-1);
      if (last !== undefined && last.zero === zero) last.length += runLength;
      else if (runLength > 0) result.push({ length: runLength, zero });
    };
    let run = 0;
    let runEnd = offset + (runs[0]?.length ?? 0);
    let at = offset;
    const addDevice = (to: number): void => {
      while (at < to) {
        while (at >= runEnd) runEnd += (runs[++run] as ExtentRun).length;
        const next = Math.min(to, runEnd);
        add(next - at, (runs[run] as ExtentRun).zero);
        at = next;
      }
    };
    const visitor: SegmentVisitor<LogBatch> = {
      segment: (start, end, _batch, base) => {
        addDevice(start);
        add(end - start, base === ZEROES);
        at = end;
      },
    };
    addDevice(this.#overlay.visit(volume, offset, covered, visitor, SEGMENTS_MAX));
    return result.slice(0, max);
  }
}
