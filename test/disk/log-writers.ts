// Ends of a log where records of one writer take the place of another's: after a cut in the middle of a batch, and after a crash that
// left something of a newer writer, or nothing.

import t from 'tap';
import { MIB } from '../../src/core/limits.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { drive, SimLog, SimMemory } from '../helpers/sim-log.js';

const memory = new SimMemory();
const writer = { epoch: 1, incarnation: 1 };
const second = { epoch: 1, incarnation: 2 };
const open = (disk: SimDisk, mayCreate: boolean): Promise<SimLog> => SimLog.open(disk, memory, 'secondary', mayCreate, 32 * MIB);
const lose = { below: () => 0, chance: () => false } as never;

t.test('records that were cut off in the middle of a batch come back, one by one', async (t) => {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await open(disk, true);
  site.receive(writer, [{}, {}, {}, {}]);
  await site.settle();
  await drive([site.device], site.log.cut(2));
  await drive([site.device], site.log.welcome(writer));
  for (let i = 0; i < 6; i++) {
    site.receive(writer, [{}]);
    await site.settle();
  }
  t.equal(site.log.durableLsn, 8);
  const again = await open(disk, false);
  t.same([...(await again.writers()).keys()], [1, 2, 3, 4, 5, 6, 7, 8]);
  memory.recycle();
});

t.test('the same in one batch with further ones', async (t) => {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await open(disk, true);
  site.receive(writer, [{}, {}, {}, {}]);
  await site.settle();
  await drive([site.device], site.log.cut(2));
  await drive([site.device], site.log.welcome(writer));
  site.receive(writer, [{}, {}, {}, {}, {}, {}]);
  await site.settle();
  t.equal(site.log.durableLsn, 8);
  const again = await open(disk, false);
  t.same([...(await again.writers()).keys()], [1, 2, 3, 4, 5, 6, 7, 8]);
  memory.recycle();
});

t.test('a writer whom a superblock names and no record does not void older records that come', async (t) => {
  for (const count of [1, 3]) {
    const disk = new SimDisk('log', 16 * MIB);
    const site = await open(disk, true);
    site.receive(writer, [{}, {}]);
    await site.settle();
    site.device.intercept = (op) => (op.kind === 'write' && op.offset >= RING_START ? 'hang' : 0);
    site.receive(second, [{}]);
    // A checkpoint.
    await drive(
      [site.device],
      site.log.store.update((current) => ({ ...current, durableLsn: site.log.durableLsn, lineage: site.log.lineage })),
    );
    disk.crash('power', lose);
    const b = await open(disk, false);
    t.equal(b.log.appendedLsn, 2);
    await drive([b.device], b.log.welcome(writer));
    for (let i = 0; i < count; i++) {
      b.receive(writer, [{}]);
      await b.settle();
    }
    const again = await open(disk, false);
    t.equal(again.log.appendedLsn, 2 + count);
    memory.recycle();
  }
});

t.test('what a crash left of a newer writer does not speak against a cut', async (t) => {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await open(disk, true);
  site.receive(writer, [{}, {}]);
  await site.settle();
  site.receive(writer, [{}, {}]);
  await site.settle();
  site.device.intercept = (op) => {
    if (op.kind !== 'write' || op.offset < RING_START) return 0;
    if (op.offset !== firstAt) return 0;
    return 'hang';
  };
  const firstAt = RING_START + site.log.ring.offset(site.log.appendPosition);
  site.receive(second, [{}]);
  site.receive(second, [{}]);
  for (let i = 0; i < 10; i++) site.device.step();
  disk.crash('power', lose);
  const b = await open(disk, false);
  t.equal(b.log.appendedLsn, 4);
  await drive([b.device], b.log.cut(2));
  disk.crash('process', lose);
  const again = await open(disk, false);
  t.equal(again.log.appendedLsn, 2);
  memory.recycle();
});
