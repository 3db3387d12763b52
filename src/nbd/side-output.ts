// The answers of one connection that another thread sends. See disk/socket-sender.ts.
//
// Owner of the order among pieces given away and of what they carry until each is told. Once begun, everything that follows must come here
// too until all has been told: what the thread could not send comes back, in order, and is sent the ordinary way from then on.

import { assert } from '../core/assert.js';
import type { SentPieces, SocketSender } from '../core/ports.js';

/** Told of the pieces of a SideOutput, in the order in which they were given. */
export interface SideOwner<Entry> {
  /** All bytes of a piece have left. */
  left(entry: Entry): void;
  /** These have not, and must before anything that is given from now on. */
  returned(rest: Uint8Array, entry: Entry): void;
  /** Nothing is under way any more. */
  emptied(): void;
}

/** Opens the sender when there is something for it; undefined: there is none. */
export type OpenSender = (told: SentPieces) => SocketSender | undefined;

export class SideOutput<Entry> implements SentPieces {
  readonly #open: OpenSender;
  readonly #owner: SideOwner<Entry>;
  #sender: SocketSender | 'none' | undefined;
  readonly #pieces: Uint8Array[] = [];
  readonly #entries: Entry[] = [];
  /** A piece has come back since the last time that nothing was under way. */
  #isHeld = false;
  #bytes = 0;

  constructor(open: OpenSender, owner: SideOwner<Entry>) {
    this.#open = open;
    this.#owner = owner;
  }

  /** Something is under way. */
  get isBusy(): boolean {
    return this.#pieces.length > 0;
  }

  /** Under way. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Gives a piece away; it stays as it is until it is told. False, only while nothing is under way: there is nobody to send it, or the
   * client works on what it has got, with the processor that would send.
   */
  send(piece: Uint8Array, entry: Entry): boolean {
    this.#sender ??= this.#open(this) ?? 'none';
    if (this.#sender === 'none' || (!this.isBusy && !this.#sender.isAwaited)) return false;
    this.#pieces.push(piece);
    this.#entries.push(entry);
    this.#bytes += piece.length;
    this.#sender.send(piece);
    return true;
  }

  pieceSent(bytes: number): void {
    const piece = this.#pieces.shift();
    assert(piece !== undefined && bytes <= piece.length, 'a piece is told once');
    const entry = this.#entries.shift() as Entry;
    this.#bytes -= piece.length;
    if (bytes === piece.length) this.#owner.left(entry);
    else {
      this.#isHeld = true;
      this.#owner.returned(piece.subarray(bytes), entry);
    }
    if (this.#pieces.length > 0) return;
    if (this.#isHeld && this.#sender !== 'none') this.#sender?.release();
    this.#isHeld = false;
    this.#owner.emptied();
  }

  /** The connection is gone; what is under way is told still. */
  close(): void {
    if (this.#sender !== 'none') this.#sender?.close();
    this.#sender = 'none';
  }
}
