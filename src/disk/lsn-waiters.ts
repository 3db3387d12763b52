// Who waits for a position of a log to be reached. Off the data path: a position that moves looks at one length.

import type { LvrError } from '../core/errors.js';

type Waiter = { readonly lsn: number; readonly resolve: () => void; readonly reject: (error: LvrError) => void };

export class LsnWaiters {
  #waiters: Waiter[] = [];

  /** Resolves when `lsn` is reached; rejects with what fail() is told. */
  wait(lsn: number): Promise<void> {
    return new Promise((resolve, reject) => void this.#waiters.push({ lsn, resolve, reject }));
  }

  /** Everything up to `lsn` is reached; Infinity: everything there is. */
  reached(lsn: number): void {
    if (this.#waiters.length === 0) return;
    const reached = this.#waiters.filter((waiter) => waiter.lsn <= lsn);
    if (reached.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.lsn > lsn);
    for (const { resolve } of reached) resolve();
  }

  /** Nothing further will be reached. */
  fail(error: LvrError): void {
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }
}
