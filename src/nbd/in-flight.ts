// The requests of one connection that are in progress, and the bounds on them: their number, their payload bytes, and the budget that all
// connections share. A request ends when it is answered; its bytes are given back when its memory is free again.

import { NBD_IN_FLIGHT_BYTES_MAX, NBD_REQUESTS_IN_FLIGHT_MAX } from '../core/limits.js';
import type { Budget, BudgetWaiter } from './budget.js';
import type { NbdMetrics } from './metrics.js';
import { CMD } from './protocol.js';
import type { NbdRequest } from './request.js';

export class InFlight {
  /** Requests begun and not ended. */
  count = 0;
  #bytes = 0;
  readonly #budget: Budget;
  readonly #metrics: NbdMetrics;

  constructor(budget: Budget, metrics: NbdMetrics) {
    this.#budget = budget;
    this.#metrics = metrics;
  }

  /** True when `request`, parsed but not checked, must wait for others; `waiter` is told when the budget has room again. */
  isFull(request: NbdRequest, waiter: BudgetWaiter): boolean {
    if (this.count >= NBD_REQUESTS_IN_FLIGHT_MAX) return true;
    const bytes = request.type === CMD.read || request.type === CMD.write ? request.length : 0;
    return this.#bytes > 0 && (this.#bytes + bytes > NBD_IN_FLIGHT_BYTES_MAX || !this.#budget.canTake(bytes, waiter));
  }

  begin(request: NbdRequest): void {
    this.count++;
    this.#metrics.inFlight++;
    if (request.op !== 'read' && request.op !== 'write') return;
    this.#bytes += request.length;
    this.#budget.take(request.length);
  }

  end(): void {
    this.count--;
    this.#metrics.inFlight--;
  }

  giveBack(request: NbdRequest): void {
    if (request.op !== 'read' && request.op !== 'write') return;
    this.#bytes -= request.length;
    this.#budget.give(request.length);
  }

  /** The connection is gone. */
  close(): void {
    this.#metrics.inFlight -= this.count;
    this.#budget.give(this.#bytes);
  }
}
