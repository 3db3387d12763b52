// Loads the native addon and types what this room uses of it: netlink as bytes, and sockets that the kernel can be given.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { LvrError, messageOf } from '../core/errors.js';

/** What the addon exports for this room. Calls throw an Error with `code`, as Node's own. */
export type Binding = {
  /** A generic netlink socket for netlinkExchange(). */
  netlinkOpen(): number;
  /** Sends a message on a thread of its own; `onDone(errno, replies)` runs once. `fd` stays open and unused by others until then. */
  netlinkExchange(fd: number, request: Uint8Array, onDone: (errno: number, replies: Buffer) => void): void;
  /** `onMessage` runs for every message of the multicast group, as long as this process lives. */
  netlinkListen(group: number, onMessage: (message: Buffer) => void): void;
  /** Two connected unix stream sockets with that much buffer. */
  socketPair(bufferBytes: number): [number, number];
  close(fd: number): void;
  /** Another descriptor for the same file. */
  duplicate(fd: number): number;
};

// From dist/src/attach/ to the checkout's or package's root.
const ADDON_URL = new URL('../../../native/build/Release/lvr.node', import.meta.url);

function load(): Binding {
  const path = fileURLToPath(ADDON_URL);
  try {
    return createRequire(import.meta.url)(path) as Binding;
  } catch (cause) {
    throw new LvrError('FAILED', `the native addon ${path} cannot be loaded: ${messageOf(cause)}`, { hint: 'run make build', cause });
  }
}

/** The addon, loaded once per thread. */
export const binding: Binding = load();
