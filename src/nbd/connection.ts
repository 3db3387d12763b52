// One client connection from accept to close: drives the handshake, then the transmission, and holds both to their deadlines.
//
// Owner of the socket, its buffers, and whether it is being read. Whatever the client does ends at most this connection. States: handshake,
// transmission, closing (replies still leave), closed; the first, the third and a transmission with a half request or a slow reader have
// deadlines, looked at by tick().

import type { Socket } from 'node:net';
import { NBD_HANDSHAKE_MS, NBD_PARTIAL_REQUEST_MS, NBD_SLOW_READER_MS, NBD_UNSENT_BYTES_MAX } from '../core/limits.js';
import type { Clock } from '../core/ports.js';
import type { ExportRegistry } from './exports.js';
import { Handshake } from './handshake.js';
import { Output, type SentListener } from './output.js';
import { READ_BYTES, ReceiveBuffer } from './receive-buffer.js';
import type { NbdRequest } from './request.js';
import { type Receiver, takeOver, unsentKernelBytes } from './socket.js';
import { type SharedByConnections, Transmission, type TransmissionHost } from './transmission.js';

/** What a connection needs from its server. */
export type ConnectionContext = SharedByConnections & {
  clock: Clock;
  exports: ExportRegistry;
  /** The connection is in transmission now. */
  onOpened(connection: Connection): void;
  /** Called once, when the socket is gone. */
  onClosed(connection: Connection, reason: string): void;
};

/** A connected client. */
export class Connection implements Receiver, TransmissionHost, SentListener {
  readonly id: number;
  /** `address:port`, or `unix`. */
  readonly peer: string;
  readonly #context: ConnectionContext;
  readonly #socket: Socket;
  readonly #input = new ReceiveBuffer();
  readonly #output: Output;
  readonly #openedMs: number;
  #handshake: Handshake | undefined;
  #transmission: Transmission | undefined;
  #reading = true;
  /** Set when the connection is closing or closed. */
  #closeReason: string | undefined;
  #closed = false;
  /** Deadline bookkeeping of tick(): when a state was first seen unchanged, and what it was. */
  #partialSinceMs = -1;
  #partialRequest = -1;
  #unsentSinceMs = -1;
  #unsentBytes = 0;
  readonly #turn = () => this.#transmission?.turn();

  constructor(id: number, accepted: Socket, context: ConnectionContext) {
    this.id = id;
    this.peer = accepted.remoteAddress === undefined ? 'unix' : `${accepted.remoteAddress}:${accepted.remotePort}`;
    this.#context = context;
    this.#openedMs = context.clock.nowMs();
    this.#handshake = new Handshake(context.exports);
    this.#socket = takeOver(accepted, this);
    this.#output = new Output(this.#socket, this);
    this.#socket.on('error', (error) => this.#close(`socket error: ${error.message}`));
    this.#socket.on('end', () => this.#ended());
    this.#socket.on('close', () => this.#close('the socket closed'));
    this.#sendHandshakeOutput(this.#handshake);
    this.#socket.resume();
  }

  /** Export in use, undefined before the transmission. */
  get exportName(): string | undefined {
    return this.#transmission?.backend.exportName;
  }

  /** Requests not yet answered. */
  get inFlight(): number {
    return this.#transmission?.inFlight ?? 0;
  }

  nextBuffer(): Uint8Array {
    return this.#transmission === undefined ? this.#input.offer(READ_BYTES) : this.#transmission.nextBuffer();
  }

  received(length: number): void {
    if (this.#transmission !== undefined) return this.#transmission.received(length);
    this.#input.end += length;
    if (this.#handshake !== undefined) this.#stepHandshake(this.#handshake);
  }

  arm(): void {
    this.#context.clock.soon(this.#turn);
  }

  setReading(reading: boolean): void {
    if (reading === this.#reading || this.#closed) return;
    this.#reading = reading;
    if (reading) this.#socket.resume();
    else this.#socket.pause();
  }

  abort(reason: string, violated: boolean): void {
    if (violated) this.#context.metrics.protocolErrors++;
    this.#close(reason);
  }

  finish(): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = 'done';
    this.setReading(false);
    this.#socket.destroySoon();
  }

  sent(request: NbdRequest): void {
    this.#transmission?.sent(request);
  }

  written(): void {
    this.#transmission?.written();
  }

  /** Answers what is in flight, then closes; a handshake is cut short. */
  drain(): void {
    if (this.#transmission === undefined) this.#close('the server stops');
    else if (this.#closeReason === undefined) this.#transmission.drain();
  }

  /** Closes at once. */
  destroy(reason: string): void {
    this.#close(reason);
  }

  /** Looks at the deadlines; called about once a second. */
  tick(nowMs: number): void {
    const overdue = this.#overdue(nowMs);
    if (overdue === undefined) return;
    this.#context.metrics.deadlineCuts++;
    this.#close(overdue);
  }

  #overdue(nowMs: number): string | undefined {
    if (this.#transmission === undefined && nowMs - this.#openedMs >= NBD_HANDSHAKE_MS) return 'the handshake took too long';
    const taken = this.#transmission?.awaitsClient === true ? this.#transmission.requestsTaken : -1;
    if (taken === -1) this.#partialSinceMs = -1;
    else if (this.#partialSinceMs === -1 || taken !== this.#partialRequest) this.#partialSinceMs = nowMs;
    this.#partialRequest = taken;
    if (taken !== -1 && nowMs - this.#partialSinceMs >= NBD_PARTIAL_REQUEST_MS) return 'half a request arrived and no more';
    return this.#slowReader(nowMs) ? 'the client does not read its replies' : undefined;
  }

  /** True when no reply byte has left for too long, or too many have been waiting for too long. */
  #slowReader(nowMs: number): boolean {
    // Both terms: writableLength counts a write until it is whole, the kernel's figure shrinks while a large one makes progress.
    const unsent = this.#output.unsentBytes;
    const kernel = unsentKernelBytes(this.#socket);
    const signature = unsent * 2 + kernel;
    const progress = signature < this.#unsentBytes && unsent < NBD_UNSENT_BYTES_MAX;
    this.#unsentBytes = signature;
    if (unsent === 0) this.#unsentSinceMs = -1;
    else if (this.#unsentSinceMs === -1 || progress) this.#unsentSinceMs = nowMs;
    return unsent > 0 && nowMs - this.#unsentSinceMs >= NBD_SLOW_READER_MS;
  }

  #stepHandshake(handshake: Handshake): void {
    this.#input.start += handshake.step(this.#input.bytes, this.#input.start, this.#input.end);
    this.#sendHandshakeOutput(handshake);
    if (handshake.outcome === 'more') return;
    this.#handshake = undefined;
    if (handshake.outcome === 'close') {
      if (handshake.violated) this.#context.metrics.protocolErrors++;
      this.#closeReason = handshake.closeReason;
      this.setReading(false);
      this.#socket.destroySoon();
      return;
    }
    const { negotiated } = handshake;
    if (negotiated === undefined) return;
    this.#transmission = new Transmission(negotiated, this.#input, this.#output, this, this.#context);
    this.#context.onOpened(this);
    this.#transmission.turn();
  }

  #sendHandshakeOutput(handshake: Handshake): void {
    for (const bytes of handshake.takeOutput()) this.#output.append(bytes);
    this.#output.flush();
  }

  /** The client closed its sending side. After DISC that is fine; otherwise the client is dead and its requests are not waited for. */
  #ended(): void {
    if (this.#closeReason === undefined) this.#close('the client closed without a disconnect request');
  }

  #close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeReason ??= reason;
    this.#socket.destroy();
    this.#transmission?.close();
    this.#context.onClosed(this, this.#closeReason);
  }
}
