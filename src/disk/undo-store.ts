// Old content of regions that a resync overwrites, so that a copy in mid-resync can be taken back to what it was before. Entries are only
// appended; format/undo-entry.ts has the layout, undo-reader.ts says which entries count after a start.
//
// Owner: this store owns the device's content. Which undo (UUID) counts, if any, is in the superblock; which regions are saved is known to
// the caller, who hears it again from open().
//
// The order that must be kept:
//  - begin() is durable before the superblock names the undo; a UUID is never begun twice.
//  - A region is read, saved, and overwritten only after save() has resolved. Saves resolve in order: an entry that was answered has no
//    predecessor that is not durable.
//  - Before rollback() begins, the superblock says that this resync does not go on: what was copied is gone from then on.
//  - What is behind the last entry that counts is made invalid by open(), before anything is appended.
//  - discard() comes when no superblock names the undo any more. Whatever of it a crash leaves counts for nobody.

import { assert } from '../core/assert.js';
import { isRegionBytes } from '../core/dirty-map.js';
import { LvrError } from '../core/errors.js';
import { BLOCK_BYTES, MIB } from '../core/limits.js';
import type { Arena, Crc32c, Device } from '../core/ports.js';
import { putUuid, type Uuid } from '../format/bytes.js';
import { putUndoEntry, putUndoHeader, readUndoHeader, UNDO_ENTRIES_AT, undoCapacity, undoEntryBytes } from '../format/undo-entry.js';
import { discardDevice, readDevice, writeDurably } from './promises.js';
import { type SavedVisitor, UNDO_IN_FLIGHT_MAX, UndoReader } from './undo-reader.js';

/** What the store needs of the process; LogMemory has it. */
export type UndoMemory = { readonly createArena: (lengthBytes: number) => Arena; readonly crc32c: Crc32c };

/** A range of a volume whose content is saved. */
export type SavedRange = { readonly volume: number; readonly offset: number; readonly length: number };

/** Entries that are saved with one write. Many, because each such write waits until the disk has emptied its cache. */
export const UNDO_SAVE_MAX = UNDO_IN_FLIGHT_MAX;

/** Given back at a time: a stop waits for no more. */
const DISCARD_BYTES = 256 * MIB;

type Save = {
  /** Sequence of the first entry. */
  readonly first: number;
  readonly ranges: readonly SavedRange[];
  readonly arena: Arena;
  readonly start: number;
  readonly resolve: () => void;
  readonly reject: (error: LvrError) => void;
  /** The device has let go of it. */
  isSettled: boolean;
};

export class UndoStore {
  readonly #device: Device;
  readonly #memory: UndoMemory;
  /** Memory for headers of the store, and for blocks that make an entry invalid. */
  readonly #headers: Arena;
  readonly #uuid = new Uint8Array(16);
  #regionBytes = 0;
  #capacity = 0;
  /** Sequence of the next save, and of the first one that is not durable. */
  #next = 0;
  #durable = 0;
  #waiting: Save[] = [];
  #inFlight: Save[] = [];
  #failed: LvrError | undefined;
  #discarding: Promise<void> = Promise.resolve();
  #ended = false;
  /** An undo is about to begin: it does not wait until all of the old one was given back. */
  #isWanted = false;

  constructor(device: Device, memory: UndoMemory) {
    this.#device = device;
    this.#memory = memory;
    this.#headers = memory.createArena(UNDO_ENTRIES_AT);
  }

  /** Size of a device for this many entries. */
  static sizeBytes(entries: number, regionBytes: number): number {
    return UNDO_ENTRIES_AT + entries * undoEntryBytes(regionBytes);
  }

  /** Entries that are durable, and how many there is room for. */
  get entries(): number {
    return this.#durable;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Why nothing is saved any more. */
  get failed(): LvrError | undefined {
    return this.#failed;
  }

  /** After a failure for lack of space: it may be begun or opened again. No save may be under way. */
  retry(): void {
    if (!isUndoFull(this.#failed)) return;
    assert(this.#waiting.length + this.#inFlight.length === 0, 'no save is under way');
    this.#failed = undefined;
    this.#regionBytes = 0;
  }

  /** Begins an undo with a UUID of its own; whatever the store held is gone. Rejects with DEVICE_FAILED, DISK_FULL or UNDO_FULL. */
  async begin(uuid: Uuid, regionBytes: number): Promise<void> {
    assert(isRegionBytes(regionBytes), 'a region is a power of two from 4 KiB to 4 MiB');
    assert(this.#waiting.length + this.#inFlight.length === 0, 'no save is under way');
    this.#isWanted = true;
    await this.#discarding;
    this.#isWanted = false;
    if (this.#failed !== undefined) throw this.#failed;
    this.#become(uuid, regionBytes, 0);
    if (this.#capacity === 0) throw this.#full();
    putUndoHeader(this.#headers.bytes, 0, this.#uuid, regionBytes);
    for (const copy of [0, 1]) await this.#writeFinally(this.#headers, 0, BLOCK_BYTES, copy * BLOCK_BYTES);
  }

  /**
   * Saves the content of ranges, each no longer than a region, with one write. Their memory is as the disk has it: entry i stands at
   * arena[start + i * undoEntryBytes()], a block for its header and behind it the content. Resolves when they and all before them are
   * durable; the memory is written along, and must not change before. Rejects with UNDO_FULL when there is no room for all, which changes
   * nothing, and with DEVICE_FAILED or DISK_FULL, which is final.
   */
  save(ranges: readonly SavedRange[], arena: Arena, start: number): Promise<void> {
    assert(this.#regionBytes > 0, 'an undo has begun');
    assert(ranges.length > 0 && ranges.length <= UNDO_SAVE_MAX, 'a save is one write of some entries');
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    if (this.#next + ranges.length > this.#capacity) return Promise.reject(this.#full());
    const first = this.#next;
    this.#next += ranges.length;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ first, ranges, arena, start, resolve, reject, isSettled: false });
      this.#start();
    });
  }

  /**
   * Takes up the undo with this UUID after a start; `onSaved` hears of every range that is saved. False: the store does not hold this undo.
   * Rejects with UNDO_CORRUPT, with nothing changed, when saved content is provably missing, and with DEVICE_FAILED.
   */
  async open(uuid: Uuid, volumes: readonly Device[], onSaved: SavedVisitor): Promise<boolean> {
    assert(this.#regionBytes === 0, 'a store is opened before anything else');
    if (this.#device.sizeBytes < UNDO_ENTRIES_AT) return false;
    await readDevice(this.#device, this.#headers, 0, UNDO_ENTRIES_AT, 0);
    const wanted = new Uint8Array(16);
    putUuid(wanted, 0, uuid);
    const { bytes } = this.#headers;
    const regionBytes = readUndoHeader(bytes, 0, wanted) ?? readUndoHeader(bytes, BLOCK_BYTES, wanted);
    if (regionBytes === undefined) return false;
    const { entries, strays } = await this.#reader(wanted, regionBytes, volumes).scan(onSaved);
    bytes.fill(0, 0, BLOCK_BYTES);
    for (const stray of strays) {
      await this.#writeFinally(this.#headers, 0, BLOCK_BYTES, UNDO_ENTRIES_AT + stray * undoEntryBytes(regionBytes));
    }
    this.#become(uuid, regionBytes, entries);
    return true;
  }

  /** Reads everything saved. Rejects with UNDO_CORRUPT or DEVICE_FAILED. No save may be under way. */
  async check(volumes: readonly Device[]): Promise<void> {
    await this.#reader(this.#uuid, this.#regionBytes, volumes).check(this.#durable);
  }

  /**
   * Writes everything saved back and flushes the volumes: they are as they were when the undo began. Everything is checked first: rejects
   * with UNDO_CORRUPT with nothing changed. After DEVICE_FAILED or a crash it is to be done again. No save may be under way.
   */
  async rollback(volumes: readonly Device[]): Promise<void> {
    assert(this.#regionBytes > 0, 'an undo has begun');
    assert(this.#waiting.length + this.#inFlight.length === 0, 'no save is under way');
    await this.#reader(this.#uuid, this.#regionBytes, volumes).rollback(this.#durable);
  }

  /** Nothing saved counts any more: the space goes back to the file system, meanwhile. No save may be under way. */
  discard(): void {
    assert(this.#waiting.length + this.#inFlight.length === 0, 'no save is under way');
    this.#regionBytes = 0;
    this.#discarding = this.#discarding
      .then(() => this.#discard())
      .catch((error: unknown) => {
        // What cannot be given back is overwritten by the next undo.
        if (!(error instanceof LvrError)) throw error;
      });
  }

  /** Nothing is discarded any more; resolves when nothing is being. Before the device is closed. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#discarding;
  }

  async #discard(): Promise<void> {
    const { sizeBytes } = this.#device;
    for (let at = 0; at < sizeBytes && !this.#ended && !this.#isWanted; ) {
      const run = this.#device.extents(at, sizeBytes - at, 1)[0];
      // Whole blocks, whatever the file system counts in.
      const blocks = Math.max(1, Math.ceil((run?.length ?? sizeBytes) / BLOCK_BYTES));
      const length = Math.min(blocks * BLOCK_BYTES, DISCARD_BYTES, sizeBytes - at);
      if (run?.zero !== true) await discardDevice(this.#device, at, length);
      at += length;
    }
  }

  #become(uuid: Uuid, regionBytes: number, entries: number): void {
    putUuid(this.#uuid, 0, uuid);
    this.#regionBytes = regionBytes;
    this.#capacity = undoCapacity(this.#device.sizeBytes, regionBytes);
    this.#next = entries;
    this.#durable = entries;
  }

  #reader(uuid: Uint8Array, regionBytes: number, volumes: readonly Device[]): UndoReader {
    return new UndoReader({ device: this.#device, ...this.#memory, uuid, regionBytes, volumes });
  }

  /** Begins the writes of as many saves as a reader expects to be in flight. */
  #start(): void {
    for (let save = this.#waiting[0]; save !== undefined; save = this.#waiting[0]) {
      if (save.first + save.ranges.length > this.#durable + UNDO_IN_FLIGHT_MAX) return;
      this.#waiting.shift();
      this.#inFlight.push(save);
      void this.#write(save);
    }
  }

  async #write(save: Save): Promise<void> {
    const { first, ranges, arena, start } = save;
    const entryBytes = undoEntryBytes(this.#regionBytes);
    for (const [i, { volume, offset, length }] of ranges.entries()) {
      assert(length > 0 && length <= this.#regionBytes, 'an entry holds a region at most');
      const at = start + i * entryBytes;
      const payloadCrc = this.#memory.crc32c(arena.bytes, at + BLOCK_BYTES, length);
      const entry = { sequence: first + i, durable: this.#durable, volume, offset, length, payloadCrc };
      putUndoEntry(arena.bytes, at, entry, this.#uuid);
    }
    await this.#writeFinally(arena, start, ranges.length * entryBytes, UNDO_ENTRIES_AT + first * entryBytes).catch(() => undefined);
    save.isSettled = true;
    this.#answer();
  }

  /** Answers what can be: everything durable in order, or, after a failure, everything that the device has let go of. */
  #answer(): void {
    const failure = this.#failed;
    if (failure !== undefined) {
      const ended = [...this.#inFlight.filter((save) => save.isSettled), ...this.#waiting];
      this.#inFlight = this.#inFlight.filter((save) => !save.isSettled);
      this.#waiting = [];
      for (const save of ended) save.reject(failure);
      return;
    }
    while (this.#inFlight[0]?.isSettled === true) {
      const save = this.#inFlight.shift() as Save;
      this.#durable += save.ranges.length;
      save.resolve();
    }
    this.#start();
  }

  /** A durable write after whose failure nothing is written any more. */
  async #writeFinally(arena: Arena, start: number, length: number, offset: number): Promise<void> {
    try {
      await writeDurably(this.#device, arena, start, length, offset);
    } catch (error) {
      this.#failed ??= error as LvrError;
      throw error;
    }
  }

  #full(): LvrError {
    return new LvrError('UNDO_FULL', `undo ${this.#device.path}: all ${this.#capacity} places are taken`, {
      hint: 'give the undo more space; without it a copy in mid-resync cannot be promoted',
      details: { capacity: this.#capacity },
    });
  }
}

/** True when nothing can be saved for lack of space, which may come. */
export function isUndoFull(error: unknown): boolean {
  return error instanceof LvrError && (error.code === 'UNDO_FULL' || error.code === 'DISK_FULL');
}
