// The base of a resync is the last record on the primary's volumes. A site that has more must not count as consistent before it has all of
// that again: its volumes hold it already.

import t from 'tap';
import { RING_START } from '../../src/format/superblock.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const HAD = 10;

t.test('a resync from a primary whose volumes are behind the site loses and mixes nothing that the site had', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], mode: 'logged', resync: { minDwellMs: 1 } });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const history = new History();
  const client = new SimClient(a, history);
  for (let i = 0; i < HAD; i++) client.write(0, i * 4096, 4096);
  client.commit();
  await world.advance(5000);
  t.same([a.group.applier.appliedLsn, b.group.applier.appliedLsn], [HAD, HAD]);

  // The volumes of the primary stall. Each record in a batch of its own; they overlap, so that the second waits for the first.
  for (const device of a.volumeDevices) device.intercept = (op) => (op.kind === 'write' ? 'hang' : 0);
  const answers = [];
  for (const at of [0, 0, 4096, 4096, 8192, 8192]) {
    answers.push(client.write(1, at, 4096));
    client.commit();
    await world.advance(100);
  }
  await world.advance(2000);
  const all = HAD + answers.length;
  t.same(
    answers.map((answer) => answer?.errno),
    answers.map(() => 0),
    'answered in mode logged',
  );
  t.equal(b.group.log.durableLsn, all);
  t.equal(b.group.applier.appliedLsn, all);
  t.same([a.group.applier.appliedLsn, a.group.applier.startedLsn], [HAD, HAD + 1]);

  // A limit has the site folded; its resync ends. Behind the end mark the log of the site gets slow.
  let writes = 0;
  b.logDevice.intercept = (op) => {
    const isRecord = op.kind === 'write' && op.offset >= RING_START;
    const isBehind = (b.group.log.store.current.resync?.endLsn ?? 1) > 0;
    return isRecord && isBehind && ++writes > 1 ? 'hang' : 0;
  };
  a.group.resyncs.bitmaps.degrade('b', 'the test says so');
  await world.advance(30_000);
  a.crash('power');
  await b.restart('power');
  await world.advance(20_000);
  await world.drive(b.group.promote({ force: false }));
  await world.settle();
  t.same(differences(history, all, b.image()).slice(0, 5), [], 'everything answered in mode logged is there');
  t.same(differences(history, b.group.log.appendedLsn, b.image()).slice(0, 5), [], 'the volumes are a prefix');
});
