// Changing the size of a log in use: what is refused, what is kept through a power cut at any moment, files that grow and shrink.

import t from 'tap';
import { MIB } from '../../src/core/limits.js';
import { resizeLog } from '../../src/disk/log-resize.js';
import { SimDisk } from '../../src/sim/disk.js';
import { apart } from '../helpers/apart.js';
import { Random } from '../helpers/random.js';
import { drive, SimLog, SimMemory } from '../helpers/sim-log.js';
import { LAYOUTS, type resizeWorlds, SIZES } from './resize-worlds.js';

t.setTimeout(290_000);

const BLOCK = 4096;
const WORLDS = new URL('./resize-worlds.js', import.meta.url);

for (const name of Object.keys(LAYOUTS)) {
  t.test(`power cut at every moment of a change of size: ${name}`, { timeout: 170_000 }, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const { violation, worlds, crashed, refused } = await apart<typeof resizeWorlds>(WORLDS, 'resizeWorlds', random.seed, [name]);
    t.equal(violation, undefined);
    t.ok(worlds > SIZES.length && crashed > 0);
    t.comment(`figure log resized, ${name}: ${worlds} worlds, ${crashed} power cuts, ${refused} refusals`);
  });
}

t.test('what cannot be is refused, and nothing is changed', async (t) => {
  const disk = new SimDisk('log', 20 * MIB, BLOCK);
  const site = await SimLog.open(disk, new SimMemory());
  const { log, device } = site;
  const before = { ...log.store.current };
  const refusal = (size: number): Promise<string> =>
    drive(
      [device],
      resizeLog(log, size, () => t.fail('appending goes on')),
    ).then(
      () => 'done',
      (error: Error) => error.message,
    );
  t.match(await refusal(15 * MIB), /too small: 16 MiB is the least/);
  t.match(await refusal(17 * MIB + 512), /whole blocks/);
  t.match(await refusal(21 * MIB), /log has 20971520 bytes, 22020096 are asked for/);
  const writer = await site.lead();
  while (log.usedBytes < 17 * MIB) {
    site.append(writer, [{ bytes: MIB }]);
    await site.settle();
  }
  t.match(await refusal(16 * MIB), /bytes of it are used, they do not fit/);
  t.equal(log.ring.bytes, before.ringBytes);
  t.equal(log.store.current.ringBytes, before.ringBytes);
  t.same(
    await drive(
      [device],
      resizeLog(log, 20 * MIB, () => undefined),
    ),
    false,
    'the size it has',
  );
});
