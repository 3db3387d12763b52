// A site that does not take what it is sent, and what that costs the others.

import t from 'tap';
import { LINK_READ_BATCHES_MAX } from '../../src/core/limits.js';
import { World } from './world.js';

t.test('a stalled site keeps little of what is read back from the log for it, and the rest follows when it drains', async (t) => {
  for (const isFull of [false, true]) {
    const world = new World();
    const { group } = world.a;
    for (let i = 0; i < 100; i++) group.append(10, 512);
    group.forget(group.sealedLsn);
    let held = 0;
    const readBatch = group.readBatch.bind(group);
    group.readBatch = async (lsn) => {
      const batch = await readBatch(lsn);
      held++;
      const release = batch.release.bind(batch);
      batch.release = () => {
        held--;
        batch.release = release;
        release();
      };
      return batch;
    };
    world.network.onConnect = (dialer) => {
      const { siteStreaming } = group;
      group.siteStreaming = (...args) => {
        siteStreaming.apply(group, args);
        dialer.isSilent = true;
      };
      world.network.onConnect = undefined;
      if (isFull) world.network.unsentBytesMax = 1;
    };
    await world.start();
    t.equal(held, LINK_READ_BATCHES_MAX, 'so many batches of the log wait, in the stream or before it');
    t.equal(held, group.reads);
    t.equal(world.a.link.state().replication, 'catchingUp');
    // What is still in memory needs no reading, but stands behind what does.
    for (let i = 0; i < 10; i++) world.append(world.a, 1, 512);
    await world.settle();
    t.equal(held, group.reads);
    for (const stream of world.network.streams) stream.isSilent = false;
    await world.settle();
    t.equal(world.b.group.sealedLsn, 1010);
    t.same([held, group.reads], [0, 100]);
    t.equal(`${world}`, 'connected streaming | connected streaming');
    await world.stop();
  }
});
