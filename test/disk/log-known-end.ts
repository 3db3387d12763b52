// What lies behind the end of a log, up to its high-water mark, is read at every start, except when the process that closed the log has
// said where it ends.

import t from 'tap';
import { type KnownEnd, openLog } from '../../src/disk/log-open.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { drive, IDENTITY, SimLog, SimMemory } from '../helpers/sim-log.js';

const MIB = 1 << 20;
/** Behind what the first read takes, before the high-water mark. */
const REMAINS = RING_START + 4.5 * MIB;

t.test('only an end that the scan confirms saves the look behind it', async (t) => {
  const memory = new SimMemory();
  const disk = new SimDisk('log', 16 * MIB);
  const site = await SimLog.open(disk, memory);
  const writer = await site.lead();
  for (let i = 0; i < 5; i++) site.append(writer, [{ bytes: 4096 }]);
  await site.settle();
  // Remains of an earlier lap, far behind the end.
  disk.put(REMAINS, new Uint8Array(MIB / 4).fill(0xa5), true);
  const { logUuid } = site.log.store.current;
  const lsn = site.log.appendedLsn;
  t.equal(lsn, 5);

  const readsBehind = async (known: KnownEnd | undefined): Promise<number> => {
    const device = disk.clone().open();
    let reads = 0;
    device.onQueued = ({ kind, offset, length }) => {
      if (kind === 'read' && offset + length > REMAINS) reads++;
    };
    const { log } = await drive([device], openLog(device, IDENTITY, 'primary', memory, false, known));
    t.equal(log.appendedLsn, lsn, 'the end is the same in any case');
    memory.recycle();
    return reads;
  };
  t.ok((await readsBehind(undefined)) > 0, 'nobody says where it ends');
  t.equal(await readsBehind({ logUuid, lsn }), 0, 'it ends where it is said to');
  t.ok((await readsBehind({ logUuid, lsn: lsn + 1 })) > 0, 'a record is missing');
  t.ok((await readsBehind({ logUuid, lsn: lsn - 1 })) > 0, 'there is one more than said');
  t.ok((await readsBehind({ logUuid: 'f'.repeat(32), lsn })) > 0, 'another log was meant');
});
