// Order between the connections of one volume. A client whose connection died sends its unanswered writes again on a new one and goes on
// from there. What it had sent on the old one may still stand unread in a socket that we stopped reading for lack of room: admitted later,
// it would undo newer writes. So a new connection changes nothing before every older one that was stalled when it came has been drained.
//
// Drained: after the newer one came, everything the old socket held was taken. Known when a read brought less than there was space for, or
// when nothing came for some turns of the event loop while reading was on; both only count once no request is left over. Or it closed.
//
// Bounds: one fence per connection; a fence waits only for older ones, so none waits in a circle.

import { assert } from '../core/assert.js';
import type { Backend, Clock } from '../core/ports.js';

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
  /** Older connections to be drained first, and newer ones that wait for this one. */
  readonly #older = new Set<Fence>();
  readonly #newer = new Set<Fence>();
  #offeredBytes = 0;
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
    older.#newer.add(this);
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
    if (this.#isBehind && this.#isEmpty) this.#drained();
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
    const newer = [...this.#newer];
    this.#newer.clear();
    for (const fence of newer) {
      fence.#older.delete(this);
      if (fence.#older.size === 0) fence.#owner.fenceOpened();
    }
  }
}
