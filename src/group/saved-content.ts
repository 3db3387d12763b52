// What a resync overwrites, saved in the undo store before it is overwritten; and what of it is saved already.

import { DirtyMap } from '../core/dirty-map.js';
import { KIB, RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import type { Arena, Device } from '../core/ports.js';
import type { CreateArena } from '../disk/batch-pool.js';
import { readDevice } from '../disk/promises.js';
import type { UndoStore } from '../disk/undo-store.js';
import type { RegionMeta } from '../format/frame.js';

/** Unit in which old content is saved. */
export const UNDO_UNIT_BYTES = 64 * KIB;

export class SavedContent {
  readonly #store: UndoStore | undefined;
  readonly #devices: readonly Device[];
  readonly #createArena: CreateArena;
  #arena: Arena | undefined;
  /** Units that are saved; undefined while nothing is to be saved. */
  #saved: DirtyMap | undefined;

  /** `store` undefined: nothing is ever saved. */
  constructor(store: UndoStore | undefined, devices: readonly Device[], createArena: CreateArena) {
    this.#store = store;
    this.#devices = devices;
    this.#createArena = createArena;
  }

  /** Something can be saved at all. */
  get hasStore(): boolean {
    return this.#store !== undefined;
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

  /** Nothing is to be saved any more. */
  forget(): void {
    this.#saved = undefined;
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

  /** Saves what a piece is to overwrite, durably; one at a time. Rejects as UndoStore.save(), or when the volume cannot be read. */
  async save({ volume, offset, length }: RegionMeta): Promise<void> {
    const saved = this.#saved as DirtyMap;
    const device = this.#devices[volume] as Device;
    this.#arena ??= this.#createArena(RECORD_PAYLOAD_BYTES_MAX);
    const end = Math.ceil((offset + length) / UNDO_UNIT_BYTES);
    for (let unit = Math.floor(offset / UNDO_UNIT_BYTES); unit < end; ) {
      if (saved.isDirty(volume, unit)) {
        unit++;
        continue;
      }
      let to = unit;
      while (to < end && !saved.isDirty(volume, to) && (to + 1 - unit) * UNDO_UNIT_BYTES <= RECORD_PAYLOAD_BYTES_MAX) to++;
      const at = unit * UNDO_UNIT_BYTES;
      const bytes = Math.min(to * UNDO_UNIT_BYTES, device.sizeBytes) - at;
      await readDevice(device, this.#arena, 0, bytes, at);
      const saves: Promise<void>[] = [];
      for (let start = 0; start < bytes; start += UNDO_UNIT_BYTES) {
        const unitBytes = Math.min(UNDO_UNIT_BYTES, bytes - start);
        saves.push((this.#store as UndoStore).save(volume, at + start, unitBytes, this.#arena, start));
      }
      // All of them end before the memory is used again; the first failure counts.
      for (const { reason } of (await Promise.allSettled(saves)) as { reason?: unknown }[]) if (reason !== undefined) throw reason;
      saved.mark(volume, at, bytes);
      unit = to;
    }
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
