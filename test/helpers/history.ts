// What a load wrote, what was answered and what was flushed, and the check of what is there after a crash.
//
// Every block holds the global sequence number of the write that put it there. The order that must survive is:
//   - writes sent on one connection, in the order sent (each volume has one connection, and the agent takes requests in that order);
//   - between volumes: a write that was answered before another one was sent.
// So after a crash each volume must be exactly "all writes up to a cut", and the cuts must fit together: a cut on one volume that
// includes write n includes everything on the other volume that had been answered when n was sent. Two writes in flight at once on two
// connections have no order, so neither may be missed in the check.

import type { NbdClient } from './nbd-client.js';

/** Bytes of a block, the unit of the load. */
export const BLOCK_BYTES = 4096;
const WORDS = BLOCK_BYTES / 8;
const READ_BYTES = 1024 * 1024;

/** One write as it was sent. */
export interface SentWrite {
  readonly sequence: number;
  readonly block: number;
  readonly blockCount: number;
  /** It made zeroes of the blocks, which then do not tell who wrote them. */
  readonly zeroes: boolean;
  /** Highest sequence number answered on each volume when this write was sent. */
  readonly answeredBefore: readonly number[];
  answered: boolean;
}

/** Where a volume was cut, and what was found wrong with it. */
export interface Verdict {
  /** Highest sequence number present on each volume; 0: none of this history. */
  readonly cuts: number[];
  readonly problems: string[];
}

/** Fills a block: the sequence number everywhere, but the block's address in the second word, so that a misplaced block shows. */
export function fillBlock(words: Float64Array, start: number, sequence: number, volume: number, block: number): void {
  words.fill(sequence, start, start + WORDS);
  words[start + 1] = addressOf(volume, block);
}

function addressOf(volume: number, block: number): number {
  return volume * 2 ** 32 + block;
}

/** The record of one load over the volumes of one group. */
export class History {
  readonly volumeCount: number;
  readonly blocksPerVolume: number;
  /** Per volume, in the order sent. */
  readonly writes: SentWrite[][];
  /** Per volume: highest sequence number answered, and highest that must survive a crash of the primary's process. */
  readonly answeredMax: number[];
  readonly flushedMax: number[];
  #sequence: number;
  #base: Float64Array[];

  /** `firstSequence` is above 1 where this history goes on after another one. */
  constructor(volumeCount: number, blocksPerVolume: number, firstSequence = 1) {
    this.volumeCount = volumeCount;
    this.blocksPerVolume = blocksPerVolume;
    this.writes = Array.from({ length: volumeCount }, () => []);
    this.answeredMax = new Array<number>(volumeCount).fill(0);
    this.flushedMax = new Array<number>(volumeCount).fill(0);
    this.#base = Array.from({ length: volumeCount }, () => new Float64Array(blocksPerVolume));
    this.#sequence = firstSequence - 1;
  }

  /** Records a write that is about to be sent. */
  sent(volume: number, block: number, blockCount: number, zeroes = false): SentWrite {
    const write = { sequence: ++this.#sequence, block, blockCount, zeroes, answeredBefore: [...this.answeredMax], answered: false };
    this.writes[volume]?.push(write);
    return write;
  }

  /** The server answered a write with success. `durable`: it carried FUA. */
  answered(volume: number, write: SentWrite, durable: boolean): void {
    write.answered = true;
    if (write.sequence > (this.answeredMax[volume] as number)) this.answeredMax[volume] = write.sequence;
    if (durable) this.flushed(volume, write.sequence);
  }

  /** Everything on `volume` up to `sequence` is durable. */
  flushed(volume: number, sequence: number): void {
    if (sequence > (this.flushedMax[volume] as number)) this.flushedMax[volume] = sequence;
  }

  /** Answered writes beyond the cuts: what a failover to an image with these cuts loses. */
  missing(cuts: readonly number[], answeredMax: readonly number[] = this.answeredMax): { writes: number; bytes: number } {
    const lost = { writes: 0, bytes: 0 };
    for (const [volume, writes] of this.writes.entries()) {
      for (const write of writes) {
        if (!write.answered || write.sequence <= (cuts[volume] as number) || write.sequence > (answeredMax[volume] as number)) continue;
        lost.writes++;
        lost.bytes += write.blockCount * BLOCK_BYTES;
      }
    }
    return lost;
  }

  /** The sequence number that comes next. */
  get nextSequence(): number {
    return this.#sequence + 1;
  }

  /**
   * Checks images (the sequence number in every block) against this history; `floor` is what must be there, per volume. For histories
   * without zeroes: the cut is the newest write that shows.
   */
  check(images: readonly Float64Array[], floor: readonly number[]): Verdict {
    const problems: string[] = [];
    if (this.writes.some((writes) => writes.some((write) => write.zeroes))) throw new Error('a history with zeroes has no cut that shows');
    const cuts = this.writes.map((writes, volume) => this.#cutOf(writes, images[volume] as Float64Array));
    for (const [volume, cut] of cuts.entries()) {
      const writes = this.writes[volume] as SentWrite[];
      if (cut < (floor[volume] as number)) problems.push(`volume ${volume}: cut at ${cut}, but ${floor[volume]} was promised`);
      const mismatch = this.#compare(writes, volume, images[volume] as Float64Array, cut);
      if (mismatch !== undefined) problems.push(mismatch);
      const last = writes.find((write) => write.sequence === cut);
      for (const [other, answered] of (last?.answeredBefore ?? []).entries()) {
        if ((cuts[other] as number) < answered) {
          problems.push(
            `volume ${volume} has write ${cut}, sent after ${answered} was answered on volume ${other}, whose cut is ${cuts[other]}`,
          );
        }
      }
    }
    return { cuts, problems };
  }

  /** Starts over on top of the images, which become what the next load writes on. Sequence numbers go on. */
  rebase(images: readonly Float64Array[]): void {
    this.#base = images.map((image) => image.slice());
    for (let volume = 0; volume < this.volumeCount; volume++) {
      this.writes[volume] = [];
      this.answeredMax[volume] = 0;
      this.flushedMax[volume] = 0;
    }
  }

  #cutOf(writes: readonly SentWrite[], image: Float64Array): number {
    const first = writes[0]?.sequence ?? Number.POSITIVE_INFINITY;
    let cut = 0;
    for (const sequence of image) if (sequence >= first && sequence > cut) cut = sequence;
    return cut;
  }

  /** Replays the writes up to the cut over the base. The write at the cut may be there in part, as after a power cut. */
  #compare(writes: readonly SentWrite[], volume: number, image: Float64Array, cut: number): string | undefined {
    const expected = (this.#base[volume] as Float64Array).slice();
    let last: SentWrite | undefined;
    for (const write of writes) {
      if (write.sequence > cut) break;
      if (write.sequence === cut) last = write;
      else expected.fill(write.sequence, write.block, write.block + write.blockCount);
    }
    for (let block = 0; block < this.blocksPerVolume; block++) {
      const inLast = last !== undefined && block >= last.block && block < last.block + last.blockCount;
      if (image[block] === expected[block] || (inLast && image[block] === cut)) continue;
      return `volume ${volume} block ${block}: holds write ${image[block]}, expected ${expected[block]} (cut at ${cut})`;
    }
    return undefined;
  }
}

/** Reads a volume and returns the sequence number of each block; throws when a block is not one whole block of this load. */
export async function readImage(client: NbdClient, volume: number, blocks: number): Promise<Float64Array> {
  const image = new Float64Array(blocks);
  for (let offset = 0; offset < blocks * BLOCK_BYTES; offset += READ_BYTES) {
    const length = Math.min(READ_BYTES, blocks * BLOCK_BYTES - offset);
    const data = await client.read(offset, length);
    const words = new Float64Array(data.buffer.slice(data.byteOffset, data.byteOffset + length));
    readBlocks(words, volume, offset / BLOCK_BYTES, image);
  }
  return image;
}

/** Puts the sequence numbers of the blocks in `words`, the first of which is block `first`, into `image`; throws as readImage(). */
export function readBlocks(words: Float64Array, volume: number, first: number, image: Float64Array): void {
  for (let at = 0; at < words.length; at += WORDS) {
    const block = first + at / WORDS;
    const sequence = words[at] as number;
    const address = words[at + 1] as number;
    if (address !== (sequence === 0 ? 0 : addressOf(volume, block)))
      throw new Error(`volume ${volume} block ${block}: not its own content`);
    for (let word = 2; word < WORDS; word++) {
      if (words[at + word] !== sequence) throw new Error(`volume ${volume} block ${block}: torn, ${sequence} and ${words[at + word]}`);
    }
    image[block] = sequence;
  }
}
