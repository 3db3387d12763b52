// Limits of how far a site may fall behind: every combination of crossed limits and actions, and hysteresis.

import t from 'tap';
import {
  type Backlog,
  defaultLow,
  FALL_BEHIND_ACTIONS,
  FALL_BEHIND_LIMITS,
  type FallBehindLimits,
  type FallBehindState,
  isSettled,
  KEEPS_UP,
  type LimitName,
  limitKey,
  stepFallBehind,
  whyNoLimit,
} from '../../src/core/fall-behind.js';

const NOTHING: Backlog = { ios: 0, bytes: 0, ageMs: 0 };
const LIMITS: FallBehindLimits = {
  ios: { high: 100, low: 90, action: 'throttle' },
  bytes: { high: 1000, low: 500, action: 'degrade' },
  ageMs: { high: 10, low: 0, action: 'alert' },
};

t.test('a limit is crossed above its high mark and left at its low one', async (t) => {
  for (const name of FALL_BEHIND_LIMITS) {
    const limits = { [name]: { high: 10, low: 7, action: 'throttle' } } as FallBehindLimits;
    const step = (state: FallBehindState, amount: number, nowMs: number): FallBehindState =>
      stepFallBehind(state, { ...NOTHING, [name]: amount }, limits, nowMs);
    // Every amount from every side: only the way up and the way down differ.
    for (let amount = 0; amount <= 12; amount++) {
      t.equal(step(KEEPS_UP, amount, 5).action, amount > 10 ? 'throttle' : undefined, `${name} up to ${amount}`);
      t.equal(step(step(KEEPS_UP, 11, 5), amount, 6).action, amount > 7 ? 'throttle' : undefined, `${name} down to ${amount}`);
    }
    const crossed = step(KEEPS_UP, 11, 5);
    t.equal(step(crossed, 8, 9), crossed, 'between the marks nothing changes');
    t.equal(step(crossed, 7, 9), KEEPS_UP);
    t.equal(step(KEEPS_UP, 10, 9), KEEPS_UP);
  }
});

t.test('each combination of crossed limits takes the most drastic action of them', async (t) => {
  let wrong = 0;
  for (const a of FALL_BEHIND_ACTIONS) {
    for (const b of FALL_BEHIND_ACTIONS) {
      for (const c of FALL_BEHIND_ACTIONS) {
        const actions = { ios: a, bytes: b, ageMs: c };
        const limits = Object.fromEntries(
          FALL_BEHIND_LIMITS.map((name) => [name, { high: 1, low: 0, action: actions[name] }]),
        ) as FallBehindLimits;
        for (let mask = 0; mask < 8; mask++) {
          const names = FALL_BEHIND_LIMITS.filter((_, i) => (mask & (1 << i)) !== 0);
          const backlog = { ...NOTHING, ...Object.fromEntries(names.map((name) => [name, 2])) };
          const state = stepFallBehind(KEEPS_UP, backlog, limits, 1);
          const order = names.map((name) => FALL_BEHIND_ACTIONS.indexOf(actions[name]));
          const expected = names.length === 0 ? undefined : FALL_BEHIND_ACTIONS[Math.max(...order)];
          if (state.action !== expected) wrong++;
          if (state.crossed.map(({ name }) => name).join() !== names.join()) wrong++;
          if ((state.reason === '') !== (names.length === 0)) wrong++;
        }
      }
    }
  }
  t.equal(wrong, 0);
});

t.test('since when, what and why are told, and stay while they are the same', async (t) => {
  const first = stepFallBehind(KEEPS_UP, { ios: 101, bytes: 0, ageMs: 0 }, LIMITS, 1000);
  t.same(first, {
    crossed: [{ name: 'ios', sinceMs: 1000 }],
    action: 'throttle',
    sinceMs: 1000,
    reason: 'more than 100 writes behind (max_ios, throttle until 90 writes)',
  });
  const second = stepFallBehind(first, { ios: 95, bytes: 1001, ageMs: 0 }, LIMITS, 2000);
  t.same(second.crossed, [
    { name: 'ios', sinceMs: 1000 },
    { name: 'bytes', sinceMs: 2000 },
  ]);
  t.same([second.action, second.sinceMs], ['degrade', 2000]);
  t.match(second.reason, /^more than 100 writes .*; more than 1000 bytes behind \(max_bytes, degrade until 500 bytes\)$/);
  const third = stepFallBehind(second, { ios: 95, bytes: 1001, ageMs: 11 }, LIMITS, 3000);
  t.same([third.action, third.sinceMs, third.crossed.length], ['degrade', 2000, 3], 'a milder one changes the reason only');
  t.not(third.reason, second.reason);
  const fourth = stepFallBehind(third, { ios: 80, bytes: 500, ageMs: 1 }, LIMITS, 4000);
  t.same([fourth.action, fourth.sinceMs, fourth.crossed], ['alert', 4000, [{ name: 'ageMs', sinceMs: 3000 }]]);
  t.equal(stepFallBehind(fourth, { ios: 80, bytes: 500, ageMs: 7 }, LIMITS, 4500), fourth);
  t.equal(stepFallBehind(fourth, NOTHING, LIMITS, 5000), KEEPS_UP);
});

t.test('limits that were taken away or changed count as they are now', async (t) => {
  const crossed = stepFallBehind(KEEPS_UP, { ios: 101, bytes: 0, ageMs: 0 }, LIMITS, 1);
  t.equal(stepFallBehind(crossed, { ios: 101, bytes: 0, ageMs: 0 }, {}, 2), KEEPS_UP);
  const other = stepFallBehind(crossed, { ios: 101, bytes: 0, ageMs: 0 }, { ios: { high: 100, low: 90, action: 'fail' } }, 2);
  t.same([other.action, other.sinceMs, other.crossed], ['fail', 2, crossed.crossed]);
  const raised = stepFallBehind(crossed, { ios: 101, bytes: 0, ageMs: 0 }, { ios: { high: 200, low: 101, action: 'throttle' } }, 2);
  t.equal(raised, KEEPS_UP);
  t.equal(stepFallBehind(KEEPS_UP, { ios: 1e12, bytes: 1e15, ageMs: 1e9 }, {}, 2), KEEPS_UP);
});

t.test('settled is when a step would change nothing of what is crossed', async (t) => {
  const amounts = [0, 5, 10, 11, 89, 90, 91, 100, 101, 499, 500, 501, 1000, 1001];
  let state: FallBehindState = KEEPS_UP;
  let changes = 0;
  const wrong: string[] = [];
  for (let i = 0; i < 20_000; i++) {
    const pick = (n: number): number => amounts[(i * n + (i >> 3)) % amounts.length] as number;
    const backlog = { ios: pick(3), bytes: pick(5), ageMs: pick(11) };
    const next = stepFallBehind(state, backlog, LIMITS, i);
    const names = (of: FallBehindState): string => of.crossed.map(({ name }) => name).join();
    if (isSettled(state, backlog, LIMITS) !== (names(next) === names(state))) wrong.push(`${names(state)} ${JSON.stringify(backlog)}`);
    if (next !== state) changes++;
    state = next;
  }
  t.same(wrong, []);
  t.ok(changes > 1000);
});

t.test('marks that make no sense are told by name', async (t) => {
  const why = (name: LimitName, high: number, low: number): string | undefined => whyNoLimit(name, { high, low, action: 'alert' });
  t.equal(why('ios', 1, 0), undefined);
  t.equal(why('bytes', 2 ** 40, defaultLow(2 ** 40)), undefined);
  t.match(why('ageMs', 10, 10), /max_age: the low mark 10 is not below the high mark 10/);
  t.match(why('ios', 10, 11), /max_ios: the low mark 11/);
  t.match(why('bytes', 0, 0), /max_bytes: the high mark/);
  t.match(why('ios', 1.5, 0), /high mark/);
  t.match(why('ios', 5, -1), /low mark/);
  t.match(why('ios', 5, Number.NaN), /low mark/);
  t.same([1, 2, 10, 11].map(defaultLow), [0, 1, 9, 9]);
});

t.test('limits have the names of their keys, and one that is not configured is never crossed', async (t) => {
  t.same(FALL_BEHIND_LIMITS.map(limitKey), ['max_ios', 'max_bytes', 'max_age']);
  const limits: FallBehindLimits = { bytes: { high: 10, low: 5, action: 'alert' } };
  const far = { ios: 1e9, bytes: 0, ageMs: 1e9 };
  t.ok(isSettled(KEEPS_UP, far, limits));
  const crossed = stepFallBehind(KEEPS_UP, { ...far, bytes: 11 }, limits, 5);
  t.same(
    crossed.crossed.map(({ name }) => name),
    ['bytes'],
  );
  const both = stepFallBehind(crossed, { ...far, bytes: 12 }, { ...limits, ios: { high: 1, low: 0, action: 'alert' } }, 6);
  t.equal(both.crossed.length, 2);
  t.same(stepFallBehind(both, NOTHING, limits, 7).crossed, []);
});
