// Lets regions go at the rate that core/resync-pace.ts decides, from what is measured here: bytes copied, bytes that the log has taken, and
// how much longer batches take to become durable while regions are copied.

import { beginPace, leastOf, mayFinish, type PaceLimits, type PaceState, stepPace, TokenBucket } from '../core/resync-pace.js';
import type { WriteLatency } from './write-latency.js';

/** Rates are measured over this time. */
const STEP_MS = 1_000;
/** What comparing a byte counts against the rate, where sending it counts 1: both ends read it, but it does not travel. */
const COMPARE_COST = 1 / 8;

export class ResyncPacer {
  #limits: PaceLimits;
  readonly #latency: WriteLatency;
  readonly #bucket: TokenBucket;
  #state: PaceState;
  #stepMs: number;
  #copiedBytes = 0;
  #loggedBytes: number;
  #pushes = false;
  #stopped = false;
  /** As of the last step, bytes per second; of the log with all that records take in it. */
  copyRate = 0;
  logRate = 0;

  /** `loggedBytes`: what the log has taken so far. */
  constructor(limits: PaceLimits, latency: WriteLatency, loggedBytes: number, nowMs: number) {
    this.#limits = limits;
    this.#latency = latency;
    this.#bucket = new TokenBucket(nowMs);
    this.#state = beginPace(limits, nowMs);
    this.#stepMs = nowMs;
    this.#loggedBytes = loggedBytes;
  }

  /** Other limits from now on: the rate keeps inside them at once. */
  setLimits(limits: PaceLimits, nowMs: number): void {
    this.#limits = limits;
    this.#state = beginPace(limits, nowMs);
  }

  /** Takes `bytes` and returns 0 when they may be sent now, else after how many ms to ask again. */
  take(bytes: number, nowMs: number): number {
    this.#tellPush(!this.isHeldBack);
    return this.#bucket.take(bytes, this.#state.rate, nowMs);
  }

  /** `bytes` that were taken were not sent: the other site has them. Looking at them was no more than a part of the work. */
  spared(bytes: number): void {
    this.#bucket.giveBack(bytes * (1 - COMPARE_COST));
  }

  /** `bytes` are durable at the other site. */
  copied(bytes: number): void {
    this.#copiedBytes += bytes;
  }

  /** Measures, at most once per STEP_MS. */
  step(loggedBytes: number, nowMs: number): void {
    const elapsedMs = nowMs - this.#stepMs;
    if (elapsedMs < STEP_MS) return;
    this.copyRate = (this.#copiedBytes * 1000) / elapsedMs;
    this.logRate = (Math.max(0, loggedBytes - this.#loggedBytes) * 1000) / elapsedMs;
    const sample = { addedLatencyMs: this.#latency.added(nowMs), copiedBytesPerSecond: this.copyRate };
    this.#state = stepPace(this.#state, sample, this.#limits, nowMs);
    this.#stepMs = nowMs;
    this.#copiedBytes = 0;
    this.#loggedBytes = loggedBytes;
    this.#tellPush(!this.isHeldBack);
  }

  /** The copy has ended. */
  stop(): void {
    this.#tellPush(false);
    this.#stopped = true;
  }

  /** Writes are to be spared: the copy goes no faster than it must. */
  get isHeldBack(): boolean {
    return this.#state.rate <= leastOf(this.#limits);
  }

  #tellPush(pushes: boolean): void {
    if (pushes === this.#pushes || this.#stopped) return;
    this.#pushes = pushes;
    this.#latency.pushes(this, pushes);
  }

  /** The rest may be copied while the log keeps what is written; see mayFinish(). */
  mayFinish(dirtyBytes: number, headroomBytes: number, sinceModeChangeMs: number, minDwellMs: number): boolean {
    return mayFinish(dirtyBytes, this.copyRate, this.logRate, headroomBytes, sinceModeChangeMs, minDwellMs);
  }
}
