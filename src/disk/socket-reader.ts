// The receiving side of a connected socket, beside Node's Socket, which only sends then.
//
// A Socket asks for memory, reads what is there, and tells of it: six times for a megabyte of a unix socket, of which only the last one is
// of use to anybody. This one tells when as much is there as its owner waits for, which takes a fifth off the work of the primary's thread
// for long writes. It has a descriptor of its own, so a connection ends when both it and the Socket are closed.

import { getSystemErrorName } from 'node:util';
import { assert } from '../core/assert.js';
import { LvrError } from '../core/errors.js';
import type { ReadSocket, SocketOwner, SocketReader } from '../core/ports.js';
import { binding, isSystemError, type NativeReceiver } from './native.js';

class NativeSocketReader implements SocketReader {
  #owner: SocketOwner | undefined;
  readonly #receiver: NativeReceiver;
  /** What is being received into; kept here so that it stays while nobody else knows it. */
  #memory: Uint8Array | undefined;
  #reading = false;
  /** Closed, or nothing comes any more. */
  #over = false;

  constructor(fd: number) {
    this.#receiver = binding.openReceiver(fd, (length, errno) => this.#received(length, errno));
  }

  start(owner: SocketOwner): void {
    assert(this.#owner === undefined, 'a socket is received by one owner');
    this.#owner = owner;
  }

  resume(): void {
    if (this.#reading || this.#over) return;
    this.#reading = true;
    if (this.#memory === undefined) this.#ask();
    else binding.resumeReceiver(this.#receiver);
  }

  pause(): void {
    if (!this.#reading || this.#over) return;
    this.#reading = false;
    binding.pauseReceiver(this.#receiver);
  }

  close(): void {
    this.#over = true;
    binding.closeReceiver(this.#receiver);
    this.#memory = undefined;
  }

  #ask(): void {
    const owner = this.#owner;
    assert(owner !== undefined, 'a socket is read when it has an owner');
    const memory = owner.nextBuffer();
    assert(memory.length > 0, 'there is always memory to receive into');
    this.#memory = memory;
    binding.receive(this.#receiver, memory, owner.waitsForAll ? memory.length : 1);
  }

  #received(length: number, errno: number): void {
    this.#memory = undefined;
    if (length === 0) {
      this.#over = true;
      this.#owner?.ended(errno === 0 ? undefined : new Error(`recv ${getSystemErrorName(-errno)}`));
      return;
    }
    this.#owner?.received(length);
    // It may have paused and resumed, which has asked already.
    if (this.#reading && !this.#over && this.#memory === undefined) this.#ask();
  }
}

/** The reader of the socket behind `fd`. Throws LvrError. */
export const readSocket: ReadSocket = (fd) => {
  try {
    return new NativeSocketReader(fd);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new LvrError('FAILED', `a connection cannot be read: ${cause.message}`, { cause, hint: 'see LimitNOFILE of the service' });
  }
};
