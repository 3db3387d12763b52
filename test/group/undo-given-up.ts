// Old content that a resync is about to overwrite and that cannot be read; and where the space of an undo goes.

import t, { type Test } from 'tap';
import { SimClient } from '../../src/sim/client.js';
import type { SimDevice } from '../../src/sim/disk.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, type SimSiteOptions, SimWorld } from '../helpers/sim-group.js';

const EIO = 5;
const PIECE = 65536;
const PIECES = 16;
const VOLUME_BYTES = PIECES * PIECE;

/** b was away, and is about to be copied to. */
async function begin(t: Test, ofB: SimSiteOptions, ofA: SimSiteOptions = {}) {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], volumeBytes: VOLUME_BYTES, resync: { minDwellMs: 1 }, ...ofA });
  const b = await world.add('b', { sites: ['a'], volumeBytes: VOLUME_BYTES, role: 'secondary', ...ofB });
  await world.advance(5000);
  const history = new History(VOLUME_BYTES);
  const client = new SimClient(a, history);
  for (let piece = 0; piece < PIECES; piece++) {
    client.write(0, piece * PIECE, PIECE, false, 1);
    client.commit();
    await world.advance(100);
  }
  world.fold(a, 'b');
  await world.advance(1000);
  for (let piece = 0; piece < PIECES; piece += 2) client.write(0, piece * PIECE, PIECE, false, 1);
  client.commit();
  await world.advance(3000);
  return { world, a, b, history };
}

const undoOf = ({ devices }: SimSite): SimDevice => devices.at(-1) as SimDevice;

/** Bytes on the device of the undo that are not zero. */
function undoBytes(site: SimSite): number {
  return undoOf(site).disk.view.reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0);
}

for (const undo of ['auto', 'required'] as const) {
  t.test(`undo = "${undo}": a block that cannot be read does not fail the group`, async (t) => {
    const { world, a, b, history } = await begin(t, { undo });
    const [volume] = b.volumeDevices as [SimDevice];
    // It can be written: the disk puts it elsewhere then.
    const isBad = ({ offset, length }: { offset: number; length: number }): boolean => offset <= 4 * PIECE && offset + length > 4 * PIECE;
    volume.intercept = (op) => (op.kind === 'read' && isBad(op) ? EIO : 0);
    world.blocked.clear();
    await world.advance(60_000);
    t.equal(b.group.failure, undefined);
    if (undo === 'required') {
      t.match(a.group.status().sites[0], { session: 'refused', reason: /resync waits: read b\.data: I\/O error/ });
      volume.intercept = undefined;
      await world.advance(120_000);
    }
    t.match(a.group.status().sites[0], { session: 'connected', replication: 'streaming', tracking: 'log' });
    t.same(differences(history, history.written.length, b.image()).slice(0, 3), []);
  });
}

t.test('the space of an undo is given back when the resync has ended, and at a start', async (t) => {
  const { world, b } = await begin(t, { undo: 'required' }, { resync: { minDwellMs: 1, maxRate: 4 * PIECE } });
  world.blocked.clear();
  let most = 0;
  for (let i = 0; i < 600; i++) {
    await world.advance(100);
    if (i % 10 === 0) most = Math.max(most, undoBytes(b));
    // What is given back in vain is given back at the next start.
    if (i === 5) undoOf(b).intercept = (op) => (op.kind === 'zero' ? EIO : 0);
  }
  t.equal(b.group.log.store.current.resync, undefined);
  t.ok(most > PIECE, `${most} bytes were saved`);
  t.ok(undoBytes(b) > 0, 'nothing was given back');
  t.equal(b.group.failure, undefined);
  undoOf(b).intercept = undefined;
  await b.restart('power');
  await world.advance(1000);
  t.equal(undoBytes(b), 0);
});

t.test('the space of an undo is given back when a promotion has rolled back', async (t) => {
  const { world, a, b } = await begin(t, { undo: 'required' }, { resync: { minDwellMs: 1, maxRate: 2 * PIECE } });
  world.blocked.clear();
  for (let i = 0; i < 100 && undoBytes(b) <= PIECE; i++) await world.advance(100);
  t.equal(b.group.status().image, 'inconsistent');
  a.crash('power');
  await world.advance(20_000);
  await world.drive(b.group.promote({ force: true }));
  await world.advance(1000);
  t.equal(undoBytes(b), 0);
});
