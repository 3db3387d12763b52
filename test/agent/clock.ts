// The machine's time: what Node's timers cannot do by themselves.

import t from 'tap';
import { realClock } from '../../src/agent/clock.js';
import { sleep } from '../helpers/command.js';

t.test('a timer of a month does not end at once', async (t) => {
  let fired = 0;
  const timer = realClock.after(30 * 86_400_000, () => fired++);
  const cancelled = realClock.after(20, () => fired++);
  cancelled.cancel();
  await sleep(50);
  t.equal(fired, 0);
  timer.cancel();
  await new Promise<void>((resolve) => void realClock.after(1, resolve));
});
