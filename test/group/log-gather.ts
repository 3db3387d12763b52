// When batches go to the log's device: at once when somebody waits, several together when nobody does.

import t from 'tap';
import { LOG_GATHER_BATCHES, LOG_GATHER_MS } from '../../src/core/limits.js';
import { LogGather } from '../../src/group/log-gather.js';
import { SimClient } from '../../src/sim/client.js';
import type { SimDevice } from '../../src/sim/disk.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { hangRecords, type SimSite, SimWorld } from '../helpers/sim-group.js';
import { FakeClock } from '../link/memory-network.js';

const LONG_BYTES = 64 * 1024;

class FakeLog {
  unsubmitted = 0;
  undurable = 0;
  readonly submits: number[] = [];

  submit(): void {
    if (this.unsubmitted > 0) this.submits.push(this.unsubmitted);
    this.unsubmitted = 0;
  }
}

t.test('what is awaited goes at the end of its turn, the rest by number or by time', (t) => {
  const log = new FakeLog();
  const clock = new FakeClock();
  const gather = new LogGather(log, clock);
  const append = (isAwaited: boolean): void => {
    log.unsubmitted++;
    log.undurable++;
    gather.appended();
    gather.turnEnded(isAwaited);
  };
  const pass = (ms: number): void => clock.moveTo(clock.nowMs() + ms);
  gather.turnEnded(true);
  t.same(log.submits, [], 'nothing was appended');
  append(true);
  t.same(log.submits.splice(0), [1]);
  log.undurable = 0;
  append(false);
  t.same(log.submits.splice(0), [1], 'the device has nothing else to do');
  pass(LOG_GATHER_MS - 1);
  for (let count = 1; count <= LOG_GATHER_BATCHES; count++) append(false);
  t.same(log.submits.splice(0), [LOG_GATHER_BATCHES]);
  append(false);
  pass(1);
  t.same(log.submits, [], 'the time counts from the first batch that waits');
  pass(LOG_GATHER_MS - 2);
  append(false);
  t.same(log.submits, []);
  pass(1);
  t.same(log.submits.splice(0), [2]);
  pass(10 * LOG_GATHER_MS);
  log.unsubmitted++;
  log.undurable++;
  gather.appended();
  pass(LOG_GATHER_MS);
  t.same(log.submits.splice(0), [1], 'also when no turn ends');
  pass(10 * LOG_GATHER_MS);
  t.equal(clock.nextMs(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY, 'no timer is left');
  t.end();
});

/** Batches that `site` has written, or is writing, to its log. */
function written(site: SimSite): number {
  const { appendedLsn, unsubmitted } = site.group.log;
  return appendedLsn - unsubmitted;
}

t.test('long writes that are answered from memory are written together; a flush has them written at once', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a');
  await world.advance(2000);
  const client = new SimClient(a, new History());
  const before = written(a);
  const write = (): void => {
    t.equal(client.write(0, 0, LONG_BYTES, false, 1)?.isDone, true, 'answered');
    client.commit();
  };
  write();
  t.equal(written(a), before + 1, 'the device had nothing to do');
  for (let i = 1; i < LOG_GATHER_BATCHES; i++) {
    write();
    t.equal(written(a), before + 1, `${i} wait`);
  }
  write();
  t.equal(written(a), before + 1 + LOG_GATHER_BATCHES, 'enough of them');
  write();
  t.equal(written(a), before + 1 + LOG_GATHER_BATCHES);
  const flush = client.flush(0);
  client.commit();
  t.equal(written(a), before + 2 + LOG_GATHER_BATCHES, 'a flush waits for it');
  write();
  await world.settle();
  t.equal(flush?.isDone, true);
  t.equal(written(a), before + 3 + LOG_GATHER_BATCHES, 'written with the flush');
  for (let i = 0; i < 2; i++) write();
  await world.settle();
  t.equal(a.group.log.unsubmitted, 1);
  await world.advance(LOG_GATHER_MS);
  t.equal(a.group.log.unsubmitted, 0, 'time');
  for (let i = 0; i < 2; i++) write();
  await world.settle();
  t.equal(a.group.log.unsubmitted, 1);
  const quiet = a.group.log.quiet();
  await world.settle();
  await quiet;
  t.equal(a.group.log.durableLsn, a.group.log.appendedLsn, 'whoever asks for a quiet log does');
});

t.test('a site gathers what its primary does not wait for', async (t) => {
  for (const mode of ['async', 'memory', 'logged'] as const) {
    const world = new SimWorld(new Random());
    const a = await world.add('a', { sites: ['b'], mode });
    const b = await world.add('b', { sites: ['a'], role: 'secondary' });
    await world.advance(5000);
    const client = new SimClient(a, new History());
    hangRecords(b);
    for (const unsubmitted of [0, mode === 'async' ? 1 : 0]) {
      client.write(0, 0, LONG_BYTES, false, 1);
      client.commit();
      await world.settle();
      t.equal(b.group.log.appendedLsn, a.group.log.appendedLsn, `${mode}: received`);
      t.equal(b.group.log.unsubmitted, unsubmitted, mode);
    }
    b.logDevice.intercept = undefined;
    await world.advance(5000);
    t.equal(b.group.log.durableLsn, a.group.log.appendedLsn);
  }
});

t.test('what was answered from memory goes to the log when a volume fails', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a');
  await world.advance(2000);
  const client = new SimClient(a, new History());
  for (const device of a.volumeDevices) (device as SimDevice).intercept = (op) => (op.kind === 'write' ? 5 : 0);
  client.write(0, 0, LONG_BYTES, false, 1);
  client.commit();
  const quiet = a.group.log.quiet().catch(() => undefined);
  t.equal(a.group.log.unsubmitted, 0);
  client.write(0, 0, LONG_BYTES, false, 1);
  client.commit();
  t.equal(a.group.log.unsubmitted, 1);
  await world.settle();
  await quiet;
  t.ok(a.group.failure, 'its volume cannot be written');
  t.equal(a.group.log.unsubmitted, 0);
});
