// What clients wrote, in order, and what any prefix of it makes of the volumes. Kept by the clients of a simulation, not by the product:
// every sector written names its write and its place, so content tells history.

import { VOLUME_BYTES } from './site.js';

export const SECTOR = 512;
const WORDS = SECTOR / 4;
const VOLUME_COUNT = 2;

/** One record of the history: what is written at LSN index + 1. `id` 0: zeroes; `serial` is unique among all histories of a run. */
export type Written = {
  readonly volume: number;
  readonly first: number;
  readonly end: number;
  readonly id: number;
  readonly serial: number;
};

/** Everything admitted by one primary, on top of what it had from earlier ones; one entry per record of the log. */
export class History {
  readonly written: Written[] = [];
  /** Ids of all sectors of both volumes after everything. */
  current: Int32Array[];
  /** Records up to here were promised to survive: answered with FUA, or covered by an answered flush. */
  floor = 0;
  /** Records up to here were answered. */
  answered = 0;
  readonly sectors: number;
  readonly #ids: { last: number };

  /** Histories that share `ids` never give an id twice. */
  constructor(volumeBytes = VOLUME_BYTES, ids = { last: 0 }) {
    this.sectors = volumeBytes / SECTOR;
    this.#ids = ids;
    this.current = this.state(0);
  }

  add(volume: number, offset: number, length: number, isZero: boolean): number {
    const serial = Math.max(this.#ids.last, this.written.length) + 1;
    this.#ids.last = serial;
    const written = { volume, first: offset / SECTOR, end: (offset + length) / SECTOR, id: isZero ? 0 : serial, serial };
    this.written.push(written);
    (this.current[volume] as Int32Array).fill(written.id, written.first, written.end);
    return this.written.length;
  }

  /** The id that the next write will have. */
  get nextId(): number {
    return Math.max(this.#ids.last, this.written.length) + 1;
  }

  /** Ids of all sectors of both volumes after the first `count` records. */
  state(count: number): Int32Array[] {
    const state = Array.from({ length: VOLUME_COUNT }, () => new Int32Array(this.sectors));
    for (let i = 0; i < count; i++) {
      const { volume, first, end, id } = this.written[i] as Written;
      (state[volume] as Int32Array).fill(id, first, end);
    }
    return state;
  }

  /** Forgets what a crash was allowed to lose, or what was not admitted. */
  cut(count: number): void {
    if (count === this.written.length) return;
    this.written.length = count;
    this.current = this.state(count);
  }

  /** A history of its own that begins with the first `count` records of this one. */
  fork(count: number): History {
    const fork = new History(this.sectors * SECTOR, this.#ids);
    for (let i = 0; i < count; i++) fork.written.push(this.written[i] as Written);
    fork.current = fork.state(count);
    return fork;
  }
}

/** Fills one sector with the content of write `id`. */
function fillSector(words: Uint32Array, at: number, id: number, sector: number): void {
  words.fill(id, at, at + WORDS);
  words[at + 1] = id === 0 ? 0 : sector;
}

/** Fills `length` bytes at `start` with the content that write `id` has from `offset` of its volume on. */
export function fillContent(bytes: Uint8Array, start: number, length: number, id: number, offset: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + start, length / 4);
  for (let at = 0; at < length; at += SECTOR) fillSector(words, at / 4, id, (offset + at) / SECTOR);
}

/** The id a sector was written with; -1: no write ever made this content here. */
function idOf(words: Uint32Array, at: number, sector: number): number {
  const id = words[at] as number;
  if ((words[at + 1] as number) !== (id === 0 ? 0 : sector)) return -1;
  for (let i = at + 2; i < at + WORDS; i++) if (words[i] !== id) return -1;
  return id;
}

/** Ids of the sectors of a piece of a volume that starts at `firstSector`. */
export function idsOf(image: Uint8Array, firstSector = 0): Int32Array {
  const words = new Uint32Array(image.buffer, image.byteOffset, image.length / 4);
  return Int32Array.from({ length: image.length / SECTOR }, (_, i) => idOf(words, i * WORDS, firstSector + i));
}

/** True when an image is the state that `expected` says: the fast form of differences(), for a check after every event. */
export function isState(expected: readonly Int32Array[], images: readonly Uint8Array[]): boolean {
  return expected.every((ids, volume) => {
    const image = images[volume] as Uint8Array;
    const words = new Uint32Array(image.buffer, image.byteOffset, image.length / 4);
    for (let i = 0; i < ids.length; i++) {
      const at = i * WORDS;
      if ((words[at] as number) !== ids[i] || words[at + WORDS - 1] !== ids[i]) return false;
      if ((words[at + 1] as number) !== (ids[i] === 0 ? 0 : i)) return false;
    }
    return true;
  });
}

/** Sectors where images are not the state that `expected` says. */
export function stateDifferences(expected: readonly Int32Array[], images: readonly Uint8Array[]): string[] {
  return expected.flatMap((state, volume) => {
    const ids = idsOf(images[volume] as Uint8Array);
    return [...state.entries()].filter(([s, id]) => ids[s] !== id).map(([s, id]) => `${volume}:${s} is ${ids[s]}, not ${id}`);
  });
}

/** Sectors where an image is not the state after `count` records; empty when it is. */
export function differences(history: History, count: number, images: readonly Uint8Array[]): string[] {
  return stateDifferences(history.state(count), images);
}
