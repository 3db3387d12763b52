// Zeroing of ranges of one device, by the cheapest way that it supports: punch a hole, zero a range, write zeroes.
//
// Owner: each running request is a job of the pool below; it has exactly one operation in flight at any moment, so the device stays
// busy until the job ended. What a device turned out not to support is remembered and not asked again.

import { constants } from 'node:os';
import { assert } from '../core/assert.js';
import { MIB } from '../core/limits.js';
import type { Arena, IoTarget } from '../core/ports.js';
import { ENGINE_OPERATIONS_MAX, type IoEngine, type OpenFile } from './engine.js';
import { createArena } from './memory.js';
import { OP } from './native.js';

const PIECE_BYTES = 1 * MIB;
const { EOPNOTSUPP, ENOSYS } = constants.errno;

type Way = typeof OP.punchHole | typeof OP.zeroRange | typeof OP.write;

class Job {
  readonly index: number;
  way: Way = OP.write;
  offset = 0;
  length = 0;
  /** Bytes done; only writing takes more than one step. */
  written = 0;
  target: IoTarget | undefined;
  tag = 0;

  constructor(index: number) {
    this.index = index;
  }
}

let sharedZeroes: Arena | undefined;

/** Zeroes to write from. Never written to, so every page of it is the kernel's one zero page. */
function zeroes(): Arena {
  sharedZeroes ??= createArena(PIECE_BYTES);
  return sharedZeroes;
}

export class Zeroing implements IoTarget {
  readonly #allocator: IoEngine;
  readonly #writer: IoEngine;
  readonly #file: OpenFile;
  readonly #jobs: Job[] = [];
  readonly #free: Job[] = [];
  #canPunch = true;
  #canZeroRange = true;

  /** `allocator` runs fallocate, `writer` the writes for devices without it. */
  constructor(allocator: IoEngine, writer: IoEngine, file: OpenFile) {
    this.#allocator = allocator;
    this.#writer = writer;
    this.#file = file;
  }

  /** Queues one request; the target hears once. See Device.zero. */
  start(offset: number, length: number, mayUnmap: boolean, target: IoTarget, tag: number): void {
    const job = this.#free.pop() ?? this.#newJob();
    job.way = mayUnmap ? OP.punchHole : OP.zeroRange;
    job.offset = offset;
    job.length = length;
    job.written = 0;
    job.target = target;
    job.tag = tag;
    this.#next(job);
  }

  /** A step of job `tag` has ended. */
  ioDone(tag: number, error: number): void {
    const job = this.#jobs[tag] as Job;
    const unsupported = error === EOPNOTSUPP || error === ENOSYS;
    if (unsupported && job.way === OP.punchHole) this.#canPunch = false;
    else if (unsupported && job.way === OP.zeroRange) this.#canZeroRange = false;
    else {
      if (error === 0) job.written += job.way === OP.write ? this.#pieceBytes(job) : job.length;
      if (error !== 0 || job.written === job.length) {
        this.#end(job, error);
        return;
      }
    }
    this.#next(job);
    // The step may have ended on the other engine, whose turn does not submit this one's work.
    (job.way === OP.write ? this.#writer : this.#allocator).kick();
  }

  #next(job: Job): void {
    if (job.way === OP.punchHole && !this.#canPunch) job.way = OP.zeroRange;
    if (job.way === OP.zeroRange && !this.#canZeroRange) job.way = OP.write;
    if (job.way !== OP.write) {
      this.#allocator.queue(job.way, this.#file, undefined, 0, job.length, job.offset, this, job.index);
      return;
    }
    this.#writer.queue(OP.write, this.#file, zeroes(), 0, this.#pieceBytes(job), job.offset + job.written, this, job.index);
  }

  #pieceBytes(job: Job): number {
    return Math.min(PIECE_BYTES, job.length - job.written);
  }

  #end(job: Job, error: number): void {
    const target = job.target as IoTarget;
    job.target = undefined;
    this.#free.push(job);
    target.ioDone(job.tag, error);
  }

  #newJob(): Job {
    assert(this.#jobs.length < ENGINE_OPERATIONS_MAX, `more than ${ENGINE_OPERATIONS_MAX} zero requests queued`);
    const job = new Job(this.#jobs.length);
    this.#jobs.push(job);
    return job;
  }
}
