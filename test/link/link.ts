// One link between two sites: handshake, stream, answers, ends and reconnection.

import t from 'tap';
import { LINK_DEAD_MS } from '../../src/core/limits.js';
import { World } from './world.js';

t.test('a blank secondary is adopted and gets every record', async (t) => {
  const world = new World();
  for (let i = 0; i < 20; i++) world.a.group.append(10, 4096);
  world.append(world.a, 1, 1 << 20);
  await world.start();
  t.equal(`${world}`, 'connected streaming | connected streaming');
  t.same(world.b.group.records, world.a.group.records);
  t.same(world.a.group.progress, { received: 201, durable: 201, applied: 201 });
  t.equal(world.a.link.state().rule, 'C6');
  t.same(world.a.group.events, ['streaming b 1']);
  world.append(world.a, 5, 512);
  await world.settle();
  t.equal(world.a.group.progress.applied, 206);
  await world.stop();
  t.same(world.a.group.events, ['streaming b 1', 'gone b']);
  t.equal(world.b.group.leased, 0, 'every leased batch came back');
  t.equal(world.network.connects, 1);
});

t.test('heartbeats keep an idle link, silence ends it', async (t) => {
  const world = new World();
  await world.start();
  await world.advance(10 * LINK_DEAD_MS);
  t.equal(`${world}`, 'connected streaming | connected streaming');
  t.equal(world.network.connects, 1);
  for (const stream of world.network.streams) stream.isSilent = true;
  await world.advance(LINK_DEAD_MS + 600);
  t.match(world.b.link.state().reason, /nothing heard/);
  await world.advance(5000);
  t.equal(`${world}`, 'connected streaming | connected streaming', 'connected again on a new stream');
  await world.stop();
});
