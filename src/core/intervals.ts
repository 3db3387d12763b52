// An ordered map from byte ranges to values: where the newest unapplied content of a volume is. Segments are disjoint; assigning a range
// cuts whatever was there. Kept as a list of small sorted chunks over typed arrays, so that an insertion moves a few hundred bytes at most
// and allocates nothing in the steady state.

import { assert } from './assert.js';

const CHUNK_SEGMENTS = 64;

class Chunk<V> {
  count = 0;
  readonly starts = new Float64Array(CHUNK_SEGMENTS);
  readonly ends = new Float64Array(CHUNK_SEGMENTS);
  readonly bases = new Float64Array(CHUNK_SEGMENTS);
  readonly values: (V | undefined)[] = new Array<V | undefined>(CHUNK_SEGMENTS).fill(undefined);

  set(i: number, start: number, end: number, value: V, base: number): void {
    this.starts[i] = start;
    this.ends[i] = end;
    this.values[i] = value;
    this.bases[i] = base;
  }

  insert(i: number, start: number, end: number, value: V, base: number): void {
    this.starts.copyWithin(i + 1, i, this.count);
    this.ends.copyWithin(i + 1, i, this.count);
    this.bases.copyWithin(i + 1, i, this.count);
    for (let k = this.count; k > i; k--) this.values[k] = this.values[k - 1];
    this.set(i, start, end, value, base);
    this.count++;
  }

  remove(i: number): void {
    this.starts.copyWithin(i, i + 1, this.count);
    this.ends.copyWithin(i, i + 1, this.count);
    this.bases.copyWithin(i, i + 1, this.count);
    for (let k = i + 1; k < this.count; k++) this.values[k - 1] = this.values[k];
    this.count--;
    this.values[this.count] = undefined;
  }
}

/** Receives the pieces of a looked-up range in ascending order. `base` is the base given to assign() for the byte at `start`. */
export interface SegmentVisitor<V> {
  segment(start: number, end: number, value: V, base: number): void;
}

/** See the header. Positions are byte offsets; `base` moves along when a segment loses its beginning (negative: constant content). */
export class IntervalMap<V> {
  readonly #chunks: Chunk<V>[] = [new Chunk<V>()];
  // Position of the last find(): chunk and index inside it.
  #c = 0;
  #i = 0;
  #size = 0;

  /** Number of segments. */
  get size(): number {
    return this.#size;
  }

  /** Makes [start, end) hold `value`; byte start + k of it is base + k (or `base` throughout when negative). */
  assign(start: number, end: number, value: V, base: number): void {
    assert(start < end, 'a range is not empty');
    this.#find(start);
    let chunk = this.#chunks[this.#c] as Chunk<V>;
    if (this.#i < chunk.count && chunk.starts[this.#i] === start && chunk.ends[this.#i] === end) {
      chunk.set(this.#i, start, end, value, base);
      return;
    }
    this.#carve(start, end);
    chunk = this.#chunks[this.#c] as Chunk<V>;
    this.#insertHere(start, end, value, base);
  }

  /** Removes those segments inside [start, end) that hold `value`; partial overlaps lose only the part inside. */
  remove(start: number, end: number, value: V): void {
    this.#find(start);
    for (;;) {
      const chunk = this.#chunks[this.#c] as Chunk<V>;
      if (this.#i >= chunk.count) {
        if (this.#c + 1 >= this.#chunks.length) return;
        this.#c++;
        this.#i = 0;
        continue;
      }
      const s = chunk.starts[this.#i] as number;
      const e = chunk.ends[this.#i] as number;
      if (s >= end) return;
      if (chunk.values[this.#i] !== value) {
        this.#i++;
      } else if (s >= start && e <= end) {
        this.#removeHere();
      } else {
        const from = Math.max(s, start);
        const to = Math.min(e, end);
        this.#carve(from, to);
      }
    }
  }

  /**
   * Visits the segments that overlap [start, end), clipped to it, `most` of them. Returns how far it looked: to `end`, or to the first
   * segment that was one too many. The map must not change meanwhile.
   */
  visit(start: number, end: number, visitor: SegmentVisitor<V>, most = Number.POSITIVE_INFINITY): number {
    if (this.#size === 0) return end;
    this.#find(start);
    let c = this.#c;
    let i = this.#i;
    for (;;) {
      const chunk = this.#chunks[c] as Chunk<V>;
      if (i >= chunk.count) {
        if (++c >= this.#chunks.length) return end;
        i = 0;
        continue;
      }
      const s = chunk.starts[i] as number;
      if (s >= end) return end;
      const from = Math.max(s, start);
      if (most-- <= 0) return from;
      const e = chunk.ends[i] as number;
      const base = chunk.bases[i] as number;
      visitor.segment(from, Math.min(e, end), chunk.values[i] as V, base < 0 ? base : base + (from - s));
      i++;
    }
  }

  /** Moves to the first segment that ends after `at` (or to the end of the last chunk). */
  #find(at: number): void {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      const chunk = this.#chunks[middle] as Chunk<V>;
      if ((chunk.ends[chunk.count - 1] as number) > at) high = middle;
      else low = middle + 1;
    }
    const chunk = this.#chunks[low] as Chunk<V>;
    let first = 0;
    let last = chunk.count;
    while (first < last) {
      const middle = (first + last) >> 1;
      if ((chunk.ends[middle] as number) > at) last = middle;
      else first = middle + 1;
    }
    this.#c = low;
    this.#i = first;
  }

  /** Empties [start, end) and leaves the position where a segment for it belongs. */
  #carve(start: number, end: number): void {
    this.#find(start);
    for (;;) {
      const chunk = this.#chunks[this.#c] as Chunk<V>;
      if (this.#i >= chunk.count) {
        if (this.#c + 1 >= this.#chunks.length) return;
        const next = this.#chunks[this.#c + 1] as Chunk<V>;
        if ((next.starts[0] as number) >= end) return;
        this.#c++;
        this.#i = 0;
        continue;
      }
      const s = chunk.starts[this.#i] as number;
      const e = chunk.ends[this.#i] as number;
      if (s >= end) return;
      const base = chunk.bases[this.#i] as number;
      if (s < start) {
        chunk.ends[this.#i] = start;
        this.#i++;
        if (e > end) {
          this.#insertHere(end, e, chunk.values[this.#i - 1] as V, base < 0 ? base : base + (end - s));
          this.#find(start);
          return;
        }
      } else if (e > end) {
        chunk.starts[this.#i] = end;
        if (base >= 0) chunk.bases[this.#i] = base + (end - s);
        return;
      } else {
        this.#removeHere();
      }
    }
  }

  #insertHere(start: number, end: number, value: V, base: number): void {
    let chunk = this.#chunks[this.#c] as Chunk<V>;
    if (chunk.count === CHUNK_SEGMENTS) {
      const right = new Chunk<V>();
      const half = CHUNK_SEGMENTS / 2;
      for (let k = half; k < CHUNK_SEGMENTS; k++) {
        right.set(k - half, chunk.starts[k] as number, chunk.ends[k] as number, chunk.values[k] as V, chunk.bases[k] as number);
        chunk.values[k] = undefined;
      }
      right.count = CHUNK_SEGMENTS - half;
      chunk.count = half;
      this.#chunks.splice(this.#c + 1, 0, right);
      if (this.#i > half) {
        this.#c++;
        this.#i -= half;
        chunk = right;
      }
    }
    chunk.insert(this.#i, start, end, value, base);
    this.#size++;
  }

  #removeHere(): void {
    const chunk = this.#chunks[this.#c] as Chunk<V>;
    chunk.remove(this.#i);
    this.#size--;
    if (chunk.count === 0 && this.#chunks.length > 1) {
      this.#chunks.splice(this.#c, 1);
      if (this.#c === this.#chunks.length) {
        this.#c--;
        this.#i = (this.#chunks[this.#c] as Chunk<V>).count;
      } else {
        this.#i = 0;
      }
    }
  }
}
