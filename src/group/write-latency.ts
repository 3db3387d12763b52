// How long batches take to become durable: what a resync may make longer only so far. One number per batch; nothing per request.
//
// What is usual is learned while no resync runs, and in windows in which all that run were held to their least rate: what writes take then
// is not due to them. Else a resync that begins before anything is known, or before writes become slower for another reason, would stay
// there.

/** Samples of one window; later ones of a busy window take the place of earlier ones. */
const SAMPLES = 512;
/** Weight of the newest quiet window in the baseline. */
const WEIGHT = 0.3;
/** Resyncs that look within this time see the same window: each looks once a second, and none may take it from another. */
const SHARED_MS = 500;

export class WriteLatency {
  readonly #samples = new Float64Array(SAMPLES);
  #count = 0;
  #baselineMs: number | undefined;
  #lastMs: number | undefined;
  #endedMs = Number.NEGATIVE_INFINITY;
  /** Resyncs above their least rate. */
  readonly #pushing = new Set<object>();
  /** One was, at some time in this window. */
  #wasPushed = false;

  add(ms: number): void {
    this.#samples[this.#count++ % SAMPLES] = ms;
  }

  /** A resync copies faster than at its least rate, or no longer. */
  pushes(copy: object, pushes: boolean): void {
    if (!pushes) this.#pushing.delete(copy);
    else {
      this.#pushing.add(copy);
      this.#wasPushed = true;
    }
  }

  /** Ends a window without a resync: its 99th percentile goes into the baseline. */
  learn(): void {
    this.#learn(this.#take());
  }

  #learn(ms: number | undefined): void {
    if (ms !== undefined) this.#baselineMs = this.#baselineMs === undefined ? ms : this.#baselineMs * (1 - WEIGHT) + ms * WEIGHT;
  }

  /** Ends a window with a resync: how much longer than without one; undefined when nobody wrote. */
  added(nowMs: number): number | undefined {
    if (nowMs - this.#endedMs >= SHARED_MS) {
      this.#lastMs = this.#take();
      this.#endedMs = nowMs;
      if (!this.#wasPushed) this.#learn(this.#lastMs);
      this.#wasPushed = this.#pushing.size > 0;
    }
    return this.#lastMs === undefined ? undefined : Math.max(0, this.#lastMs - (this.#baselineMs ?? 0));
  }

  #take(): number | undefined {
    const count = Math.min(this.#count, SAMPLES);
    this.#count = 0;
    if (count === 0) return undefined;
    const sorted = this.#samples.slice(0, count).sort();
    return sorted[Math.min(count - 1, Math.floor(count * 0.99))];
  }
}
