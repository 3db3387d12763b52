// What an oracle throws.

/** A broken promise; the run ends with it. */
export class Violation extends Error {
  override name = 'Violation';
  readonly oracle: string;

  constructor(oracle: string, what: string) {
    super(`${oracle}: ${what}`);
    this.oracle = oracle;
  }
}
