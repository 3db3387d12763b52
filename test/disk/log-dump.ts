// A log at rest, printed; volumes opened and proven to read as zeroes.

import { chmodSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createEngines } from '../../src/disk/engine.js';
import { dumpLog } from '../../src/disk/log-dump.js';
import { createArena } from '../../src/disk/memory.js';
import { openVolume, readsAsZeroes } from '../../src/disk/open-volume.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { drive, SimLog, SimMemory } from '../helpers/sim-log.js';

const MIB = 1 << 20;
const directory = mkdtempSync(join(tmpdir(), 'lvr-dump-'));
t.teardown(() => rmSync(directory, { recursive: true }));

async function dump(bytes: Uint8Array): Promise<string> {
  const path = join(directory, 'log');
  writeFileSync(path, bytes);
  const lines: string[] = [];
  await dumpLog(path, (line) => lines.push(line));
  t.ok(Buffer.compare(readFileSync(path), bytes) === 0, 'printing changes nothing');
  return lines.join('\n');
}

t.test('every superblock, batch and record is printed, and the verdict of the recovery table', async (t) => {
  const disk = new SimDisk('log', 16 * MIB);
  const site = await SimLog.open(disk, new SimMemory());
  const writer = await site.lead();
  site.append(writer, [
    { bytes: 512, offset: 1024 },
    { kind: 'trim', bytes: 8192 },
  ]);
  site.append(writer, [{ kind: 'zero', bytes: 4096 }]);
  await site.settle();
  const whole = await dump(disk.durable);
  for (const text of [
    /^slot 0: sequence 1, group app, site a/m,
    /^slot 1: sequence 2, .*epoch 1, incarnation 1/m,
    /^volume 0: data, 1048576 bytes, block 512/m,
    /^lineage: from LSN 1 writer 1\.1 \(this site\)/m,
    /^batch: 2 records, LSN 1\.\., position 0, 8192 bytes/m,
    /LSN 1 write volume 0 offset 1024 length 512 writer 1\.1/,
    /LSN 2 trim unmap volume 0 offset 0 length 8192/,
    /LSN 3 zero volume 0/,
    /^end: LSN 3, position 12288/m,
    /^recovery: L8 open: the log ends at LSN 3$/m,
  ]) {
    t.match(whole, text);
  }
  await drive(
    [site.device],
    site.log.store.update((current) => ({ ...current, durableLsn: 3 })),
  );
  disk.corrupt(RING_START + 8192 + 70, 3);
  t.match(await dump(disk.durable), /LSN 3: damaged header[\s\S]*recovery: L6 refuse/);
  disk.corrupt(20, 0);
  disk.corrupt(16384 + 20, 0);
  t.match(await dump(disk.durable), /slot 0: invalid\nslot 1: invalid\nrecovery: L3 refuse/);
  await t.rejects(
    dumpLog(join(directory, 'none'), () => {}),
    { name: 'LvrError' },
  );
});

t.test('what is no log, or a part of one, is told for what it is', async (t) => {
  const disk = new SimDisk('log', 20 * MIB);
  const site = await SimLog.open(disk, new SimMemory());
  site.append(await site.lead(), [{ bytes: 512 }]);
  await site.settle();
  const cut = await dump(disk.durable.subarray(0, 17 * MIB));
  t.match(cut, new RegExp(`^cut off: it was ${20 * MIB} bytes long, now ${17 * MIB}$`, 'm'));
  t.match(cut, /^recovery: L\d+ refuse/m);
  t.match(await dump(new Uint8Array(20 * MIB)), /^recovery: L1 create: blank/m);
  t.match(await dump(new Uint8Array(20 * MIB).fill(7, 100_000, 100_001)), /^recovery: L2 refuse/m);
  const path = join(directory, 'log');
  truncateSync(path, MIB);
  await t.rejects(
    dumpLog(path, () => {}),
    { code: 'DEVICE_UNUSABLE', message: /1048576 bytes, no log has less than 16777216/ },
  );
  await t.rejects(
    dumpLog(join(path, 'below'), () => {}),
    { code: 'DEVICE_UNUSABLE', message: /not a directory/ },
  );
  writeFileSync(path, disk.durable);
  chmodSync(path, 0o400);
  const lines: string[] = [];
  await dumpLog(path, (line) => lines.push(line));
  t.match(lines.at(-1), /^recovery: L8 open/);
});

t.test('a volume is proven zero only when every byte is', async (t) => {
  const engines = createEngines();
  t.teardown(() => engines.close());
  const path = join(directory, 'volume');
  const config = { name: 'data', device: path, sizeBytes: 5 * MIB, io: undefined };
  const arena = createArena(MIB);
  for (const at of [undefined, 0, 3 * MIB + 777, 5 * MIB - 1]) {
    writeFileSync(path, '');
    truncateSync(path, 5 * MIB);
    if (at !== undefined) {
      const bytes = Buffer.alloc(5 * MIB);
      bytes[at] = 1;
      writeFileSync(path, bytes);
    }
    const device = await openVolume(config, engines, true);
    t.equal(await readsAsZeroes(device, arena), at === undefined, `byte at ${at}`);
    await device.close();
  }
});
