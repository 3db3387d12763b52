// Signs of life of one end of a session, and how long the way there and back takes. What the other end sends is a sign of life of its own,
// whatever it is; Channel keeps when that was.
//
// A site that is sent more than it reads needs no sign of life, and one that asks for them without ever reading gets none: while the stream
// is full nothing is added to it.

import { DOUBLE_ZERO } from '../core/doubles.js';
import { LINK_PING_MS } from '../core/limits.js';
import type { Clock } from '../core/ports.js';
import { controlFrame, encodeTime } from '../format/wire.js';
import type { Channel } from './channel.js';

export class Heartbeat {
  readonly #channel: Channel;
  readonly #clock: Clock;
  #sentMs: number;
  /** Of the last answer; 0 before the first one. */
  rttMs = DOUBLE_ZERO;

  constructor(channel: Channel, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
    this.#sentMs = clock.nowMs();
  }

  /** Asks every LINK_PING_MS. */
  tick(nowMs: number): void {
    if (nowMs - this.#sentMs < LINK_PING_MS || this.#channel.isFull) return;
    this.#sentMs = nowMs;
    this.#channel.send(controlFrame('ping', encodeTime(Math.floor(nowMs))));
  }

  /** The other end asks: its own time goes back to it. */
  ping(timeMs: number): void {
    if (!this.#channel.isFull) this.#channel.send(controlFrame('pong', encodeTime(timeMs)));
  }

  /** The other end answers what was asked at `timeMs` of our clock. */
  pong(timeMs: number): void {
    this.rttMs = Math.max(0, this.#clock.nowMs() - timeMs);
  }
}
