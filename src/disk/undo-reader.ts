// Reads an undo store: which entries count after a start, and writing their content back.
//
// Owner: nothing; it changes no entry, and volumes only in rollback().
//
// Which entries count. A save is answered only when its entry and all before it are durable, and a region is overwritten only after that.
// So every region that may have been overwritten is in the unbroken run of whole entries at the beginning, unless something there is
// damaged. Where the run ends, the entry is either one that was being written at a crash, which nobody relied on, or a durable one that is
// damaged. Two things prove the second, and then nothing counts (UNDO_CORRUPT):
//  - an entry further on says in its header that this one was durable. At most UNDO_IN_FLIGHT_MAX entries are written at a time, so one
//    that is that much further on always does: damage is found for certain unless it is among the last UNDO_IN_FLIGHT_MAX entries.
//  - there is a header further on (or its own, before a damaged payload), and the volume does not hold any more what that header says was
//    there. The region was overwritten, so that entry, and with it this one, had been durable.
// What no store can prove: that the header of the very last entry was damaged, when nothing stands behind it.

import { LvrError } from '../core/errors.js';
import { BLOCK_BYTES } from '../core/limits.js';
import type { Arena, Crc32c, Device } from '../core/ports.js';
import { readUndoEntry, UNDO_ENTRIES_AT, type UndoEntry, undoCapacity, undoEntryBytes } from '../format/undo-entry.js';
import { readDevice, syncDevice, writeDevice } from './promises.js';

/** Entries that are written at the same time, at most. */
export const UNDO_IN_FLIGHT_MAX = 64;
/** Entries that are read at the same time. */
const LANES = 4;

/** Told of every saved range. */
export type SavedVisitor = (volume: number, offset: number, length: number) => void;

/** `strays`: places behind the end whose headers are valid; no one relied on them, and they must not count later. */
export type UndoScan = { readonly entries: number; readonly strays: readonly number[] };

export class UndoReader {
  readonly #device: Device;
  readonly #crc32c: Crc32c;
  readonly #uuid: Uint8Array;
  readonly #regionBytes: number;
  readonly #capacity: number;
  readonly #volumes: readonly Device[];
  /** Headers of a round; one entry for each lane behind them. */
  readonly #arena: Arena;

  constructor(parts: {
    device: Device;
    crc32c: Crc32c;
    createArena: (lengthBytes: number) => Arena;
    uuid: Uint8Array;
    regionBytes: number;
    volumes: readonly Device[];
  }) {
    this.#device = parts.device;
    this.#crc32c = parts.crc32c;
    this.#uuid = parts.uuid;
    this.#regionBytes = parts.regionBytes;
    this.#capacity = undoCapacity(parts.device.sizeBytes, parts.regionBytes);
    this.#volumes = parts.volumes;
    this.#arena = parts.createArena(UNDO_IN_FLIGHT_MAX * BLOCK_BYTES + LANES * undoEntryBytes(parts.regionBytes));
  }

  /** Finds the entries that count, changes nothing. Rejects with UNDO_CORRUPT or DEVICE_FAILED. */
  async scan(onSaved: SavedVisitor): Promise<UndoScan> {
    const tail: UndoEntry[] = [];
    let gap = 0;
    for (let isWhole = true; isWhole && gap < this.#capacity; ) {
      for (const header of await this.#headers(gap)) {
        isWhole = header !== undefined;
        if (header === undefined) break;
        gap++;
        tail.push(header);
        // An entry this far behind is known durable by the newest one.
        const known = tail.length > UNDO_IN_FLIGHT_MAX ? tail.shift() : undefined;
        if (known !== undefined) onSaved(known.volume, known.offset, known.length);
      }
    }
    const vouched = tail.at(-1)?.durable ?? 0;
    let end = gap;
    for (const entry of tail) {
      if (entry.sequence < vouched || (await this.#isWhole(entry))) continue;
      end = entry.sequence;
      break;
    }
    const behind = (await this.#headers(gap + 1)).filter((header) => header !== undefined);
    const strays = [...tail.filter((entry) => entry.sequence >= end), ...behind];
    for (const stray of strays) await this.#judge(stray, end);
    for (const entry of tail) if (entry.sequence < end) onSaved(entry.volume, entry.offset, entry.length);
    return { entries: end, strays: strays.map((stray) => stray.sequence) };
  }

  /** Reads the first `entries` saved contents. */
  check(entries: number): Promise<void> {
    return this.#inLanes(entries, (sequence, lane) => this.#readEntry(sequence, lane));
  }

  /**
   * Writes the first `entries` saved contents back and flushes the volumes. All are checked before the first is written. Rejects with
   * UNDO_CORRUPT or DEVICE_FAILED; after an interruption it is done again from the beginning, which gives the same.
   */
  async rollback(entries: number): Promise<void> {
    await this.check(entries);
    await this.#inLanes(entries, async (sequence, lane) => {
      const entry = await this.#readEntry(sequence, lane);
      const volume = this.#volumes[entry.volume] as Device;
      await writeDevice(volume, this.#arena, laneStart(lane, this.#regionBytes) + BLOCK_BYTES, entry.length, entry.offset);
    });
    await Promise.all(this.#volumes.map(syncDevice));
  }

  /** Calls `work` for every sequence below `entries`, a few at a time; after a failure the rest is left. */
  async #inLanes(entries: number, work: (sequence: number, lane: number) => Promise<unknown>): Promise<void> {
    let next = 0;
    const lanes = Array.from({ length: LANES }, async (_, lane) => {
      while (next < entries) {
        const sequence = next++;
        await work(sequence, lane).catch((error) => {
          next = entries;
          throw error;
        });
      }
    });
    const failure = (await Promise.allSettled(lanes)).find((result) => result.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }

  /** Reads an entry that counts into the memory of a lane. */
  async #readEntry(sequence: number, lane: number): Promise<UndoEntry> {
    const start = laneStart(lane, this.#regionBytes);
    await readDevice(this.#device, this.#arena, start, undoEntryBytes(this.#regionBytes), this.#offset(sequence));
    const entry = this.#accept(start, sequence);
    if (entry === undefined) throw this.#corrupt(sequence, 'its header is damaged');
    if (this.#crc32c(this.#arena.bytes, start + BLOCK_BYTES, entry.length) !== entry.payloadCrc) {
      throw this.#corrupt(sequence, 'its content is damaged');
    }
    return entry;
  }

  /** The headers from `first` on, as many as can be in flight; undefined where there is none. */
  async #headers(first: number): Promise<(UndoEntry | undefined)[]> {
    const count = Math.max(0, Math.min(UNDO_IN_FLIGHT_MAX, this.#capacity - first));
    const places = Array.from({ length: count }, (_, i) => i);
    const reads = places.map((i) => readDevice(this.#device, this.#arena, i * BLOCK_BYTES, BLOCK_BYTES, this.#offset(first + i)));
    const failure = (await Promise.allSettled(reads)).find((result) => result.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
    return places.map((i) => this.#accept(i * BLOCK_BYTES, first + i));
  }

  /** The header at `start` when it is that of entry `sequence`. */
  #accept(start: number, sequence: number): UndoEntry | undefined {
    const entry = readUndoEntry(this.#arena.bytes, start, this.#uuid);
    if (entry === undefined || entry.sequence !== sequence || entry.length > this.#regionBytes) return undefined;
    const isThere = entry.offset + entry.length <= (this.#volumes[entry.volume]?.sizeBytes ?? 0);
    if (!isThere) throw this.#corrupt(sequence, `the range it is of does not exist on volume ${entry.volume}`);
    return entry;
  }

  async #isWhole(entry: UndoEntry): Promise<boolean> {
    const start = laneStart(0, this.#regionBytes) + BLOCK_BYTES;
    await readDevice(this.#device, this.#arena, start, this.#regionBytes, this.#offset(entry.sequence) + BLOCK_BYTES);
    return this.#crc32c(this.#arena.bytes, start, entry.length) === entry.payloadCrc;
  }

  /** Throws when a header behind the end proves that entry `end` was durable. */
  async #judge(stray: UndoEntry, end: number): Promise<void> {
    if (stray.durable > end) throw this.#corrupt(end, `it is damaged, and entry ${stray.sequence} says that it was durable`);
    const start = laneStart(0, this.#regionBytes) + BLOCK_BYTES;
    const volume = this.#volumes[stray.volume] as Device;
    await readDevice(volume, this.#arena, start, stray.length, stray.offset);
    if (this.#crc32c(this.#arena.bytes, start, stray.length) === stray.payloadCrc) return;
    throw this.#corrupt(end, `it is damaged, and what entry ${stray.sequence} saved was overwritten after it`);
  }

  #offset(sequence: number): number {
    return UNDO_ENTRIES_AT + sequence * undoEntryBytes(this.#regionBytes);
  }

  #corrupt(sequence: number, why: string): LvrError {
    return new LvrError('UNDO_CORRUPT', `undo ${this.#device.path}: entry ${sequence} cannot be used: ${why}`, {
      hint: 'nothing was written back; let the resync come to its end, or take the first copy anew',
      details: { entry: sequence },
    });
  }
}

function laneStart(lane: number, regionBytes: number): number {
  return UNDO_IN_FLIGHT_MAX * BLOCK_BYTES + lane * undoEntryBytes(regionBytes);
}
