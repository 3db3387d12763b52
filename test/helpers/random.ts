// Seeded random numbers for tests: a failing run can be repeated with SEED=... (printed by the test).

/** Small fast generator (mulberry32); the same seed gives the same numbers. */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number = Number(process.env['SEED'] ?? Date.now() % 1_000_000_007)) {
    this.seed = seed;
    this.#state = seed | 0;
  }

  /** Uniform integer from 0 to below - 1. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let x = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return Math.floor((((x ^ (x >>> 14)) >>> 0) / 4294967296) * below);
  }
}
