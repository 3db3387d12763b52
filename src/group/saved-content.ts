// What a resync overwrites, saved in the undo store before it is overwritten; and what of it is saved already.

import { DirtyMap } from '../core/dirty-map.js';
import { BLOCK_BYTES, KIB } from '../core/limits.js';
import type { Arena, Device } from '../core/ports.js';
import type { CreateArena } from '../disk/batch-pool.js';
import { readDeviceOnce } from '../disk/promises.js';
import { type SavedRange, UNDO_SAVE_MAX, type UndoStore } from '../disk/undo-store.js';
import type { RegionMeta } from '../format/frame.js';
import { undoEntryBytes } from '../format/undo-entry.js';

/** Unit in which old content is saved. */
export const UNDO_UNIT_BYTES = 64 * KIB;
/** Saves under way, each of as many units as the store writes at once: while one is written the content for the other is read. */
const SAVES_MAX = 2;
const SLOT_BYTES = UNDO_SAVE_MAX * undoEntryBytes(UNDO_UNIT_BYTES);

export class SavedContent {
  readonly #store: UndoStore | undefined;
  readonly #devices: readonly Device[];
  readonly #createArena: CreateArena;
  #arena: Arena | undefined;
  /** Where in the arena a save finds room. */
  readonly #slots = Array.from({ length: SAVES_MAX }, (_, i) => i * SLOT_BYTES);
  /** Units that are saved; undefined while nothing is to be saved. */
  #saved: DirtyMap | undefined;
  /** Units that are being saved, by volume. */
  readonly #saving: Set<number>[];

  /** `store` undefined: nothing is ever saved. */
  constructor(store: UndoStore | undefined, devices: readonly Device[], createArena: CreateArena) {
    this.#store = store;
    this.#devices = devices;
    this.#createArena = createArena;
    this.#saving = devices.map(() => new Set());
  }

  /** Something can be saved at all. */
  get hasStore(): boolean {
    return this.#store !== undefined;
  }

  /** Saves under way. */
  get saves(): number {
    return SAVES_MAX - this.#slots.length;
  }

  /** Begins anew, durably. Rejects as UndoStore.begin(). */
  async begin(uuid: string): Promise<void> {
    this.#store?.retry();
    await this.#store?.begin(uuid, UNDO_UNIT_BYTES);
    this.#saved = this.#newMap();
  }

  /** Learns what the store holds; false when it does not hold this undo. `isOptional`: or cannot be read. */
  async open(uuid: string, isOptional = false): Promise<boolean> {
    // What was being saved when there was no room counts only after a look at what got there.
    if (this.#store?.failed !== undefined) this.#saved = undefined;
    this.#store?.retry();
    if (this.#saved !== undefined) return true;
    const saved = this.#newMap();
    const opened = this.#store?.open(uuid, this.#devices, (volume, offset, length) => saved.mark(volume, offset, length));
    const isThere = (await (isOptional ? opened?.catch(() => false) : opened)) === true;
    if (isThere) this.#saved = saved;
    return isThere;
  }

  /** Nothing is to be saved any more, and no superblock names what was. */
  forget(): void {
    this.#saved = undefined;
    if (this.saves === 0) this.#store?.discard();
  }

  /** Part of what a piece is to overwrite is not saved and must be. */
  lacks({ volume, offset, length }: RegionMeta): boolean {
    const saved = this.#saved;
    if (saved === undefined) return false;
    const last = Math.floor((offset + length - 1) / UNDO_UNIT_BYTES);
    for (let unit = Math.floor(offset / UNDO_UNIT_BYTES); unit <= last; unit++) if (!saved.isDirty(volume, unit)) return true;
    return false;
  }

  /** Nothing of a piece was overwritten since the undo store was begun. False also where nothing is known of that. */
  isUntouched({ volume, offset, length }: RegionMeta): boolean {
    const saved = this.#saved;
    if (saved === undefined) return false;
    const last = Math.floor((offset + length - 1) / UNDO_UNIT_BYTES);
    for (let unit = Math.floor(offset / UNDO_UNIT_BYTES); unit <= last; unit++) if (saved.isDirty(volume, unit)) return false;
    return true;
  }

  /**
   * Begins to save, durably, what the first of these pieces are to overwrite, as much as goes at once. Undefined: nothing is to be begun
   * now. Rejects as UndoStore.save(), or when a volume cannot be read.
   */
  save(pieces: Iterable<RegionMeta>): Promise<void> | undefined {
    const slot = this.#slots.at(-1);
    if (slot === undefined) return undefined;
    const ranges = this.#nextRanges(pieces);
    // A small save waits for the one before it, and grows meanwhile.
    if (ranges.length === 0 || (this.saves > 0 && ranges.length < UNDO_SAVE_MAX)) return undefined;
    this.#slots.pop();
    for (const { volume, offset } of ranges) this.#saving[volume]?.add(offset / UNDO_UNIT_BYTES);
    return this.#save(ranges, slot).finally(() => {
      for (const { volume, offset } of ranges) this.#saving[volume]?.delete(offset / UNDO_UNIT_BYTES);
      this.#slots.push(slot);
      if (this.#saved === undefined && this.saves === 0) this.#store?.discard();
    });
  }

  /** Units of pieces that are neither saved nor being saved. */
  #nextRanges(pieces: Iterable<RegionMeta>): SavedRange[] {
    const saved = this.#saved;
    const ranges: SavedRange[] = [];
    if (saved === undefined) return ranges;
    const chosen = new Set<number>();
    for (const { volume, offset, length } of pieces) {
      const { sizeBytes } = this.#devices[volume] as Device;
      const end = Math.ceil((offset + length) / UNDO_UNIT_BYTES);
      for (let unit = Math.floor(offset / UNDO_UNIT_BYTES); unit < end; unit++) {
        const key = unit * this.#devices.length + volume;
        if (saved.isDirty(volume, unit) || this.#saving[volume]?.has(unit) === true || chosen.has(key)) continue;
        if (ranges.length === UNDO_SAVE_MAX) return ranges;
        chosen.add(key);
        const at = unit * UNDO_UNIT_BYTES;
        ranges.push({ volume, offset: at, length: Math.min(UNDO_UNIT_BYTES, sizeBytes - at) });
      }
    }
    return ranges;
  }

  async #save(ranges: readonly SavedRange[], slot: number): Promise<void> {
    const saved = this.#saved as DirtyMap;
    this.#arena ??= this.#createArena(SAVES_MAX * SLOT_BYTES);
    const arena = this.#arena;
    const reads = ranges.map(({ volume, offset, length }, i) => {
      const at = slot + i * undoEntryBytes(UNDO_UNIT_BYTES) + BLOCK_BYTES;
      return readDeviceOnce(this.#devices[volume] as Device, arena, at, length, offset);
    });
    // All of them end before the memory is used again; the first failure counts.
    for (const { reason } of (await Promise.allSettled(reads)) as { reason?: unknown }[]) if (reason !== undefined) throw reason;
    await (this.#store as UndoStore).save(ranges, arena, slot);
    for (const { volume, offset, length } of ranges) saved.mark(volume, offset, length);
  }

  /** Rejects with UNDO_CORRUPT when something saved could not be put back. */
  async check(): Promise<void> {
    await this.#store?.check(this.#devices);
  }

  /** Puts everything saved back and flushes the volumes. Rejects as UndoStore.rollback(). */
  async putBack(): Promise<void> {
    await this.#store?.rollback(this.#devices);
  }

  #newMap(): DirtyMap {
    return new DirtyMap(
      this.#devices.map((device) => device.sizeBytes),
      UNDO_UNIT_BYTES,
    );
  }
}
