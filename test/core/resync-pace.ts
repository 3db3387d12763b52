// The pace of a resync: bounds hold whatever is measured, a simulated disk settles near the target, the bucket keeps to its rate.

import t from 'tap';
import {
  beginPace,
  LATENCY_TARGET_MS_DEFAULT,
  MIN_DWELL_MS_DEFAULT,
  mayFinish,
  type PaceLimits,
  type PaceSample,
  stepPace,
  TokenBucket,
  whyNoPace,
} from '../../src/core/resync-pace.js';
import { Random } from '../helpers/random.js';

const MIB = 2 ** 20;
const LIMITS: PaceLimits = { maxRate: 100 * MIB, minRate: 4 * MIB, latencyTargetMs: 20 };

t.test('writes that become too slow halve what is really copied, once per second, down to the least', async (t) => {
  const slow: PaceSample = { addedLatencyMs: 21, copiedBytesPerSecond: 60 * MIB };
  let pace = beginPace(LIMITS, 0);
  t.equal(pace.rate, 100 * MIB);
  pace = stepPace(pace, slow, LIMITS, 1000);
  t.equal(pace.rate, 30 * MIB, 'half of the copy, not of the limit');
  pace = stepPace(pace, slow, LIMITS, 1999);
  t.equal(pace.rate, 30 * MIB, 'the measurement is of before');
  pace = stepPace(pace, slow, LIMITS, 2000);
  t.equal(pace.rate, 15 * MIB);
  for (let now = 3000; now < 10_000; now += 1000) pace = stepPace(pace, slow, LIMITS, now);
  t.equal(pace.rate, 4 * MIB);
});

t.test('writes that are fast enough let it grow by the second up to the most, nobody writing lets it go at once', async (t) => {
  const fine: PaceSample = { addedLatencyMs: 20, copiedBytesPerSecond: 10 * MIB };
  let pace = { rate: 10 * MIB, atMs: 0, heldUntilMs: 0 };
  pace = stepPace(pace, fine, LIMITS, 500);
  t.equal(pace.rate, 14 * MIB);
  pace = stepPace(pace, fine, LIMITS, 1500);
  t.equal(pace.rate, 22 * MIB);
  t.equal(stepPace(pace, fine, LIMITS, 100_000).rate, 38 * MIB, 'a step that comes late is no leap');
  t.equal(stepPace(pace, { ...fine, addedLatencyMs: undefined }, LIMITS, 1600).rate, 100 * MIB);
  for (let now = 2000; now < 20_000; now += 1000) pace = stepPace(pace, fine, LIMITS, now);
  t.equal(pace.rate, 100 * MIB);
  t.equal(stepPace(pace, { ...fine, addedLatencyMs: 1e6 }, { ...LIMITS, latencyTargetMs: 0 }, 21_000).rate, 100 * MIB);
});

t.test('unlimited stays unlimited until writes become too slow', async (t) => {
  const limits: PaceLimits = { maxRate: 0, minRate: 0, latencyTargetMs: LATENCY_TARGET_MS_DEFAULT };
  let pace = beginPace(limits, 0);
  pace = stepPace(pace, { addedLatencyMs: 5, copiedBytesPerSecond: 900 * MIB }, limits, 1000);
  t.equal(pace.rate, Number.POSITIVE_INFINITY);
  pace = stepPace(pace, { addedLatencyMs: 50, copiedBytesPerSecond: 900 * MIB }, limits, 2000);
  t.equal(pace.rate, 450 * MIB);
  pace = stepPace(pace, { addedLatencyMs: 50, copiedBytesPerSecond: 0 }, limits, 3000);
  t.ok(pace.rate > 0, 'it never stands still');
});

t.test('whatever is measured and whenever, the rate stays between its bounds', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  let wrong = 0;
  for (let run = 0; run < 300; run++) {
    const maxRate = random.chance(30) ? 0 : (1 + random.below(1000)) * MIB;
    const minRate = random.chance(30) ? 0 : random.below(maxRate === 0 ? 1000 * MIB : maxRate + 1);
    const limits = { maxRate, minRate, latencyTargetMs: random.below(40) };
    if (whyNoPace(limits) !== undefined) wrong++;
    let now = random.below(1000);
    let pace = beginPace(limits, now);
    for (let step = 0; step < 50; step++) {
      now += random.below(3000);
      const sample = {
        addedLatencyMs: random.chance(20) ? undefined : random.below(60),
        copiedBytesPerSecond: random.below(1000) * MIB,
      };
      pace = stepPace(pace, sample, limits, now);
      const isInside = pace.rate >= Math.max(minRate, 1) && pace.rate <= (maxRate === 0 ? Number.POSITIVE_INFINITY : maxRate);
      if (!isInside) wrong++;
    }
  }
  t.equal(wrong, 0);
});

t.test('over a disk that slows down beyond 200 MiB/s the copy stays near that', async (t) => {
  const limits: PaceLimits = { maxRate: 0, minRate: MIB, latencyTargetMs: 20 };
  let pace = beginPace(limits, 0);
  const rates: number[] = [];
  for (let now = 1000; now <= 120_000; now += 1000) {
    const copied = Math.min(pace.rate, 800 * MIB);
    pace = stepPace(pace, { addedLatencyMs: copied > 200 * MIB ? 60 : 3, copiedBytesPerSecond: copied }, limits, now);
    if (now > 20_000) rates.push(pace.rate);
  }
  t.ok(Math.max(...rates) < 210 * MIB && Math.min(...rates) > 90 * MIB, `${Math.min(...rates) / MIB} to ${Math.max(...rates) / MIB}`);
  t.ok(rates.reduce((sum, rate) => sum + rate) / rates.length > 130 * MIB);
});

t.test('a bucket lets through what its rate says, whatever the sizes and the times', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  for (const rate of [64 * 1024, 3 * MIB, 500 * MIB]) {
    for (const bytes of [4096, 65536, 4 * MIB]) {
      const bucket = new TokenBucket(0);
      let now = 0;
      let sent = 0;
      let waits = 0;
      while (now < 60_000 && sent < 4000 * MIB) {
        const wait = bucket.take(bytes, rate, now);
        if (wait === 0) sent += bytes;
        else waits++;
        now += wait === 0 ? 0 : wait + random.below(3);
      }
      const earned = (rate * now) / 1000;
      const slack = Math.max(256 * 1024, rate / 10) + bytes;
      t.ok(sent <= earned + slack && sent >= earned * 0.9 - slack, `${sent} of ${earned} at ${rate} in pieces of ${bytes}`);
      t.ok(waits > 0);
    }
  }
});

t.test('an idle time is not saved up, and without a limit nothing waits', async (t) => {
  const bucket = new TokenBucket(0);
  let sent = 0;
  while (bucket.take(65536, MIB, 3_600_000) === 0) sent += 65536;
  t.equal(sent, 256 * 1024);
  t.equal(bucket.take(2 ** 40, Number.POSITIVE_INFINITY, 3_600_000), 0);
  t.equal(bucket.take(65536, MIB, 3_600_000), 0, 'and leaves no debt');
  t.throws(() => bucket.take(1, 0, 3_600_001), { name: 'AssertionError' });
});

t.test('the rest is left to the log when half of its room holds what is written meanwhile', async (t) => {
  const may = (dirty: number, copy: number, write: number, room: number, sinceMs = 10_000): boolean =>
    mayFinish(dirty, copy, write, room, sinceMs, MIN_DWELL_MS_DEFAULT);
  t.ok(may(100 * MIB, 100 * MIB, 8 * MIB, 16 * MIB), 'exactly half');
  t.notOk(may(100 * MIB, 100 * MIB, 8 * MIB + 1, 16 * MIB));
  t.notOk(may(101 * MIB, 100 * MIB, 8 * MIB, 16 * MIB));
  t.notOk(may(100 * MIB, 99 * MIB, 8 * MIB, 16 * MIB));
  t.notOk(may(100 * MIB, 100 * MIB, 8 * MIB, 16 * MIB - 2));
  t.notOk(may(0, 1, 0, MIB, 9_999), 'not so soon after the last change');
  t.ok(may(0, 0, 5, 0), 'nothing is left to copy');
  t.ok(may(100 * MIB, 1, 0, 0), 'nobody writes');
  t.notOk(may(1, 0, 0, MIB), 'nothing is known of the copy');
  t.ok(mayFinish(0, 0, 0, 0, 10_000));
});

t.test('while writes are slower than the copy, passes over what is dirty come to the end', async (t) => {
  for (const share of [0.1, 0.5, 0.9]) {
    const copy = 100 * MIB;
    const write = share * copy;
    const headroom = 64 * MIB;
    let dirty = 2 ** 40;
    let passes = 0;
    for (; passes < 1000 && !mayFinish(dirty, copy, write, headroom, 60_000); passes++) dirty = (dirty / copy) * write;
    t.ok(passes < 1000, `${passes} passes at ${share}`);
    t.ok((dirty / copy) * write <= headroom / 2);
  }
});

t.test('rates that make no sense are told by name', async (t) => {
  t.equal(whyNoPace(LIMITS), undefined);
  t.equal(whyNoPace({ maxRate: 0, minRate: MIB, latencyTargetMs: 0 }), undefined);
  t.match(whyNoPace({ ...LIMITS, minRate: 101 * MIB }), /min_rate \d+ is above max_rate/);
  t.match(whyNoPace({ ...LIMITS, maxRate: -1 }), /max_rate/);
  t.match(whyNoPace({ ...LIMITS, latencyTargetMs: Number.NaN }), /latency_target/);
});

t.test('what was taken and not sent is given back, and saves up no more than a burst', async (t) => {
  const rate = 10 * MIB;
  const bucket = new TokenBucket(0);
  t.equal(bucket.take(10 * MIB, rate, 0), 0);
  t.ok(bucket.take(MIB, rate, 0) > 900);
  bucket.giveBack(10 * MIB);
  t.equal(bucket.take(MIB, rate, 0), 0, 'as if it had not been taken');
  bucket.giveBack(1000 * MIB);
  t.equal(bucket.take(2 * MIB, rate, 0), 0);
  t.ok(bucket.take(MIB, rate, 0) > 0, 'not all of it at once');
});
