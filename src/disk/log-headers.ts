// Reads back which records the log holds, without their payload: what a site lacks is to be marked from all of the log while writers fill
// the rest of it, and of a long write one block in two hundred says where it was.
//
// Header blocks that stand close together are read in one piece, others alone; some pieces are in flight at once. Every header is checked
// against its own CRC and the one before it in its batch, and the last one against the index: they are those that were written.

import { BLOCK_BYTES, KIB, SLAB_LARGE_PAYLOAD_BYTES } from '../core/limits.js';
import type { Device } from '../core/ports.js';
import type { Ring } from '../core/ring.js';
import { readBatchHeader, recordHeaderAt } from '../format/batch.js';
import { chainOf, isHeaderValid, recordLsn, recordPrevChain } from '../format/record.js';
import { RING_START } from '../format/superblock.js';
import type { LogBatch } from './log-batch.js';
import type { LogIndex, LogIndexEntry } from './log-index.js';
import { readDevice } from './promises.js';

/** What is read at once, at most. */
export const HEADERS_PIECE_BYTES = 128 * KIB;
/** Headers further apart are read alone. */
const GAP_BYTES = 32 * KIB;
/** Memory for the pieces in flight. */
export const HEADERS_BYTES = SLAB_LARGE_PAYLOAD_BYTES;

/** Told of a record whose header is valid and stands at bytes[header...]. */
export type RecordVisitor = (bytes: Uint8Array, header: number) => void;

/** Batches whose header blocks lie in one piece, in LSN order. */
type Piece = { readonly entries: readonly LogIndexEntry[]; readonly length: number };

/** What a batch that cannot be read is reported as; see LogReader. */
export type HeaderErrors = { notRetained(lsn: number): Error; corrupt(lsn: number, why: string): Error };

/** One reading of the headers of batches, in memory of its own for that time. */
export class LogHeaders {
  readonly #device: Device;
  readonly #ring: Ring;
  readonly #index: LogIndex;
  readonly #uuid: Uint8Array;
  readonly #errors: HeaderErrors;
  #next: number;
  #to: number;
  #failure: unknown;

  /** Of the batches from the one that holds `from` to the one that holds `to`. */
  constructor(
    parts: { device: Device; ring: Ring; index: LogIndex; uuid: Uint8Array; errors: HeaderErrors },
    { from, to }: { from: number; to: number },
  ) {
    this.#device = parts.device;
    this.#ring = parts.ring;
    this.#index = parts.index;
    this.#uuid = parts.uuid;
    this.#errors = parts.errors;
    this.#next = from;
    this.#to = to;
  }

  /**
   * Visits every record of the batches, in no order. `memory`: a batch with HEADERS_BYTES of payload, which nobody else uses until the
   * promise is settled, when nothing is being read any more. Rejects with the error that came first; records may have been visited by then.
   */
  async visit(memory: LogBatch, visitor: RecordVisitor): Promise<void> {
    const lanes: Promise<void>[] = [];
    for (let at = 0; at + HEADERS_PIECE_BYTES <= HEADERS_BYTES; at += HEADERS_PIECE_BYTES) {
      lanes.push(this.#visitPieces(memory, memory.dataStart + at, visitor));
    }
    await Promise.all(lanes);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Reads one piece after the other into the memory at `start`, until all are taken or one has failed. */
  async #visitPieces(memory: LogBatch, start: number, visitor: RecordVisitor): Promise<void> {
    const { arena } = memory;
    try {
      for (let piece = this.#takePiece(); piece !== undefined; piece = this.#takePiece()) {
        const { position } = piece.entries[0] as LogIndexEntry;
        await readDevice(this.#device, arena, start, piece.length, RING_START + this.#ring.offset(position));
        for (const entry of piece.entries) this.#visitBatch(arena.bytes, start + entry.position - position, entry, visitor);
      }
    } catch (error) {
      this.#to = 0;
      this.#failure ??= error;
    }
  }

  #takePiece(): Piece | undefined {
    if (this.#next > this.#to) return undefined;
    const entries: LogIndexEntry[] = [];
    let length = 0;
    while (this.#next <= this.#to) {
      const entry = this.#index.find(this.#next);
      if (entry === undefined) throw this.#errors.notRetained(this.#next);
      const first = entries[0] ?? entry;
      const start = entry.position - first.position;
      const end = start + BLOCK_BYTES;
      if (start - length > GAP_BYTES || end > Math.min(HEADERS_PIECE_BYTES, this.#ring.toEnd(first.position))) break;
      entries.push(entry);
      length = end;
      this.#next = entry.firstLsn + entry.count;
    }
    return { entries, length };
  }

  #visitBatch(bytes: Uint8Array, at: number, entry: LogIndexEntry, visitor: RecordVisitor): void {
    const wrong = this.#wrongWith(bytes, at, entry);
    if (wrong !== undefined) {
      // Freed and written over while it was read.
      const isRetained = this.#index.find(entry.firstLsn)?.position === entry.position;
      throw isRetained ? this.#errors.corrupt(entry.firstLsn, wrong) : this.#errors.notRetained(entry.firstLsn);
    }
    for (let i = 0; i < entry.count; i++) visitor(bytes, at + recordHeaderAt(i));
  }

  /** undefined when the header block at bytes[at...] is as it was written, as far as its records still count. */
  #wrongWith(bytes: Uint8Array, at: number, entry: LogIndexEntry): string | undefined {
    const header = readBatchHeader(bytes, at, this.#uuid);
    const isSame = header?.position === entry.position && header.firstLsn === entry.firstLsn && header.count >= entry.count;
    if (!isSame) return 'its batch header is damaged';
    let chain = recordPrevChain(bytes, at + recordHeaderAt(0));
    for (let i = 0; i < entry.count; i++) {
      const record = at + recordHeaderAt(i);
      if (!isHeaderValid(bytes, record) || recordLsn(bytes, record) !== entry.firstLsn + i) return 'the header of a record is damaged';
      if (recordPrevChain(bytes, record) !== chain) return 'a record does not follow the one before it';
      chain = chainOf(bytes, record);
    }
    return chain === entry.chain ? undefined : 'it is not the batch that was written';
  }
}
