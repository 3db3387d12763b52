// Virtual time: a heap of timers, and the loop that runs them. Everything of a simulation happens inside run(), in an order that depends on
// nothing but the calls made: time, chance and promises of the machine have no part in it.

import { assert } from '../core/assert.js';
import type { Clock, Timer } from '../core/ports.js';

type Entry = { atMs: number; order: number; fn: (() => void) | undefined };

/** Turns of the microtask queue granted before the next event, and before time jumps: promise chains of the product take a few each. */
const TURNS = 4;
const TURNS_BEFORE_JUMP = 24;
const JUMP_MS = 0.5;
const SOON_ROUNDS_MAX = 10_000;

export class Scheduler implements Clock {
  #nowMs = 1000;
  #order = 0;
  readonly #heap: Entry[] = [];
  #soon: (() => void)[] = [];
  /** Events run so far. */
  events = 0;
  /** Something began that may take long in the microtask queue: it comes to its end before time jumps. */
  isBusy = true;

  nowMs(): number {
    return this.#nowMs;
  }

  /** A day in 2026, so that offsets of years do not make it negative. */
  wallMs(): number {
    return 1_780_000_000_000 + this.#nowMs;
  }

  after(ms: number, fn: () => void): Timer {
    const entry: Entry = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order++, fn };
    this.#push(entry);
    return {
      cancel: () => {
        entry.fn = undefined;
      },
    };
  }

  soon(fn: () => void): void {
    this.#soon.push(fn);
  }

  /** Lets time pass until `untilMs`, or until `isDone`. */
  async run(untilMs: number, isDone?: () => boolean): Promise<void> {
    for (;;) {
      for (let i = 0; i < TURNS; i++) await undefined;
      await this.#runSoon();
      if (isDone?.() === true) return;
      if ((this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY) > this.#nowMs + JUMP_MS) {
        if (this.isBusy || this.#heap.length === 0) {
          // Promise chains of any length: they have ended when the event loop turns.
          this.isBusy = false;
          await new Promise((resolve) => setImmediate(resolve));
        } else {
          for (let i = 0; i < TURNS_BEFORE_JUMP; i++) await undefined;
        }
        await this.#runSoon();
        if (isDone?.() === true) return;
      }
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#pop();
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      if (next.fn === undefined) continue;
      this.events++;
      next.fn();
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  async #runSoon(): Promise<void> {
    for (let round = 0; this.#soon.length > 0; round++) {
      assert(round < SOON_ROUNDS_MAX, 'a turn comes to its end');
      const due = this.#soon;
      this.#soon = [];
      for (const fn of due) fn();
      for (let i = 0; i < TURNS; i++) await undefined;
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent] as Entry)) break;
      heap[at] = heap[parent] as Entry;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (!isBefore(heap[child] as Entry, last)) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
