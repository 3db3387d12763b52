// The nbd client of the kernel as a peer. It differs from a program in two ways.
//
// Every error becomes EIO for its users, and none is tried again. So an error of a group that can no longer go on is withheld, not
// answered: the kernel waits, and sends the request again when an agent is back (transmission.ts).
//
// A request that is not answered in time is sent again on another connection of the device, after its own was shut down. What stands
// unread in that one is older than what may have been written since, so nothing of it may be taken. Looking costs a system call; it is
// saved while the socket was found empty a moment ago and nothing has been left over, because what comes then has just been sent.

import { DOUBLE_ZERO } from '../core/doubles.js';
import type { Clock } from '../core/ports.js';

/** Far below the kernel's shortest time limit of a request (1 s). */
const FRESH_MS = 100;

/** The kernel at the other end of one connection. */
export class KernelPeer {
  readonly #clock: Clock;
  readonly #isHungUp: () => boolean;
  #offeredBytes = DOUBLE_ZERO;
  #emptyAtMs = Number.NEGATIVE_INFINITY;
  #isFresh = false;

  /** `isHungUp` asks the operating system whether the other end has shut the connection down. */
  constructor(clock: Clock, isHungUp: () => boolean) {
    this.#clock = clock;
    this.#isHungUp = isHungUp;
  }

  /** The socket's next read has this much space. */
  offered(lengthBytes: number): void {
    this.#offeredBytes = lengthBytes;
  }

  /** A read brought this much: what is taken in this turn is fresh if the socket was empty shortly before. */
  received(lengthBytes: number): void {
    const nowMs = this.#clock.nowMs();
    this.#isFresh = nowMs - this.#emptyAtMs < FRESH_MS;
    this.#emptyAtMs = lengthBytes < this.#offeredBytes ? nowMs : Number.NEGATIVE_INFINITY;
  }

  /** Something was left over: it has to be looked at before it is taken. */
  stalled(): void {
    this.#isFresh = false;
    this.#emptyAtMs = Number.NEGATIVE_INFINITY;
  }

  /** What has arrived must not be taken. */
  get isGone(): boolean {
    return !this.#isFresh && this.#isHungUp();
  }
}
