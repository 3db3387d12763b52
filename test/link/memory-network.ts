// A clock that stands until it is moved, and the loop that runs it and a network in memory (src/sim/network.ts).

import type { Clock, Timer } from '../../src/core/ports.js';
import type { MemoryNetwork } from '../../src/sim/network.js';

export { MemoryNetwork, MemoryStream } from '../../src/sim/network.js';

/** A clock for tests: time passes only in advance(). */
export class FakeClock implements Clock {
  #nowMs = 1000;
  #soon: (() => void)[] = [];
  #timers: { atMs: number; fn: () => void; cancelled: boolean }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(ms: number, fn: () => void): Timer {
    const timer = { atMs: this.#nowMs + ms, fn, cancelled: false };
    this.#timers.push(timer);
    return {
      cancel: () => {
        timer.cancelled = true;
      },
    };
  }

  soon(fn: () => void): void {
    this.#soon.push(fn);
  }

  /** Runs what was put off to the end of the turn; true when there was something. */
  runSoon(): boolean {
    const due = this.#soon;
    this.#soon = [];
    for (const fn of due) fn();
    return due.length > 0;
  }

  /** The next timer's time, at most `limitMs`. */
  nextMs(limitMs: number): number {
    return this.#timers.reduce((next, timer) => (timer.cancelled ? next : Math.min(next, timer.atMs)), limitMs);
  }

  /** Moves time and runs what is due. */
  moveTo(nowMs: number): void {
    this.#nowMs = nowMs;
    const due = this.#timers.filter((timer) => timer.atMs <= nowMs && !timer.cancelled);
    this.#timers = this.#timers.filter((timer) => timer.atMs > nowMs && !timer.cancelled);
    for (const timer of due) if (!timer.cancelled) timer.fn();
  }
}

const ROUNDS_MAX = 1_000_000;

/** Runs everything that can happen without time passing. */
export async function settle(network: MemoryNetwork, clock: FakeClock): Promise<void> {
  let idle = 0;
  for (let round = 0; idle < 3; round++) {
    if (round > ROUNDS_MAX) throw new Error('the world does not come to rest');
    const moved = network.step();
    idle = clock.runSoon() || moved ? 0 : idle + 1;
    // Microtasks of a whole chain of promises run before an immediate.
    if (!moved) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Lets `ms` pass, timer by timer. */
export async function advance(network: MemoryNetwork, clock: FakeClock, ms: number): Promise<void> {
  const until = clock.nowMs() + ms;
  await settle(network, clock);
  while (clock.nowMs() < until) {
    clock.moveTo(clock.nextMs(until));
    await settle(network, clock);
  }
}
