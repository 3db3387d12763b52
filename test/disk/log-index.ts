// The index of retained batches against a plain list, and the pool of batches.

import t from 'tap';
import { BatchPool } from '../../src/disk/batch-pool.js';
import { LogIndex, type LogIndexEntry } from '../../src/disk/log-index.js';
import { Random } from '../helpers/random.js';

const createArena = (bytes: number) => ({ bytes: new Uint8Array(bytes), address: 0 });

t.test('whatever is pushed, trimmed and cut, the index answers like a list of batches', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const index = new LogIndex();
  let list: (Omit<LogIndexEntry, 'payloadEnd'> & { payload: number })[] = [];
  let next = 1;
  let wrong = 0;
  for (let turn = 0; turn < 4500; turn++) {
    const what = random.below(100);
    if (what < 92) {
      const count = 1 + random.below(42);
      const entry = { firstLsn: next, count, position: next * 4096, totalBytes: 8192, timeUs: next, chain: random.below(2 ** 32) };
      const payload = random.below(100_000);
      index.push(entry, payload);
      list.push({ ...entry, payload });
      next += count;
    } else if (what < 95 && list.length > 2200) {
      const lsn = (list[random.below(Math.ceil(list.length / 8))]?.firstLsn ?? 0) + random.below(40);
      const gone = list.filter((e) => e.firstLsn + e.count - 1 <= lsn);
      list = list.slice(gone.length);
      const last = gone.at(-1);
      if (index.trim(lsn) !== (last === undefined ? 0 : last.firstLsn + last.count - 1)) wrong++;
    } else if (what < 96 && list.length > 1) {
      const at = list[list.length - 1 - random.below(2)];
      const lsn = (at?.firstLsn ?? 0) + random.below(at?.count ?? 1);
      index.cut(lsn, 77);
      list = list.filter((e) => e.firstLsn <= lsn);
      const last = list.pop();
      if (last !== undefined) list.push({ ...last, count: lsn - last.firstLsn + 1, chain: 77 });
      next = lsn + 1;
    }
    if (turn % 4 !== 0) continue;
    const first = list[0]?.firstLsn ?? next;
    const probe = first - 2 + random.below(next - first + 4);
    const expected = list.find((e) => e.firstLsn <= probe && probe < e.firstLsn + e.count);
    const found = index.find(probe);
    if (found?.firstLsn !== expected?.firstLsn || found?.count !== expected?.count || found?.chain !== expected?.chain) wrong++;
    if (index.timeOf(probe) !== (expected?.timeUs ?? 0)) wrong++;
    const ends = list.map((e) => e.firstLsn + e.count - 1).filter((end) => end <= probe);
    if (probe >= first && index.batchEndBefore(probe) !== (ends.at(-1) ?? 0)) wrong++;
    const after = list.filter((e) => e.firstLsn + e.count - 1 > probe).reduce((sum, e) => sum + e.payload, 0);
    if (probe >= first && index.payloadAfter(probe) < after) wrong++;
    if (index.count !== list.length || index.lastLsn !== (list.length === 0 ? 0 : next - 1)) wrong++;
  }
  t.equal(wrong, 0);
  t.ok(list.length > 1800, 'it has grown twice');
  t.throws(() => index.push({ firstLsn: next + 1, count: 1, position: 0, totalBytes: 0, timeUs: 0, chain: 0 }, 0), /contiguous/);
  t.throws(() => index.at(list.length), /exists/);
});

t.test('payload between positions is exact at the ends of batches', async (t) => {
  const index = new LogIndex();
  t.same([index.payloadAfter(0), index.batchEndBefore(5), index.timeOf(1)], [0, 0, 0]);
  for (let i = 0; i < 5; i++) index.push({ firstLsn: 1 + 2 * i, count: 2, position: 0, totalBytes: 0, timeUs: 9, chain: 0 }, 100);
  t.same(
    [0, 2, 4, 10, 11].map((lsn) => index.payloadAfter(lsn)),
    [500, 400, 300, 0, 0],
  );
  index.trim(4);
  t.same(
    [0, 4, 6].map((lsn) => index.payloadAfter(lsn)),
    [300, 300, 200],
  );
});

t.test('a pool gives each batch once, takes it back when the last holder lets go, and says so', async (t) => {
  const pool = new BatchPool(createArena, 0);
  let freed = 0;
  pool.onFree = () => void freed++;
  const small = Array.from({ length: 8 }, () => pool.take(1000));
  t.equal(pool.take(1000), undefined);
  const large = Array.from({ length: 8 }, () => pool.take(1 << 20));
  t.equal(pool.take(1 << 20), undefined);
  const all = [...small, ...large];
  t.equal(new Set(all.map((batch) => `${batch?.arena.bytes.length} ${batch?.start}`)).size, 16);
  t.equal(pool.used, 16);
  const batch = small[0];
  if (batch === undefined) throw new Error('a pool has batches');
  batch.hold();
  batch.count = 42;
  t.notOk(batch.hasRoom(0));
  batch.release();
  t.same([freed, pool.used], [0, 16]);
  batch.release();
  t.same([freed, pool.used], [1, 15]);
  t.throws(() => batch.release(), /once per hold/);
  t.throws(() => batch.hold(), /held batch/);
  const again = pool.take(1);
  t.equal(again, batch);
  t.match(again, { count: 0, payloadBytes: 0, firstLsn: 0 });
  t.notOk(again?.hasRoom((again?.dataCapacity ?? 0) + 1));
});
