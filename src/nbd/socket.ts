// What Node does not tell of its sockets. This file is the only one of the room that touches their internals; test/nbd/socket.ts holds them
// against the running version of Node.

import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { MIB } from '../core/limits.js';

/** Assumed where the kernel does not tell; not undercut where it does. */
const RECEIVE_QUEUE_BYTES_MIN = 32 * MIB;

type Internals = { _handle: { writeQueueSize?: number; fd?: number } | null };

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
