// System calls of the agent that Node does not have. They live in this room because only it and attach/ may load the addon.

import { binding } from './native.js';

/** Process that connected a unix socket, as the kernel recorded it then. */
export type PeerCredentials = { readonly pid: number; readonly uid: number; readonly gid: number };

/** Credentials of the other end of a connected unix socket. Throws SystemError. */
export function peerCredentials(fd: number): PeerCredentials {
  return binding.peerCredentials(fd);
}

/** Tells the service manager, as sd_notify(3): 'READY=1', 'STATUS=…'. False when there is none; SystemError when it does not answer. */
export function notify(state: string): boolean {
  return binding.notify(state);
}

/**
 * Allocations of this thread, and of threads started later, no longer wait for writeback to devices that this very process serves
 * (PR_SET_IO_FLUSHER). Call it before createEngines(). Throws SystemError (EPERM without CAP_SYS_RESOURCE).
 */
export function setIoFlusher(): void {
  binding.setIoFlusher();
}

/** Whether setIoFlusher() was done for this thread, or for the program that started this one (native/launch.c). */
export function hasIoFlusher(): boolean {
  return binding.ioFlusher();
}

/**
 * Program code and arenas, present and future ones of this thread, stay resident once they were touched. V8's heap cannot be locked
 * (mlockall makes V8 abort); the unit's MemorySwapMax=0 keeps it from swap. Throws SystemError (ENOMEM, EPERM by RLIMIT_MEMLOCK).
 */
export function lockMemory(): void {
  binding.lockMemory();
}

/** Whether the other end of a socket has closed or shut down, although bytes it sent before may still be there. */
export function hungUp(fd: number): boolean {
  return binding.hungUp(fd);
}

/**
 * How a TCP socket finds its rate (tcp(7), TCP_CONGESTION), whatever the system's default is. False when the kernel refuses, because it
 * does not have `name`, keeps it from this process, or the socket is no more; nothing has changed then. Never throws.
 */
export function setCongestionControl(fd: number, name: string): boolean {
  return binding.setCongestionControl(fd, name);
}
