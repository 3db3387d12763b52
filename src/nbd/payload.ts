// The payload that is being received for one long write, or thrown away for a refused one.
//
// A long write arrives in pieces of at most RECORD_PAYLOAD_BYTES_MAX, each straight in a slab leased from the backend. Owner of the slab
// from lease() until writeSlab() took it over or unlease() gave it back. While the socket may be writing into a slab it is never given
// back: a request that fails early goes on receiving into the same slab until the piece is full.

import { assert } from '../core/assert.js';
import { RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import type { Backend, Slab } from '../core/ports.js';
import type { ReceiveBuffer } from './receive-buffer.js';
import type { NbdRequest } from './request.js';

/** idle: no payload in progress · more: the socket must deliver more · room: the backend has no room · done: the payload is complete. */
export type PayloadState = 'idle' | 'more' | 'room' | 'done';

/** Payload reception of one connection; at most one request at a time. */
export class Payload {
  readonly #backend: Backend;
  /** The request whose payload this is; it stays set with 'done' until clear(). */
  request: NbdRequest | undefined;
  /** Why the payload is thrown away; 0: it is wanted. */
  errno = 0;
  /** Pieces handed to the backend so far, over all requests: when it grows, a commit is due. */
  piecesAdmitted = 0;
  #pieceOffset = 0;
  #pieceLength = 0;
  #filled = 0;
  #slab: Slab | undefined;
  /** The last piece is being handed over, so that the request may complete at any moment. */
  #ending = false;
  #length = 0;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Starts with the payload of `request`, wanted (errno 0) or to be thrown away. */
  begin(request: NbdRequest, errno: number): void {
    assert(this.request === undefined && request.length > 0, 'one payload at a time');
    this.request = request;
    this.errno = errno;
    this.#pieceOffset = 0;
    this.#length = request.length;
    this.#ending = false;
    this.#startPiece();
  }

  /** True while `request` cannot have been answered in the ordinary way: pieces of it are missing. */
  incomplete(request: NbdRequest): boolean {
    return this.request === request && !this.#ending;
  }

  /** Takes what `input` has; called again when more has arrived or room was announced. */
  take(input: ReceiveBuffer): PayloadState {
    const request = this.request;
    if (request === undefined) return 'idle';
    // Bounded by the number of pieces of the longest payload.
    while (this.#pieceOffset < this.#length) {
      // The backend may have withdrawn the volume, and with it the connection, inside a call.
      if (this.request === undefined) return 'idle';
      if (this.#slab === undefined && this.errno === 0) {
        this.#slab = this.#backend.lease(this.#pieceLength);
        if (this.#slab === undefined) return 'room';
      }
      this.#copy(input);
      if (this.#filled < this.#pieceLength) return 'more';
      if (!this.#admit(request)) return 'room';
      this.#pieceOffset += this.#pieceLength;
      this.#startPiece();
    }
    return 'done';
  }

  /** A piece has its slab, and more of it must arrive: take() would only say so. */
  get isFilling(): boolean {
    return this.#slab !== undefined && this.#filled < this.#pieceLength;
  }

  /** The rest of the current piece, for the socket to receive into; undefined when the receive buffer must serve. */
  target(): Uint8Array | undefined {
    const slab = this.#slab;
    if (slab === undefined || !this.isFilling) return undefined;
    return slab.arena.bytes.subarray(slab.dataStart + this.#filled, slab.dataStart + this.#pieceLength);
  }

  /** The socket put `length` bytes into the memory of target(). */
  received(length: number): void {
    this.#filled += length;
    assert(this.#filled <= this.#pieceLength, 'a read does not exceed the memory offered');
  }

  /** Forgets the request; the next begin() may follow. */
  clear(): void {
    assert(this.#slab === undefined, 'a finished payload holds no slab');
    this.request = undefined;
  }

  /** The connection is gone and the socket writes nowhere any more: the slab goes back. */
  abandon(): void {
    if (this.#slab !== undefined) this.#backend.unlease(this.#slab);
    this.#slab = undefined;
    this.request = undefined;
  }

  #startPiece(): void {
    this.#pieceLength = Math.min(RECORD_PAYLOAD_BYTES_MAX, this.#length - this.#pieceOffset);
    this.#filled = 0;
  }

  #copy(input: ReceiveBuffer): void {
    const length = Math.min(input.end - input.start, this.#pieceLength - this.#filled);
    if (length === 0) return;
    const slab = this.#slab;
    if (slab !== undefined) {
      slab.arena.bytes.set(input.bytes.subarray(input.start, input.start + length), slab.dataStart + this.#filled);
    }
    input.start += length;
    this.#filled += length;
  }

  /** Hands a full piece over; false when the backend has no room for it. */
  #admit(request: NbdRequest): boolean {
    const slab = this.#slab;
    if (slab === undefined) return true;
    if (this.errno !== 0) {
      this.#backend.unlease(slab);
    } else {
      // The last piece may complete the request inside this call, and the slab is not ours from then on.
      this.#ending = this.#pieceOffset + this.#pieceLength === this.#length;
      this.#slab = undefined;
      if (!this.#backend.writeSlab(request, this.#pieceOffset, slab, this.#pieceLength)) return this.#keep(slab);
      this.piecesAdmitted++;
    }
    this.#slab = undefined;
    return true;
  }

  /** A refused piece stays for the next attempt, unless abandon() ran meanwhile. */
  #keep(slab: Slab): false {
    this.#ending = false;
    if (this.request === undefined) this.#backend.unlease(slab);
    else this.#slab = slab;
    return false;
  }
}
