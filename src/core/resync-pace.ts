// How fast regions are copied to a site, and when the rest may be left to the log.
//
// The rate is a controller's: when the copy makes writes slower than it may, the rate falls by half of what is really copied; otherwise it
// grows by a fixed amount per second, and at once to the most when nobody writes. Pure: time and measurements come in, rates go out.
// The bucket turns a rate into permission for one region at a time.

import { assert } from './assert.js';
import { KIB, MIB } from './limits.js';

export const LATENCY_TARGET_MS_DEFAULT = 20;
export const MIN_DWELL_MS_DEFAULT = 10_000;
/** Part of the rate that is left when writes became too slow. */
const BACK_OFF = 0.5;
/** A measurement needs this long to show what the last change did. */
const HOLD_MS = 1_000;
/** Growth in a second. */
const GROWTH_BYTES_PER_SECOND = 8 * MIB;
/** A step that comes late counts as no more than this. */
const STEP_MS_MAX = 2_000;
/** Whatever is configured, a resync never stands still. */
const FLOOR_BYTES_PER_SECOND = 64 * KIB;
/** Bytes that may be sent at once are those of this time... */
const BURST_MS = 100;
/** ...and at least so many. */
const BURST_BYTES_MIN = 256 * KIB;

/** Configuration of a site. Rates in bytes per second; maxRate 0: unlimited, latencyTargetMs 0: latency does not matter. */
export type PaceLimits = { readonly maxRate: number; readonly minRate: number; readonly latencyTargetMs: number };

/** What was seen since the last step. `addedLatencyMs`: p99 of writes above what it is without a copy; undefined: nobody writes. */
export type PaceSample = { readonly addedLatencyMs: number | undefined; readonly copiedBytesPerSecond: number };

/** `rate`: bytes per second, Infinity when unlimited. `heldUntilMs`: no further back-off before. */
export type PaceState = { readonly rate: number; readonly atMs: number; readonly heldUntilMs: number };

/** Why the rates make no sense; undefined when they do. */
export function whyNoPace({ maxRate, minRate, latencyTargetMs }: PaceLimits): string | undefined {
  for (const [key, value] of [
    ['max_rate', maxRate],
    ['min_rate', minRate],
    ['latency_target', latencyTargetMs],
  ] as const) {
    if (!Number.isFinite(value) || value < 0) return `${key} is a number of at least 0`;
  }
  return maxRate === 0 || minRate <= maxRate ? undefined : `min_rate ${minRate} is above max_rate ${maxRate}`;
}

/** A copy begins as fast as it may. */
export function beginPace(limits: PaceLimits, nowMs: number): PaceState {
  return { rate: mostOf(limits), atMs: nowMs, heldUntilMs: nowMs };
}

/** The rate for the time until the next step, a second or so later. */
export function stepPace(state: PaceState, sample: PaceSample, limits: PaceLimits, nowMs: number): PaceState {
  const most = mostOf(limits);
  const least = leastOf(limits);
  const { addedLatencyMs, copiedBytesPerSecond } = sample;
  const isTooSlow = limits.latencyTargetMs > 0 && addedLatencyMs !== undefined && addedLatencyMs > limits.latencyTargetMs;
  const within = (rate: number): number => Math.min(most, Math.max(least, rate));
  if (isTooSlow) {
    if (nowMs < state.heldUntilMs) return { ...state, rate: within(state.rate), atMs: nowMs };
    // A rate that the copy never reached would have to be halved many times before anything changed.
    const real = Math.min(state.rate, Math.max(copiedBytesPerSecond, least));
    return { rate: within(real * BACK_OFF), atMs: nowMs, heldUntilMs: nowMs + HOLD_MS };
  }
  if (addedLatencyMs === undefined || limits.latencyTargetMs === 0) return { ...state, rate: most, atMs: nowMs };
  const elapsedMs = Math.max(0, Math.min(STEP_MS_MAX, nowMs - state.atMs));
  return { ...state, rate: within(state.rate + (GROWTH_BYTES_PER_SECOND * elapsedMs) / 1000), atMs: nowMs };
}

function mostOf({ maxRate }: PaceLimits): number {
  return maxRate === 0 ? Number.POSITIVE_INFINITY : Math.max(FLOOR_BYTES_PER_SECOND, maxRate);
}

/** What a copy is held to at the least. */
export function leastOf({ minRate }: PaceLimits): number {
  return Math.max(FLOOR_BYTES_PER_SECOND, minRate);
}

/** Permission to send. What is sent may make a debt, which later time pays, so a region of any size can go. */
export class TokenBucket {
  #tokens: number;
  #atMs: number;

  constructor(nowMs: number) {
    this.#tokens = BURST_BYTES_MIN;
    this.#atMs = nowMs;
  }

  /** Takes `bytes` and returns 0 when they may be sent now; otherwise takes nothing and returns after how many ms to ask again. */
  take(bytes: number, rate: number, nowMs: number): number {
    assert(rate > 0 && bytes >= 0, 'there is a rate, and something to send');
    if (rate === Number.POSITIVE_INFINITY) {
      this.#tokens = BURST_BYTES_MIN;
      this.#atMs = nowMs;
      return 0;
    }
    const most = Math.max(BURST_BYTES_MIN, (rate * BURST_MS) / 1000);
    this.#tokens = Math.min(most, this.#tokens + (rate * Math.max(0, nowMs - this.#atMs)) / 1000);
    this.#atMs = nowMs;
    if (this.#tokens <= 0) return Math.max(1, Math.ceil((-this.#tokens * 1000) / rate));
    this.#tokens -= bytes;
    return 0;
  }

  /** `bytes` that were taken were not sent. */
  giveBack(bytes: number): void {
    this.#tokens += bytes;
  }
}

/**
 * True when the rest of the dirty regions may be copied while the log keeps what is written meanwhile: at these rates that is no more than
 * half of the log's headroom, and the mode was not changed within the dwell time.
 */
export function mayFinish(
  dirtyBytes: number,
  copyBytesPerSecond: number,
  logBytesPerSecond: number,
  headroomBytes: number,
  sinceModeChangeMs: number,
  minDwellMs: number = MIN_DWELL_MS_DEFAULT,
): boolean {
  if (sinceModeChangeMs < minDwellMs) return false;
  if (dirtyBytes === 0) return true;
  if (copyBytesPerSecond <= 0) return false;
  return (dirtyBytes / copyBytesPerSecond) * logBytesPerSecond <= headroomBytes / 2;
}
