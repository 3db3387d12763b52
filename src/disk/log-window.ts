// A look at the ring of a log from one position to the next, for scans: reads are large, and the next ones are under way while the bytes of
// one are looked at. Small at first, because most logs have little to look at.
//
// The memory is some slots, each of them what one read brings, with room before it for what a batch has in the read before: what begins in
// one slot goes on in the next without a gap. A slot is read into only when nothing is looked at or read there.

import { BLOCK_BYTES, MIB, RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import type { Arena, Device } from '../core/ports.js';
import type { Ring } from '../core/ring.js';
import { RING_START } from '../format/superblock.js';
import { readDevice } from './promises.js';

const SLOTS = 3;
/** What may have to go on in the next slot: less than the longest batch. */
const CARRIED_BYTES = BLOCK_BYTES + RECORD_PAYLOAD_BYTES_MAX;
/** The first read behind a jump. */
const FIRST_BYTES = MIB / 4;
/** Reads are made in pieces of this size, all of them in flight at once. */
const READ_BYTES = MIB;

/** Least memory of a window. */
export const WINDOW_BYTES_MIN = SLOTS * (CARRIED_BYTES + FIRST_BYTES);

/** Ring bytes of positions [from, to), in the arena from `at` on, when `read` has ended. What a read brings begins at `base`. */
type Slot = { readonly base: number; from: number; to: number; at: number; read: Promise<PromiseSettledResult<void>[]> };

/** Of a slot that holds nothing: no position is in it, or follows it. */
const NOTHING = { from: 0, to: -1, read: Promise.resolve([]) };

export class LogWindow {
  readonly #device: Device;
  readonly #arena: Arena;
  readonly #ring: Ring;
  readonly #slotBytes: number;
  readonly #slots: Slot[];
  /** The slot that is looked at. The next `#ahead` ones, round and round, are being read or wait to be looked at. */
  #now = 0;
  #ahead = 0;

  /** `arena` has WINDOW_BYTES_MIN or more, and nobody else uses it while the window does. */
  constructor(device: Device, arena: Arena, ring: Ring) {
    this.#device = device;
    this.#arena = arena;
    this.#ring = ring;
    this.#slotBytes = Math.floor(arena.bytes.length / SLOTS / BLOCK_BYTES) * BLOCK_BYTES - CARRIED_BYTES;
    this.#slots = Array.from({ length: SLOTS }, (_, i) => {
      const base = i * (CARRIED_BYTES + this.#slotBytes) + CARRIED_BYTES;
      return { base, ...NOTHING, at: base };
    });
  }

  /** True when the byte at `position` can be looked at without waiting. */
  holds(position: number): boolean {
    const { from, to } = this.#slot(0);
    return position >= from && position < to;
  }

  /**
   * Makes [position, position + length) available and returns its place in the arena, good until the next call. It is no longer than the
   * longest batch and does not cross the end of a lap; what is read ahead does not go beyond `end`. Rejects with DEVICE_FAILED.
   */
  async hold(position: number, length: number, end: number): Promise<number> {
    for (;;) {
      const slot = this.#slot(0);
      if (position >= slot.from && position + length <= slot.to) return slot.at + position - slot.from;
      if (position >= slot.from && position <= slot.to) {
        if (this.#ahead === 0) this.#readAhead(Math.max(end, position + length));
        await this.#next(position);
        this.#readAhead(end);
      } else if (this.#ahead > 0 && position > slot.to && position <= this.#slot(1).to) {
        await this.#next(position);
      } else {
        await this.#jump(position, Math.max(length, Math.min(FIRST_BYTES, end - position)));
      }
    }
  }

  /** Resolves when nothing is being read any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#slots.map(({ read }) => read));
  }

  /** The slot that is looked at, or the one `next` slots behind it. */
  #slot(next: number): Slot {
    return this.#slots[(this.#now + next) % SLOTS] as Slot;
  }

  /** Looks at the next slot, to which what is held from `position` on is carried. */
  async #next(position: number): Promise<void> {
    const before = this.#slot(0);
    const slot = this.#slot(1);
    await whole(slot);
    const carried = Math.max(0, before.to - position);
    const from = before.at + before.to - before.from - carried;
    slot.at = slot.base - carried;
    slot.from -= carried;
    this.#arena.bytes.copyWithin(slot.at, from, from + carried);
    this.#now = (this.#now + 1) % SLOTS;
    this.#ahead--;
  }

  async #jump(position: number, bytes: number): Promise<void> {
    await this.settled();
    this.#ahead = 0;
    const slot = this.#slot(0);
    this.#read(slot, position, bytes);
    await whole(slot);
  }

  /** Reads into every slot that is free. */
  #readAhead(end: number): void {
    for (let from = this.#slot(this.#ahead).to; this.#ahead < SLOTS - 1 && from < end; from = this.#slot(this.#ahead).to) {
      this.#read(this.#slot(this.#ahead + 1), from, end - from);
      this.#ahead++;
    }
  }

  /** Begins to read up to `bytes` from `from` on: no more than a slot takes, and not beyond the end of the lap. */
  #read(slot: Slot, from: number, bytes: number): void {
    const length = Math.min(bytes, this.#slotBytes, this.#ring.toEnd(from));
    const offset = RING_START + this.#ring.offset(from);
    const reads: Promise<void>[] = [];
    for (let at = 0; at < length; at += READ_BYTES) {
      reads.push(readDevice(this.#device, this.#arena, slot.base + at, Math.min(READ_BYTES, length - at), offset + at));
    }
    slot.from = from;
    slot.to = from + length;
    slot.at = slot.base;
    slot.read = Promise.allSettled(reads);
  }
}

/** Waits for a slot. All of its reads end before the memory is used for anything else; the first failure counts. */
async function whole(slot: Slot): Promise<void> {
  const failed = (await slot.read).find((result) => result.status === 'rejected');
  if (failed === undefined) return;
  slot.from = NOTHING.from;
  slot.to = NOTHING.to;
  throw failed.reason;
}
