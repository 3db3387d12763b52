// A volume in RAM behind the Backend port, with room and latency under the control of the test.

import { RECORD_PAYLOAD_BYTES_MAX } from '../../src/core/limits.js';
import type { Arena, Backend, ExtentRun, IoRequest, RoomWaiter, Slab } from '../../src/core/ports.js';

const EINVAL = 22;
const EXTENT_BYTES = 64 * 1024;

export type MemoryBackendOptions = {
  exportName?: string;
  description?: string;
  sizeBytes?: number;
  blockBytes?: number;
  readOnly?: boolean;
  unavailable?: string;
  /** Pieces for long writes. */
  slabCount?: number;
};

/** How requests end: inside the call that queued them, inside commit(), or when the test calls release(). */
export type Completion = 'sync' | 'commit' | 'held';

type Entry = { request: IoRequest; errno: number };

export class MemoryBackend implements Backend {
  readonly exportName: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readOnly: boolean;
  unavailable: string | undefined;
  readonly data: Buffer;
  completion: Completion = 'commit';
  /** Writes, leases and discards find room. Use giveRoom() to announce it. */
  room = true;
  /** Reads hold what was there when they were started, not when they leave. Costs a copy. */
  snapshotReads = false;
  /** Of reads, every so-maniest is answered at once; 0: none. */
  readsNow = 0;
  #readsAsked = 0;
  /** Every data request fails with this. */
  failWith = 0;
  /** What happened, for order checks: `op offset length`. Only with recording on. */
  recording = false;
  readonly journal: string[] = [];
  leased = 0;
  readsHeld = 0;
  commits = 0;
  readonly connected = new Map<number, () => void>();
  readonly disconnected: number[] = [];
  #epoch = 0;
  #pending: Entry[] = [];
  #waiters: RoomWaiter[] = [];
  #free: Slab[] = [];
  readonly #arena: Arena;

  constructor(options: MemoryBackendOptions = {}) {
    this.exportName = options.exportName ?? 'app/data';
    this.description = options.description ?? 'a volume in memory';
    this.sizeBytes = options.sizeBytes ?? 4 * 1024 * 1024;
    this.blockBytes = options.blockBytes ?? 512;
    this.readOnly = options.readOnly ?? false;
    this.unavailable = options.unavailable;
    this.data = Buffer.alloc(this.sizeBytes);
    this.#arena = { bytes: this.data, address: 0 };
    for (let i = 0; i < (options.slabCount ?? 8); i++) {
      const bytes = Buffer.alloc(RECORD_PAYLOAD_BYTES_MAX + 4096);
      this.#free.push({ arena: { bytes, address: 0 }, dataStart: 4096, dataCapacity: RECORD_PAYLOAD_BYTES_MAX });
    }
  }

  connect(onRevoked: () => void, outlivesAgent = false): number {
    this.lasting.push(outlivesAgent);
    this.connected.set(++this.#epoch, onRevoked);
    return this.#epoch;
  }

  /** Of each connection, whether its client goes on with another process. */
  readonly lasting: boolean[] = [];

  disconnect(epoch: number): void {
    if (!this.connected.delete(epoch)) throw new Error(`epoch ${epoch} is not connected`);
    this.disconnected.push(epoch);
  }

  revokeAll(): void {
    for (const revoke of [...this.connected.values()]) revoke();
  }

  get isShortOfReads(): boolean {
    return false;
  }

  readNow(request: IoRequest, bytes: Uint8Array, start: number): boolean {
    const { offset, length } = request;
    if (this.readsNow === 0 || ++this.#readsAsked % this.readsNow !== 0 || this.failWith !== 0) return false;
    if (length % this.blockBytes !== 0 || offset % this.blockBytes !== 0) return false;
    bytes.set(this.data.subarray(offset, offset + length), start);
    return true;
  }

  read(request: IoRequest): void {
    this.#note(request);
    if (this.snapshotReads) {
      const { offset, length } = request;
      this.#fill(request, { bytes: Buffer.from(this.data.subarray(offset, offset + length)), address: 0 }, 0);
    }
    this.#end(request, this.failWith);
  }

  releaseRead(request: IoRequest): void {
    if (request.slabs.length === 0) throw new Error('read released twice');
    request.slabs.length = 0;
    this.readsHeld--;
  }

  write(request: IoRequest, source: Uint8Array, start: number): boolean {
    if (!this.room) return false;
    this.#note(request);
    if (this.failWith === 0) this.data.set(source.subarray(start, start + request.length), request.offset);
    this.#end(request, this.failWith);
    return true;
  }

  lease(length: number): Slab | undefined {
    if (length > RECORD_PAYLOAD_BYTES_MAX) throw new Error('lease too long');
    if (!this.room) return undefined;
    const slab = this.#free.pop();
    if (slab !== undefined) this.leased++;
    return slab;
  }

  unlease(slab: Slab): void {
    this.leased--;
    this.#free.push(slab);
  }

  writeSlab(request: IoRequest, pieceOffset: number, slab: Slab, length: number): boolean {
    if (!this.room) return false;
    if (this.recording) this.journal.push(`piece ${request.offset + pieceOffset} ${length}`);
    if (this.failWith === 0) {
      this.data.set(slab.arena.bytes.subarray(slab.dataStart, slab.dataStart + length), request.offset + pieceOffset);
    }
    this.unlease(slab);
    const last = pieceOffset + length === request.length;
    if (last) this.#note(request);
    // A failure is told at once, also in the middle of a request.
    if (last || this.failWith !== 0) this.#endOnce(request, this.failWith);
    return true;
  }

  discard(request: IoRequest): boolean {
    if (!this.room) return false;
    this.#note(request);
    if (this.failWith === 0) this.data.fill(0, request.offset, request.offset + request.length);
    this.#end(request, this.failWith);
    return true;
  }

  flush(request: IoRequest): void {
    this.#note(request);
    this.#end(request, this.failWith);
  }

  extents(offset: number, length: number, max: number): ExtentRun[] {
    const runs: ExtentRun[] = [];
    let at = offset;
    while (at < offset + length) {
      const end = Math.min(offset + length, Math.floor(at / EXTENT_BYTES) * EXTENT_BYTES + EXTENT_BYTES);
      const zero = this.data.subarray(at, end).every((byte) => byte === 0);
      const last = runs.at(-1);
      if (last !== undefined && last.zero === zero) last.length += end - at;
      else if (runs.length === max) break;
      else runs.push({ length: end - at, zero });
      at = end;
    }
    return runs;
  }

  waitForRoom(waiter: RoomWaiter): void {
    if (!this.#waiters.includes(waiter)) this.#waiters.push(waiter);
  }

  giveRoom(): void {
    this.room = true;
    for (const waiter of this.#waiters.splice(0)) waiter.roomAvailable();
  }

  commit(): void {
    this.commits++;
    if (this.completion === 'commit') this.release();
  }

  get held(): number {
    return this.#pending.length;
  }

  /** Ends up to `count` of the waiting requests in order. */
  release(count = this.#pending.length): void {
    const entries = this.#pending;
    if (count >= entries.length) this.#pending = [];
    else this.#pending = entries.slice(count);
    for (let i = 0; i < count && i < entries.length; i++) this.#complete(entries[i] as Entry);
  }

  /** Ends everything that waits with an error. */
  failHeld(errno: number): void {
    for (const { request } of this.#pending.splice(0)) this.#complete({ request, errno });
  }

  #endOnce(request: IoRequest, errno: number): void {
    if (!this.#pending.some((entry) => entry.request === request)) this.#end(request, errno);
  }

  #end(request: IoRequest, errno: number): void {
    if (request.length % this.blockBytes !== 0 || request.offset % this.blockBytes !== 0) errno = EINVAL;
    if (this.completion === 'sync') this.#complete({ request, errno });
    else this.#pending.push({ request, errno });
  }

  #complete({ request, errno }: Entry): void {
    if (request.op === 'read' && errno === 0) {
      this.readsHeld++;
      if (request.slabs.length === 0) this.#fill(request, this.#arena, request.offset);
    }
    request.owner.completed(request, errno);
  }

  #fill(request: IoRequest, arena: Arena, start: number): void {
    for (let at = 0; at < request.length; at += RECORD_PAYLOAD_BYTES_MAX) {
      request.slabs.push({ arena, dataStart: start + at, dataCapacity: RECORD_PAYLOAD_BYTES_MAX });
    }
  }

  #note(request: IoRequest): void {
    if (this.recording) this.journal.push(`${request.op}${request.fua ? ' fua' : ''} ${request.offset} ${request.length}`);
  }
}
