// What is kept in memory for a site that is behind: it saves reads of the log, and it never costs a writer anything.

import t from 'tap';
import { ShipCache } from '../../src/group/ship-cache.js';
import { SimClient } from '../../src/sim/client.js';
import { SimDisk } from '../../src/sim/disk.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld, VOLUME_BYTES } from '../helpers/sim-group.js';
import { SimLog, SimMemory } from '../helpers/sim-log.js';

t.test('batches are found by any of their LSNs until every site has received them or memory is short', async (t) => {
  const log = await SimLog.open(new SimDisk('log', 16 << 20, 4096), new SimMemory());
  const writer = await log.lead();
  const cache = new ShipCache();
  const free = log.pool.used;
  // More batches than are dropped from the front at a time.
  for (let round = 0; round < 300; round++) {
    for (let i = 0; i < 5; i++) cache.keep(log.append(writer, [{}, {}, {}]));
    await log.settle();
    const last = log.log.appendedLsn;
    t.equal(cache.find(last - 14)?.firstLsn, last - 14, 'the first');
    t.equal(cache.find(last - 10)?.firstLsn, last - 11, 'one in the middle of a batch');
    t.equal(cache.find(last + 1), undefined);
    cache.releaseTo(last - 10);
    t.equal(cache.find(last - 12), undefined, 'all of that batch was received');
    t.equal(cache.find(last - 11)?.firstLsn, last - 11, 'one record of this one was not');
    t.ok(cache.evict({ fastestLsn: 0 }));
    t.equal(cache.find(last)?.firstLsn, undefined, 'the newest is given up');
    t.equal(cache.find(last - 11)?.firstLsn, last - 11, 'the oldest is not');
    if (round % 2 === 0) cache.releaseTo(Number.POSITIVE_INFINITY);
    else while (cache.evict({ fastestLsn: 0 }));
    t.equal(log.pool.used, free, 'everything went back to the pool');
    t.notOk(cache.evict({ fastestLsn: 0 }));
    await log.trim(last);
  }
});

t.test('what is needed last is given up first: what only a slower site needs, then the newest', async (t) => {
  const log = await SimLog.open(new SimDisk('log', 16 << 20, 4096), new SimMemory());
  const writer = await log.lead();
  const cache = new ShipCache();
  for (let i = 0; i < 8; i++) cache.keep(log.append(writer, [{}, {}]));
  await log.settle();
  const last = log.log.appendedLsn;
  const kept = (): number[] => [1, 2, 3, 4, 5, 6, 7, 8].filter((n) => cache.find(last - 16 + 2 * n) !== undefined);
  t.same(kept(), [1, 2, 3, 4, 5, 6, 7, 8]);
  t.ok(cache.evict({ fastestLsn: 0 }));
  t.same(kept(), [1, 2, 3, 4, 5, 6, 7], 'one site, which is before all of them');
  // The fastest has the first three and half of the fourth.
  const fastestLsn = last - 16 + 7;
  for (const rest of [
    [1, 2, 4, 5, 6, 7],
    [1, 4, 5, 6, 7],
    [4, 5, 6, 7],
    [4, 5, 6],
  ]) {
    t.ok(cache.evict({ fastestLsn }));
    t.same(kept(), rest);
  }
  cache.keep(log.append(writer, [{}]));
  await log.settle();
  t.ok(cache.find(log.log.appendedLsn), 'newer ones are kept behind the gap');
  cache.releaseTo(fastestLsn + 1);
  t.same(kept(), [5, 6]);
  t.ok(cache.evict({ fastestLsn: fastestLsn + 1 }));
  t.ok(cache.evict({ fastestLsn: fastestLsn + 1 }));
  t.same(kept(), [5]);
  cache.releaseTo(Number.POSITIVE_INFINITY);
  t.notOk(cache.evict({ fastestLsn }));
});

/** Writes whole volumes, a batch each, while the log of the secondary stands still; then lets it go on. */
async function fallBehind(
  writes: number,
): Promise<{ reads: number; states: Set<string>; wrong: string[]; answered: boolean; free: boolean }> {
  const world = new SimWorld(new Random(11));
  const a = await world.add('a', { sites: ['b'], logBytes: 160 << 20, payloadBytes: 64 << 20 });
  const b = await world.add('b', { sites: ['a'], role: 'secondary', logBytes: 160 << 20, payloadBytes: 64 << 20 });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  let reads = 0;
  a.logDevice.onQueued = (op) => {
    if (op.kind === 'read') reads++;
  };
  const states = new Set<string>();
  b.logDevice.stopped = true;
  let answered = true;
  for (let i = 0; i < writes; i++) {
    const request = client.write(i % 2, 0, VOLUME_BYTES, false, 1);
    client.commit();
    await world.advance(5);
    answered = answered && request?.isDone === true;
    states.add(a.group.status().sites[0]?.replication ?? '');
  }
  b.logDevice.stopped = false;
  await world.advance(20_000);
  const wrong = differences(history, history.written.length, b.image());
  return { reads, states, wrong, answered, free: a.group.pool.used === 0 };
}

t.test('a site that was slow for a while is served from memory', async (t) => {
  const { reads, states, wrong, answered, free } = await fallBehind(220);
  t.same([...states], ['streaming']);
  t.equal(reads, 0, 'the log was not read');
  t.same(wrong, []);
  t.ok(answered && free);
});

t.test('what is kept for a site never makes a writer wait: the site reads the log instead', async (t) => {
  const { reads, wrong, answered, free } = await fallBehind(400);
  t.ok(reads > 0, 'the log was read');
  t.same(wrong, []);
  t.ok(answered, 'every write was answered while the site stood still');
  t.ok(free, 'nothing is kept for a site that has everything');
});
