// What resyncs add to the time that batches take.

import t from 'tap';
import { beginPace, type PaceLimits } from '../../src/core/resync-pace.js';
import { ResyncPacer } from '../../src/group/resync-pacer.js';
import { WriteLatency } from '../../src/group/write-latency.js';

const MIB = 1 << 20;
const LIMITS: PaceLimits = { maxRate: 0, minRate: 0, latencyTargetMs: 20 };

function write(latency: WriteLatency, ms: number): void {
  for (let i = 0; i < 100; i++) latency.add(ms);
}

t.test('what is usual is learned without a resync, and what one adds is above it', async (t) => {
  const latency = new WriteLatency();
  t.equal(latency.added(0), undefined, 'nobody wrote');
  write(latency, 5);
  latency.learn();
  latency.pushes({}, true);
  write(latency, 30);
  t.equal(latency.added(1000), 25);
  t.equal(latency.added(2000), undefined);
});

t.test('two resyncs of one group that look at about the same time both see what they do to writers', async (t) => {
  const latency = new WriteLatency();
  write(latency, 5);
  latency.learn();
  const pacers = [new ResyncPacer(LIMITS, latency, 0, 0), new ResyncPacer(LIMITS, latency, 0, 10)];
  t.equal(beginPace(LIMITS, 0).rate, Number.POSITIVE_INFINITY);
  for (let second = 1; second <= 3; second++) {
    write(latency, 200);
    for (const [i, pacer] of pacers.entries()) {
      pacer.copied(50 * MIB);
      pacer.step(second * MIB, second * 1000 + i * 10);
    }
  }
  for (const pacer of pacers) {
    const now = 3050;
    t.equal(pacer.take(100 * MIB, now), 0);
    t.ok(pacer.take(1, now) > 0, 'it is held to a rate');
  }
});

t.test('what writes take while a resync is held to its least rate is usual: it goes on, also when nothing was known before', async (t) => {
  for (const before of [undefined, 2]) {
    const latency = new WriteLatency();
    if (before !== undefined) {
      write(latency, before);
      latency.learn();
    }
    const pacer = new ResyncPacer({ ...LIMITS, minRate: MIB }, latency, 0, 0);
    let held = 0;
    for (let second = 1; second <= 30; second++) {
      // Writes take 30 ms, whatever the copy does.
      write(latency, 30);
      pacer.take(MIB, second * 1000 - 1);
      pacer.copied(12 * MIB);
      pacer.step(second * MIB, second * 1000);
      if (pacer.isHeldBack) held++;
    }
    t.ok(held > 0 && held < 8, `held to the least for ${held} s`);
    t.notOk(pacer.isHeldBack);
    pacer.stop();
    t.equal(pacer.take(1, 60_000), 0);
    write(latency, 100);
    latency.added(61_000);
    write(latency, 100);
    const added = latency.added(62_000) ?? 0;
    t.ok(added < 75, `a copy that has ended keeps nobody from learning: ${added}`);
  }
});
