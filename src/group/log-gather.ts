// When batches that were appended go to the log's device. What somebody waits for goes at the end of its turn, and so does a batch that
// comes when the device has nothing to do. What nobody waits for and comes faster is gathered: batches that are written together are one
// transfer with one flush of the device, which costs much more than a transfer.

import { DOUBLE_ZERO } from '../core/doubles.js';
import { LOG_GATHER_BATCHES, LOG_GATHER_MS } from '../core/limits.js';
import type { Clock, Timer } from '../core/ports.js';
import type { Log } from '../disk/log.js';

/** Decides for one group, in one role, when its log submits what was appended. Whoever appends tells it so, and when a turn ends. */
export class LogGather {
  readonly #log: Pick<Log, 'submit' | 'undurable' | 'unsubmitted'>;
  readonly #clock: Clock;
  #timer: Timer | undefined;
  /** When the first batch was appended that is not submitted, and whether others were on their way to the device. */
  #sinceMs = DOUBLE_ZERO;
  #isBusy = false;
  readonly #timeOver = (): void => {
    this.#timer = undefined;
    if (this.#log.unsubmitted === 0) return;
    const leftMs = this.#sinceMs + LOG_GATHER_MS - this.#clock.nowMs();
    if (leftMs <= 0) this.#log.submit();
    else this.#timer = this.#clock.after(leftMs, this.#timeOver);
  };

  constructor(log: Pick<Log, 'submit' | 'undurable' | 'unsubmitted'>, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** A batch was appended: it is written after LOG_GATHER_MS at the latest, however its turn ends. */
  appended(): void {
    if (this.#log.unsubmitted === 1) {
      this.#sinceMs = this.#clock.nowMs();
      this.#isBusy = this.#log.undurable > 1;
    }
    // One that runs still is not made anew: under load there is a timer every few milliseconds, not one a batch.
    if (this.#timer === undefined) this.#timer = this.#clock.after(LOG_GATHER_MS, this.#timeOver);
  }

  /** Ends a turn in which batches may have been appended. `isAwaited`: somebody waits until they are durable. */
  turnEnded(isAwaited: boolean): void {
    const { unsubmitted } = this.#log;
    if (unsubmitted > 0 && (isAwaited || !this.#isBusy || unsubmitted >= LOG_GATHER_BATCHES)) this.#log.submit();
  }
}
