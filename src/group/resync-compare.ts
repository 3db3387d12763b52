// Comparing before sending, at the copying side of a resync: which pieces the other site is asked about, and what becomes of its answers.
//
// A piece that is asked about stays in memory until the answer is here: what differs is sent from there, so what the site has in the end is
// what was read behind take(), as with any piece. An answer clears no bit: that does only what the site says to be durable (ResyncSource).
// The memory is that of the pool of the copy, so there are never more questions open than it has batches.

import { type Checksum, COMPARE_BEGIN, comparesNext, pieceCompared, pieceGoes, worthwhileShare } from '../core/compare-rule.js';
import { COMPARE_BLOCK_BYTES, COMPARE_PIECE_BYTES_MIN, MIB } from '../core/limits.js';
import type { Clock, Crc32c } from '../core/ports.js';
import { hashBlocks } from '../disk/content-hash.js';
import type { LogBatch } from '../disk/log-batch.js';
import { blocksOf } from '../format/compare.js';
import type { RegionMeta } from '../format/frame.js';
import type { RegionPiece } from '../link/ports.js';

/** The rate of hashing is that of about so many bytes. */
const HASHED_BYTES = 64 * MIB;
/** The rate of the link is measured over this time at least. */
const LINK_MS = 1_000;
/** A slower time of the link than the fastest one makes it count so much slower: it may have had less to send. */
const LINK_FADES = 0.9;

/** A piece that the other site was asked about, and whose copy it is part of. */
type Question<Copy> = { readonly copy: Copy; readonly meta: RegionMeta; readonly batch: LogBatch };

/** Blocks that differ, side by side, on their way behind an answer. */
type Difference<Copy> = { readonly copy: Copy; readonly piece: RegionPiece };

/** An answer: how many pieces follow it, which next() hands out. */
export type Answered<Copy> = { readonly copy: Copy; readonly pieces: number; readonly sameBytes: number };

export class ResyncCompare<Copy> {
  readonly #checksum: Checksum;
  readonly #clock: Clock;
  readonly #crc32c: Crc32c;
  #state = COMPARE_BEGIN;
  /** By the number of their frames. */
  readonly #questions = new Map<number, Question<Copy>>();
  readonly #differences: Difference<Copy>[] = [];
  #hasNews = false;
  #hashedBytes = 0;
  #hashedMs = 0;
  #linkRate = 0;
  #sentBytes = 0;
  #sinceMs: number;
  /** Bytes that the other site was asked about and has answered, and of these the ones that it had. */
  comparedBytes = 0;
  sameBytes = 0;

  constructor(checksum: Checksum, clock: Clock, crc32c: Crc32c) {
    this.#checksum = checksum;
    this.#clock = clock;
    this.#crc32c = crc32c;
    this.#sinceMs = clock.nowMs();
  }

  /** The hashes to ask with about a piece that is about to go, as frame `number`, and is kept then; undefined: it is to be sent. */
  ask(number: number, copy: Copy, meta: RegionMeta, batch: LogBatch): Uint8Array | undefined {
    if (this.#checksum === 'off' || meta.length < COMPARE_PIECE_BYTES_MIN) return undefined;
    const isCompared = this.#checksum === 'on' || comparesNext(this.#state, this.#linkRate);
    this.#state = pieceGoes(this.#state, isCompared);
    if (!isCompared) return undefined;
    const beganMs = this.#clock.nowMs();
    const hashes = hashBlocks(batch.arena.bytes, batch.dataStart, meta.length);
    this.#hashed(meta.length, this.#clock.nowMs() - beganMs);
    this.#questions.set(number, { copy, meta, batch });
    return hashes;
  }

  /** The answer to question `number`: bit i of `same` for block i. Words when that cannot be. */
  answered(number: number, same: number): Answered<Copy> | string {
    const question = this.#questions.get(number);
    if (question === undefined) return `an answer to question ${number}, which was not asked`;
    const { copy, meta, batch } = question;
    const blocks = blocksOf(meta.length);
    if (same >= 2 ** blocks) return `an answer about more blocks than the ${blocks} of question ${number}`;
    this.#questions.delete(number);
    const differences: Difference<Copy>[] = [];
    let differentBytes = 0;
    for (let block = 0; block < blocks; block++) {
      if (((same >> block) & 1) === 1) continue;
      const first = block;
      while (block + 1 < blocks && ((same >> (block + 1)) & 1) === 0) block++;
      const from = first * COMPARE_BLOCK_BYTES;
      const length = Math.min((block + 1) * COMPARE_BLOCK_BYTES, meta.length) - from;
      differentBytes += length;
      differences.push({ copy, piece: this.#different(meta, batch, from, length) });
    }
    batch.release();
    this.#differences.push(...differences);
    this.#hasNews = true;
    const sameBytes = meta.length - differentBytes;
    this.comparedBytes += meta.length;
    this.sameBytes += sameBytes;
    const hashRate = this.#hashedMs > 0 ? (this.#hashedBytes * 1000) / this.#hashedMs : Number.POSITIVE_INFINITY;
    this.#state = pieceCompared(this.#state, meta.length, sameBytes, worthwhileShare(hashRate, this.#linkRate || Number.MIN_VALUE));
    return { copy, pieces: differences.length, sameBytes };
  }

  /** One of the frames [from, to) is a question without an answer. */
  isOpen(from: number, to: number): boolean {
    for (const number of this.#questions.keys()) if (number >= from && number < to) return true;
    return false;
  }

  /** Something that differs is ready to go. */
  get hasNext(): boolean {
    return this.#differences.length > 0;
  }

  /** Takes what differs and is to go next. */
  next(): Difference<Copy> | undefined {
    return this.#differences.shift();
  }

  /** An answer came since the last call: who was about to wait looks again first. */
  takeNews(): boolean {
    const hasNews = this.#hasNews;
    this.#hasNews = false;
    return hasNews;
  }

  /** `bytes` of content that were sent are durable at the other site. */
  sent(bytes: number): void {
    this.#sentBytes += bytes;
    const nowMs = this.#clock.nowMs();
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < LINK_MS) return;
    this.#linkRate = Math.max((this.#sentBytes * 1000) / elapsedMs, this.#linkRate * LINK_FADES);
    this.#sentBytes = 0;
    this.#sinceMs = nowMs;
  }

  /** The session is over: nothing is answered or sent any more. */
  stop(): void {
    for (const { batch } of this.#questions.values()) batch.release();
    for (const { piece } of this.#differences) piece.batch?.release();
    this.#questions.clear();
    this.#differences.length = 0;
  }

  #different(meta: RegionMeta, batch: LogBatch, from: number, length: number): RegionPiece {
    const start = batch.dataStart + from;
    batch.hold();
    const crc = length === meta.length ? meta.crc : this.#crc32c(batch.arena.bytes, start, length);
    return { meta: { volume: meta.volume, offset: meta.offset + from, length, isZero: false, crc }, batch, start, hashes: undefined };
  }

  #hashed(bytes: number, ms: number): void {
    this.#hashedBytes += bytes;
    this.#hashedMs += ms;
    if (this.#hashedBytes < HASHED_BYTES) return;
    this.#hashedBytes /= 2;
    this.#hashedMs /= 2;
  }
}
