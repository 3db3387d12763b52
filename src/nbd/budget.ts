// The bytes that all connections of the server together have in flight. A connection may always have one request, so that nobody is locked
// out by others; beyond that, requests wait until the sum allows them.

import { NBD_IN_FLIGHT_BYTES_TOTAL_MAX } from '../core/limits.js';

/** Told once when bytes were given back after canTake() said no. */
export interface BudgetWaiter {
  budgetAvailable(): void;
}

/** One per server. */
export class Budget {
  #usedBytes = 0;
  #waiters = new Set<BudgetWaiter>();

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Whether `bytes` more fit; if not, the waiter is told later. */
  canTake(bytes: number, waiter: BudgetWaiter): boolean {
    if (this.#usedBytes + bytes <= NBD_IN_FLIGHT_BYTES_TOTAL_MAX) return true;
    this.#waiters.add(waiter);
    return false;
  }

  take(bytes: number): void {
    this.#usedBytes += bytes;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
    if (this.#waiters.size === 0) return;
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const waiter of waiters) waiter.budgetAvailable();
  }
}
