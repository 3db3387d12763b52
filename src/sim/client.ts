// A client of a simulated group that knows what it wrote (history.ts) and checks every read against it.

import { assert } from '../core/assert.js';
import type { Backend, IoRequest, Op, RequestOwner, RoomWaiter, Slab } from '../core/ports.js';
import { fillContent, type History, idsOf, SECTOR } from './history.js';
import type { Random } from './random.js';
import { type SimSite, VOLUMES } from './site.js';

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

export class SimClient implements RequestOwner, RoomWaiter {
  readonly history: History;
  readonly #site: SimSite;
  readonly #backends: readonly Backend[];
  readonly #epochs: number[];
  /** Reads that saw what no order of writes allows. */
  readonly wrongReads: string[] = [];
  readonly failed: SimRequest[] = [];
  /** Hears of every answer. */
  onAnswer: ((request: SimRequest) => void) | undefined;
  isRevoked = false;
  waiting = 0;
  /** A request was refused for lack of room, and nobody has said since that there is some. */
  isShortOfRoom = false;

  constructor(site: SimSite, history: History) {
    this.#site = site;
    this.history = history;
    this.#backends = VOLUMES.map((name) => site.group.backends.get(name) as Backend);
    this.#epochs = this.#backends.map((backend) => backend.connect(() => this.#revoked()));
  }

  #revoked(): void {
    this.isRevoked = true;
  }

  disconnect(): void {
    for (const [i, backend] of this.#backends.entries()) backend.disconnect(this.#epochs[i] as number, this);
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
    this.onAnswer?.(done);
  }

  /** Admits a write; undefined when there is no room. `pieces` above 0: as a long write, received in so many slabs. */
  write(volume: number, offset: number, length: number, fua = false, pieces = 0): SimRequest | undefined {
    const request = this.#request('write', volume, offset, length, fua);
    const id = this.history.nextId;
    if (pieces === 0) {
      const source = new Uint8Array(length);
      fillContent(source, 0, length, id, offset);
      return this.#admit(request, (backend) => backend.write(request, source, 0), false);
    }
    const backend = this.#backends[volume] as Backend;
    const step = Math.ceil(length / pieces / SECTOR) * SECTOR;
    for (let at = 0; at < length; at += step) {
      const bytes = Math.min(step, length - at);
      const slab = backend.lease(bytes);
      if (slab === undefined) return undefined;
      fillContent(slab.arena.bytes, slab.dataStart, bytes, this.history.nextId, offset + at);
      this.waiting++;
      const admitted = this.#admittedLsn;
      const lsn = this.history.add(volume, offset + at, bytes, false);
      request.lsn = lsn;
      if (backend.writeSlab(request, at, slab, bytes)) {
        this.waiting -= at + bytes < length ? 1 : 0;
        if (this.#admittedLsn === admitted) this.history.cut(lsn - 1);
      } else {
        this.history.cut(lsn - 1);
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

  flush(volume = 0): SimRequest {
    const request = this.#request('flush', volume, 0, 0, false);
    request.lsn = this.history.written.length;
    this.waiting++;
    this.#backends[volume]?.flush(request);
    return request;
  }

  read(volume: number, offset: number, length: number): SimRequest {
    const request = this.#request('read', volume, offset, length, false);
    request.lsn = this.history.written.length;
    request.expected = (this.history.current[volume] as Int32Array).slice(offset / SECTOR, (offset + length) / SECTOR);
    this.#checkReadNow(request);
    this.waiting++;
    this.#backends[volume]?.read(request);
    return request;
  }

  commit(): void {
    for (const backend of this.#backends) backend.commit();
  }

  /** Something random; false when there was no room. `long`: sectors of the longest requests, of which there are more with `isBig`. */
  act(random: Random, long = 200, isBig = false): boolean {
    const volume = random.below(2);
    const sectors = 1 + random.below(random.below(isBig ? 2 : 10) === 0 ? long : 12);
    const first = random.below(this.history.sectors - sectors);
    const [offset, length] = [first * SECTOR, sectors * SECTOR];
    const fua = random.below(12) === 0;
    const what = random.below(20);
    if (what < 9) return this.write(volume, offset, length, fua) !== undefined;
    if (what < 11) return this.write(volume, offset, length, fua, 1 + random.below(3)) !== undefined;
    if (what < 13) return this.discard(what === 11 ? 'trim' : 'zero', volume, offset, length, fua) !== undefined;
    if (what < 18) this.read(volume, offset, length);
    else if (what === 18) this.flush(random.below(2));
    else this.commit();
    return true;
  }

  /** After a refusal: asks to be told when there may be room. */
  waitForRoom(): void {
    if (this.isShortOfRoom || this.isRevoked) return;
    this.isShortOfRoom = true;
    this.#backends[0]?.waitForRoom(this);
  }

  roomAvailable(): void {
    this.isShortOfRoom = false;
  }

  #request(op: Op, volume: number, offset: number, length: number, fua: boolean): SimRequest {
    return new SimRequest(this, volume, op, offset, length, fua, this.#epochs[volume] as number);
  }

  /** Last LSN that the group gave out: tells whether a refused request became a record. */
  get #admittedLsn(): number {
    return this.#site.isUp ? (this.#site.group.writePath?.lastLsn ?? -1) : -1;
  }

  #admit(request: SimRequest, admit: (backend: Backend) => boolean, isZero: boolean): SimRequest | undefined {
    this.waiting++;
    const admitted = this.#admittedLsn;
    // In the history before it is admitted, because the answer may come inside.
    request.lsn = this.history.add(request.volume, request.offset, request.length, isZero);
    if (admit(this.#backends[request.volume] as Backend)) {
      if (this.#admittedLsn === admitted) this.history.cut(request.lsn - 1);
      return request;
    }
    this.history.cut(request.lsn - 1);
    this.waiting--;
    assert(!request.isDone, 'a request without room is not answered');
    return undefined;
  }

  /** What can be read at once is what was written last. */
  #checkReadNow(request: SimRequest): void {
    const { volume, offset, length, expected } = request;
    const bytes = new Uint8Array(length);
    if (this.#backends[volume]?.readNow(request, bytes, 0) !== true) return;
    for (const [i, id] of idsOf(bytes, offset / SECTOR).entries()) {
      if (id !== expected?.[i]) this.wrongReads.push(`${volume}:${offset / SECTOR + i} read ${id} at once, expected ${expected?.[i]}`);
    }
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
      const ids = idsOf(bytes, offset / SECTOR);
      for (const [i, id] of ids.entries()) {
        const sector = offset / SECTOR + i;
        if (id === request.expected?.[i] || this.#isLater(request.lsn, volume, sector, id)) continue;
        this.wrongReads.push(`${volume}:${sector} read ${id}, expected ${request.expected?.[i]} at LSN ${request.lsn}`);
      }
      // As front ends do: a read that failed has nothing to give back.
      this.#backends[volume]?.releaseRead(request);
    }
  }

  /** A write admitted after `lsn` made the sector this. */
  #isLater(lsn: number, volume: number, sector: number, id: number): boolean {
    const { written } = this.history;
    for (let i = lsn; i < written.length; i++) {
      const w = written[i];
      if (w !== undefined && w.volume === volume && w.first <= sector && sector < w.end && w.id === id) return true;
    }
    return false;
  }
}
