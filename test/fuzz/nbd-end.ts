// The server's end of an NBD connection without a socket: handshake, then transmission, put together as connection.ts does, fed by hand.

import type { Socket } from 'node:net';
import { Budget } from '../../src/nbd/budget.js';
import { Fences } from '../../src/nbd/fence.js';
import { Handshake } from '../../src/nbd/handshake.js';
import { NbdMetrics } from '../../src/nbd/metrics.js';
import { Output, type SentListener } from '../../src/nbd/output.js';
import { READ_BYTES, ReceiveBuffer } from '../../src/nbd/receive-buffer.js';
import type { NbdRequest } from '../../src/nbd/request.js';
import { Transmission } from '../../src/nbd/transmission.js';
import type { TransmissionHost } from '../../src/nbd/transmission-host.js';
import type { MemoryBackend } from '../helpers/memory-backend.js';
import { FakeClock } from '../link/memory-network.js';
import { judge } from './harness.js';
import { pieces } from './mutate.js';

const TURNS_MAX = 100_000;

/** A socket that takes everything; what was written counts as sent when the turn is over. */
class Sink {
  readonly sent: Buffer[] = [];
  writableLength = 0;
  #done: (() => void)[] = [];

  cork(): void {}

  uncork(): void {}

  write(piece: Uint8Array, done: () => void): boolean {
    this.sent.push(Buffer.from(piece));
    this.writableLength += piece.length;
    this.#done.push(done);
    return true;
  }

  /** True when something was reported. */
  report(): boolean {
    const done = this.#done;
    this.#done = [];
    this.writableLength = 0;
    for (const fn of done) fn();
    return done.length > 0;
  }
}

export class NbdEnd implements TransmissionHost, SentListener {
  readonly metrics = new NbdMetrics();
  readonly clock = new FakeClock();
  readonly #backend: MemoryBackend;
  readonly #sink = new Sink();
  readonly #input = new ReceiveBuffer();
  readonly #output = new Output(this.#sink as unknown as Socket, this);
  readonly #shared = { metrics: this.metrics, budget: new Budget(), fences: new Fences(this.clock) };
  #handshake: Handshake | undefined;
  #transmission: Transmission | undefined;
  #isReading = true;
  /** Why it ended; undefined while it goes on. */
  ended: string | undefined;

  constructor(backend: MemoryBackend) {
    this.#backend = backend;
    this.#handshake = new Handshake({ lookup: (name) => (name === backend.exportName ? backend : undefined), list: () => [backend] });
  }

  arm(): void {
    this.clock.soon(() => this.#transmission?.turn());
  }

  setReading(reading: boolean): void {
    this.#isReading = reading;
  }

  abort(reason: string, violated: boolean): void {
    this.#end(`${violated ? 'violated' : 'aborted'}: ${reason}`);
  }

  finish(): void {
    this.#settle();
    this.#end('done');
  }

  frozen(): void {}

  sent(request: NbdRequest): void {
    this.#transmission?.sent(request);
  }

  written(): void {
    this.#transmission?.written();
  }

  #end(reason: string): void {
    if (this.ended !== undefined) return;
    this.ended = reason;
    this.#transmission?.close();
  }

  /** Lets everything happen that waits for a turn, for room or for an answer. */
  #settle(): void {
    for (let turns = 0; this.ended === undefined; turns++) {
      judge(turns < TURNS_MAX, 'the connection comes to rest');
      const hasMoved = this.#sink.report();
      this.#backend.release();
      if (!this.#backend.room) this.#backend.giveRoom();
      if (!this.clock.runSoon() && !hasMoved) break;
    }
    this.#sink.report();
  }

  /** Delivers bytes in pieces of these sizes; `isTight`: there is no room at the beginning of every piece. */
  feed(bytes: Uint8Array, sizes: readonly number[], isTight: boolean): void {
    for (const [start, end] of pieces(bytes.length, sizes)) {
      for (let at = start; at < end && this.ended === undefined; ) {
        if (isTight) this.#backend.room = false;
        const memory = this.#transmission === undefined ? this.#input.offer(READ_BYTES) : this.#transmission.nextBuffer();
        judge(memory.length > 0, 'there is always memory for the next read');
        const length = Math.min(memory.length, end - at);
        memory.set(bytes.subarray(at, at + length));
        at += length;
        this.#received(length);
        this.#settle();
        judge(this.#isReading || this.ended !== undefined, 'a connection with room goes on reading');
      }
    }
  }

  #received(length: number): void {
    if (this.#transmission !== undefined) return this.#transmission.received(length);
    this.#input.end += length;
    const handshake = this.#handshake as Handshake;
    this.#input.start += handshake.step(this.#input.bytes, this.#input.start, this.#input.end);
    for (const reply of handshake.takeOutput()) this.#output.append(reply);
    this.#output.flush();
    if (handshake.outcome === 'close') return this.#end(`closed: ${handshake.closeReason}`);
    const { negotiated } = handshake;
    if (negotiated === undefined) return;
    this.#transmission = new Transmission(negotiated, this.#input, this.#output, this, this.#shared);
    this.#transmission.turn();
  }

  /** The client has gone. */
  close(): void {
    this.#end('left');
    this.#sink.report();
    this.#backend.release();
    judge(this.metrics.inFlight === 0 && this.#shared.budget.usedBytes === 0, 'nothing counts as in flight afterwards');
  }

  /** Everything that was sent. */
  get output(): Buffer {
    return Buffer.concat(this.#sink.sent);
  }
}
