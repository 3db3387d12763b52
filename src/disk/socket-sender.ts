// The sending of answers on a thread of its own, for all sockets of the process.
//
// Of short reads, two fifths of the work are to copy the answers into a socket and to wake the client. Done beside the serving of the next
// requests it makes reads by a third faster (4 KiB, 32 at a time, two processors: 217 against 285 thousand a second) if a processor is free
// for it. One is while the client waits. While it works it needs that processor itself (fio was slower by a quarter), and costs no waking:
// then, and for a single answer, it is better sent at once. The caller judges that.

import { availableParallelism } from 'node:os';
import { assert } from '../core/assert.js';
import type { SendSocket, SentPieces, SocketSender } from '../core/ports.js';
import { binding, isSystemError, type NativeOutlet, type NativeSender } from './native.js';

/** Pieces told in one call. */
const TOLD_MAX = 256;

/** The thread, and the pieces it was given: kept here so that their memory stays until they are told. */
class SendingThread {
  readonly #native: NativeSender;
  readonly #sent = new Uint32Array(TOLD_MAX);
  /** In the order in which they were given. */
  readonly #underWay: { readonly piece: Uint8Array; readonly told: SentPieces }[] = [];

  /** Throws SystemError when there can be no thread. */
  constructor() {
    this.#native = binding.openSender(this.#sent, (count) => this.#onSent(count));
  }

  send(outlet: NativeOutlet, piece: Uint8Array, told: SentPieces): void {
    this.#underWay.push({ piece, told });
    binding.sendPiece(this.#native, outlet, piece);
  }

  #onSent(count: number): void {
    // Taken out before the first is told: whatever becomes of that, the others are not taken for one another.
    const ended = this.#underWay.splice(0, count);
    assert(ended.length === count, 'a piece is told once');
    ended.forEach(({ told }, i) => {
      told.pieceSent(this.#sent[i] as number);
    });
  }
}

/** Undefined: not started; 'none': there is one processor, or no thread to be had. */
let shared: SendingThread | 'none' | undefined;

function sendingThread(): SendingThread | undefined {
  if (shared === undefined) {
    try {
      shared = availableParallelism() > 1 ? new SendingThread() : 'none';
    } catch (error) {
      if (!isSystemError(error)) throw error;
      shared = 'none';
    }
  }
  return shared === 'none' ? undefined : shared;
}

class NativeSocketSender implements SocketSender {
  readonly #thread: SendingThread;
  readonly #outlet: NativeOutlet;
  readonly #told: SentPieces;
  #closed = false;

  /** Throws SystemError when there is no descriptor. */
  constructor(thread: SendingThread, fd: number, told: SentPieces) {
    this.#thread = thread;
    this.#outlet = binding.openOutlet(fd);
    this.#told = told;
  }

  send(piece: Uint8Array): void {
    assert(!this.#closed, 'a closed socket is not sent to');
    this.#thread.send(this.#outlet, piece, this.#told);
  }

  get isAwaited(): boolean {
    return !this.#closed && binding.isOutletDrained(this.#outlet);
  }

  release(): void {
    if (!this.#closed) binding.releaseOutlet(this.#outlet);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    binding.closeOutlet(this.#outlet);
  }
}

/** The sender of the socket behind `fd`. Undefined on one processor, and where the system refuses the thread or a descriptor. */
export const sendSocket: SendSocket = (fd, told) => {
  const thread = sendingThread();
  if (thread === undefined) return undefined;
  try {
    return new NativeSocketSender(thread, fd, told);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return undefined;
  }
};
