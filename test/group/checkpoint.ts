// Checkpoints on devices that end operations inside kick(), as the engine does with what is complete by then.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { positionsProblem } from '../../src/sim/positions.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const WRITES = 48;
const WRITE_BYTES = 200 * 1024;

t.test('writes that end while a checkpoint begins its flush do not start another one, which would be overtaken by it', async (t) => {
  const world = new SimWorld(new Random());
  const a = await world.add('a');
  for (const device of a.volumeDevices) device.stopped = true;
  const history = new History();
  const client = new SimClient(a, history);
  for (let i = 0; i < WRITES; i++) {
    t.ok(client.write(0, 512 * i, WRITE_BYTES, true, 1));
    client.commit();
    await world.settle();
  }
  const { log, applier, checkpointer } = a.group;
  t.equal(log.durableLsn, WRITES);
  t.ok(log.usedBytes > log.ring.bytes / 2, 'half of the log is used');
  t.ok(applier.appliedLsn < WRITES, 'and its records wait for their volume');
  for (const device of a.volumeDevices) {
    device.stopped = false;
    device.immediate = true;
  }
  await world.drive(checkpointer.run());
  await world.settle();
  const { appliedLsn, trimmedLsn } = log.store.current;
  t.ok(trimmedLsn <= appliedLsn, `trimmed ${trimmedLsn}, applied ${appliedLsn}`);
  t.equal(positionsProblem(log, applier), undefined);
  await a.restart('process');
  t.same(differences(history, WRITES, a.image()).slice(0, 5), [], 'and the log can be opened again');
});

t.test('while a site that is away keeps the log, what a start must replay and a flush must write stays a part of it', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], logFull: 'throttle' });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  b.crash('power');
  await world.advance(1000);
  const { log, applier } = a.group;
  const client = new SimClient(a, new History());
  const behind = (): number =>
    log.trimmedAt(applier.appliedLsn).trimmedPosition - log.trimmedAt(log.store.current.appliedLsn).trimmedPosition;
  let most = 0;
  for (let i = 0; log.usedBytes < (log.ring.bytes * 7) / 8 && i < 400; i++) {
    client.write(i % 2, (i % 3) * 65536, 65536, false, 1);
    client.commit();
    await world.advance(5);
    if (log.usedBytes > (log.ring.bytes * 3) / 4) most = Math.max(most, behind());
  }
  t.ok(log.usedBytes >= (log.ring.bytes * 7) / 8, 'nothing was freed');
  t.equal(log.store.current.trimmedLsn < 10, true);
  t.ok(most > 0 && most <= log.ring.bytes * 0.3, `${most} bytes of the log are not checkpointed, of ${log.ring.bytes}`);
});
