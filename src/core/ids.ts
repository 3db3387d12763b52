// Identifiers and positions. All are safe integers (below 2^53): u64 values beyond that are refused at the border.

import { assert } from './assert.js';

declare const brand: unique symbol;
type Brand<Name extends string> = { readonly [brand]: Name };

/** Log sequence number: dense, one sequence for all volumes of a group; the first record of a group is 1, 0 is "none". */
export type Lsn = number & Brand<'Lsn'>;

/** Grows at every promotion of any site; 0 is "no history yet". */
export type Epoch = number & Brand<'Epoch'>;

/** Grows at every open of a log for writing; together with epoch and LSN it names a record for ever. */
export type Incarnation = number & Brand<'Incarnation'>;

/** Byte position in the endless address space of a log; its place in the ring is position modulo ring size. */
export type Position = number & Brand<'Position'>;

/** Index of a volume inside its group, as written in records. */
export type VolumeIndex = number & Brand<'VolumeIndex'>;

/** Checks and brands an LSN. */
export function lsn(value: number): Lsn {
  assert(Number.isSafeInteger(value) && value >= 0, `LSN ${value} is not a safe integer`);
  return value as Lsn;
}

/** Checks and brands an epoch. */
export function epoch(value: number): Epoch {
  assert(Number.isSafeInteger(value) && value >= 0, `epoch ${value} is not a safe integer`);
  return value as Epoch;
}

/** Checks and brands an incarnation. */
export function incarnation(value: number): Incarnation {
  assert(Number.isSafeInteger(value) && value >= 0, `incarnation ${value} is not a safe integer`);
  return value as Incarnation;
}

/** Checks and brands a log position. */
export function position(value: number): Position {
  assert(Number.isSafeInteger(value) && value >= 0, `log position ${value} is not a safe integer`);
  return value as Position;
}

/** Names of groups, volumes and sites: also file names, labels and export names, hence the narrow alphabet. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,62}$/;
