// Order between the connections of one volume. A client whose connection died sends its unanswered writes again on a new one and goes on
// from there. What it had sent on the old one may still stand unread in a socket that we stopped reading for lack of room: admitted later,
// it would undo newer writes. So a new connection changes nothing before every older one that was stalled when it came has been drained.
//
// Drained: after the newer one came, everything the old socket held was taken. Known when a read brought less than there was space for,
// when nothing came for some turns of the event loop while reading was on, or when more has come since than a socket holds; all of them
// only count once no request is left over. Or it closed. The third is for a client that lives on and fills every read: its socket is never
// found empty, and what stands in it now was sent after the newer connection came. So it opens only fences, and the connection still counts
// as one that was stalled for those that come later.
//
// Bounds: one fence per connection; a fence waits only for older ones, so none waits in a circle.

import { assert } from '../core/assert.js';
import { DOUBLE_ZERO } from '../core/doubles.js';
import type { Backend, Clock } from '../core/ports.js';
import { receiveQueueMaxBytes } from './socket.js';

/** Turns without bytes after which a socket that is read holds none: one to start reading, one to be polled, one to spare. */
const QUIET_TURNS = 3;

/** A connection in transmission, as its fence sees it. */
export interface FenceOwner {
  /** Requests have arrived that are not taken, and the socket is not read. */
  readonly isStalled: boolean;
  /** The fence has opened. */
  fenceOpened(): void;
}

/** The fences of all connections of a server. */
export class Fences {
  readonly #clock: Clock;
  readonly #byBackend = new Map<Backend, Set<Fence>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The fence of a new connection: behind every one of the same volume that was stalled and not drained since. */
  join(backend: Backend, owner: FenceOwner): Fence {
    const members = this.#byBackend.get(backend) ?? new Set<Fence>();
    this.#byBackend.set(backend, members);
    const fence = new Fence(this.#clock, owner, () => {
      members.delete(fence);
      if (members.size === 0) this.#byBackend.delete(backend);
    });
    for (const older of members) if (older.isBehind) fence.waitFor(older);
    members.add(fence);
    return fence;
  }
}

/** The fence of one connection. */
export class Fence {
  readonly #clock: Clock;
  readonly #owner: FenceOwner;
  readonly #leave: () => void;
  /** Older connections to be drained first. */
  readonly #older = new Set<Fence>();
  /** Newer ones that wait for this one, in the order in which they came, and the count of received bytes at which each waits no longer. */
  readonly #newer = new Map<Fence, number>();
  #offeredBytes = DOUBLE_ZERO;
  /** Counted while the connection is behind. */
  #receivedBytes = DOUBLE_ZERO;
  /** The connection was stalled, so that its socket may hold what was sent long ago. */
  #isBehind = false;
  /** The socket was found empty after the last newer connection came; `isStale`: there was a stall since. */
  #isEmpty = false;
  #isStale = false;
  #quietTurns = 0;
  #armed = false;
  readonly #turnPassed = (): void => this.#quietTurn();

  constructor(clock: Clock, owner: FenceOwner, leave: () => void) {
    this.#clock = clock;
    this.#owner = owner;
    this.#leave = leave;
  }

  get isBehind(): boolean {
    return this.#isBehind || this.#owner.isStalled;
  }

  /** The connection must not change the volume now. */
  get isClosed(): boolean {
    return this.#older.size > 0;
  }

  /** Closes this fence until `older` is drained. */
  waitFor(older: Fence): void {
    assert(older !== this, 'a connection does not wait for itself');
    this.#older.add(older);
    older.#newer.set(this, older.#receivedBytes + receiveQueueMaxBytes());
    older.#isEmpty = false;
    older.#quietTurns = 0;
  }

  /** The socket's next read has this much space. */
  offered(lengthBytes: number): void {
    this.#offeredBytes = lengthBytes;
  }

  /** A read brought this much. */
  received(lengthBytes: number): void {
    if (!this.#isBehind) return;
    this.#quietTurns = 0;
    this.#receivedBytes += lengthBytes;
    if (lengthBytes >= this.#offeredBytes) return;
    this.#isEmpty = true;
    this.#isStale = false;
  }

  /** Requests were taken as far as possible. */
  turnEnded(): void {
    if (this.#owner.isStalled) {
      this.#isBehind = true;
      this.#isStale = true;
      return;
    }
    if (!this.#isBehind) return;
    if (this.#isEmpty) this.#drained();
    else this.#openUpTo(this.#receivedBytes);
    if (this.#isBehind) this.#arm();
  }

  /** The connection is gone. */
  close(): void {
    this.#leave();
    this.#drained();
    for (const older of this.#older) older.#newer.delete(this);
    this.#older.clear();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.soon(this.#turnPassed);
  }

  #quietTurn(): void {
    this.#armed = false;
    if (!this.#isBehind || this.#owner.isStalled) return;
    if (++this.#quietTurns < QUIET_TURNS) return this.#arm();
    this.#isStale = false;
    this.#drained();
  }

  #drained(): void {
    this.#isBehind = this.#isStale;
    this.#isEmpty = false;
    this.#quietTurns = 0;
    this.#openUpTo(Number.POSITIVE_INFINITY);
  }

  /** Nobody waits any longer whose count of received bytes is reached. */
  #openUpTo(receivedBytes: number): void {
    for (const [fence, untilBytes] of this.#newer) {
      if (untilBytes > receivedBytes) return;
      this.#newer.delete(fence);
      fence.#older.delete(this);
      if (fence.#older.size === 0) fence.#owner.fenceOpened();
    }
  }
}
