// Damage with knowledge of the structure: what a test draws is plain data (so that it can be shrunk and kept as JSON), what it means is
// decided here, against the bytes and the list of fields of the input at hand. Every mutation applies to every input: places are taken
// modulo the length.

import fc from 'fast-check';

/** A number inside an input: where, how wide, in which byte order. */
export type Field = { readonly at: number; readonly bytes: 1 | 2 | 4 | 8; readonly big?: boolean };

/** One change of an input. */
export type Mutation =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'byte'; readonly at: number; readonly value: number }
  | { readonly kind: 'field'; readonly field: number; readonly edge: number }
  | { readonly kind: 'swap'; readonly field: number; readonly other: number }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'remove'; readonly at: number; readonly length: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly length: number }
  | { readonly kind: 'insert'; readonly at: number; readonly value: number; readonly length: number }
  | { readonly kind: 'splice'; readonly at: number; readonly from: number };

const place = fc.nat(0xffff);
const field = fc.record({ kind: fc.constant('field' as const), field: place, edge: fc.nat(15) });
const flip = fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.nat(7) });
const byte = fc.record({ kind: fc.constant('byte' as const), at: place, value: fc.nat(255) });
const swap = fc.record({ kind: fc.constant('swap' as const), field: place, other: place });
const cut = fc.record({ kind: fc.constant('cut' as const), at: place });
const remove = fc.record({ kind: fc.constant('remove' as const), at: place, length: fc.integer({ min: 1, max: 64 }) });
const repeat = fc.record({ kind: fc.constant('repeat' as const), at: place, length: fc.integer({ min: 1, max: 300 }) });
const insert = fc.record({ kind: fc.constant('insert' as const), at: place, value: fc.nat(255), length: fc.integer({ min: 1, max: 64 }) });
const splice = fc.record({ kind: fc.constant('splice' as const), at: place, from: place });

/** Changes that keep the length: for things that stand at fixed places. */
export const inPlace: fc.Arbitrary<Mutation> = fc.oneof({ weight: 4, arbitrary: field }, flip, byte, swap);
/** All changes. */
export const anywhere: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 4, arbitrary: field },
  flip,
  byte,
  swap,
  cut,
  remove,
  repeat,
  insert,
  splice,
);

/** A few changes; none in one case of some. */
export function several(mutation: fc.Arbitrary<Mutation>, max = 4): fc.Arbitrary<Mutation[]> {
  return fc.array(mutation, { maxLength: max });
}

function read(bytes: Uint8Array, { at, bytes: width, big = false }: Field): bigint {
  let value = 0n;
  for (let i = 0; i < width; i++) value = (value << 8n) | BigInt(bytes[big ? at + i : at + width - 1 - i] as number);
  return value;
}

function write(bytes: Uint8Array, { at, bytes: width, big = false }: Field, value: bigint): void {
  let rest = BigInt.asUintN(8 * width, value);
  for (let i = 0; i < width; i++) {
    bytes[big ? at + width - 1 - i : at + i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
}

/** The values at which a check can be off by one, for a field of `width` bytes that holds `old`. */
function edges(old: bigint, width: number): bigint[] {
  const max = (1n << BigInt(8 * width)) - 1n;
  const safe = 2n ** 53n;
  const block = 4096n;
  return [0n, 1n, old + 1n, old - 1n, max, max - 1n, max >> 1n, (max >> 1n) + 1n, old * 2n, old / 2n, old + block, old - block]
    .concat(width === 8 ? [safe - 1n, safe, -block & max, 1n << 32n] : [2n, 3n, 512n, 255n])
    .map((value) => BigInt.asUintN(8 * width, value));
}

function mutateOne(bytes: Uint8Array, fields: readonly Field[], other: Uint8Array, mutation: Mutation): Uint8Array {
  const place = (at: number): number => (bytes.length === 0 ? 0 : at % bytes.length);
  const choose = (i: number): Field | undefined => {
    const chosen = fields[i % Math.max(1, fields.length)];
    return chosen !== undefined && chosen.at + chosen.bytes <= bytes.length ? chosen : undefined;
  };
  switch (mutation.kind) {
    case 'flip':
      if (bytes.length > 0) (bytes[place(mutation.at)] as number) ^= 1 << mutation.bit;
      return bytes;
    case 'byte':
      if (bytes.length > 0) bytes[place(mutation.at)] = mutation.value;
      return bytes;
    case 'field': {
      const chosen = choose(mutation.field);
      if (chosen !== undefined) write(bytes, chosen, edges(read(bytes, chosen), chosen.bytes)[mutation.edge] as bigint);
      return bytes;
    }
    case 'swap': {
      const [a, b] = [choose(mutation.field), choose(mutation.other)];
      if (a === undefined || b === undefined) return bytes;
      const [was, will] = [read(bytes, a), read(bytes, b)];
      write(bytes, a, will);
      write(bytes, b, was);
      return bytes;
    }
    case 'cut':
      return bytes.slice(0, place(mutation.at));
    case 'remove':
      return join(bytes.subarray(0, place(mutation.at)), bytes.subarray(place(mutation.at) + mutation.length));
    case 'repeat': {
      const at = place(mutation.at);
      return join(bytes.subarray(0, at + mutation.length), bytes.subarray(at));
    }
    case 'insert': {
      const at = place(mutation.at);
      return join(bytes.subarray(0, at), new Uint8Array(mutation.length).fill(mutation.value), bytes.subarray(at));
    }
    case 'splice':
      return join(bytes.subarray(0, place(mutation.at)), other.subarray(other.length === 0 ? 0 : mutation.from % other.length));
  }
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The changed input, in memory of its own. `other` is a second valid input for splicing. */
export function mutate(bytes: Uint8Array, fields: readonly Field[], mutations: readonly Mutation[], other: Uint8Array = bytes): Uint8Array {
  let changed: Uint8Array = new Uint8Array(bytes);
  for (const mutation of mutations) changed = mutateOne(changed, fields, other, mutation);
  return changed;
}

/** Lengths of pieces, used in turn: how a stream is cut. */
export const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 5000 })), {
  minLength: 1,
  maxLength: 8,
});

/** The pieces of a stream of `length` bytes as [start, end). */
export function pieces(length: number, sizes: readonly number[]): [number, number][] {
  const list: [number, number][] = [];
  for (let at = 0, i = 0; at < length; i++) {
    const end = Math.min(length, at + (sizes[i % sizes.length] as number));
    list.push([at, end]);
    at = end;
  }
  return list;
}
