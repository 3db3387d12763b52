// What reached the disks of a real process, in one order over all of them: writes with their content, and flushes when they ended.
//
// The order is that of one event loop, in which the clients of the process run as well: what a client was told before an entry was told
// because of entries before it. So a power cut "after entry n" is one instant for the log, the volumes and the promises made.

import { getU64 } from '../../src/format/bytes.js';
import { RING_START } from '../../src/format/superblock.js';

/** Disks of a trace: 0 is the log, volume v is disk v + 1. Those of a second site follow in the same order. */
export const LOG_DISK = 0;

/** One write. `bytes` undefined: zeroes. */
export interface WriteEntry {
  readonly kind: 'write';
  readonly disk: number;
  readonly offset: number;
  readonly length: number;
  readonly bytes: Uint8Array | undefined;
}

/** A flush of a disk has ended: all its writes among the first `covers` entries would survive a power cut. */
export interface FlushEntry {
  readonly kind: 'flush';
  readonly disk: number;
  readonly covers: number;
}

/**
 * An entry with what clients had been promised when it came: per volume, the sequence number that must survive at the primary, and where
 * both sites are recorded, at the secondary.
 */
export type Entry = (WriteEntry | FlushEntry) & { readonly promised: readonly number[]; readonly promisedThere: readonly number[] };

/** The growing list of entries. */
export class Trace {
  readonly entries: Entry[] = [];
  /** Tells what clients have been promised so far. */
  promised: () => readonly number[] = () => [];
  promisedThere: () => readonly number[] = () => [];
  #position = 0;

  /** Highest position of a batch of the log: what was written to the ring in all, over all laps. */
  get position(): number {
    return this.#position;
  }

  write(disk: number, offset: number, length: number, bytes: Uint8Array | undefined): void {
    this.#add({ kind: 'write', disk, offset, length, bytes });
    if (disk === LOG_DISK && offset >= RING_START && bytes !== undefined) this.#position = Math.max(this.#position, positionOf(bytes));
  }

  /** A flush that began when there were `covers` entries has ended. */
  flush(disk: number, covers: number): void {
    this.#add({ kind: 'flush', disk, covers });
  }

  #add(entry: WriteEntry | FlushEntry): void {
    this.entries.push({ ...entry, promised: this.promised(), promisedThere: this.promisedThere() });
  }
}

/** The position in the header of the batch that starts here; 0 when none does. */
function positionOf(bytes: Uint8Array): number {
  const isBatch = Buffer.from(bytes.buffer, bytes.byteOffset, 4).toString('latin1') === 'LVRb';
  return isBatch ? getU64(bytes, 8) : 0;
}
