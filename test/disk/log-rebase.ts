// A log that begins anew forgets its records, so damage to them does not matter.

import t from 'tap';
import { MIB } from '../../src/core/limits.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { drive, SimLog, SimMemory } from '../helpers/sim-log.js';

const memory = new SimMemory();
const writer = { epoch: 1, incarnation: 1 };

t.test('a log that begins anew does not ask for its last batch, which is forgotten', async (t) => {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await SimLog.open(disk, memory, 'secondary', true, 32 * MIB);
  for (let i = 0; i < 4; i++) site.receive(writer, [{}]);
  await site.settle();
  const { log } = site;
  const chain = await log.chainAt(2);
  disk.corrupt(RING_START + log.ring.offset(log.index.at(log.index.count - 1).position) + 70, 3);
  await t.resolves(drive([site.device], log.rebase(2, chain, log.lineage, {})));
  t.equal(log.appendedLsn, 2);
  memory.recycle();
});
