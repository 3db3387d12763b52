// What decoders of control messages have in common: the generated code behind one try, numbers, and text of the other end.

import { assert } from '../core/assert.js';
import { messageOf } from '../core/errors.js';

/** Longest text in a Refused or Bye. */
export const REASON_CHARACTERS_MAX = 1000;
/** A UUID as it travels: 32 lower-case hex digits. */
export const UUID_PATTERN = /^[0-9a-f]{32}$/;

/** Runs the generated decoder, which throws on malformed bytes, and then the checks of the message. */
export function guard<Wire, Value>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => Wire,
  check: (wire: Wire) => Value | string,
): Value | string {
  let wire: Wire;
  try {
    wire = decode(bytes);
  } catch (error) {
    return `malformed message: ${messageOf(error)}`;
  }
  return check(wire);
}

/**
 * A decoded u64 as a number. The generated decoder gives pairs of 32-bit halves (of the package `long`, on which protobufjs depends),
 * whatever its types say. A value beyond 2^53-1 may be rounded, but never down to a safe integer: isCount() refuses it.
 */
export function count(value: unknown): number {
  assert(value instanceof Object, 'a u64 is decoded as two halves');
  const { low, high } = value as { low: number; high: number };
  return (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
}

/** What a count may be here: no rounding, no sign. */
export function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** Text of the other end as it may be shown: bounded, without control characters. */
export function printable(text: string): string {
  return text.slice(0, REASON_CHARACTERS_MAX).replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?');
}
