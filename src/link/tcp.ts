// Network and ByteStream over TCP. Received bytes go straight into memory the link names; what is written in one turn leaves with one
// system call.
//
// The next memory is asked for when a receive has been delivered, so when the stream changes hands in between, the last memory of the
// former owner is filled once more, and copied into what the new owner names.

import { connect, createServer, type Socket, type TcpNetConnectOpts } from 'node:net';
import { assert } from '../core/assert.js';
import { LvrError } from '../core/errors.js';
import { LINK_DEAD_MS, MIB } from '../core/limits.js';
import type { SocketOwner, SocketReader } from '../core/ports.js';
import { readSocket } from '../disk/socket-reader.js';
import { setCongestionControl } from '../disk/system.js';
import type { ByteStream, Network } from './ports.js';

/** Unsent bytes above which write() answers false. */
const UNSENT_BYTES_MAX = 4 * MIB;

/** Algorithms that send without pacing, the better one first; the last one is in every kernel. */
const UNPACED = ['cubic', 'reno'] as const;

type Target = () => Uint8Array;

class TcpStream implements ByteStream, SocketOwner {
  /** Sends; what arrives goes through the reader. */
  readonly #socket: Socket;
  readonly #reader: SocketReader;
  readonly #remote: string;
  #target: Target | undefined;
  #received: ((length: number) => void) | undefined;
  #waitsForAll: (() => boolean) | undefined;
  /** Memory being received into now, and who named it. */
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
    this.#socket.uncork();
  };

  /** Of a connected, paused socket. Throws LvrError when it cannot be read. */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.#reader = readSocket(descriptorOf(socket));
    this.#reader.start(this);
    const { remoteAddress, remotePort, remoteFamily } = socket;
    this.#remote = remoteFamily === 'IPv6' ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, LINK_DEAD_MS);
    if (remoteAddress !== undefined && remoteAddress === socket.localAddress) dropPacing(socket);
    socket.on('drain', () => this.#drain?.());
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      this.#reader.close();
      if (!this.#destroyed) this.#close?.(this.#error);
      this.#destroyed = true;
    });
  }

  nextBuffer(): Uint8Array {
    this.#memoryOf = this.#target;
    this.#memory = this.#ask();
    return this.#memory;
  }

  get waitsForAll(): boolean {
    return this.#waitsForAll?.() === true;
  }

  ended(error: Error | undefined): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  get remote(): string {
    return this.#remote;
  }

  write(pieces: readonly Uint8Array[], sent: (() => void) | undefined): boolean {
    const socket = this.#socket;
    if (this.#destroyed || socket.destroyed) return false;
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

  onReceive(target: Target, received: (length: number) => void, waitsForAll?: () => boolean): void {
    this.#target = target;
    this.#received = received;
    this.#waitsForAll = waitsForAll;
    if (!this.#paused) this.#reader.resume();
  }

  pause(): void {
    this.#paused = true;
    this.#reader.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#target !== undefined) this.#reader.resume();
  }

  onDrain(fn: () => void): void {
    this.#drain = fn;
  }

  onClose(fn: (error: Error | undefined) => void): void {
    this.#close = fn;
  }

  destroy(): void {
    this.#destroyed = true;
    this.#reader.close();
    this.#socket.destroy();
  }

  #ask(): Uint8Array {
    assert(this.#target !== undefined, 'a stream is read when it has an owner');
    return this.#target();
  }

  received(length: number): void {
    if (this.#destroyed || this.#received === undefined) return;
    if (this.#memoryOf === this.#target) return this.#received(length);
    for (let at = 0; at < length && !this.#destroyed; ) {
      const target = this.#ask();
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
      const socket = connect({ host, port, writableHighWaterMark: MIB } as TcpNetConnectOpts);
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
        try {
          resolve(new TcpStream(socket));
        } catch (error) {
          socket.destroy();
          reject(error as Error);
        }
      });
    });
  },

  listen(host, port, accepted) {
    return new Promise((resolve, reject) => {
      const server = createServer({ pauseOnConnect: true, highWaterMark: MIB }, (socket) => {
        let stream: TcpStream;
        try {
          stream = new TcpStream(socket);
        } catch (error) {
          if (!(error instanceof LvrError)) throw error;
          // The other end tries again, as it does when accept() itself has no descriptor left.
          socket.destroy();
          return;
        }
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

function descriptorOf(socket: Socket): number {
  return (socket as unknown as Internals)._handle?.fd ?? -1;
}

/**
 * Both ends are on this machine: there is no network whose rate could be found, and an algorithm that paces (bbr) only sets a timer for
 * each segment. It cost 400 us of processor time a MiB instead of 270, at half the rate.
 */
function dropPacing(socket: Socket): void {
  const fd = descriptorOf(socket);
  if (fd >= 0) UNPACED.some((name) => setCongestionControl(fd, name));
}
