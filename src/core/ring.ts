// Arithmetic of the ring: a log is an endless address space of positions laid over a ring; a batch never crosses the ring's end, the rest
// before the end is skipped instead.

import { assert } from './assert.js';

export class Ring {
  readonly bytes: number;

  constructor(bytes: number) {
    assert(bytes > 0 && bytes % 4096 === 0, 'a ring has whole blocks');
    this.bytes = bytes;
  }

  /** Offset inside the ring. */
  offset(position: number): number {
    return position % this.bytes;
  }

  /** Bytes from a position to the end of its lap. */
  toEnd(position: number): number {
    return this.bytes - (position % this.bytes);
  }

  /** Where a batch of `bytes` goes when `position` is the next free byte: there, or at the start of the next lap. */
  place(position: number, bytes: number): number {
    const rest = this.toEnd(position);
    return bytes <= rest ? position : position + rest;
  }

  /** True when a batch of up to `bytes` fits behind `position` without touching what starts at `oldest`. */
  fits(position: number, oldest: number, bytes: number): boolean {
    return this.place(position, bytes) + bytes - oldest <= this.bytes;
  }
}
