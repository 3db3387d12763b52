// Old content that is there, but may not be used because undo was switched off: said so, and nothing is changed until it is on again.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const PIECE = 65536;
const PIECES = 16;

t.test('a promotion in mid-resync with undo switched off names the switch, and works when it is back', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const volumeBytes = PIECES * PIECE;
  const a = await world.add('a', { sites: ['b'], volumeBytes, resync: { minDwellMs: 1, maxRate: PIECE } });
  const b = await world.add('b', { sites: ['a'], volumeBytes, role: 'secondary' });
  await world.advance(5000);
  const history = new History(volumeBytes);
  const client = new SimClient(a, history);
  client.write(0, 0, 4096);
  client.commit();
  await world.advance(5000);
  const before = history.written.length;
  world.fold(a, 'b');
  for (let i = 0; i < PIECES; i++) {
    client.write(i % 2, i * PIECE, PIECE, false, 1);
    client.commit();
    await world.advance(100);
  }
  world.blocked.clear();
  for (let i = 0; i < 10_000 && (b.group.resyncs.undo?.entries ?? 0) < 6; i++) await world.advance(10);
  world.block('a', 'b');
  const switchTo = async (undo: 'auto' | 'off'): Promise<void> => {
    (b.group.config as { undo: string }).undo = undo;
    await b.restart('power');
  };
  await switchTo('off');
  await t.rejects(world.drive(b.group.promote({ force: false })), { code: 'NOT_CONSISTENT', hint: /set undo = "auto"/ });
  await switchTo('auto');
  await world.drive(b.group.promote({ force: false }));
  t.same(differences(history, before, b.image()).slice(0, 5), []);
});
