// Sockets that receive into memory of our choice.
//
// net.Server makes its sockets itself and gives no way to pass `onread`, the option with which a socket asks for the memory of its next
// read instead of allocating 64 KiB per read. So the accepted socket is only the carrier of a handle: the handle moves to a socket
// constructed here, and the carrier is forgotten. The server's count of connections moves along, or its close() would never end. This
// file is the only one that touches those internals; test/nbd/socket.ts holds them against the running version of Node.

import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { assert } from '../core/assert.js';
import { MIB } from '../core/limits.js';

/** Assumed where the kernel does not tell; not undercut where it does. */
const RECEIVE_QUEUE_BYTES_MIN = 32 * MIB;

/** Owner of the memory a socket receives into. */
export interface Receiver {
  /** Memory for the next read, not empty. It must stay valid until received() or the end of the socket. */
  nextBuffer(): Uint8Array;
  /** `length` bytes arrived in the memory given last. May pause or destroy the socket. */
  received(length: number): void;
}

type Handle = { writeQueueSize?: number; fd?: number };
type Internals = { _handle: Handle | null; _server?: unknown };
type OnRead = { buffer: () => Uint8Array; callback: (length: number) => boolean };

/** Moves an accepted, still paused socket's handle to a new socket that receives through `receiver`. Reading starts with resume(). */
export function takeOver(accepted: Socket, receiver: Receiver): Socket {
  const carrier = accepted as unknown as Internals;
  const handle = carrier._handle;
  assert(handle !== null && typeof handle === 'object', 'an accepted socket has a handle');
  const onread: OnRead = {
    buffer: () => receiver.nextBuffer(),
    callback: (length) => {
      receiver.received(length);
      return true;
    },
  };
  // allowHalfOpen: a client may shut down its sending side behind DISC and still wait for replies.
  const options = { handle, onread, allowHalfOpen: true, pauseOnCreate: true, readable: true, writable: true };
  const socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
  carrier._handle = null;
  (socket as unknown as Internals)._server = carrier._server;
  carrier._server = null;
  return socket;
}

/** Bytes that the kernel has not taken yet of a write in progress; shrinks while a large write makes progress. */
export function unsentKernelBytes(socket: Socket): number {
  return (socket as unknown as Internals)._handle?.writeQueueSize ?? 0;
}

/**
 * Above what a socket here can have received and not handed out, in bytes: how far the kernel lets the receive queue of a TCP socket grow,
 * or the client of a unix socket its send buffer (twice the setting), and a piece beyond. A few system calls; not for the data path.
 */
export function receiveQueueMaxBytes(): number {
  const tcp = lastNumberIn('/proc/sys/net/ipv4/tcp_rmem');
  const unix = 2 * lastNumberIn('/proc/sys/net/core/wmem_max');
  return Math.max(RECEIVE_QUEUE_BYTES_MIN, tcp, unix) + MIB;
}

/** The last number in a small file; 0 when there is none. */
function lastNumberIn(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8').trim().split(/\s+/).at(-1)) || 0;
  } catch {
    return 0;
  }
}

/** The descriptor of a socket; -1 when it is closed. */
export function descriptorOf(socket: Socket): number {
  return (socket as unknown as Internals)._handle?.fd ?? -1;
}
