// Which parts of a pending region are to be copied. A region is the unit of what lasts; a record that touches a few blocks of it should not
// cost the copy of all of it, or a busy database dirties more than a link can carry that carries its writes with ease.
//
// A region has up to PARTS_MAX parts of at least a block each, a bit of a mask for each. Kept only where it tells something: without masks
// for its page a pending region is to be copied as a whole, and a region that is not pending has none. Memory: 4 bytes a region, for pages
// in which a region was marked in part.
//
// Invariant: a region whose page has masks is pending exactly when its mask is not 0.

import { assert } from './assert.js';
import { BLOCK_BYTES } from './limits.js';
import { PLANTED } from './planted.js';

/** Parts of a region; those of the default region are blocks of 4 KiB. */
const PARTS_MAX = 16;

/** Masks of the regions of a page: what is pending, and what the last copy took (0: all, because it began before there were masks). */
type Page = { readonly pending: Uint16Array; readonly taken: Uint16Array };

/** The masks of one volume. Every method that changes some returns how many parts fewer (negative: more) need not be copied. */
export class RegionParts {
  readonly #regionBytes: number;
  readonly #regionsPerPage: number;
  readonly #pages: (Page | undefined)[] = [];
  readonly #parts: number;
  readonly #whole: number;
  readonly partBytes: number;

  constructor(regionBytes: number, regionsPerPage: number) {
    this.#regionBytes = regionBytes;
    this.#regionsPerPage = regionsPerPage;
    this.#parts = Math.min(PARTS_MAX, regionBytes / BLOCK_BYTES);
    this.#whole = 2 ** this.#parts - 1;
    this.partBytes = regionBytes / this.#parts;
  }

  /** [offset, offset + length) is about to become pending; `pending` has the bits before that. */
  mark(pending: Uint8Array, offset: number, length: number): number {
    const first = Math.floor(offset / this.#regionBytes);
    const last = Math.floor((offset + length - 1) / this.#regionBytes);
    const head = this.#maskOf(first, offset, length);
    const tail = this.#maskOf(last, offset, length);
    // Masks begin before any bit of this call counts: only its ends can be in part.
    if (head !== this.#whole) this.#begin(first, pending);
    if (tail !== this.#whole) this.#begin(last, pending);
    const spared = this.#add(pending, first, head);
    return last === first ? spared : spared + this.#addWhole(pending, first + 1, last) + this.#add(pending, last, tail);
  }

  /** All of the regions [from, to) are about to become pending. Pages without masks cost nothing: a record may touch thousands. */
  #addWhole(pending: Uint8Array, from: number, to: number): number {
    let spared = 0;
    for (let region = from; region < to; ) {
      const number = Math.floor(region / this.#regionsPerPage);
      const end = Math.min(to, (number + 1) * this.#regionsPerPage);
      if (this.#pages[number] === undefined) region = end;
      else while (region < end) spared += this.#add(pending, region++, this.#whole);
    }
    return spared;
  }

  /** The parts of a region that [offset, offset + length) touches. */
  #maskOf(region: number, offset: number, length: number): number {
    const start = region * this.#regionBytes;
    const from = Math.floor(Math.max(0, offset - start) / this.partBytes);
    const to = Math.ceil(Math.min(this.#regionBytes, offset + length - start) / this.partBytes);
    return 2 ** to - 2 ** from;
  }

  /** All of the regions of a byte of `pending` that are set in `mask` are about to become pending as a whole. */
  markByte(pending: Uint8Array, at: number, mask: number): number {
    if (this.#pages[Math.floor((at * 8) / this.#regionsPerPage)] === undefined) return 0;
    let spared = 0;
    for (let bit = 0; bit < 8; bit++) if ((mask & (1 << bit)) !== 0) spared += this.#add(pending, at * 8 + bit, this.#whole);
    return spared;
  }

  /** True when all of a pending region is to be copied. */
  isWhole(region: number): boolean {
    const page = this.#pages[Math.floor(region / this.#regionsPerPage)];
    return page === undefined || page.pending[region % this.#regionsPerPage] === this.#whole;
  }

  /** The parts of a region whose copy begins, which is not pending any more: bit i for part i. */
  take(region: number): number {
    const page = this.#pages[Math.floor(region / this.#regionsPerPage)];
    if (page === undefined) return this.#whole;
    const at = region % this.#regionsPerPage;
    const mask = page.pending[at] as number;
    page.pending[at] = 0;
    page.taken[at] = mask;
    return mask;
  }

  /** Parts of a region that need not be copied, by its mask. */
  spared(mask: number): number {
    return this.#parts - ones(mask);
  }

  /** The copies of all regions set in `copying` came to nothing: what each took is pending again. `pending` has the bits before that. */
  retry(pending: Uint8Array, copying: Uint8Array): number {
    let spared = 0;
    for (const [number, page] of this.#pages.entries()) {
      if (page === undefined) continue;
      const first = (number * this.#regionsPerPage) / 8;
      for (let at = first; at < first + this.#regionsPerPage / 8; at++) {
        for (let bit = 0; copying[at] !== 0 && bit < 8; bit++) {
          const region = at * 8 + bit;
          if (isSet(copying, region)) spared += this.#add(pending, region, page.taken[region % this.#regionsPerPage] || this.#whole);
        }
      }
    }
    return spared;
  }

  #add(pending: Uint8Array, region: number, mask: number): number {
    const page = this.#pages[Math.floor(region / this.#regionsPerPage)];
    if (page === undefined) return 0;
    const isPending = isSet(pending, region);
    const at = region % this.#regionsPerPage;
    const before = page.pending[at] as number;
    assert(isPending === (before !== 0), 'a region is pending when parts of it are');
    if (before === this.#whole) return 0;
    const after = PLANTED === 'part-not-marked' && isPending ? before : before | mask;
    page.pending[at] = after;
    const spared = this.spared(after);
    return isPending ? spared - this.spared(before) : spared;
  }

  /** Masks for the page of a region that is not pending: what is pending in that page is to be copied as a whole. */
  #begin(region: number, pending: Uint8Array): void {
    const number = Math.floor(region / this.#regionsPerPage);
    if (this.#pages[number] !== undefined || isSet(pending, region)) return;
    const page = { pending: new Uint16Array(this.#regionsPerPage), taken: new Uint16Array(this.#regionsPerPage) };
    const first = number * this.#regionsPerPage;
    for (let i = 0; i < this.#regionsPerPage; i++) if (isSet(pending, first + i)) page.pending[i] = this.#whole;
    this.#pages[number] = page;
  }
}

function isSet(bits: Uint8Array, bit: number): boolean {
  return ((bits[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
}

/** Number of bits that are set in a mask of 16. */
function ones(mask: number): number {
  const pairs = mask - ((mask >> 1) & 0x5555);
  const fours = (pairs & 0x3333) + ((pairs >> 2) & 0x3333);
  const eights = (fours + (fours >> 4)) & 0x0f0f;
  return (eights + (eights >> 8)) & 0x1f;
}
