// One client connection from accept to close: drives the handshake, then the transmission, and holds both to their deadlines.
//
// Owner of the socket, its buffers, and whether it is being read. Whatever the client does ends at most this connection. States: handshake,
// transmission, closing (replies still leave), closed; the first, the third and a transmission with a half request or a slow reader have
// deadlines, looked at by tick().

import type { Socket } from 'node:net';
import { NBD_HANDSHAKE_MS, NBD_PARTIAL_REQUEST_MS, NBD_SLOW_READER_MS, NBD_UNSENT_BYTES_MAX } from '../core/limits.js';
import type { Clock, SendSocket, SocketOwner, SocketReader } from '../core/ports.js';
import type { ExportRegistry } from './exports.js';
import { Handshake, type Negotiated } from './handshake.js';
import { KernelPeer } from './kernel-peer.js';
import { Output, type SentListener } from './output.js';
import { READ_BYTES, ReceiveBuffer } from './receive-buffer.js';
import type { NbdRequest } from './request.js';
import { descriptorOf, unsentKernelBytes } from './socket.js';
import { Transmission } from './transmission.js';
import type { SharedByConnections, TransmissionHost } from './transmission-host.js';

/** What a connection needs from its server. */
export type ConnectionContext = SharedByConnections & {
  clock: Clock;
  exports: ExportRegistry;
  sendSocket?: SendSocket | undefined;
  /** The connection is in transmission now. */
  onOpened(connection: Connection): void;
  /** Called once, when the socket is gone. */
  onClosed(connection: Connection, reason: string): void;
};

/** A connection that was made for the kernel's client, and needs no handshake. */
export type KernelLink = {
  readonly negotiated: Negotiated;
  /** What a predecessor received and did not take. */
  readonly received: Uint8Array;
  /** The other end has shut the connection down. */
  readonly isHungUp: () => boolean;
};

/** A connected client. */
export class Connection implements SocketOwner, TransmissionHost, SentListener {
  readonly id: number;
  /** `address:port`, or `unix`. */
  readonly peer: string;
  readonly #context: ConnectionContext;
  /** Sends; what arrives goes through the reader. */
  readonly #socket: Socket;
  readonly #reader: SocketReader;
  readonly #input = new ReceiveBuffer();
  readonly #output: Output;
  readonly #openedMs: number;
  #handshake: Handshake | undefined;
  #transmission: Transmission | undefined;
  readonly #kernel: KernelLink | undefined;
  /** Set from handOver() until it is answered. */
  #onFrozen: ((rest: Uint8Array | undefined) => void) | undefined;
  #frozen = false;
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

  /** `accepted` is paused, `reader` is that of it. `kernel` is given with a socket that the kernel's client is to have. */
  constructor(id: number, accepted: Socket, reader: SocketReader, context: ConnectionContext, kernel?: KernelLink) {
    this.id = id;
    const isRemote = accepted.remoteAddress !== undefined;
    this.peer = kernel !== undefined ? 'kernel' : isRemote ? `${accepted.remoteAddress}:${accepted.remotePort}` : 'unix';
    this.#context = context;
    this.#kernel = kernel;
    this.#openedMs = context.clock.nowMs();
    if (kernel !== undefined) {
      // Before the reader asks for the memory of its first read, which goes behind these bytes.
      this.#input.bytes.set(kernel.received);
      this.#input.end = kernel.received.length;
    }
    this.#socket = accepted;
    this.#reader = reader;
    reader.start(this);
    this.#output = new Output(this.#socket, this, (told) => context.sendSocket?.(descriptorOf(accepted), told));
    this.#socket.on('error', (error) => this.#close(`socket error: ${error.message}`));
    this.#socket.on('close', () => this.#close('the socket closed'));
    if (kernel !== undefined) {
      this.#transmit(kernel.negotiated, new KernelPeer(context.clock, kernel.isHungUp));
      // Not at once: whoever asked for this connection does not know it yet.
      this.arm();
    } else {
      this.#handshake = new Handshake(context.exports);
      this.#sendHandshakeOutput(this.#handshake);
    }
    this.#reader.resume();
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

  get waitsForAll(): boolean {
    return this.#transmission?.waitsForAll === true;
  }

  received(length: number): void {
    if (this.#transmission !== undefined) return this.#transmission.received(length);
    this.#input.end += length;
    if (this.#handshake !== undefined) this.#stepHandshake(this.#handshake);
  }

  /** The client closed its sending side. After DISC that is fine; otherwise the client is dead and its requests are not waited for. */
  ended(error: Error | undefined): void {
    if (error !== undefined) this.#close(`socket error: ${error.message}`);
    else if (this.#closeReason === undefined) this.#close('the client closed without a disconnect request');
  }

  arm(): void {
    this.#context.clock.soon(this.#turn);
  }

  setReading(reading: boolean): void {
    if (reading === this.#reading || this.#closed) return;
    this.#reading = reading;
    if (reading) this.#reader.resume();
    else this.#reader.pause();
  }

  abort(reason: string, violated: boolean): void {
    if (violated) this.#context.metrics.protocolErrors++;
    this.#close(reason);
  }

  finish(): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = 'done';
    this.setReading(false);
    this.#output.end();
  }

  sent(request: NbdRequest): void {
    this.#transmission?.sent(request);
  }

  written(): void {
    this.#transmission?.written();
  }

  frozen(rest: Uint8Array): void {
    this.#frozen = true;
    this.setReading(false);
    this.#onFrozen?.(rest);
    this.#onFrozen = undefined;
  }

  /**
   * Stops between two requests, with everything taken answered, and leaves the socket open for a successor: resolves with what was received
   * and not taken, or with undefined when the connection closed before.
   */
  handOver(): Promise<Uint8Array | undefined> {
    const transmission = this.#transmission;
    if (transmission === undefined || this.#closeReason !== undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#onFrozen = resolve;
      transmission.handOver();
    });
  }

  /** handOver() has succeeded. */
  get isFrozen(): boolean {
    return this.#frozen;
  }

  /** Descriptor of the socket. */
  get fd(): number {
    return descriptorOf(this.#socket);
  }

  /** Answers what is in flight, then closes; a handshake is cut short, and a socket that a successor has is not shut down. */
  drain(): void {
    if (this.#frozen) this.#close('it was handed over');
    else if (this.#transmission === undefined) this.#close('the server stops');
    else if (this.#closeReason === undefined) this.#transmission.drain();
  }

  /** Closes at once. */
  destroy(reason: string): void {
    this.#close(reason);
  }

  /** Looks at the deadlines; called about once a second. */
  tick(nowMs: number): void {
    // A socket that is not read tells nothing by itself.
    if (this.#kernel !== undefined && !this.#reading && !this.#frozen && this.#kernel.isHungUp()) {
      this.#close('the kernel gave this connection up');
      return;
    }
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
    const unsent = this.#output.keptBytes;
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
      this.#output.end();
      return;
    }
    const { negotiated } = handshake;
    if (negotiated === undefined) return;
    this.#transmit(negotiated, undefined).turn();
  }

  #transmit(negotiated: Negotiated, kernel: KernelPeer | undefined): Transmission {
    const transmission = new Transmission(negotiated, this.#input, this.#output, this, this.#context, kernel);
    this.#transmission = transmission;
    this.#context.onOpened(this);
    return transmission;
  }

  #sendHandshakeOutput(handshake: Handshake): void {
    for (const bytes of handshake.takeOutput()) this.#output.append(bytes);
    this.#output.flush();
  }

  #close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeReason ??= reason;
    this.#reader.close();
    this.#socket.destroy();
    this.#output.close();
    this.#transmission?.close();
    this.#onFrozen?.(undefined);
    this.#onFrozen = undefined;
    this.#context.onClosed(this, this.#closeReason);
  }
}
