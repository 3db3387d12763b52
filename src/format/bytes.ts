// Little-endian access to bytes without a DataView per structure, and u64 fields limited to safe integers.

import { assert } from '../core/assert.js';

const TWO_32 = 0x1_0000_0000;

/** Writes a u16. */
export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

/** Writes a u32. */
export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** Writes a u64 from a safe integer. */
export function putU64(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, value % TWO_32);
  putU32(bytes, at + 4, Math.floor(value / TWO_32));
}

/** Reads a u16. */
export function getU16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

/** Reads a u32. */
export function getU32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)) >>> 0
  );
}

/** Reads a u64; a value beyond 2^53-1 gives NaN, which every caller refuses by its range checks. */
export function getU64(bytes: Uint8Array, at: number): number {
  const high = getU32(bytes, at + 4);
  return high > 0x1f_ffff ? Number.NaN : high * TWO_32 + getU32(bytes, at);
}

/** Writes an ASCII name into a field of fixed width, padded with zeroes. */
export function putName(bytes: Uint8Array, at: number, width: number, name: string): void {
  assert(name.length < width, `name ${name} is longer than its field`);
  bytes.fill(0, at, at + width);
  for (let i = 0; i < name.length; i++) bytes[at + i] = name.charCodeAt(i);
}

/** Reads a zero-padded ASCII name. */
export function getName(bytes: Uint8Array, at: number, width: number): string {
  let name = '';
  for (let i = at; i < at + width && bytes[i] !== 0; i++) name += String.fromCharCode(bytes[i] as number);
  return name;
}

/** True when bytes[start, end) are all zero. */
export function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  // Long ranges are compared with themselves, one byte on: that runs at the speed of memory.
  if (end - start > 1024) {
    return bytes[start] === 0 && Buffer.compare(bytes.subarray(start, end - 1), bytes.subarray(start + 1, end)) === 0;
  }
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** A UUID is kept as 16 bytes in formats and as 32 lower-case hex digits in memory; blank means "none yet". */
export type Uuid = string;
export const UUID_NONE: Uuid = '0'.repeat(32);

/** Writes a UUID. */
export function putUuid(bytes: Uint8Array, at: number, uuid: Uuid): void {
  assert(uuid.length === 32, 'a UUID has 32 hex digits');
  for (let i = 0; i < 16; i++) bytes[at + i] = Number.parseInt(uuid.slice(2 * i, 2 * i + 2), 16);
}

/** Reads a UUID. */
export function getUuid(bytes: Uint8Array, at: number): Uuid {
  let text = '';
  for (let i = 0; i < 16; i++) text += (bytes[at + i] as number).toString(16).padStart(2, '0');
  return text;
}

/** True when the 16 bytes at `at` equal those of `expected` at 0. */
export function sameUuid(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let i = 0; i < 16; i++) if (bytes[at + i] !== expected[i]) return false;
  return true;
}
