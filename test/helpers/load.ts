// A write load over the volumes of one group that keeps a History: a fixed number of requests in flight on one connection a volume,
// with flushes and FUA writes among them. It ends by itself when the connections are lost.

import { BLOCK_BYTES, fillBlock, type History } from './history.js';
import { CMD, FLAG_FUA, type NbdClient } from './nbd-client.js';
import type { Random } from './random.js';

const HEADER_BYTES = 28;

/**
 * How the load behaves: one in `flushEvery` requests is a flush; of the others one in `fuaEvery` has FUA, and one in `zeroEvery` trims or
 * zeroes. 0: none. `bytesPerSecond`: no more is written than that.
 */
export interface LoadOptions {
  readonly depth: number;
  readonly blocksMax: number;
  readonly flushEvery: number;
  readonly fuaEvery: number;
  readonly zeroEvery?: number;
  readonly bytesPerSecond?: number;
}

/** A request slot: its frame is used again as soon as the answer came. */
interface Slot {
  readonly frame: Buffer;
  readonly words: Float64Array;
}

/** Writes until stop() or until every connection is gone. */
export class Load {
  readonly #clients: readonly NbdClient[];
  readonly #history: History;
  readonly #random: Random;
  readonly #options: LoadOptions;
  #stopping = false;
  #answers = 0;
  #sentBytes = 0;
  #startMs = 0;
  #errors = 0;
  #idle: (() => void) | undefined;

  constructor(clients: readonly NbdClient[], history: History, random: Random, options: LoadOptions) {
    this.#clients = clients;
    this.#history = history;
    this.#random = random;
    this.#options = options;
  }

  /** Requests answered so far. */
  get answers(): number {
    return this.#answers;
  }

  /** Requests answered with an error so far. */
  get errors(): number {
    return this.#errors;
  }

  /** Payload bytes sent so far. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Fills every connection up to the depth. */
  start(): void {
    this.#startMs = performance.now();
    for (let volume = 0; volume < this.#clients.length; volume++) {
      for (let slot = 0; slot < this.#options.depth; slot++) this.#next(volume, this.#makeSlot());
    }
  }

  /** Sends nothing more; resolves when everything in flight was answered or lost. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#clients.map((client) => Promise.race([client.closed, this.#drained(client)])));
  }

  #drained(client: NbdClient): Promise<void> {
    return new Promise((resolve) => {
      const previous = this.#idle;
      const look = (): void => {
        previous?.();
        if (client.inFlight === 0) resolve();
      };
      this.#idle = look;
      look();
    });
  }

  #makeSlot(): Slot {
    // The payload must be 8-byte aligned for the typed array, and the header in front of it is 28 bytes long.
    const memory = new ArrayBuffer(4 + HEADER_BYTES + this.#options.blocksMax * BLOCK_BYTES);
    return { frame: Buffer.from(memory, 4), words: new Float64Array(memory, 4 + HEADER_BYTES) };
  }

  #next(volume: number, slot: Slot): void {
    const { flushEvery, fuaEvery, zeroEvery = 0, blocksMax } = this.#options;
    if (this.#stopping) return;
    if (flushEvery > 0 && this.#random.below(flushEvery) === 0) {
      this.#flush(volume, slot);
      return;
    }
    const blockCount = 1 + (this.#random.below(4) === 0 ? this.#random.below(blocksMax) : 0);
    const block = this.#random.below(this.#history.blocksPerVolume - blockCount);
    const durable = fuaEvery > 0 && this.#random.below(fuaEvery) === 0;
    const zeroes = zeroEvery > 0 && this.#random.below(zeroEvery) === 0;
    const type = !zeroes ? CMD.write : this.#random.below(2) === 0 ? CMD.trim : CMD.writeZeroes;
    const write = this.#history.sent(volume, block, blockCount, zeroes);
    const length = blockCount * BLOCK_BYTES;
    if (!zeroes) {
      for (let at = 0; at < blockCount; at++) fillBlock(slot.words, at * (BLOCK_BYTES / 8), write.sequence, volume, block + at);
    }
    const frame = slot.frame.subarray(0, HEADER_BYTES + (zeroes ? 0 : length));
    this.#sentBytes += length;
    (this.#clients[volume] as NbdClient).send(type, durable ? FLAG_FUA : 0, block * BLOCK_BYTES, length, frame, (errno) => {
      if (errno === 0) this.#history.answered(volume, write, durable);
      this.#answered(errno, volume, slot);
    });
  }

  /** A flush covers what had been answered, on any connection, when it was sent. */
  #flush(volume: number, slot: Slot): void {
    const covered = [...this.#history.answeredMax];
    const frame = slot.frame.subarray(0, HEADER_BYTES);
    (this.#clients[volume] as NbdClient).send(CMD.flush, 0, 0, 0, frame, (errno) => {
      if (errno === 0) for (const [other, sequence] of covered.entries()) this.#history.flushed(other, sequence);
      this.#answered(errno, volume, slot);
    });
  }

  #answered(errno: number, volume: number, slot: Slot): void {
    this.#answers++;
    if (errno !== 0) this.#errors++;
    if (this.#stopping) return this.#idle?.();
    const { bytesPerSecond = Number.POSITIVE_INFINITY } = this.#options;
    const earlyMs = (this.#sentBytes * 1000) / bytesPerSecond - (performance.now() - this.#startMs);
    if (earlyMs > 0) setTimeout(() => this.#next(volume, slot), earlyMs);
    else this.#next(volume, slot);
  }
}
