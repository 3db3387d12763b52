// Who waits for an answer, and who does not any more because the client is gone.

import t from 'tap';
import type { IoRequest, RequestOwner } from '../../src/core/ports.js';
import { Replies } from '../../src/group/replies.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const RECONNECTS = 30;

t.test('the answers of a client that is gone are kept no longer, and those of others keep their order', (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  for (let round = 0; round < 50; round++) {
    const replies = new Replies();
    const answered: number[] = [];
    const owners: RequestOwner[] = [0, 1, 2, 3].map(() => ({
      completed: (request: IoRequest) => void answered.push(request.offset),
    }));
    let expected: { lsn: number; owner: RequestOwner }[] = [];
    const due: number[] = [];
    let lsn = 0;
    for (let step = 0; step < 400; step++) {
      const owner = owners[random.below(owners.length)] as RequestOwner;
      const what = random.below(20);
      if (what < 17) {
        const request = { op: 'write', offset: ++lsn, length: 512, fua: false, noHole: false, epoch: 1, slabs: [], owner } as IoRequest;
        replies.write(lsn, request);
        expected.push({ lsn, owner });
      } else if (what < 18) {
        replies.forget(owner);
        expected = expected.filter((entry) => entry.owner !== owner);
      } else {
        const upTo = lsn - random.below(300);
        replies.release(upTo, upTo);
        due.push(...expected.filter((entry) => entry.lsn <= upTo).map((entry) => entry.lsn));
        expected = expected.filter((entry) => entry.lsn > upTo);
      }
      if (replies.waiting !== expected.length) break;
    }
    t.equal(replies.waiting, expected.length);
    replies.failAll(5);
    due.push(...expected.map((entry) => entry.lsn));
    t.same(answered, due);
  }
  t.end();
});

t.test('a client that reconnects while a site holds its writes leaves nothing behind but the writes', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const a = await world.add('a', { sites: ['b'], mode: 'logged', onDisconnect: 'block' });
  const b = await world.add('b', { sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  b.crash('process');
  await world.advance(60_000);
  const history = new History();
  const other = new SimClient(a, history);
  const held = [other.write(0, 0, 4096), other.flush()];
  for (let i = 0; i < RECONNECTS; i++) {
    const client = new SimClient(a, history);
    client.write(1, 0, 512);
    client.write(1, 512, 512, true);
    client.flush(1);
    client.commit();
    await world.settle();
    client.waitForRoom();
    client.disconnect();
    a.group.writePath?.wake();
    await world.settle();
    t.same([client.isShortOfRoom, client.waiting], [true, 3], 'a client that is gone hears of nothing');
  }
  t.equal(a.group.writePath?.replies.waiting, held.length, 'only who is still there waits');
  t.notOk(held.some((request) => request?.isDone));
  await b.start();
  await world.advance(60_000);
  t.same(
    held.map((request) => request?.errno),
    [0, 0],
  );
  t.equal(b.group.log.durableLsn, 1 + 2 * RECONNECTS, 'what was admitted stays admitted');
  t.same(differences(history, 1 + 2 * RECONNECTS, b.image()).slice(0, 5), []);
});
