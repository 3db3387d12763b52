// What a cut leaves at the end of a lap, where the next batch is too long to overwrite it.

import t from 'tap';
import { MIB } from '../../src/core/limits.js';
import { RING_START } from '../../src/format/superblock.js';
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

for (const kind of ['zero', 'sync', 'write'] as const) {
  t.test(`a cut whose ${kind} fails is the end of the log: nothing is appended behind what may come to light`, async (t) => {
    const disk = new SimDisk('log', 16 * MIB);
    const memory = new SimMemory();
    const writer = { epoch: 1, incarnation: 1 };
    const site = await SimLog.open(disk, memory, 'secondary', true, 32 * MIB);
    for (let i = 0; i < 4; i++) {
      site.receive(writer, [{}, {}, {}]);
      await site.settle();
    }
    // What a cut left in the middle of a batch is wiped by the next.
    await drive([site.device], site.log.cut(8));
    site.device.intercept = (op) => (op.kind === kind && (kind !== 'write' || op.offset >= RING_START) ? 5 : 0);
    await t.rejects(drive([site.device], site.log.cut(5)), { code: 'DEVICE_FAILED' });
    t.equal(site.log.failed?.code, 'LOG_FAILED');
    t.equal(site.device.pending, 0);
    memory.recycle();
  });
}
