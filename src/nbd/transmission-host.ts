// What a transmission asks of the connection it belongs to and of the server.

import type { Budget } from './budget.js';
import type { Fences } from './fence.js';
import type { NbdMetrics } from './metrics.js';

/** What a transmission asks of its connection. */
export interface TransmissionHost {
  /** Calls transmission.turn() once after the current turn; called at most once per turn. */
  arm(): void;
  /** Starts or stops reading the socket. */
  setReading(reading: boolean): void;
  /** The connection must end now: a breach of the protocol, or revoked by the backend. */
  abort(reason: string, violated: boolean): void;
  /** Everything is answered after DISC or drain(): send what is queued, then close. */
  finish(): void;
  /** After handOver(): everything taken is answered and has left; `rest` was received and not taken. */
  frozen(rest: Uint8Array): void;
}

/** What all connections of a server have in common. */
export type SharedByConnections = { metrics: NbdMetrics; budget: Budget; fences: Fences };
