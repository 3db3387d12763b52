// The machine's time, as a Clock.

import type { Clock } from '../core/ports.js';

/** Monotonic time from the process, wall time from the system, timers and turns of the event loop. */
export const realClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (fn) => {
    setImmediate(fn);
  },
};
