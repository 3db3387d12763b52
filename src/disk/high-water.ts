// Moves the high-water mark of a log ahead of its writer (core/high-water.ts).
//
// Order of durability: a batch is written only below the marks of both superblocks that stand on the disk. Every superblock that is written
// takes the mark along; one is written for its sake when the end of the log comes close to the lower one of the two.

import { LvrError } from '../core/errors.js';
import { isHighWaterDue, nextHighWater } from '../core/high-water.js';
import { PLANTED } from '../core/planted.js';
import type { Ring } from '../core/ring.js';
import type { SuperblockStore } from './superblock-store.js';

export class HighWater {
  readonly #store: SuperblockStore;
  readonly #ring: Ring;
  readonly #position: () => number;
  readonly #onMoved: () => void;
  #moving: Promise<void> | undefined;

  /** `position` tells the end of what was appended; `onMoved` is called when a superblock was written for the mark. */
  constructor(store: SuperblockStore, ring: Ring, position: () => number, onMoved: () => void) {
    this.#store = store;
    this.#ring = ring;
    this.#position = position;
    this.#onMoved = onMoved;
    // A version without marks may have written, and cut off again, anything that the ring holds: its log begins with a mark behind all
    // of that.
    store.markOf = ({ highWater, trimmedPosition }) => nextHighWater(highWater ?? ring.limit(trimmedPosition), position(), ring.bytes);
  }

  /** Batches may be written up to this position. */
  get limit(): number {
    const { current, older } = this.#store;
    const mark = current.highWater ?? Number.POSITIVE_INFINITY;
    if (PLANTED === 'high-water-ignored') return Number.POSITIVE_INFINITY;
    if (PLANTED === 'high-water-of-one-slot') return mark;
    return Math.min(mark, older?.highWater ?? Number.POSITIVE_INFINITY);
  }

  /** Something was appended: moves the mark ahead when it is time. */
  appended(): void {
    if (this.#moving === undefined && this.#isDue) this.#moving = this.#move();
  }

  /** Resolves when no superblock is on its way for the mark. */
  async settled(): Promise<void> {
    await this.#moving;
  }

  get #isDue(): boolean {
    return isHighWaterDue(this.limit, this.#position(), this.#ring.bytes);
  }

  async #move(): Promise<void> {
    do {
      const isMoved = await this.#store.update((current) => current).then(() => true, toldByStore);
      if (!isMoved) break;
      this.#onMoved();
    } while (this.#isDue);
    this.#moving = undefined;
  }
}

/** A superblock that cannot be written ends the log, which hears of it from the store. */
function toldByStore(error: unknown): false {
  if (!(error instanceof LvrError)) throw error;
  return false;
}
