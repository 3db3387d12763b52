// What a cut leaves at the end of a lap, where the next batch is too long to overwrite it.

import t from 'tap';
import { MIB } from '../../src/core/limits.js';
import { SimDisk } from '../../src/sim/disk.js';
import { drive, SimLog, SimMemory } from '../helpers/sim-log.js';

t.test('a batch that was cut off and is not overwritten does not hide the one that follows in the next lap', async (t) => {
  const disk = new SimDisk('log', 20 * MIB, 4096);
  const memory = new SimMemory();
  const site = await SimLog.open(disk, memory);
  const first = await site.lead();
  const { log } = site;
  while (log.ring.toEnd(log.appendPosition) > MIB) {
    site.append(first, [{ bytes: MIB }]);
    await site.settle();
  }
  await site.trim(log.appendedLsn - 2);
  site.append(first, [{ bytes: 512 }]);
  await site.settle();
  const kept = log.appendedLsn - 1;
  await drive([site.device], log.cut(kept));
  const second = await site.lead();
  site.append(second, [{ bytes: MIB }]);
  site.append(second, [{ bytes: 512 }]);
  await site.settle();
  t.equal(log.index.find(kept + 1)?.position, log.ring.bytes, 'it begins the next lap');
  memory.recycle();
  disk.crash('process', { below: () => 0, chance: () => false } as never);
  const again = await SimLog.open(disk, memory, 'primary', false);
  t.equal(again.log.appendedLsn, kept + 2);
  t.equal((await again.records()).length, 4);
});
