// On a secondary: makes what the primary said about its durable LSN durable here, so that records may be applied. Under load every batch
// carries it; this is for the last batch before a pause, which no other batch follows.

import { DOUBLE_ZERO } from '../core/doubles.js';
import { LvrError } from '../core/errors.js';
import type { Clock, Timer } from '../core/ports.js';
import type { Log } from '../disk/log.js';

/** At most one superblock write in this time: batches that follow closely carry the position for nothing. */
const INTERVAL_MS = 2;

export class PrimaryDurable {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #onRecorded: () => void;
  readonly #onFailed: (error: LvrError) => void;
  #recording = false;
  #timer: Timer | undefined;
  #lastMs = DOUBLE_ZERO;

  constructor(log: Log, clock: Clock, onRecorded: () => void, onFailed: (error: LvrError) => void) {
    this.#log = log;
    this.#clock = clock;
    this.#onRecorded = onRecorded;
    this.#onFailed = onFailed;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Records the position if nothing else is about to. */
  record(): void {
    if (this.#recording || this.#timer !== undefined || !this.#log.primaryDurableUnrecorded) return;
    const wait = this.#lastMs + INTERVAL_MS - this.#clock.nowMs();
    if (wait > 0) {
      this.#timer = this.#clock.after(wait, () => {
        this.#timer = undefined;
        this.record();
      });
      return;
    }
    this.#recording = true;
    this.#lastMs = this.#clock.nowMs();
    this.#log
      .recordPrimaryDurable()
      .then(() => {
        this.#recording = false;
        this.#onRecorded();
      })
      .catch((error: unknown) => this.#onFailed(error instanceof LvrError ? error : new LvrError('FAILED', String(error))));
  }
}
