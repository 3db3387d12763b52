// The answers to requests: counted, encoded, and queued with the output of the connection. Stateless beyond what was negotiated,
// and how much of a turn was used.

import { assert } from '../core/assert.js';
import { LvrError } from '../core/errors.js';
import { DIRECT_PAYLOAD_BYTES, NBD_EXTENTS_PER_TURN } from '../core/limits.js';
import type { Backend, ExtentRun } from '../core/ports.js';
import type { CommandCounter, CommandCounters, NbdMetrics } from './metrics.js';
import type { Output } from './output.js';
import { CMD, CMD_FLAG, ERRNO, EXTENTS_PER_REPLY_MAX, SIMPLE_REPLY_BYTES } from './protocol.js';
import * as reply from './reply.js';
import type { NbdRequest } from './request.js';

/** A question for extents counts like so many of them: the overlay is looked at, and the system asked. */
const QUESTION_COST = 64;

/** Answers of one connection. */
export class Answers {
  readonly #backend: Backend;
  readonly #output: Output;
  readonly #metrics: NbdMetrics;
  readonly #exportCounters: CommandCounters;
  readonly #structured: boolean;
  /** Told in this turn, and what each question costs. */
  #extents = 0;

  constructor(backend: Backend, output: Output, metrics: NbdMetrics, structured: boolean) {
    this.#backend = backend;
    this.#output = output;
    this.#metrics = metrics;
    this.#exportCounters = metrics.ofExport(backend.exportName);
    this.#structured = structured;
  }

  /** An answer without data: every success but that of READ and BLOCK_STATUS, and all errors. */
  plain(request: NbdRequest, errno: number): void {
    const output = this.#output;
    this.#count(request, errno);
    const mustBeStructured = this.#structured && (request.type === CMD.read || request.type === CMD.blockStatus);
    if (!mustBeStructured) {
      const at = output.reserve(SIMPLE_REPLY_BYTES);
      output.advance(reply.putSimpleReply(output.view, at, request, errno));
    } else {
      const at = output.reserve(reply.DATA_CHUNK_HEADER_BYTES);
      if (errno !== 0) output.advance(reply.putErrorChunk(output.view, at, request, errno));
      else output.advance(reply.putDataChunkHeader(output.view, at, request));
    }
  }

  /**
   * The data of a completed read. The output reports when a long one has left. True: the data were copied and the slabs can go back now;
   * false: the output reads them until then. Long answers are copied only where clients that do not take theirs would keep the slabs from
   * others.
   */
  read(request: NbdRequest): boolean {
    const output = this.#output;
    const { length } = request;
    this.#count(request, 0);
    const isLong = length >= DIRECT_PAYLOAD_BYTES;
    const at = output.reserve(reply.DATA_CHUNK_HEADER_BYTES + (isLong ? 0 : length));
    const data = this.#putReadHeader(at, request);
    if (!isLong) {
      copyData(request, output.bytes, data);
      output.advance(data + length);
      return true;
    }
    output.advance(data);
    if (this.#backend.isShortOfReads) {
      const copy = Buffer.allocUnsafeSlow(length);
      copyData(request, copy, 0);
      output.appendDirect(copy, request);
    } else {
      for (let i = 0, rest = length; rest > 0; i++) {
        const piece = pieceOf(request, i, rest);
        rest -= piece.length;
        output.appendDirect(piece, rest === 0 ? request : undefined);
      }
      return false;
    }
    return true;
  }

  /**
   * Answers a short read whose data can be had at once: they are put where they leave from. False: nothing is answered. Without this way
   * every read costs a slab, an operation of the engine and a copy, which is a fifth of the work for reads from the page cache.
   */
  readNow(request: NbdRequest): boolean {
    const { length } = request;
    if (length >= DIRECT_PAYLOAD_BYTES) return false;
    const output = this.#output;
    const at = output.reserve(reply.DATA_CHUNK_HEADER_BYTES + length);
    const data = this.#putReadHeader(at, request);
    if (!this.#backend.readNow(request, output.bytes, data)) return false;
    this.#count(request, 0);
    output.advance(data + length);
    return true;
  }

  /** What stands before the data of a read; returns where they go. */
  #putReadHeader(at: number, request: NbdRequest): number {
    const { view } = this.#output;
    return this.#structured ? reply.putDataChunkHeader(view, at, request) : reply.putSimpleReply(view, at, request, 0);
  }

  turnBegins(): void {
    this.#extents = 0;
  }

  /** Others come first now: the system was asked for as many extents as may be told in a turn. */
  get hasHadTurn(): boolean {
    return this.#extents >= NBD_EXTENTS_PER_TURN;
  }

  /** The extents of a range. */
  status(request: NbdRequest): void {
    const max = (request.flags & CMD_FLAG.reqOne) !== 0 ? 1 : EXTENTS_PER_REPLY_MAX;
    let extents: ExtentRun[];
    this.#extents += QUESTION_COST;
    try {
      extents = this.#backend.extents(request.offset, request.length, max);
    } catch (error) {
      if (!(error instanceof LvrError)) throw error;
      return this.plain(request, ERRNO.EIO);
    }
    assert(extents.length > 0 && extents.length <= max, 'a range has at least one extent and at most as many as asked for');
    this.#count(request, 0);
    const output = this.#output;
    const at = output.reserve(reply.statusChunkBytes(extents.length));
    output.advance(reply.putStatusChunk(output.view, at, request, extents));
    this.#extents += extents.length;
  }

  #count(request: NbdRequest, errno: number): void {
    countIn(counterOf(this.#metrics, request.type), request.length, errno);
    countIn(counterOf(this.#exportCounters, request.type), request.length, errno);
  }
}

/** The data in slab number `i` of a completed read, of which `rest` bytes are left from there on. */
function pieceOf({ slabs }: NbdRequest, i: number, rest: number): Uint8Array {
  const slab = slabs[i];
  assert(slab !== undefined, 'a completed read has all of its data');
  return slab.arena.bytes.subarray(slab.dataStart, slab.dataStart + Math.min(rest, slab.dataCapacity));
}

function copyData(request: NbdRequest, to: Uint8Array, at: number): void {
  for (let i = 0, rest = request.length; rest > 0; i++) {
    const piece = pieceOf(request, i, rest);
    to.set(piece, at + request.length - rest);
    rest -= piece.length;
  }
}

function countIn(counter: CommandCounter, lengthBytes: number, errno: number): void {
  if (errno !== 0) counter.failed++;
  else {
    counter.completed++;
    counter.bytes += lengthBytes;
  }
}

function counterOf(counters: CommandCounters, type: number): CommandCounter {
  switch (type) {
    case CMD.read:
      return counters.read;
    case CMD.write:
      return counters.write;
    case CMD.flush:
      return counters.flush;
    case CMD.trim:
      return counters.trim;
    case CMD.writeZeroes:
      return counters.zero;
    case CMD.blockStatus:
      return counters.blockStatus;
    default:
      return counters.other;
  }
}
