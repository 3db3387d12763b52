// The log of a site is made smaller while the site is joined to a primary, which cuts it.

import t from 'tap';
import type { SiteHistory } from '../../src/core/reconnect.js';
import { RING_START } from '../../src/format/superblock.js';
import { LinkPort, type LinkPortGroup } from '../../src/group/link-port.js';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { hangRecords, SimWorld } from '../helpers/sim-group.js';

const MIB = 1 << 20;
const PIECE = 65536;

t.test('a log that is made smaller while a join cuts it loses nothing', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], logBytes: 32 * MIB });
  const b = await world.add('b', { sites: ['a'], role: 'secondary', logBytes: 32 * MIB });
  await world.advance(5000);
  const client = new SimClient(a, new History());
  const { log } = b.group;
  for (let i = 0; i < 2000 && log.appendPosition < 55 * MIB; i++) {
    client.write(i % 2, (i % 4) * PIECE, PIECE, false, 1);
    client.commit();
    await world.advance(20);
  }
  await world.advance(5000);
  // One record reaches the site and not the log of the primary.
  hangRecords(a);
  client.write(0, 0, 4096);
  client.commit();
  await world.advance(500);
  const last = log.appendedLsn;
  t.ok(b.group.applier.startedLsn < last && log.durableLsn === last, 'it can be cut off');
  world.block('a', 'b');
  a.crash('power');
  await world.advance(20_000);

  const stalls = { superblock: true, wipe: true };
  b.logDevice.intercept = (op) => {
    if (op.kind === 'zero') return stalls.wipe ? 'hang' : 0;
    return op.kind === 'write' && op.offset < RING_START && stalls.superblock ? 'hang' : 0;
  };
  const resized = b.group.resizeLog(27 * MIB).then(
    ({ changed }) => changed,
    (error: Error) => error.message,
  );
  await world.settle();
  const port = new LinkPort(b.group as unknown as LinkPortGroup, () => {}, world.clock);
  const plan = { rule: 'C14', action: 'stream', sender: 'a', from: last, cut: true, adopt: false } as const;
  const history = b.group.history('a');
  const primary: SiteHistory = {
    ...history,
    site: 'a',
    role: 'primary',
    epoch: 9,
    lineage: [...history.lineage, { epoch: 9, incarnation: 1, startLsn: last, own: true }],
  };
  const joined = port.prepare(plan, primary).then(
    () => 'joined',
    (error: Error) => error.message,
  );
  await world.settle();
  stalls.superblock = false;
  await world.settle();
  stalls.wipe = false;
  await world.drive(Promise.all([resized, joined]));
  b.logDevice.intercept = undefined;
  b.crash('power');
  await t.resolves(b.start());
});
