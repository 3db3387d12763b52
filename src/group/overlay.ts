// What reads must see although it is not on the devices yet: per volume, the newest unapplied content of each byte range, pointing into the
// batches in memory.

import { IntervalMap, type SegmentVisitor } from '../core/intervals.js';
import { PLANTED } from '../core/planted.js';
import type { LogBatch } from '../disk/log-batch.js';
import { recordHasPayload, recordLength, recordOffset, recordVolume } from '../format/record.js';

/** Base of a segment that reads as zeroes. */
export const ZEROES = -1;

export class Overlay {
  readonly #maps: IntervalMap<LogBatch>[];

  constructor(volumeCount: number) {
    this.#maps = Array.from({ length: volumeCount }, () => new IntervalMap<LogBatch>());
  }

  /** A record was admitted: `payloadAt` is the arena offset of its payload, or ZEROES. */
  add(volume: number, offset: number, length: number, batch: LogBatch, payloadAt: number): void {
    if (PLANTED === 'overlay-misses-zeroes' && payloadAt === ZEROES) return;
    (this.#maps[volume] as IntervalMap<LogBatch>).assign(offset, offset + length, batch, payloadAt);
  }

  /** Every record of the batch is on the devices: what still points to it goes. */
  removeBatch(batch: LogBatch): void {
    const bytes = batch.arena.bytes;
    for (let i = 0; i < batch.count; i++) {
      const header = batch.headerAt(i);
      const offset = recordOffset(bytes, header);
      (this.#maps[recordVolume(bytes, header)] as IntervalMap<LogBatch>).remove(offset, offset + recordLength(bytes, header), batch);
    }
  }

  /** Adds all records of a batch, in order. */
  addBatch(batch: LogBatch): void {
    const bytes = batch.arena.bytes;
    let payloadAt = batch.dataStart;
    for (let i = 0; i < batch.count; i++) {
      const header = batch.headerAt(i);
      const length = recordLength(bytes, header);
      const hasPayload = recordHasPayload(bytes, header);
      this.add(recordVolume(bytes, header), recordOffset(bytes, header), length, batch, hasPayload ? payloadAt : ZEROES);
      if (hasPayload) payloadAt += length;
    }
  }

  isEmpty(volume: number): boolean {
    return (this.#maps[volume] as IntervalMap<LogBatch>).size === 0;
  }

  visit(volume: number, start: number, end: number, visitor: SegmentVisitor<LogBatch>, most?: number): number {
    return (this.#maps[volume] as IntervalMap<LogBatch>).visit(start, end, visitor, most);
  }
}

/** Puts `length` bytes of the content that a segment names into `bytes` at `to`. */
export function putSegment(bytes: Uint8Array, to: number, length: number, batch: LogBatch, base: number): void {
  if (base === ZEROES) bytes.fill(0, to, to + length);
  else bytes.set(batch.arena.bytes.subarray(base, base + length), to);
}
