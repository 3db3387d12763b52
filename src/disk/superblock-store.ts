// The two superblock slots of a log. Writes go to the slot that does not hold the newest valid copy and are durable before they count;
// they are serialised, so that a slot is never written while the other is in doubt.

import type { LvrError } from '../core/errors.js';
import { PLANTED } from '../core/planted.js';
import type { Arena, Device } from '../core/ports.js';
import { decodeSuperblock, encodeSuperblock, type SlotContent, SUPERBLOCK_BYTES, type Superblock } from '../format/superblock.js';
import { readDevice, writeDurably } from './promises.js';

/** What stands in the two slots, and the superblock that counts. */
export type LoadedSuperblock = {
  readonly slots: readonly [SlotContent, SlotContent];
  readonly state: 'zero' | 'valid' | 'invalid' | 'newer';
  readonly superblock: Superblock | undefined;
  /** The valid one that does not count, and would if that one were lost. */
  readonly older: Superblock | undefined;
};

/** Reads both slots; `arena` needs 2 x SUPERBLOCK_BYTES at its start. */
export async function loadSuperblock(device: Device, arena: Arena): Promise<LoadedSuperblock> {
  await readDevice(device, arena, 0, 2 * SUPERBLOCK_BYTES, 0);
  const first = decodeSuperblock(arena.bytes.subarray(0, SUPERBLOCK_BYTES));
  const second = decodeSuperblock(arena.bytes.subarray(SUPERBLOCK_BYTES, 2 * SUPERBLOCK_BYTES));
  const slots = [first, second] as const;
  if (first.kind === 'newer' || second.kind === 'newer') return { slots, state: 'newer', superblock: undefined, older: undefined };
  let newest: Superblock | undefined;
  let older: Superblock | undefined;
  for (const slot of slots) {
    if (slot.kind !== 'valid') continue;
    const isNewest = newest === undefined || slot.superblock.sequence > newest.sequence;
    older = isNewest ? newest : slot.superblock;
    if (isNewest) newest = slot.superblock;
  }
  if (newest !== undefined) return { slots, state: 'valid', superblock: newest, older };
  return { slots, state: slots.every((slot) => slot.kind === 'zero') ? 'zero' : 'invalid', superblock: undefined, older };
}

export class SuperblockStore {
  readonly #device: Device;
  readonly #arena: Arena;
  #current: Superblock;
  #newest: Superblock;
  #older: Superblock | undefined;
  #slot: number;
  #tail: Promise<void> = Promise.resolve();
  #failed: LvrError | undefined;
  /** Called once, when a write failed. It is final: which of the two superblocks a start would find is not known any more. */
  onFailed: ((error: LvrError) => void) | undefined;

  /** Gives each superblock that is written its high-water mark; until it is set they keep the one of the superblock before. */
  markOf: ((current: Superblock) => number) | undefined;

  /** `slot` holds the current superblock; the next write goes to the other one, which holds `older` if it is valid. */
  constructor(device: Device, arena: Arena, current: Superblock, slot: number, older?: Superblock) {
    this.#device = device;
    this.#arena = arena;
    this.#current = current;
    this.#newest = current;
    this.#older = older;
    this.#slot = slot;
  }

  /** The newest durable superblock. */
  get current(): Superblock {
    return this.#current;
  }

  /** The superblock that is being written, if one is, else the current one: the newest that a start could find. */
  get newest(): Superblock {
    return this.#newest;
  }

  /** What a start would find if the current one were lost; undefined: nothing, as far as is known. */
  get older(): Superblock | undefined {
    return this.#older;
  }

  /**
   * Writes the superblock that `change` makes of the current one (sequence is counted up here). The returned promise resolves when it is
   * durable; only then `current` shows it. Rejects with DEVICE_FAILED or DISK_FULL, and so does every later call.
   */
  update(change: (current: Superblock) => Superblock): Promise<void> {
    const write = this.#tail.then(async () => {
      if (this.#failed !== undefined) throw this.#failed;
      const next = { ...change(this.#current), sequence: this.#current.sequence + 1 };
      if (this.markOf !== undefined) next.highWater = this.markOf(this.#current);
      this.#newest = next;
      const slot = PLANTED === 'superblock-one-slot' ? 0 : 1 - this.#slot;
      encodeSuperblock(next, this.#arena.bytes.subarray(0, SUPERBLOCK_BYTES));
      await writeDurably(this.#device, this.#arena, 0, SUPERBLOCK_BYTES, slot * SUPERBLOCK_BYTES).catch((error: LvrError) => {
        this.#failed = error;
        this.onFailed?.(error);
        throw error;
      });
      this.#older = this.#current;
      this.#current = next;
      this.#slot = slot;
    });
    this.#tail = write.catch(() => undefined);
    return write;
  }
}
