// Replies on their way to the socket. Small replies are put one behind the other into one reused buffer and leave in one write per turn;
// data pieces of large reads leave straight from their slabs. Many small replies leave by another thread, where there is one.
//
// Owner of the output buffers and of the order of what was written: the socket reports its writes done in the order in which they were
// made, so one bound callback and a queue replace a closure per write. A buffer is filled again only when everything in it has been sent.
// Bound: the caller stops taking requests while unsentBytes is above NBD_UNSENT_BYTES_MAX.

import type { Socket } from 'node:net';
import { assert } from '../core/assert.js';
import { KIB } from '../core/limits.js';
import type { NbdRequest } from './request.js';
import { type OpenSender, SideOutput, type SideOwner } from './side-output.js';

const OUTPUT_BUFFER_BYTES = 256 * KIB;
/** Replies that leave by another thread are at least so many and so long together: fewer are there sooner without the way to it. */
const SIDE_REPLIES_MIN = 4;
const SIDE_BYTES_MIN = 16 * KIB;
/** Idle buffers kept beside the one being filled. */
const SPARE_BUFFERS_MAX = 2;

/** One output buffer: [0, handed) has been handed to the socket, [handed, end) waits for the end of the turn. */
class OutputBuffer {
  readonly bytes = Buffer.allocUnsafeSlow(OUTPUT_BUFFER_BYTES);
  readonly view = new DataView(this.bytes.buffer, this.bytes.byteOffset, OUTPUT_BUFFER_BYTES);
  handed = 0;
  end = 0;
  /** Writes out of this buffer that the socket has not reported done. */
  writes = 0;
}

/** Told what has left, or never will because the socket is gone. */
export interface SentListener {
  /** The last byte of a long read has left its memory. */
  sent(request: NbdRequest): void;
  /** Other output has left. */
  written(): void;
}

/** What a write was: out of a buffer, the last piece of a read, or (undefined) another piece. */
type Entry = OutputBuffer | NbdRequest | undefined;

/** The outgoing side of one connection. */
export class Output implements SideOwner<Entry> {
  readonly #socket: Socket;
  readonly #listener: SentListener;
  #current = new OutputBuffer();
  #spare: OutputBuffer[] = [];
  /** Writes that the socket has not reported. */
  #writes: Entry[] = [];
  #writesHead = 0;
  #corked = false;
  readonly #side: SideOutput<Entry>;
  /** Replies in the part of the current buffer that is not handed. */
  #replies = 0;
  #ending = false;
  #closed = false;
  /** The socket has lost a write, and will be closed: nothing may follow by another way. */
  #failed = false;
  readonly #onWritten = (error?: Error | null) => {
    if (error) this.#failed = true;
    this.#written();
  };

  constructor(socket: Socket, listener: SentListener, openSender: OpenSender = () => undefined) {
    this.#socket = socket;
    this.#listener = listener;
    this.#side = new SideOutput(openSender, this);
  }

  /** Memory being filled; valid until the next reserve(). */
  get view(): DataView {
    return this.#current.view;
  }

  get bytes(): Buffer {
    return this.#current.bytes;
  }

  /** Bytes not yet taken by the kernel, as far as is known here. */
  get unsentBytes(): number {
    return this.keptBytes + this.#side.bytes;
  }

  /** Those that wait for the client. The other thread waits for nobody: what it has says nothing about a client, only about the moment. */
  get keptBytes(): number {
    return this.#socket.writableLength + this.#current.end - this.#current.handed;
  }

  /** Makes room for `length` bytes in one piece and returns where they go; advance() follows. */
  reserve(length: number): number {
    assert(length <= OUTPUT_BUFFER_BYTES, 'a reply fits an output buffer');
    if (this.#current.end + length > OUTPUT_BUFFER_BYTES) this.#rotate();
    return this.#current.end;
  }

  /** Declares the bytes up to `end` written, which are one more reply. */
  advance(end: number): void {
    this.#replies++;
    this.#current.end = end;
  }

  /** Copies bytes, in pieces if need be; for data outside the data path. */
  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += OUTPUT_BUFFER_BYTES) {
      const piece = bytes.subarray(at, at + OUTPUT_BUFFER_BYTES);
      const start = this.reserve(piece.length);
      this.#current.bytes.set(piece, start);
      this.advance(start + piece.length);
    }
  }

  /** Queues a piece of a slab behind everything so far. `request`, given with the last piece, is reported when that has left. */
  appendDirect(piece: Uint8Array, request: NbdRequest | undefined): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
    }
    this.#hand();
    this.#write(piece, request, false);
  }

  /** Ends a turn: everything queued goes to the socket. */
  flush(): void {
    this.#hand();
    if (!this.#corked) return;
    this.#corked = false;
    this.#socket.uncork();
  }

  /** Ends the connection when everything queued has left. */
  end(): void {
    this.flush();
    this.#ending = true;
    if (!this.#side.isBusy) this.#socket.destroySoon();
  }

  /** The socket is destroyed: nothing leaves any more. */
  close(): void {
    this.#closed = true;
    this.#side.close();
  }

  /** Hands the filled, unsent part of the current buffer to the socket. */
  #hand(): void {
    const buffer = this.#current;
    const bytes = buffer.end - buffer.handed;
    if (bytes === 0) return;
    const piece = buffer.bytes.subarray(buffer.handed, buffer.end);
    const isMany = bytes >= SIDE_BYTES_MIN && this.#replies >= SIDE_REPLIES_MIN;
    buffer.handed = buffer.end;
    buffer.writes++;
    this.#replies = 0;
    this.#write(piece, buffer, isMany);
  }

  /** `isMany`: worth another thread, which sends nothing while the socket has something to send. */
  #write(piece: Uint8Array, entry: Entry, isMany: boolean): void {
    const toSide = this.#side.isBusy || (isMany && this.#writes.length === 0);
    if (!toSide || this.#closed || this.#failed || !this.#side.send(piece, entry)) this.#writeHere(piece, entry);
  }

  #writeHere(piece: Uint8Array, entry: Entry): void {
    this.#writes.push(entry);
    this.#socket.write(piece, this.#onWritten);
  }

  left(entry: Entry): void {
    this.#hasLeft(entry);
  }

  returned(rest: Uint8Array, entry: Entry): void {
    if (this.#closed) this.#hasLeft(entry);
    else this.#writeHere(rest, entry);
  }

  emptied(): void {
    if (this.#ending) this.#socket.destroySoon();
  }

  /** A write is done, or failed with the socket; memory is free in both cases. */
  #written(): void {
    assert(this.#writesHead < this.#writes.length, 'the socket reports each write once');
    const entry = this.#writes[this.#writesHead];
    this.#writes[this.#writesHead++] = undefined;
    if (this.#writesHead === this.#writes.length) {
      this.#writes.length = 0;
      this.#writesHead = 0;
    } else if (this.#writesHead >= 1024) {
      this.#writes.splice(0, this.#writesHead);
      this.#writesHead = 0;
    }
    this.#hasLeft(entry);
  }

  #hasLeft(entry: Entry): void {
    if (entry === undefined) return;
    if (entry instanceof OutputBuffer) {
      this.#bufferWritten(entry);
      this.#listener.written();
    } else this.#listener.sent(entry);
  }

  #bufferWritten(buffer: OutputBuffer): void {
    buffer.writes--;
    if (buffer.writes > 0) return;
    if (buffer !== this.#current) {
      buffer.handed = 0;
      buffer.end = 0;
      if (this.#spare.length < SPARE_BUFFERS_MAX) this.#spare.push(buffer);
    } else if (buffer.handed === buffer.end) {
      buffer.handed = 0;
      buffer.end = 0;
    }
  }

  /** Goes on in another buffer because the current one is full. */
  #rotate(): void {
    this.#hand();
    this.#current = this.#spare.pop() ?? new OutputBuffer();
  }
}
