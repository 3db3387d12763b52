// The native addon's system calls for the agent: who is at the other end of a socket, the service manager, file locks. The data path uses
// disk/native.ts; this file is the addon's only other door.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { LvrError, messageOf } from '../core/errors.js';

/** The process at the other end of a unix socket (SO_PEERCRED). */
export type PeerCredentials = { readonly pid: number; readonly uid: number; readonly gid: number };

/** Calls of the addon used here; all synchronous, all throw an Error with a `code` on failure. */
export type SystemBinding = {
  peerCredentials(fd: number): PeerCredentials;
  /** sd_notify(3); false without a service manager. */
  notify(state: string): boolean;
  /** Exclusive flock(2); false when somebody else holds it. */
  lock(fd: number): boolean;
  /** PR_SET_IO_FLUSHER: allocations never wait for writeback to a device that we serve. Needs CAP_SYS_RESOURCE. */
  setIoFlusher(): void;
};

// From dist/src/attach/ to the root of the package.
const ADDON_URL = new URL('../../../native/build/Release/lvr.node', import.meta.url);

let loaded: SystemBinding | undefined;

/** The addon, loaded at the first call. Throws LvrError FAILED when it was not built. */
export function systemBinding(): SystemBinding {
  if (loaded === undefined) {
    const path = fileURLToPath(ADDON_URL);
    try {
      loaded = createRequire(import.meta.url)(path) as SystemBinding;
    } catch (cause) {
      throw new LvrError('FAILED', `the native addon ${path} cannot be loaded: ${messageOf(cause)}`, { hint: 'run make build', cause });
    }
  }
  return loaded;
}
