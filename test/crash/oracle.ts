// Judges what a recovery made of an image: both volumes must be what the first so many writes made of them, whole writes only, including
// every write that was promised, and the volumes must fit together.
//
// A write that makes zeroes leaves no name behind, and a later write can hide it. So every prefix of a volume's writes has a fingerprint,
// and an image is looked up among them; several prefixes can look the same, and then any of them will do.

import type { SentWrite } from '../helpers/history.js';

/** A sum over all blocks, so that a write changes it by what it changes. */
function fingerprint(block: number, sequence: number): number {
  if (sequence === 0) return 0;
  let x = Math.imul(block + 1, 0x9e3779b1) ^ Math.imul(sequence + 0x7f4a7c15, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  const y = Math.imul(x ^ (x >>> 12) ^ sequence, 0x297a2d39);
  // 21 and 20 bits: the sum of thousands of them is exact.
  return ((x ^ (x >>> 17)) >>> 11) * 2 ** 20 + ((y ^ (y >>> 15)) >>> 12);
}

function fingerprintOf(image: Float64Array): number {
  let sum = 0;
  for (let block = 0; block < image.length; block++) sum += fingerprint(block, image[block] as number);
  return sum;
}

/** One prefix of a volume's writes: the last one in it, undefined for none. */
type Prefix = SentWrite | undefined;

export class Oracle {
  readonly #writes: readonly (readonly SentWrite[])[];
  readonly #base: readonly Float64Array[];
  readonly #prefixes: readonly Map<number, Prefix[]>[];

  /** The writes of each volume in the order sent, and what the volumes held before. */
  constructor(allWrites: readonly (readonly SentWrite[])[], base: readonly Float64Array[]) {
    this.#writes = allWrites;
    this.#base = base;
    this.#prefixes = allWrites.map((writes, volume) => prefixesOf(writes, base[volume] as Float64Array));
  }

  /** What is wrong with the images, undefined when nothing is. `promised`: per volume, the sequence number that must be there. */
  judge(images: readonly Float64Array[], promised: readonly number[]): string | undefined {
    const found: Prefix[][] = [];
    for (const [volume, image] of images.entries()) {
      const prefixes = this.#prefixes[volume]?.get(fingerprintOf(image));
      if (prefixes === undefined) return this.#explain(volume, image);
      const enough = prefixes.filter((last) => (last?.sequence ?? 0) >= (promised[volume] as number));
      const cut = prefixes.at(-1)?.sequence ?? 0;
      if (enough.length === 0) return `volume ${volume} ends at write ${cut}, but ${promised[volume]} was promised`;
      found.push(enough);
    }
    if (anyCombination(found, [])) return undefined;
    return `the volumes end at writes ${found.map((prefixes) => prefixes.at(-1)?.sequence ?? 0).join(' and ')}, which do not fit together`;
  }

  /** Per volume, the first and the last write at which it may have been cut (0: before all); undefined when one is no prefix. */
  cuts(images: readonly Float64Array[]): { readonly first: number; readonly last: number }[] | undefined {
    const cuts = images.map((image, volume) => {
      const prefixes = this.#prefixes[volume]?.get(fingerprintOf(image));
      return prefixes && { first: prefixes[0]?.sequence ?? 0, last: prefixes.at(-1)?.sequence ?? 0 };
    });
    return cuts.every((cut) => cut !== undefined) ? cuts : undefined;
  }

  #explain(volume: number, image: Float64Array): string {
    const writes = this.#writes[volume] as readonly SentWrite[];
    const expected = (this.#base[volume] as Float64Array).slice();
    const first = writes[0]?.sequence ?? Number.POSITIVE_INFINITY;
    let newest = 0;
    for (const sequence of image) if (sequence >= first && sequence > newest) newest = sequence;
    for (const write of writes) if (write.sequence <= newest) apply(write, expected);
    const block = image.findIndex((sequence, at) => sequence !== expected[at]);
    return `volume ${volume} is no prefix: up to write ${newest}, block ${block} holds ${image[block]} instead of ${expected[block]}`;
  }
}

function apply(write: SentWrite, image: Float64Array): void {
  image.fill(write.zeroes ? 0 : write.sequence, write.block, write.block + write.blockCount);
}

function prefixesOf(writes: readonly SentWrite[], base: Float64Array): Map<number, Prefix[]> {
  const image = base.slice();
  let sum = fingerprintOf(image);
  const prefixes = new Map<number, Prefix[]>([[sum, [undefined]]]);
  for (const write of writes) {
    for (let block = write.block; block < write.block + write.blockCount; block++) sum -= fingerprint(block, image[block] as number);
    apply(write, image);
    for (let block = write.block; block < write.block + write.blockCount; block++) sum += fingerprint(block, image[block] as number);
    const same = prefixes.get(sum);
    if (same === undefined) prefixes.set(sum, [write]);
    else same.push(write);
  }
  return prefixes;
}

/** Whether one prefix of each volume can be chosen so that each has what had been answered when the last write of the others was sent. */
function anyCombination(found: readonly Prefix[][], chosen: readonly Prefix[]): boolean {
  if (chosen.length < found.length) return (found[chosen.length] as Prefix[]).some((last) => anyCombination(found, [...chosen, last]));
  return chosen.every((last) => (last?.answeredBefore ?? []).every((answered, other) => (chosen[other]?.sequence ?? 0) >= answered));
}
