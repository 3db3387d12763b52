// The dirty bitmaps of a group's sites on disk. A slot holds one bitmap in two copies, A and B, of all its pages; slot s begins at s times
// the size of a slot, copy A first, pages in order.
//
// Owner: this store owns the device's content; which slot holds which bitmap (UUID) and whether it counts is in the superblock.
//
// The order that must be kept, and why it is safe:
//  - flush() writes the changed pages to A, and when all of those are durable, to B. While one copy of a page is in doubt the other is
//    whole, so a power cut never costs a page. load() keeps that true: a copy B that it finds damaged is written anew before A can be
//    touched.
//  - A region is dirty when either copy says so. A bit that was set and of which only one copy arrived is kept; one that was cleared and is
//    still set in one copy costs a region copied once more. Both are on the safe side.
//  - A page of which A was torn and B is old lacks bits that were just being set. That flush was not complete, and nobody relies on one
//    that is not: the log keeps the records it was for, and a start marks their regions again.
//  - So: flush, then the superblock that moves the log on, then the log's space. And before the first bit is cleared (DirtyMap.done) the
//    superblock says "started", because a page with that bit clear may become durable at any time after.
//  - create() overwrites what the slot held: only when no superblock that a start could find refers to it.
//  - Where the pages stand depends on the size of the regions. After a start with another size the old pages stay in places that the new
//    ones do not take, and would be valid, and out of date, for a start with the old size: renew() leaves nothing of them.

import { assert } from '../core/assert.js';
import { DIRTY_PAGE_BYTES, type DirtyMap, dirtyPages } from '../core/dirty-map.js';
import type { LvrError } from '../core/errors.js';
import { SITES_PER_GROUP_MAX } from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import type { Arena, Crc32c, Device } from '../core/ports.js';
import { BITMAP_BITS_AT, BITMAP_PAGE_BYTES, type BitmapPage, decodeBitmapPage, encodeBitmapPage } from '../format/bitmap-page.js';
import { putUuid, type Uuid } from '../format/bytes.js';
import { readDevice, syncDevice, writeDurably, zeroDevice } from './promises.js';

/** Pages written or read at a time. */
const ROUND_PAGES = 32;

/** What the store needs of the process; LogMemory has it. */
export type BitmapMemory = { readonly createArena: (lengthBytes: number) => Arena; readonly crc32c: Crc32c };

/** What load() found. `badPages`: neither copy was valid, all their regions count as dirty. */
export type LoadedBitmap = { readonly badPages: number };

export class BitmapStore {
  readonly #device: Device;
  readonly #crc32c: Crc32c;
  readonly #regionBytes: number;
  readonly #pages: number;
  /** Room for ROUND_PAGES of copy A, then as much for copy B. */
  readonly #arena: Arena;
  #tail: Promise<unknown> = Promise.resolve();
  #failed: LvrError | undefined;
  /** Pages that load() found without a valid copy. */
  #badPages = 0;
  /** Called once, when a write failed. It is final: what the copies hold is not known any more, and a start reads them. */
  onFailed: ((error: LvrError) => void) | undefined;

  /** For volumes of these sizes; the device has at least sizeBytes(). */
  constructor(device: Device, memory: BitmapMemory, volumeBytes: readonly number[], regionBytes: number) {
    assert(device.sizeBytes >= BitmapStore.sizeBytes(volumeBytes, regionBytes), 'the bitmaps fit the device');
    this.#device = device;
    this.#crc32c = memory.crc32c;
    this.#regionBytes = regionBytes;
    this.#pages = dirtyPages(volumeBytes, regionBytes);
    this.#arena = memory.createArena(2 * ROUND_PAGES * BITMAP_PAGE_BYTES);
  }

  /** Size of the device for the bitmaps of all the sites a group can have. */
  static sizeBytes(volumeBytes: readonly number[], regionBytes: number): number {
    return SITES_PER_GROUP_MAX * 2 * dirtyPages(volumeBytes, regionBytes) * BITMAP_PAGE_BYTES;
  }

  /** Why nothing is written any more. */
  get failed(): LvrError | undefined {
    return this.#failed;
  }

  /** Begins a bitmap with the content of the map; resolves when every page of both copies is durable. Rejects as flush() does. */
  create(slot: number, uuid: Uuid, map: DirtyMap): Promise<void> {
    return this.#inTurn(async () => {
      map.takeChangedPages();
      await this.#write(
        slot,
        map,
        uuid,
        Array.from({ length: this.#pages }, (_, page) => page),
      );
    });
  }

  /**
   * Makes every bit that changed before this call durable in both copies. Calls are served one after another; what changes while one is
   * served belongs to the next. Rejects with DEVICE_FAILED or DISK_FULL, and so does every later call.
   */
  flush(slot: number, map: DirtyMap, uuid: Uuid): Promise<void> {
    return this.#inTurn(() => this.#write(slot, map, uuid, map.takeChangedPages()));
  }

  /**
   * Adds to the map what the bitmap holds: the regions that either copy of a page says are dirty, all of a page without a valid copy. The
   * next flush writes again whatever the copies do not agree on. Rejects with DEVICE_FAILED.
   */
  load(slot: number, map: DirtyMap, uuid: Uuid): Promise<LoadedBitmap> {
    return this.#inTurn(async () => {
      this.#check(slot, map);
      let badPages = 0;
      for (let first = 0; first < this.#pages; first += ROUND_PAGES) {
        badPages += await this.#loadRound(slot, map, uuid, first, Math.min(ROUND_PAGES, this.#pages - first));
      }
      this.#badPages += badPages;
      return { badPages };
    });
  }

  /**
   * After every bitmap was loaded: where one had bad pages, as all of them are when the regions had another size, nothing is left on the
   * device but these bitmaps as they are now. Until the first of their bits may be cleared; a crash in between makes them all dirty.
   * Rejects as flush() does.
   */
  async renew(bitmaps: readonly { readonly slot: number; readonly map: DirtyMap; readonly uuid: Uuid }[]): Promise<void> {
    if (this.#badPages === 0) return;
    await this.#inTurn(() => this.#settle([zeroDevice(this.#device, 0, this.#device.sizeBytes, true)]));
    for (const { slot, map, uuid } of bitmaps) await this.create(slot, uuid, map);
    await this.#inTurn(() => this.#settle([syncDevice(this.#device)]));
    this.#badPages = 0;
  }

  async #loadRound(slot: number, map: DirtyMap, uuid: Uuid, first: number, count: number): Promise<number> {
    const { bytes } = this.#arena;
    const length = count * BITMAP_PAGE_BYTES;
    await readDevice(this.#device, this.#arena, startOf('a', 0), length, this.#offset(slot, 'a', first));
    await readDevice(this.#device, this.#arena, startOf('b', 0), length, this.#offset(slot, 'b', first));
    let badPages = 0;
    const damaged: number[] = [];
    for (let i = 0; i < count; i++) {
      const expected = this.#page(first + i, uuid);
      const a = startOf('a', i);
      const b = startOf('b', i);
      const isAValid = decodeBitmapPage(bytes, a, expected, this.#crc32c) === 'valid';
      const isBValid = decodeBitmapPage(bytes, b, expected, this.#crc32c) === 'valid';
      if (isAValid) map.mergePage(first + i, bytes, a + BITMAP_BITS_AT);
      if (isBValid) map.mergePage(first + i, bytes, b + BITMAP_BITS_AT);
      if (!isAValid && !isBValid) {
        if (PLANTED !== 'bad-bitmap-page-clean') map.markPage(first + i);
        badPages++;
      }
      if (isAValid && !isBValid) damaged.push(i);
      if (!isAValid || !isBValid || !isSame(bytes, a, b)) map.touchPage(first + i);
    }
    await this.#settle(
      damaged.map((i) => writeDurably(this.#device, this.#arena, startOf('a', i), BITMAP_PAGE_BYTES, this.#offset(slot, 'b', first + i))),
    );
    return badPages;
  }

  /** Writes these pages, ascending, to copy A, then to copy B. */
  async #write(slot: number, map: DirtyMap, uuid: Uuid, pages: readonly number[]): Promise<void> {
    this.#check(slot, map);
    for (const copy of ['a', 'b'] as const) {
      for (let at = 0; at < pages.length; at += ROUND_PAGES) {
        await this.#writeRound(slot, copy, map, uuid, pages.slice(at, at + ROUND_PAGES));
      }
    }
  }

  /** Pages beside each other go in one write. */
  async #writeRound(slot: number, copy: 'a' | 'b', map: DirtyMap, uuid: Uuid, pages: readonly number[]): Promise<void> {
    const writes: Promise<void>[] = [];
    for (const [i, page] of pages.entries()) {
      encodeBitmapPage(this.#arena.bytes, startOf('a', i), this.#page(page, uuid), map.pageBits(page), this.#crc32c);
    }
    for (let i = 0; i < pages.length; ) {
      const page = pages[i] as number;
      let end = i + 1;
      while (end < pages.length && pages[end] === page + (end - i)) end++;
      const length = (end - i) * BITMAP_PAGE_BYTES;
      writes.push(writeDurably(this.#device, this.#arena, startOf('a', i), length, this.#offset(slot, copy, page)));
      i = end;
    }
    await this.#settle(writes);
  }

  /** Waits for all of them, so that nothing uses the arena after; a failure is final. */
  async #settle(writes: readonly Promise<void>[]): Promise<void> {
    const failure = (await Promise.allSettled(writes)).find((result) => result.status === 'rejected');
    if (failure === undefined) return;
    this.#failed = failure.reason as LvrError;
    this.onFailed?.(this.#failed);
    throw this.#failed;
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const turn = this.#tail.then(() => {
      if (this.#failed !== undefined) throw this.#failed;
      return work();
    });
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  #page(page: number, uuid: Uuid): BitmapPage {
    const bytes = new Uint8Array(16);
    putUuid(bytes, 0, uuid);
    return { page, regionBytes: this.#regionBytes, uuid: bytes };
  }

  #offset(slot: number, copy: 'a' | 'b', page: number): number {
    return (slot * 2 * this.#pages + (copy === 'a' ? 0 : this.#pages) + page) * BITMAP_PAGE_BYTES;
  }

  #check(slot: number, map: DirtyMap): void {
    assert(slot >= 0 && slot < SITES_PER_GROUP_MAX, 'the slot exists');
    assert(map.pageCount === this.#pages && map.regionBytes === this.#regionBytes, 'the map is one of these volumes');
  }
}

/** Where page `i` of a round stands in the arena. */
function startOf(copy: 'a' | 'b', i: number): number {
  return ((copy === 'a' ? 0 : ROUND_PAGES) + i) * BITMAP_PAGE_BYTES;
}

function isSame(bytes: Uint8Array, a: number, b: number): boolean {
  for (let i = 0; i < DIRTY_PAGE_BYTES; i++) if (bytes[a + BITMAP_BITS_AT + i] !== bytes[b + BITMAP_BITS_AT + i]) return false;
  return true;
}
