// Clocks for tests: the machine's, and one that only moves when it is told to.

import type { Clock, Timer } from '../../src/core/ports.js';

/** Real time. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (fn) => {
    setImmediate(fn);
  },
};

/** Time that stands still between calls of advance(); turns still follow the event loop. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; fn: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(ms: number, fn: () => void): Timer {
    const entry = { atMs: this.#nowMs + ms, fn };
    this.#timers.push(entry);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== entry);
      },
    };
  }

  soon(fn: () => void): void {
    setImmediate(fn);
  }

  /** Moves time on, calling what falls due on the way in order. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const due = this.#timers.filter((entry) => entry.atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      this.#timers = this.#timers.filter((entry) => entry !== due);
      due.fn();
    }
    this.#nowMs = endMs;
  }
}
