// Answers "may this range overlap one in flight?" in constant time: counters per hashed 64 KiB block, so a hit can be false but a miss
// never
// is. Used to keep overlapping device writes in LSN order.

const BLOCK_SHIFT = 16;
const BUCKETS = 4096;
/** Ranges longer than this many blocks conflict with everything. */
const BLOCKS_MAX = 512;

export class ConflictFilter {
  readonly #counts = new Uint16Array(BUCKETS);
  #huge = 0;
  #ranges = 0;

  /** True when no range in flight can overlap [offset, offset + length) of the volume. */
  isFree(volume: number, offset: number, length: number): boolean {
    if (this.#ranges === 0) return true;
    const first = Math.floor(offset / 2 ** BLOCK_SHIFT);
    const last = Math.floor((offset + length - 1) / 2 ** BLOCK_SHIFT);
    if (this.#huge > 0 || last - first >= BLOCKS_MAX) return false;
    for (let block = first; block <= last; block++) if (this.#counts[bucket(volume, block)] !== 0) return false;
    return true;
  }

  add(volume: number, offset: number, length: number): void {
    this.#change(volume, offset, length, 1);
  }

  remove(volume: number, offset: number, length: number): void {
    this.#change(volume, offset, length, -1);
  }

  #change(volume: number, offset: number, length: number, by: number): void {
    this.#ranges += by;
    const first = Math.floor(offset / 2 ** BLOCK_SHIFT);
    const last = Math.floor((offset + length - 1) / 2 ** BLOCK_SHIFT);
    if (last - first >= BLOCKS_MAX) {
      this.#huge += by;
      return;
    }
    for (let block = first; block <= last; block++) {
      const at = bucket(volume, block);
      this.#counts[at] = (this.#counts[at] as number) + by;
    }
  }
}

function bucket(volume: number, block: number): number {
  return (block + volume * 997) % BUCKETS;
}
