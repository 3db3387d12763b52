// How fast a running total grows: an average in which what was long ago counts less and less. Pure; the caller brings time.

import { DOUBLE_ZERO } from './doubles.js';

/** What was this long ago counts a third. */
const FADE_MS = 10_000;

export class Rate {
  #total: number;
  #atMs: number;
  #sum = DOUBLE_ZERO;
  #weight = DOUBLE_ZERO;

  constructor(total: number, nowMs: number) {
    this.#total = total;
    this.#atMs = nowMs;
  }

  /** The total as of now; it may also fall. */
  add(total: number, nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs <= 0) return;
    const share = 1 - Math.exp(-elapsedMs / FADE_MS);
    this.#sum += (((total - this.#total) * 1000) / elapsedMs - this.#sum) * share;
    this.#weight += (1 - this.#weight) * share;
    this.#total = total;
    this.#atMs = nowMs;
  }

  /** 0 before two totals are known. */
  get perSecond(): number {
    return this.#weight === 0 ? 0 : this.#sum / this.#weight;
  }
}
