// IoEngine: many reads and writes per turn of the event loop over one native engine.
//
// Owner: an operation lives in a slot (parallel arrays below) from queue() until its target's ioDone() is about to run. Slots wait
// in a ring of slot numbers until the native engine has room. Order: operations start in the order they were queued; completions
// are dispatched in batches, and what targets queue from inside ioDone() is submitted once, after the batch.

import { constants } from 'node:os';
import { assert } from '../core/assert.js';
import type { Arena, IoTarget } from '../core/ports.js';
import { binding, CQ_ROW, type EngineBinding, type EngineKind, type NativeEngine, OP, type OpCode, SQ_ROW } from './native.js';

/** Operations the native engine works on at once. */
export const ENGINE_DEPTH = 256;
const SLOTS_FIRST = 1024;
/** Most operations queued or in flight; whoever queues more has no bound of its own, which is a defect. */
export const ENGINE_OPERATIONS_MAX = 262_144;
/** Longest single transfer handed to the kernel (its own limit is 2 GiB less a page). */
const TRANSFER_BYTES_MAX = 1024 * 1024 * 1024;
/** Rounds of inline completions in one kick() before the event loop gets its turn. */
const ROUNDS_MAX = 32;

const { EIO, ENOSPC } = constants.errno;

/** An open descriptor with the count of operations on it, so that it is not closed under them. Made by devices. */
export class OpenFile {
  readonly fd: number;
  inFlight = 0;
  /** Runs once when inFlight falls to 0. */
  onIdle: (() => void) | undefined;

  constructor(fd: number) {
    this.fd = fd;
  }
}

/** Construction of an engine. `workers` counts for threads only; `native` is replaced in tests. */
export type IoEngineOptions = { kind: EngineKind; depth?: number; workers?: number; native?: EngineBinding };

export class IoEngine {
  readonly kind: EngineKind;
  readonly #native: EngineBinding;
  readonly #engine: NativeEngine;
  readonly #depth: number;
  readonly #sq: Float64Array;
  readonly #cq: Float64Array;
  #inFlight = 0;
  #dispatching = false;
  #closed = false;
  #resumeScheduled = false;

  // Slots. `done` counts the bytes already transferred.
  #op = new Uint8Array(SLOTS_FIRST);
  #offset = new Float64Array(SLOTS_FIRST);
  #start = new Float64Array(SLOTS_FIRST);
  #length = new Float64Array(SLOTS_FIRST);
  #done = new Float64Array(SLOTS_FIRST);
  #tag = new Float64Array(SLOTS_FIRST);
  #file: (OpenFile | undefined)[] = new Array(SLOTS_FIRST).fill(undefined);
  #arena: (Arena | undefined)[] = new Array(SLOTS_FIRST).fill(undefined);
  #target: (IoTarget | undefined)[] = new Array(SLOTS_FIRST).fill(undefined);
  #free = new Int32Array(SLOTS_FIRST);
  #freeCount = 0;
  // Ring of slots not yet submitted.
  #waiting = new Int32Array(SLOTS_FIRST);
  #waitingHead = 0;
  #waitingCount = 0;

  /** Throws the binding's SystemError when the kernel refuses (no io_uring, no threads). */
  constructor(options: IoEngineOptions) {
    this.kind = options.kind;
    this.#native = options.native ?? binding;
    this.#depth = options.depth ?? ENGINE_DEPTH;
    this.#sq = new Float64Array(this.#depth * SQ_ROW);
    this.#cq = new Float64Array(this.#depth * CQ_ROW);
    for (let slot = SLOTS_FIRST - 1; slot >= 0; slot--) this.#free[this.#freeCount++] = slot;
    const onDone = (pairs: number): void => this.#onDone(pairs);
    this.#engine = this.#native.openEngine(options.kind, this.#depth, options.workers ?? 1, this.#sq, this.#cq, onDone);
  }

  /** Operations queued or in flight. */
  get busy(): number {
    return this.#op.length - this.#freeCount;
  }

  /**
   * Queues an operation. Transfers use arena[start, start + length); the others ignore the arena. The target hears of it once, with 0
   * or an errno, when all of it is done or it failed.
   */
  queue(
    op: OpCode,
    file: OpenFile,
    arena: Arena | undefined,
    start: number,
    length: number,
    offset: number,
    target: IoTarget,
    tag: number,
  ): void {
    assert(!this.#closed, 'operation queued on a closed engine');
    if (this.#freeCount === 0) this.#grow();
    const slot = this.#free[--this.#freeCount] as number;
    this.#op[slot] = op;
    this.#file[slot] = file;
    this.#arena[slot] = arena;
    this.#start[slot] = start;
    this.#length[slot] = length;
    this.#offset[slot] = offset;
    this.#done[slot] = 0;
    this.#target[slot] = target;
    this.#tag[slot] = tag;
    file.inFlight++;
    this.#wait(slot);
  }

  /** Submits everything queued; completions that are there already are dispatched before it returns. */
  kick(): void {
    if (this.#dispatching || this.#waitingCount === 0) return;
    this.#run(0);
  }

  /** Closes an engine on which nothing is queued or in flight. */
  close(): void {
    if (this.#closed) return;
    assert(this.busy === 0, `engine closed with ${this.busy} operations in flight`);
    this.#closed = true;
    this.#native.closeEngine(this.#engine);
  }

  #onDone(pairs: number): void {
    this.#run(pairs);
  }

  // Dispatches `pairs` completions, then submits and dispatches in turns until nothing more can start or completes at once.
  #run(pairs: number): void {
    this.#dispatching = true;
    if (pairs > 0) this.#dispatch(pairs);
    for (let round = 0; this.#waitingCount > 0 && this.#inFlight < this.#depth; round++) {
      if (round === ROUNDS_MAX) {
        this.#resumeLater();
        break;
      }
      const completed = this.#submit();
      if (completed > 0) this.#dispatch(completed);
    }
    this.#dispatching = false;
  }

  #resumeLater(): void {
    if (this.#resumeScheduled) return;
    this.#resumeScheduled = true;
    setImmediate(this.#resume);
  }

  readonly #resume = (): void => {
    this.#resumeScheduled = false;
    if (!this.#closed) this.kick();
  };

  #submit(): number {
    const count = Math.min(this.#waitingCount, this.#depth - this.#inFlight);
    const sq = this.#sq;
    const mask = this.#waiting.length - 1;
    for (let i = 0; i < count; i++) {
      const slot = this.#waiting[this.#waitingHead] as number;
      this.#waitingHead = (this.#waitingHead + 1) & mask;
      const done = this.#done[slot] as number;
      const row = i * SQ_ROW;
      const op = this.#op[slot] as number;
      const length = (this.#length[slot] as number) - done;
      sq[row] = op;
      sq[row + 1] = (this.#file[slot] as OpenFile).fd;
      sq[row + 2] = (this.#offset[slot] as number) + done;
      const arena = this.#arena[slot];
      sq[row + 3] = arena === undefined ? 0 : arena.address + (this.#start[slot] as number) + done;
      sq[row + 4] = isTransfer(op) ? Math.min(length, TRANSFER_BYTES_MAX) : length;
      sq[row + 5] = slot;
    }
    this.#waitingCount -= count;
    this.#inFlight += count;
    return this.#native.submit(this.#engine, count);
  }

  #dispatch(pairs: number): void {
    const cq = this.#cq;
    this.#inFlight -= pairs;
    for (let i = 0; i < pairs; i++) {
      const slot = cq[i * CQ_ROW] as number;
      const result = cq[i * CQ_ROW + 1] as number;
      if (result < 0) this.#finish(slot, -result);
      else if (isTransfer(this.#op[slot] as number)) this.#advance(slot, result);
      else this.#finish(slot, 0);
    }
  }

  // The layers above see full or error, so a short transfer goes on where it stopped. One that makes no progress never will.
  #advance(slot: number, result: number): void {
    const done = (this.#done[slot] as number) + result;
    this.#done[slot] = done;
    if (done === this.#length[slot]) this.#finish(slot, 0);
    else if (result > 0) this.#wait(slot);
    else this.#finish(slot, this.#op[slot] === OP.read || this.#op[slot] === OP.readCached ? EIO : ENOSPC);
  }

  #finish(slot: number, error: number): void {
    const target = this.#target[slot] as IoTarget;
    const file = this.#file[slot] as OpenFile;
    const tag = this.#tag[slot] as number;
    // No reference stays behind: arenas and devices can be collected.
    this.#target[slot] = undefined;
    this.#file[slot] = undefined;
    this.#arena[slot] = undefined;
    this.#free[this.#freeCount++] = slot;
    file.inFlight--;
    target.ioDone(tag, error);
    if (file.inFlight > 0 || file.onIdle === undefined) return;
    const onIdle = file.onIdle;
    file.onIdle = undefined;
    onIdle();
  }

  #wait(slot: number): void {
    this.#waiting[(this.#waitingHead + this.#waitingCount++) & (this.#waiting.length - 1)] = slot;
  }

  #grow(): void {
    const before = this.#op.length;
    const after = before * 2;
    assert(after <= ENGINE_OPERATIONS_MAX, `more than ${ENGINE_OPERATIONS_MAX} operations queued`);
    this.#op = grown(this.#op, new Uint8Array(after));
    this.#offset = grown(this.#offset, new Float64Array(after));
    this.#start = grown(this.#start, new Float64Array(after));
    this.#length = grown(this.#length, new Float64Array(after));
    this.#done = grown(this.#done, new Float64Array(after));
    this.#tag = grown(this.#tag, new Float64Array(after));
    this.#free = new Int32Array(after);
    const waiting = new Int32Array(after);
    for (let i = 0; i < this.#waitingCount; i++) waiting[i] = this.#waiting[(this.#waitingHead + i) & (before - 1)] as number;
    this.#waiting = waiting;
    this.#waitingHead = 0;
    for (let slot = after - 1; slot >= before; slot--) {
      this.#file[slot] = undefined;
      this.#arena[slot] = undefined;
      this.#target[slot] = undefined;
      this.#free[this.#freeCount++] = slot;
    }
  }
}

function isTransfer(op: number): boolean {
  return op === OP.read || op === OP.readCached || op === OP.write || op === OP.writeDurable || op === OP.writeCached;
}

function grown<Numbers extends Uint8Array | Float64Array>(before: Numbers, after: Numbers): Numbers {
  after.set(before);
  return after;
}

/** The engines of a process, shared by all its devices. With `ring` and `writer` on threads (no io_uring) everything still works. */
export class Engines {
  /** Reads, flushes, allocation, durable and direct writes. */
  readonly ring: IoEngine;
  /** Buffered writes, in order, by one thread: twice as fast as io_uring, which hands each of them to a kernel worker. */
  readonly writer: IoEngine;
  /** Why io_uring is not used; '' when it is. */
  readonly fallbackReason: string;

  constructor(ring: IoEngine, writer: IoEngine, fallbackReason: string) {
    this.ring = ring;
    this.writer = writer;
    this.fallbackReason = fallbackReason;
  }

  /** Closes both; all devices must be closed before. */
  close(): void {
    this.ring.close();
    this.writer.close();
  }
}

const RING_THREADS = 4;

/** Opens the engines. `kind` undefined: io_uring where it works and LVR_IO is not 'threads'. Throws SystemError without threads. */
export function createEngines(kind?: EngineKind): Engines {
  let reason = '';
  if (kind === 'threads') reason = 'threads were asked for';
  else if (kind === undefined && process.env['LVR_IO'] === 'threads') reason = 'LVR_IO=threads';
  else if (kind === undefined) reason = binding.probeIoUring();
  const writer = new IoEngine({ kind: 'threads', workers: 1 });
  const ring = reason === '' ? new IoEngine({ kind: 'io_uring' }) : new IoEngine({ kind: 'threads', workers: RING_THREADS });
  return new Engines(ring, writer, reason);
}
