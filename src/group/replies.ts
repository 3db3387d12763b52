// Requests that were admitted and wait for their condition: writes for the write limit, flushes and FUA writes for the flush limit
// (core/ack-rule.ts). Both limits are LSNs, so each queue is answered from its front. No allocation per request.

import { PLANTED } from '../core/planted.js';
import type { IoRequest, RequestOwner } from '../core/ports.js';

class LsnQueue {
  #requests: (IoRequest | undefined)[] = new Array<IoRequest | undefined>(256).fill(undefined);
  #lsns = new Float64Array(256);
  #head = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  push(lsn: number, request: IoRequest): void {
    if (this.#count === this.#requests.length) this.#grow();
    const at = (this.#head + this.#count) & (this.#requests.length - 1);
    this.#requests[at] = request;
    this.#lsns[at] = lsn;
    this.#count++;
  }

  /** Answers every request up to `lsn`. completed() may admit new requests meanwhile. */
  complete(lsn: number, errno: number): void {
    while (this.#count > 0 && (this.#lsns[this.#head] as number) <= lsn) {
      const request = this.#requests[this.#head] as IoRequest;
      this.#requests[this.#head] = undefined;
      this.#head = (this.#head + 1) & (this.#requests.length - 1);
      this.#count--;
      request.owner.completed(request, errno);
    }
  }

  /** Nobody hears of the requests of this client any more; the others keep their order. */
  forget(client: RequestOwner): void {
    const mask = this.#requests.length - 1;
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & mask;
      const request = this.#requests[from] as IoRequest;
      this.#requests[from] = undefined;
      if (request.owner === client) continue;
      const to = (this.#head + kept++) & mask;
      this.#requests[to] = request;
      this.#lsns[to] = this.#lsns[from] as number;
    }
    this.#count = kept;
  }

  #grow(): void {
    const size = this.#requests.length;
    const requests = new Array<IoRequest | undefined>(2 * size).fill(undefined);
    const lsns = new Float64Array(2 * size);
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#head + i) & (size - 1);
      requests[i] = this.#requests[at];
      lsns[i] = this.#lsns[at] as number;
    }
    this.#requests = requests;
    this.#lsns = lsns;
    this.#head = 0;
  }
}

export class Replies {
  readonly #writes = new LsnQueue();
  readonly #flushes = new LsnQueue();

  /** A write, zero or trim whose last record is `lsn`. */
  write(lsn: number, request: IoRequest): void {
    (request.fua && PLANTED !== 'fua-ignored' ? this.#flushes : this.#writes).push(lsn, request);
  }

  /** A flush that covers everything up to `lsn`. */
  flush(lsn: number, request: IoRequest): void {
    this.#flushes.push(lsn, request);
  }

  /** Answers what the limits allow. */
  release(writeLsn: number, flushLsn: number): void {
    this.#writes.complete(writeLsn, 0);
    this.#flushes.complete(flushLsn, 0);
  }

  /** Answers everything with an error; whether it will survive is unknown. */
  failAll(errno: number): void {
    const answer = PLANTED === 'error-becomes-success' ? 0 : errno;
    this.#writes.complete(Number.MAX_SAFE_INTEGER, answer);
    this.#flushes.complete(Number.MAX_SAFE_INTEGER, answer);
  }

  /** Lets go of what waits for an answer to this client, which is gone. What was admitted stays admitted. */
  forget(client: RequestOwner): void {
    this.#writes.forget(client);
    this.#flushes.forget(client);
  }

  get waiting(): number {
    return this.#writes.count + this.#flushes.count;
  }
}
