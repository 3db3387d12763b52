// The world around a group: what the agent gives a real one, and the simulator a simulated one.

import type { Clock, Log as Reporter } from '../core/ports.js';
import type { ResyncTurns } from '../core/resync-turns.js';
import type { LogMemory } from '../disk/log-open.js';
import type { Network } from '../link/ports.js';

/** The world around a group. */
export type GroupEnv = {
  readonly site: string;
  readonly insecure: boolean;
  readonly clock: Clock;
  readonly network: Network;
  readonly memory: LogMemory;
  /** Memory for payloads that are not on the volumes yet; absent: GROUP_PAYLOAD_BYTES. */
  readonly payloadBytes?: number;
  readonly log: Reporter;
  /** From 0 to below 1; for backoff and incarnations. */
  readonly random: () => number;
  /** Of all groups of the agent; absent: of this group alone. */
  readonly resyncTurns?: ResyncTurns;
};
