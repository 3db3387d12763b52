// core/rate.ts: the average of a steady growth is that growth from the first step on, and it follows a change.

import t from 'tap';
import { Rate } from '../../src/core/rate.js';

t.test('a steady growth is known at once, at any spacing', async (t) => {
  const rate = new Rate(500, 1000);
  t.equal(rate.perSecond, 0);
  let total = 500;
  let nowMs = 1000;
  for (const step of [1000, 10, 5000, 1, 60_000]) {
    nowMs += step;
    total += step * 3;
    rate.add(total, nowMs);
    t.ok(Math.abs(rate.perSecond - 3000) < 1e-6);
  }
  rate.add(total + 1e9, nowMs);
  t.ok(Math.abs(rate.perSecond - 3000) < 1e-6, 'no time, no rate');
});

t.test('a change counts more with every second, and what falls has a negative rate', async (t) => {
  const rate = new Rate(0, 0);
  for (let second = 1; second <= 60; second++) rate.add(second * 1000, second * 1000);
  let before = rate.perSecond;
  for (let second = 61; second <= 120; second++) {
    rate.add(60_000, second * 1000);
    t.ok(rate.perSecond < before);
    before = rate.perSecond;
  }
  t.ok(before < 5);
  rate.add(0, 240_000);
  t.ok(rate.perSecond < -400);
});
