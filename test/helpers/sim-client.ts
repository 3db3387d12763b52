// A client of a simulated group that knows what it wrote: every sector it writes names the write, so that content tells history.

import { assert } from '../../src/core/assert.js';
import type { Backend, IoRequest, Op, RequestOwner, Slab } from '../../src/core/ports.js';
import type { Random } from './random.js';
import { type SimSite, VOLUME_BYTES } from './sim-group.js';

const SECTOR = 512;
const ENOTREADY = 'no room';

/** One record of the history: what is written at LSN index + 1. */
type Written = { readonly volume: number; readonly first: number; readonly end: number; readonly id: number };

/** Everything admitted, in order; one entry per record of the log. */
export class History {
  readonly written: Written[] = [];
  /** Records up to here were promised to survive: answered with FUA, or covered by an answered flush. */
  floor = 0;
  /** Records up to here were answered. */
  answered = 0;

  add(volume: number, offset: number, length: number, isZero: boolean): number {
    const id = isZero ? 0 : this.written.length + 1;
    this.written.push({ volume, first: offset / SECTOR, end: (offset + length) / SECTOR, id });
    return this.written.length;
  }

  /** Ids of all sectors of both volumes after the first `count` records. */
  state(count: number): Int32Array[] {
    const state = [new Int32Array(VOLUME_BYTES / SECTOR), new Int32Array(VOLUME_BYTES / SECTOR)];
    for (let i = 0; i < count; i++) {
      const { volume, first, end, id } = this.written[i] as Written;
      (state[volume] as Int32Array).fill(id, first, end);
    }
    return state;
  }

  /** Forgets what a crash was allowed to lose. */
  cut(count: number): void {
    this.written.length = count;
  }
}

/** The id a sector was written with; -1: no write ever made this content. */
function idOf(bytes: Uint8Array, start: number): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + start, SECTOR / 4);
  const id = words[0] as number;
  return words.every((word) => word === id) ? id : -1;
}

/** Ids of the sectors of a volume image. */
export function idsOf(image: Uint8Array): Int32Array {
  return Int32Array.from({ length: image.length / SECTOR }, (_, sector) => idOf(image, sector * SECTOR));
}

/** Sectors where an image is not the state after `count` records; empty when it is. */
export function differences(history: History, count: number, images: readonly Uint8Array[]): string[] {
  return history.state(count).flatMap((expected, volume) => {
    const ids = idsOf(images[volume] as Uint8Array);
    return [...expected.entries()].filter(([s, id]) => ids[s] !== id).map(([s, id]) => `${volume}:${s} is ${ids[s]}, not ${id}`);
  });
}

export class SimRequest implements IoRequest {
  op: Op;
  offset: number;
  length: number;
  fua: boolean;
  noHole = false;
  epoch: number;
  slabs: Slab[] = [];
  readonly owner: RequestOwner;
  readonly volume: number;
  /** Records admitted when this request was, with its own. */
  lsn = 0;
  /** Reads: what each sector held at the start. */
  expected: Int32Array | undefined;
  errno: number | undefined;
  result: Uint8Array | undefined;

  constructor(owner: RequestOwner, volume: number, op: Op, offset: number, length: number, fua: boolean, epoch: number) {
    this.owner = owner;
    this.volume = volume;
    this.op = op;
    this.offset = offset;
    this.length = length;
    this.fua = fua;
    this.epoch = epoch;
  }

  get isDone(): boolean {
    return this.errno !== undefined;
  }
}

export class SimClient implements RequestOwner {
  readonly history: History;
  readonly #site: SimSite;
  readonly #backends: readonly Backend[];
  readonly #epochs: number[];
  readonly #state: Int32Array[];
  /** Reads that saw what no order of writes allows. */
  readonly wrongReads: string[] = [];
  readonly failed: SimRequest[] = [];
  isRevoked = false;
  waiting = 0;

  constructor(site: SimSite, history: History) {
    this.#site = site;
    this.history = history;
    this.#backends = ['data', 'wal'].map((name) => site.group.backends.get(name) as Backend);
    this.#epochs = this.#backends.map((backend) => backend.connect(() => this.#revoked()));
    this.#state = history.state(history.written.length);
  }

  #revoked(): void {
    this.isRevoked = true;
  }

  disconnect(): void {
    for (const [i, backend] of this.#backends.entries()) backend.disconnect(this.#epochs[i] as number);
  }

  completed(request: IoRequest, errno: number): void {
    const done = request as SimRequest;
    assert(!done.isDone, 'a request is answered once');
    done.errno = errno;
    this.waiting--;
    const { history } = this;
    if (errno !== 0) this.failed.push(done);
    if (done.op === 'read') this.#checkRead(done);
    else if (errno === 0) {
      if (done.op === 'flush' || done.fua) history.floor = Math.max(history.floor, done.lsn);
      if (done.op !== 'flush') history.answered = Math.max(history.answered, done.lsn);
    }
  }

  /** Admits a write; undefined when there is no room. `pieces` above 0: as a long write, received in so many slabs. */
  write(volume: number, offset: number, length: number, fua = false, pieces = 0): SimRequest | undefined {
    const request = this.#request('write', volume, offset, length, fua);
    const id = this.history.written.length + 1;
    if (pieces === 0) {
      const source = new Uint8Array(new Uint32Array(length / 4).fill(id).buffer);
      return this.#admit(request, (backend) => backend.write(request, source, 0), false);
    }
    const backend = this.#backends[volume] as Backend;
    const step = Math.ceil(length / pieces / SECTOR) * SECTOR;
    for (let at = 0; at < length; at += step) {
      const bytes = Math.min(step, length - at);
      const slab = backend.lease(bytes);
      if (slab === undefined) return undefined;
      new Uint32Array(slab.arena.bytes.buffer, slab.dataStart, bytes / 4).fill(this.history.written.length + 1);
      this.waiting++;
      const lsn = this.#record(volume, offset + at, bytes, false);
      request.lsn = lsn;
      if (backend.writeSlab(request, at, slab, bytes)) {
        this.waiting -= at + bytes < length ? 1 : 0;
        if (this.#site.group.failure !== undefined) this.#forget(lsn);
      } else {
        this.#forget(lsn);
        this.waiting--;
        backend.unlease(slab);
        return undefined;
      }
    }
    return request;
  }

  /** Admits a trim or zero request. */
  discard(op: 'trim' | 'zero', volume: number, offset: number, length: number, fua = false): SimRequest | undefined {
    const request = this.#request(op, volume, offset, length, fua);
    return this.#admit(request, (backend) => backend.discard(request), true);
  }

  flush(): SimRequest {
    const request = this.#request('flush', 0, 0, 0, false);
    request.lsn = this.history.written.length;
    this.waiting++;
    this.#backends[0]?.flush(request);
    return request;
  }

  read(volume: number, offset: number, length: number): SimRequest {
    const request = this.#request('read', volume, offset, length, false);
    request.lsn = this.history.written.length;
    request.expected = (this.#state[volume] as Int32Array).slice(offset / SECTOR, (offset + length) / SECTOR);
    this.waiting++;
    this.#backends[volume]?.read(request);
    return request;
  }

  commit(): void {
    for (const backend of this.#backends) backend.commit();
  }

  /** Something random; false when there was no room for it. */
  act(random: Random): boolean {
    const volume = random.below(2);
    const sectors = 1 + random.below(random.below(10) === 0 ? 200 : 12);
    const first = random.below(VOLUME_BYTES / SECTOR - sectors);
    const [offset, length] = [first * SECTOR, sectors * SECTOR];
    const fua = random.below(12) === 0;
    const what = random.below(20);
    if (what < 9) return this.write(volume, offset, length, fua) !== undefined;
    if (what < 11) return this.write(volume, offset, length, fua, 1 + random.below(3)) !== undefined;
    if (what < 13) return this.discard(what === 11 ? 'trim' : 'zero', volume, offset, length, fua) !== undefined;
    if (what < 18) this.read(volume, offset, length);
    else if (what === 18) this.flush();
    else this.commit();
    return true;
  }

  #request(op: Op, volume: number, offset: number, length: number, fua: boolean): SimRequest {
    return new SimRequest(this, volume, op, offset, length, fua, this.#epochs[volume] as number);
  }

  #admit(request: SimRequest, admit: (backend: Backend) => boolean, isZero: boolean): SimRequest | undefined {
    this.waiting++;
    // In the history before it is admitted, because the answer may come inside.
    request.lsn = this.#record(request.volume, request.offset, request.length, isZero);
    const failures = this.failed.length;
    if (admit(this.#backends[request.volume] as Backend)) {
      if (this.failed.length > failures && this.#site.group.failure !== undefined) this.#forget(request.lsn);
      return request;
    }
    this.#forget(request.lsn);
    this.waiting--;
    assert(!request.isDone, ENOTREADY);
    return undefined;
  }

  #record(volume: number, offset: number, length: number, isZero: boolean): number {
    const lsn = this.history.add(volume, offset, length, isZero);
    const { first, end, id } = this.history.written[lsn - 1] as Written;
    (this.#state[volume] as Int32Array).fill(id, first, end);
    return lsn;
  }

  #forget(lsn: number): void {
    this.history.cut(lsn - 1);
    const state = this.history.state(lsn - 1);
    for (const [i, ids] of state.entries()) this.#state[i] = ids;
  }

  #checkRead(request: SimRequest): void {
    const { volume, offset, length, errno } = request;
    if (errno === 0) {
      const bytes = new Uint8Array(length);
      let at = 0;
      for (const slab of request.slabs) {
        const piece = Math.min(slab.dataCapacity, length - at);
        bytes.set(slab.arena.bytes.subarray(slab.dataStart, slab.dataStart + piece), at);
        at += piece;
      }
      request.result = bytes;
      const ids = idsOf(bytes);
      const later = this.history.written.slice(request.lsn);
      for (const [i, id] of ids.entries()) {
        const sector = offset / SECTOR + i;
        const allowed =
          id === request.expected?.[i] || later.some((w) => w.volume === volume && w.first <= sector && sector < w.end && w.id === id);
        if (!allowed) this.wrongReads.push(`${volume}:${sector} read ${id}, expected ${request.expected?.[i]} at LSN ${request.lsn}`);
      }
    }
    this.#backends[volume]?.releaseRead(request);
  }
}
