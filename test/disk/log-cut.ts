// Cuts and what happens beside them: what a log knows of its primary, and where it goes on, survives a crash right after.

import t from 'tap';
import { BLOCK_BYTES, MIB } from '../../src/core/limits.js';
import { LogReader } from '../../src/disk/log-reader.js';
import { crc32cSpans, createArena } from '../../src/disk/memory.js';
import { Applier } from '../../src/group/applier.js';
import { Checkpointer } from '../../src/group/checkpoint.js';
import { SimDisk } from '../../src/sim/disk.js';
import { drive, SimLog, SimMemory } from '../helpers/sim-log.js';
import { FakeClock } from '../link/memory-network.js';

const memory = new SimMemory();
const writer = { epoch: 1, incarnation: 1 };
const newer = { epoch: 2, incarnation: 2 };
const open = (disk: SimDisk, mayCreate: boolean): Promise<SimLog> => SimLog.open(disk, memory, 'secondary', mayCreate, 32 * MIB);

t.test('a cut keeps what only the batches it cuts off had recorded as durable at the primary', async (t) => {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await open(disk, true);
  site.receive(writer, [{}, {}, {}]);
  site.log.setPrimaryDurable(3);
  site.receive(writer, [{}, {}]);
  await site.settle();
  t.equal(site.log.recordedPrimaryDurableLsn, 3, 'LSNs 1 to 3 may be applied');
  await drive([site.device], site.log.cut(4));
  t.equal(site.log.recordedPrimaryDurableLsn, 3);
  await drive([site.device], site.log.cut(3));
  t.equal((await open(disk, false)).log.recordedPrimaryDurableLsn, 3, 'after a crash it still knows that they may be on the volumes');
  memory.recycle();
});

t.test('what an earlier primary said of records that are cut off is not recorded behind the cut', async (t) => {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await open(disk, true);
  site.receive(writer, [{}, {}, {}]);
  site.receive(writer, [{}, {}]);
  await site.settle();
  site.log.setPrimaryDurable(5);
  const cut = site.log.cut(3);
  await new Promise((resolve) => setImmediate(resolve));
  await drive([site.device], Promise.all([cut, site.log.recordPrimaryDurable()]));
  t.equal(site.log.recordedPrimaryDurableLsn, 3);
  t.equal((await open(disk, false)).log.recordedPrimaryDurableLsn, 3);
  memory.recycle();
});

t.test('a checkpoint beside a cut does not skip what is appended behind it', async (t) => {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await open(disk, true);
  const { log } = site;
  const perLap = Math.floor(log.ring.bytes / (MIB + BLOCK_BYTES));
  for (let i = 0; i < perLap; i++) {
    site.receive(writer, [{ bytes: MIB }]);
    await site.settle();
  }
  await site.trim(perLap - 2);
  site.receive(writer, [{ bytes: MIB }]);
  await site.settle();
  t.equal(log.index.find(perLap + 1)?.position, log.ring.bytes, 'the last batch begins the next lap');
  const { index, ring, device } = log;
  const reader = new LogReader({ device, ring, index, pool: site.pool, uuid: new Uint8Array(16), crc32cSpans });
  const owner = { batchApplied: () => {}, applyFailed: (error: Error) => t.fail(error.message) };
  const applier = new Applier([], reader, perLap, owner, createArena);
  const checkpointer = new Checkpointer({
    log,
    devices: [],
    applier,
    clock: new FakeClock(),
    neededFrom: (applied) => applied,
    sites: () => [],
    flushBitmaps: () => Promise.resolve(),
    onFreed: () => {},
    onFailed: (error) => t.fail(error.message),
  });
  await drive([site.device], Promise.all([log.cut(perLap), checkpointer.run()]));
  t.equal(log.trimmedLsn, perLap);
  site.receive(newer, [{ bytes: 4096 }]);
  await site.settle();
  const again = await open(disk, false);
  t.same([...(await again.writers())], [[perLap + 1, 2]], 'a start finds it');
  memory.recycle();
});

t.test('records that were cut off and come back from their writer are not evidence against themselves', async (t) => {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await open(disk, true);
  for (let i = 0; i < 12; i++) {
    site.receive(writer, [{ bytes: MIB }]);
    await site.settle();
  }
  await drive([site.device], site.log.cut(1));
  await drive([site.device], site.log.welcome(writer));
  site.receive(writer, [{ bytes: MIB }]);
  await site.settle();
  const again = await open(disk, false);
  t.same([...(await again.writers()).keys()], [1, 2]);
  memory.recycle();
});
