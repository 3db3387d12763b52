// Network and ByteStream over TCP. Received bytes go straight into memory the link names (the onread option of a socket); what is
// written in one turn leaves with one system call.
//
// The next memory is asked for when a receive has been delivered, so when the stream changes hands in between, the last memory of the
// former owner is filled once more, and copied into what the new owner names.

import { connect, createServer, Socket } from 'node:net';
import { assert } from '../core/assert.js';
import { LvrError } from '../core/errors.js';
import { LINK_DEAD_MS, MIB } from '../core/limits.js';
import { setCongestionControl } from '../disk/system.js';
import type { ByteStream, Network } from './ports.js';

/** Unsent bytes above which write() answers false. */
const UNSENT_BYTES_MAX = 4 * MIB;
/** Read into before an owner has registered; nothing is lost, it is copied like any former owner's memory. */
const UNOWNED_BYTES = 4096;

/** Algorithms that send without pacing, the better one first; the last one is in every kernel. */
const UNPACED = ['cubic', 'reno'] as const;

type Target = () => Uint8Array;
type OnRead = { buffer: () => Uint8Array; callback: (length: number) => boolean };

class TcpStream implements ByteStream {
  #socket: Socket | undefined;
  #remote = '';
  #target: Target = () => new Uint8Array(UNOWNED_BYTES);
  #received: ((length: number) => void) | undefined;
  /** Memory the socket reads into now, and who named it. */
  #memory: Uint8Array = new Uint8Array(0);
  #memoryOf: Target | undefined;
  #drain: (() => void) | undefined;
  #close: ((error: Error | undefined) => void) | undefined;
  #error: Error | undefined;
  #corked = false;
  #paused = false;
  #destroyed = false;
  readonly #uncork = (): void => {
    this.#corked = false;
    this.#socket?.uncork();
  };

  /** For the socket constructor. */
  readonly onread: OnRead = {
    buffer: () => {
      this.#memoryOf = this.#target;
      this.#memory = this.#target();
      return this.#memory;
    },
    callback: (length) => {
      this.#deliver(length);
      return !this.#paused;
    },
  };

  get remote(): string {
    return this.#remote;
  }

  /** Takes the socket that was constructed with our onread. */
  attach(socket: Socket): void {
    this.#socket = socket;
    const { remoteAddress, remotePort, remoteFamily } = socket;
    this.#remote = remoteFamily === 'IPv6' ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, LINK_DEAD_MS);
    if (remoteAddress !== undefined && remoteAddress === socket.localAddress) dropPacing(socket);
    socket.on('drain', () => this.#drain?.());
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      if (!this.#destroyed) this.#close?.(this.#error);
      this.#destroyed = true;
    });
  }

  write(pieces: readonly Uint8Array[], sent: (() => void) | undefined): boolean {
    const socket = this.#socket;
    if (socket === undefined || this.#destroyed || socket.destroyed) return false;
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      process.nextTick(this.#uncork);
    }
    const last = pieces.length - 1;
    for (let i = 0; i < last; i++) socket.write(pieces[i] as Uint8Array);
    // Called in order also when the socket fails; the memory is free in both cases.
    if (sent === undefined) socket.write(pieces[last] as Uint8Array);
    else socket.write(pieces[last] as Uint8Array, sent);
    return socket.writableLength < UNSENT_BYTES_MAX;
  }

  onReceive(target: Target, received: (length: number) => void): void {
    this.#target = target;
    this.#received = received;
    if (this.#socket !== undefined && !this.#paused) this.#socket.resume();
  }

  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#destroyed) this.#socket?.resume();
  }

  onDrain(fn: () => void): void {
    this.#drain = fn;
  }

  onClose(fn: (error: Error | undefined) => void): void {
    this.#close = fn;
  }

  destroy(): void {
    this.#destroyed = true;
    this.#socket?.destroy();
  }

  #deliver(length: number): void {
    if (this.#destroyed || this.#received === undefined) return;
    if (this.#memoryOf === this.#target) return this.#received(length);
    for (let at = 0; at < length && !this.#destroyed; ) {
      const target = this.#target();
      const part = Math.min(target.length, length - at);
      target.set(this.#memory.subarray(at, at + part));
      this.#received(part);
      at += part;
    }
  }
}

/** The real network. */
export const tcpNetwork: Network = {
  connect(host, port, timeoutMs) {
    return new Promise((resolve, reject) => {
      const stream = new TcpStream();
      const options = { host, port, onread: stream.onread, writableHighWaterMark: MIB };
      const socket = connect(options as unknown as Parameters<typeof connect>[0] & { port: number });
      socket.pause();
      const fail = (error: Error): void => {
        socket.destroy();
        const hint = 'check that the agent there runs and that its address and firewall are right';
        reject(new LvrError('FAILED', `cannot connect to ${host}:${port}: ${error.message}`, { cause: error, hint }));
      };
      const timer = setTimeout(() => fail(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
      socket.once('error', (error) => {
        clearTimeout(timer);
        fail(error);
      });
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.removeAllListeners('error');
        stream.attach(socket);
        resolve(stream);
      });
    });
  },

  listen(host, port, accepted) {
    return new Promise((resolve, reject) => {
      const server = createServer({ pauseOnConnect: true }, (carrier) => {
        const stream = new TcpStream();
        stream.attach(takeOver(carrier, stream.onread));
        accepted(stream);
      });
      server.once('error', (error) => {
        reject(new LvrError('FAILED', `cannot listen on ${host}:${port}: ${error.message}`, { cause: error }));
      });
      server.listen(port, host, () => {
        const address = server.address();
        assert(address !== null && typeof address === 'object', 'a TCP server has an address');
        // Streams that were accepted live on with their owners: closing does not wait for them.
        const close = (): Promise<void> => {
          server.close();
          return new Promise((done) => setImmediate(done));
        };
        resolve({ port: address.port, close });
      });
    });
  },
};

type Internals = { _handle: { fd?: number } | null };

/**
 * Both ends are on this machine: there is no network whose rate could be found, and an algorithm that paces (bbr) only sets a timer for
 * each segment. It cost 400 us of processor time a MiB instead of 270, at half the rate.
 */
function dropPacing(socket: Socket): void {
  const fd = (socket as unknown as Internals)._handle?.fd;
  if (fd !== undefined && fd >= 0) UNPACED.some((name) => setCongestionControl(fd, name));
}

/**
 * A server makes its sockets itself and cannot give them onread, so the handle of the accepted, paused socket moves to one that has it.
 */
function takeOver(accepted: Socket, onread: OnRead): Socket {
  const carrier = accepted as unknown as Internals;
  const handle = carrier._handle;
  assert(handle !== null && typeof handle === 'object', 'an accepted socket has a handle');
  const options = { handle, onread, pauseOnCreate: true, readable: true, writable: true, writableHighWaterMark: MIB };
  const socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
  carrier._handle = null;
  return socket;
}
