// The machine's time, as a Clock.

import type { Clock } from '../core/ports.js';

/** A longer timer of Node's ends after one millisecond. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Monotonic time from the process, wall time from the system, timers and turns of the event loop. */
export const realClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms, fn) => {
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      timer = leftMs > TIMER_MS_MAX ? setTimeout(() => arm(leftMs - TIMER_MS_MAX), TIMER_MS_MAX) : setTimeout(fn, leftMs);
    };
    arm(ms);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (fn) => {
    setImmediate(fn);
  },
};
