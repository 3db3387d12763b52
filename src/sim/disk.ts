// A disk in memory with a volatile cache. What is not durable can be lost at a crash, wholly, in parts, or torn at sectors of 512 bytes;
// operations complete later, in any order, never, or with an error. A SimDisk is the medium; open() gives the Device of one process, which
// goes silent when the process is crashed.

import type { Arena, Device, ExtentRun, IoTarget } from '../core/ports.js';
import type { Random } from './random.js';

const SECTOR = 512;
const CHUNK = 64 * 1024;
const EIO = 5;

/** One operation as a test sees it. */
export type SimOp = {
  readonly kind: 'read' | 'write' | 'sync' | 'zero';
  readonly offset: number;
  readonly length: number;
  readonly durable: boolean;
};

type Pending = SimOp & {
  readonly arena: Arena | undefined;
  readonly start: number;
  readonly target: IoTarget;
  readonly tag: number;
  /** sync: writes completed up to here are covered. */
  readonly completedBefore: number;
  kicked: boolean;
};

/** A value of a sector that is not durable yet; `write` counts completed writes. */
type Version = { readonly write: number; readonly data: Uint8Array; readonly at: number };

function bytesOf({ data, at }: Version): Uint8Array {
  return data.subarray(at, at + SECTOR);
}

/** What a crash does: the process ends and the cache stays, or the power goes. */
export type CrashKind = 'process' | 'power';

/**
 * What becomes of an operation: 0 done, an errno: failed, hang: never ends, short: a part of it lands and it fails, lost: reported done
 * but not durable, phantom: reported done and nothing happened, misdirect: reported done and landed elsewhere.
 */
export type Verdict = number | 'hang' | 'short' | 'lost' | 'phantom' | 'misdirect';

/** Buffers of discarded disks, all zero, by size. */
const spareBuffers = new Map<number, Uint8Array[]>();

function takeBuffer(bytes: number): Uint8Array {
  return spareBuffers.get(bytes)?.pop() ?? new Uint8Array(bytes);
}

export class SimDisk {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** What survives a power cut for certain. */
  readonly durable: Uint8Array;
  /** What a read sees. */
  readonly view: Uint8Array;
  readonly #written: Uint8Array;
  readonly #versions = new Map<number, Version[]>();
  /** Sectors that may read as something that no flush will make durable. */
  readonly #dropped = new Set<number>();
  /** Completed so far. */
  writes = 0;
  #device: SimDevice | undefined;

  constructor(path: string, sizeBytes: number, blockBytes = SECTOR) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.blockBytes = blockBytes;
    this.durable = takeBuffer(sizeBytes);
    this.view = takeBuffer(sizeBytes);
    this.#written = new Uint8Array(Math.ceil(sizeBytes / CHUNK));
  }

  /** The same medium again, in its own memory. Nothing of a running process is copied. */
  clone(): SimDisk {
    const copy = new SimDisk(this.path, this.sizeBytes, this.blockBytes);
    for (const [at, end] of this.#writtenChunks()) {
      copy.durable.set(this.durable.subarray(at, end), at);
      copy.view.set(this.view.subarray(at, end), at);
    }
    copy.#written.set(this.#written);
    for (const [sector, versions] of this.#versions) copy.#versions.set(sector, [...versions]);
    for (const sector of this.#dropped) copy.#dropped.add(sector);
    copy.writes = this.writes;
    return copy;
  }

  /** A new medium of the same size. */
  blank(): SimDisk {
    return new SimDisk(this.path, this.sizeBytes, this.blockBytes);
  }

  /** Gives the memory of the disk back; it must not be used any more. */
  discard(): void {
    this.#device?.kill();
    for (const buffer of [this.durable, this.view]) {
      for (const [at, end] of this.#writtenChunks()) buffer.fill(0, at, end);
      const spare = spareBuffers.get(this.sizeBytes);
      if (spare === undefined) spareBuffers.set(this.sizeBytes, [buffer]);
      else spare.push(buffer);
    }
  }

  *#writtenChunks(): Generator<[number, number]> {
    for (let c = 0; c < this.#written.length; c++) {
      if (this.#written[c] === 1) yield [c * CHUNK, Math.min(this.sizeBytes, (c + 1) * CHUNK)];
    }
  }

  /** The device of a new process; the one before it is dead. */
  open(): SimDevice {
    this.#device?.kill();
    this.#device = new SimDevice(this);
    return this.#device;
  }

  /** Bytes whose loss at a power cut is possible. */
  get volatileSectors(): number {
    return this.#versions.size;
  }

  /**
   * Ends the process. Writes under way have landed in the cache, partly or not at all. Without power every sector falls back to its durable
   * content or one of the newer ones: all of a write, none, or (where `random` tears it) some of its sectors.
   */
  crash(kind: CrashKind, random: Random): void {
    for (const op of this.#device?.kill() ?? []) {
      if (op.kind === 'write' || op.kind === 'zero') this.#land(op, random);
    }
    if (kind === 'process') return;
    const fate = new Map<number, 'kept' | 'lost' | 'torn'>();
    for (const [sector, versions] of this.#versions) {
      for (const version of versions) {
        const chosen = fate.get(version.write) ?? (['kept', 'lost', 'torn'] as const)[random.below(3)] ?? 'lost';
        fate.set(version.write, chosen);
        if (chosen === 'kept' || (chosen === 'torn' && random.below(2) === 0)) this.durable.set(bytesOf(version), sector * SECTOR);
      }
      this.view.set(this.durable.subarray(sector * SECTOR, (sector + 1) * SECTOR), sector * SECTOR);
    }
    this.#versions.clear();
    this.dropCached();
  }

  /** Changes the medium behind everyone's back. */
  corrupt(offset: number, bit: number): void {
    this.#written[Math.floor(offset / CHUNK)] = 1;
    this.durable[offset] = (this.durable[offset] as number) ^ (1 << bit);
    this.view[offset] = (this.view[offset] as number) ^ (1 << bit);
  }

  /** A completed write; durable ones reach the medium. */
  put(offset: number, bytes: Uint8Array, durable: boolean): void {
    this.writes++;
    for (let c = Math.floor(offset / CHUNK); c <= Math.floor((offset + bytes.length - 1) / CHUNK); c++) this.#written[c] = 1;
    this.view.set(bytes, offset);
    if (durable) this.durable.set(bytes, offset);
    if (durable && this.#versions.size === 0) return;
    const copy = durable ? bytes : bytes.slice();
    for (let at = 0; at < bytes.length; at += SECTOR) {
      const sector = (offset + at) / SECTOR;
      if (durable) {
        this.#versions.delete(sector);
        continue;
      }
      const versions = this.#versions.get(sector);
      const version = { write: this.writes, data: copy, at };
      if (versions === undefined) this.#versions.set(sector, [version]);
      else versions.push(version);
    }
  }

  /** A completed flush of the writes counted up to `writes`. */
  flushed(writes: number): void {
    for (const [sector, versions] of this.#versions) {
      const last = versions.findLast((version) => version.write <= writes);
      if (last === undefined) continue;
      this.durable.set(bytesOf(last), sector * SECTOR);
      const left = versions.filter((version) => version.write > writes);
      if (left.length === 0) this.#versions.delete(sector);
      else this.#versions.set(sector, left);
    }
  }

  /** A flush that failed: the pages count as clean from now on and are lost at a power cut, as Linux file systems do it. */
  flushFailed(writes: number): void {
    for (const [sector, versions] of this.#versions) {
      const left = versions.filter((version) => version.write > writes);
      if (left.length === versions.length) continue;
      this.#dropped.add(sector);
      if (left.length === 0) this.#versions.delete(sector);
      else this.#versions.set(sector, left);
    }
  }

  /** Reads see what the medium has, where a flush has failed and nothing was written since. */
  dropCached(): void {
    for (const sector of this.#dropped) {
      if (this.#versions.has(sector)) continue;
      this.view.set(this.durable.subarray(sector * SECTOR, (sector + 1) * SECTOR), sector * SECTOR);
      this.#dropped.delete(sector);
    }
  }

  isWritten(offset: number): boolean {
    return this.#written[Math.floor(offset / CHUNK)] === 1;
  }

  /** Whole, in part or not at all. A durable write that was not answered is as uncertain as any other. */
  #land(op: Pending, random: Random): void {
    const choice = random.below(3);
    if (choice === 0) return;
    const bytes = contentOf(op);
    if (choice === 1) this.put(op.offset, bytes, false);
    else {
      for (let at = 0; at < bytes.length; at += SECTOR) {
        if (random.below(2) === 0) this.put(op.offset + at, bytes.subarray(at, at + SECTOR), false);
      }
    }
  }
}

function contentOf(op: Pending): Uint8Array {
  return op.arena === undefined ? new Uint8Array(op.length) : op.arena.bytes.subarray(op.start, op.start + op.length);
}

/** When operations of a device end, and how the process hears of it. */
export type DeviceTiming = {
  after(ms: number, fn: () => void): unknown;
  latencyMs(op: SimOp): number;
  /** Runs `fn` in the process, now or when it runs again. */
  deliver(fn: () => void): void;
};

export class SimDevice implements Device {
  readonly disk: SimDisk;
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** Ends every kicked operation inside kick(). */
  immediate = false;
  /** Nothing completes while set. */
  stopped = false;
  /** Completes in this order instead of the order of submission. */
  shuffle: Random | undefined;
  /** Decides about an operation when it would complete. */
  intercept: ((op: SimOp) => Verdict) | undefined;
  /** Operations end by themselves, some time after kick(). */
  timing: DeviceTiming | undefined;
  /** Sees every operation when it is queued. */
  onQueued: ((op: SimOp, content: Uint8Array | undefined) => void) | undefined;
  isClosed = false;
  #pending: Pending[] = [];
  #dead = false;

  constructor(disk: SimDisk) {
    this.disk = disk;
    this.path = disk.path;
    this.sizeBytes = disk.sizeBytes;
    this.blockBytes = disk.blockBytes;
  }

  get pending(): number {
    return this.#pending.length;
  }

  read(arena: Arena, start: number, length: number, offset: number, target: IoTarget, tag: number): void {
    this.#queue({ kind: 'read', arena, start, length, offset, durable: false, target, tag });
  }

  readNow(bytes: Uint8Array, start: number, length: number, offset: number): boolean {
    bytes.set(this.disk.view.subarray(offset, offset + length), start);
    return true;
  }

  write(arena: Arena, start: number, length: number, offset: number, durable: boolean, target: IoTarget, tag: number): void {
    this.#queue({ kind: 'write', arena, start, length, offset, durable, target, tag });
  }

  sync(target: IoTarget, tag: number): void {
    this.#queue({ kind: 'sync', arena: undefined, start: 0, length: 0, offset: 0, durable: false, target, tag });
  }

  dropCached(): void {
    this.disk.dropCached();
  }

  zero(offset: number, length: number, _mayUnmap: boolean, target: IoTarget, tag: number): void {
    this.#queue({ kind: 'zero', arena: undefined, start: 0, length, offset, durable: false, target, tag });
  }

  discard(offset: number, length: number, target: IoTarget, tag: number): void {
    this.zero(offset, length, true, target, tag);
  }

  extents(offset: number, length: number, max: number): ExtentRun[] {
    const runs: ExtentRun[] = [];
    for (let at = offset; at < offset + length; ) {
      const next = Math.min(offset + length, (Math.floor(at / CHUNK) + 1) * CHUNK);
      const zero = !this.disk.isWritten(at);
      const last = runs.at(-1);
      if (last?.zero === zero) last.length += next - at;
      else if (runs.length === max) break;
      else runs.push({ length: next - at, zero });
      at = next;
    }
    return runs;
  }

  kick(): void {
    const { timing } = this;
    for (const op of this.#pending) {
      if (timing !== undefined && !op.kicked) timing.after(timing.latencyMs(op), () => this.#end(op));
      op.kicked = true;
    }
    if (this.immediate) while (this.step());
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  /** Completes one kicked operation; false when there is none. */
  step(): boolean {
    if (this.stopped || this.#dead) return false;
    const ready = this.#pending.filter((op) => op.kicked);
    // One after another: the choice is made anew, because a completion may queue more.
    for (let tries = ready.length; tries > 0; tries--) {
      const i = this.shuffle === undefined ? ready.length - tries : this.shuffle.below(ready.length);
      const op = ready[i] as Pending;
      const verdict = this.intercept?.(op) ?? 0;
      if (verdict === 'hang') continue;
      this.#pending.splice(this.#pending.indexOf(op), 1);
      op.target.ioDone(op.tag, this.#carryOut(op, verdict));
      return true;
    }
    return false;
  }

  /** The time of an operation has come (timing). */
  #end(op: Pending): void {
    const at = this.#pending.indexOf(op);
    if (this.#dead || at < 0) return;
    const verdict = this.intercept?.(op) ?? 0;
    if (verdict === 'hang') return;
    this.#pending.splice(at, 1);
    const error = this.#carryOut(op, verdict);
    (this.timing as DeviceTiming).deliver(() => op.target.ioDone(op.tag, error));
  }

  /** Does to the medium what the verdict says; returns the errno to report. */
  #carryOut(op: Pending, verdict: Exclude<Verdict, 'hang'>): number {
    const isWrite = op.kind === 'write' || op.kind === 'zero';
    if (typeof verdict === 'number') {
      if (verdict === 0) this.#perform(op);
      else if (op.kind === 'sync') this.disk.flushFailed(op.completedBefore);
      return verdict;
    }
    if (verdict === 'short') {
      const part = Math.floor(op.length / 2 / SECTOR) * SECTOR;
      if (isWrite && part > 0) this.disk.put(op.offset, contentOf(op).subarray(0, part), false);
      return EIO;
    }
    if (verdict === 'lost' && isWrite) this.disk.put(op.offset, contentOf(op), false);
    if (verdict === 'misdirect' && isWrite) {
      const other = op.offset >= op.length ? op.offset - op.length : op.offset + op.length;
      if (other + op.length <= this.sizeBytes) this.disk.put(other, contentOf(op), op.durable);
    }
    if (op.kind === 'read') this.#perform(op);
    return 0;
  }

  /** The process is gone: returns what was under way. */
  kill(): readonly Pending[] {
    const pending = this.#pending;
    this.#pending = [];
    this.#dead = true;
    return pending;
  }

  #queue(op: Omit<Pending, 'kicked' | 'completedBefore'>): void {
    if (this.#dead) return;
    const { kind, offset, length, start, arena } = op;
    if (kind !== 'sync' && (length <= 0 || offset < 0 || offset + length > this.sizeBytes)) throw new Error(`${kind} beyond ${this.path}`);
    if (offset % this.blockBytes !== 0 || length % this.blockBytes !== 0) throw new Error(`${kind} is not aligned on ${this.path}`);
    if (arena !== undefined && start % this.blockBytes !== 0) throw new Error(`memory of a ${kind} is not aligned for ${this.path}`);
    if (arena !== undefined && (start < 0 || start + length > arena.bytes.length)) throw new Error(`${kind} beyond its arena`);
    this.#pending.push({ ...op, kicked: false, completedBefore: this.disk.writes });
    if (this.onQueued !== undefined) this.onQueued(op, kind === 'write' ? arena?.bytes.slice(start, start + length) : undefined);
  }

  #perform(op: Pending): void {
    if (op.kind === 'sync') this.disk.flushed(op.completedBefore);
    else if (op.kind === 'read') op.arena?.bytes.set(this.disk.view.subarray(op.offset, op.offset + op.length), op.start);
    else this.disk.put(op.offset, contentOf(op), op.durable);
  }
}
