// Arithmetic of the ring: a log is an endless address space of positions laid over a ring; a batch never crosses the ring's end, the rest
// before the end is skipped instead.
//
// A ring whose size was changed has two layouts. What was written before stays where it is: positions before `from` lie as they did, later
// ones as in a ring of the new size that has `base` at its start. While positions before `from` are needed, the new ring is full where it
// meets the first of them; after that nothing is left of the old layout.

import { assert } from './assert.js';
import { DOUBLE_ZERO } from './doubles.js';

/** What a change of size leaves behind; see above. Positions before `from` lie in a ring of `oldBytes` with `oldBase` at its start. */
export type RingChange = { readonly base: number; readonly from: number; readonly oldBytes: number; readonly oldBase: number };

/** Size and layout of a ring. */
export type RingLayout = { readonly bytes: number; readonly change: RingChange | undefined };

const UNCHANGED: RingChange = { base: 0, from: 0, oldBytes: 1, oldBase: 0 };

export class Ring {
  #bytes = DOUBLE_ZERO;
  #change = UNCHANGED;

  constructor(bytes: number, change?: RingChange) {
    this.adopt({ bytes, change });
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** From now on the ring has this layout, made by withSize(). */
  adopt({ bytes, change }: RingLayout): void {
    assert(bytes > 0 && bytes % 4096 === 0, 'a ring has whole blocks');
    this.#bytes = bytes;
    this.#change = change ?? UNCHANGED;
  }

  /** Positions from `oldest` on lie in one layout: nothing is left of the one before. */
  isSettled(oldest: number): boolean {
    return oldest >= this.#change.from;
  }

  /** Offset inside the ring. */
  offset(position: number): number {
    const { from, base, oldBase, oldBytes } = this.#change;
    return position < from ? (position - oldBase) % oldBytes : (position - base) % this.#bytes;
  }

  /** Bytes from a position to where the next one need not lie behind it: the end of its lap, or of the old layout. */
  toEnd(position: number): number {
    const { from, oldBytes } = this.#change;
    if (position < from) return Math.min(oldBytes - this.offset(position), from - position);
    return this.#bytes - this.offset(position);
  }

  /** Where a batch of `bytes` goes when `position` is the next free byte: there, or at the start of the next lap. */
  place(position: number, bytes: number): number {
    let at = position;
    // At most the end of the old layout, and the end of a lap right behind it.
    for (let i = 0; i < 3 && bytes > this.toEnd(at); i++) at += this.toEnd(at);
    return at;
  }

  /** True when a batch of up to `bytes` fits behind `position` without touching what starts at `oldest`. */
  fits(position: number, oldest: number, bytes: number): boolean {
    return this.place(position, bytes) + bytes <= this.limit(oldest);
  }

  /** Positions from here on would touch what starts at `oldest`. */
  limit(oldest: number): number {
    const { from } = this.#change;
    return this.isSettled(oldest) ? oldest + this.#bytes : from + this.#freeBehind(oldest);
  }

  /** Bytes from `from` on until the new layout meets an offset at which the old one holds a position from `oldest` on. */
  #freeBehind(oldest: number): number {
    const { from, oldBytes } = this.#change;
    const start = this.offset(from);
    const first = this.offset(oldest);
    const end = first + (from - oldest);
    const held = end <= oldBytes ? [[first, end] as const] : [[first, oldBytes] as const, [0, end - oldBytes] as const];
    let free = this.#bytes;
    for (const [low, high] of held) {
      if (low >= this.#bytes) continue;
      const reached = low >= start ? low - start : high > start ? 0 : this.#bytes - start + low;
      free = Math.min(free, reached);
    }
    return free;
  }

  /**
   * The layout with another size, when positions from `oldest` to `end` are in use and stay where they are; undefined when they do not fit.
   * The layout before must be settled.
   */
  withSize(bytes: number, oldest: number, end: number): RingLayout | undefined {
    assert(this.isSettled(oldest), 'a ring has no more than two layouts');
    if (end - oldest > bytes) return undefined;
    const { base } = this.#change;
    const lap = base + Math.floor((oldest - base) / this.#bytes) * this.#bytes;
    const nextLap = lap + this.#bytes;
    const old = { oldBytes: this.#bytes, oldBase: base };
    // All in one lap: it is the lap of the new ring too, unless it ends behind that; then the next position is at the new ring's start.
    if (end <= nextLap) return { bytes, change: end - lap <= bytes ? { base: lap, from: 0, ...old } : { base: end, from: end, ...old } };
    // In two laps: the newer one is the first of the new ring, or, where that gives more room now, the ring goes on in what was added.
    const laps = { bytes, change: { base: nextLap, from: nextLap, ...old } };
    const added = { bytes, change: { base: end - this.#bytes, from: end, ...old } };
    const gap = limitOf(laps, oldest) - end;
    return bytes - this.#bytes > gap ? added : laps;
  }
}

function limitOf({ bytes, change }: RingLayout, oldest: number): number {
  return new Ring(bytes, change).limit(oldest);
}
