// A client that comes back on a new connection: what it had sent on the old one never lands after what it sends now.

import t from 'tap';
import { KIB } from '../../src/core/limits.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { request, ServerFixture, until } from '../helpers/nbd-raw-client.js';

const READ = 0;
const WRITE = 1;

for (const behind of [512, 300 * KIB]) {
  t.test(`a stalled connection is drained before a new one is served, ${behind} bytes behind the stall`, async (t) => {
    const backend = new MemoryBackend({ slabCount: 1 });
    const fixture = await ServerFixture.start([backend]);
    t.teardown(() => fixture.stop());
    const slab = backend.lease(512);
    if (slab === undefined) throw new Error('there is one slab');
    const old = fixture.client();
    await old.go('app/data');
    // The long write finds no room, and what stands behind it waits with it: partly in the socket.
    old.send(request({ type: WRITE, cookie: 1n, offset: 1024 * KIB, payload: Buffer.alloc(64 * KIB, 1) }));
    for (let sent = 0; sent < behind; sent += 512) old.send(request({ type: WRITE, cookie: 2n, payload: Buffer.alloc(512, 1) }));
    await until(() => fixture.server.metrics.stallsForRoom > 0, 'the old connection stalls');
    old.socket.destroy();
    const next = fixture.client();
    await next.go('app/data');
    next.send(request({ type: WRITE, cookie: 3n, payload: Buffer.alloc(512, 1) }));
    next.send(request({ type: WRITE, cookie: 4n, payload: Buffer.alloc(512, 2) }));
    await new Promise((resolve) => setTimeout(resolve, 50));
    backend.unlease(slab);
    backend.giveRoom();
    t.same([(await next.simple()).cookie, (await next.simple()).cookie], [3n, 4n]);
    await until(() => backend.disconnected.length === 1, 'the old connection ended');
    t.equal(backend.data[0], 2, 'the newest write stands');
  });
}

t.test('a stall that has just ended counts as one, and a client that lives on does not hold others up', async (t) => {
  const backend = new MemoryBackend({ slabCount: 1 });
  const fixture = await ServerFixture.start([backend]);
  t.teardown(() => fixture.stop());
  const slab = backend.lease(512);
  if (slab === undefined) throw new Error('there is one slab');
  const first = fixture.client();
  await first.go('app/data');
  first.send(request({ type: WRITE, cookie: 1n, offset: 4096, payload: Buffer.alloc(64 * KIB, 1) }));
  await until(() => fixture.server.metrics.stallsForRoom > 0, 'it stalls');
  const second = fixture.client();
  await second.go('app/data');
  second.send(request({ type: READ, cookie: 2n, length: 512 }));
  t.equal((await second.simple()).cookie, 2n, 'reads go on');
  await second.read(512);
  second.send(request({ type: WRITE, cookie: 3n, payload: Buffer.alloc(512, 2) }));
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(backend.data[0], 0, 'writes wait');
  backend.unlease(slab);
  backend.giveRoom();
  t.equal((await second.simple()).cookie, 3n, 'though the first one is still there');
  t.equal((await first.simple()).cookie, 1n);
  t.same([backend.data[0], backend.data[4096]], [2, 1]);
  t.same(backend.disconnected, []);
});
