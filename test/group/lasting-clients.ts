// A client that goes on with the next agent when this one dies, as the kernel's nbd does: what was answered to it is there, and a flush
// that the next agent answers is no lie.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { History, idsOf } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { hangRecords, SimWorld } from '../helpers/sim-group.js';

t.test('while such a client is connected no write of the group is answered before it is durable in the log', async (t) => {
  for (const mode of ['async', 'memory'] as const) {
    const world = new SimWorld(new Random());
    const a = await world.add('a', { sites: ['b'], mode });
    const b = await world.add('b', { sites: ['a'], role: 'secondary' });
    await world.advance(5000);
    const client = new SimClient(a, new History());
    hangRecords(a);
    const early = client.write(0, 0, 4096);
    client.commit();
    await world.advance(100);
    t.equal(early?.isDone, true, `${mode}: with a write cache alone it is answered`);
    a.group.backends.get('wal')?.connect(() => {}, true);
    const late = client.write(0, 8192, 4096);
    client.commit();
    await world.advance(100);
    t.equal(late?.isDone, false);
    a.logDevice.intercept = undefined;
    await world.advance(100);
    t.equal(late?.isDone, true);
    a.crash('process');
    await a.start();
    await world.advance(5000);
    t.not(idsOf(a.image()[0] as Uint8Array)[16], 0, 'what was answered is there');
    t.same(idsOf(a.image()[0] as Uint8Array), idsOf(b.image()[0] as Uint8Array));
    const [next, volume] = [new SimClient(a, new History()), a.group.backends.get('wal')];
    const other = volume?.connect(() => {}, true) ?? 0;
    hangRecords(a);
    const held = next.write(0, 0, 4096);
    next.commit();
    await world.advance(100);
    t.equal(held?.isDone, false);
    volume?.disconnect(other, { completed: () => {}, roomAvailable: () => {} });
    await world.advance(100);
    t.equal(held?.isDone, true, 'when it is gone the cache is back');
  }
});

t.test('a log that has written a batch before the call returns does not keep an answer back', async (t) => {
  for (const fua of [false, true]) {
    const world = new SimWorld(new Random());
    const a = await world.add('a', { writeCache: fua });
    await world.advance(2000);
    a.logDevice.immediate = true;
    const client = new SimClient(a, new History());
    for (const pieces of [0, 1, 2]) {
      const write = client.write(0, 0, 65536, fua, pieces);
      client.commit();
      await world.settle();
      t.equal(write?.isDone, true, `${pieces} pieces${fua ? ', FUA' : ''}`);
    }
  }
});
