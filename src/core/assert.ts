// Assertions stay on in production: a broken invariant ends the process (fail-stop) before it can change data.

/** Thrown by assert(); it is a defect of lvr, never of its input, and nothing may catch it to go on. */
export class AssertionError extends Error {
  override name = 'AssertionError';
}

/** Throws AssertionError unless `condition` holds; `message` names the invariant. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The default branch of an exhaustive switch: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable value ${JSON.stringify(value)}`);
}
