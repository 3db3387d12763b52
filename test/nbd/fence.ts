// When the fence of a new connection opens, read by read of the older one that was stalled.

import t from 'tap';
import { KIB } from '../../src/core/limits.js';
import { Fences } from '../../src/nbd/fence.js';
import { receiveQueueMaxBytes } from '../../src/nbd/socket.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { FakeClock } from '../link/memory-network.js';

const READ = 256 * KIB;

class Owner {
  isStalled = false;
  opened = 0;

  fenceOpened(): void {
    this.opened++;
  }
}

/** A connection that was stalled, and fills every read from now on. */
function hogged() {
  const fences = new Fences(new FakeClock());
  const backend = new MemoryBackend();
  const owner = new Owner();
  const hog = fences.join(backend, owner);
  owner.isStalled = true;
  hog.turnEnded();
  owner.isStalled = false;
  const fill = (bytes: number): void => {
    for (let left = bytes; left > 0; left -= READ) {
      hog.offered(READ);
      hog.received(READ);
      hog.turnEnded();
    }
  };
  const join = () => {
    const owner = new Owner();
    return { owner, fence: fences.join(backend, owner) };
  };
  return { hog, owner, fill, join };
}

t.test('a client that fills every read holds newer ones up only until it has sent more than its socket can have held', (t) => {
  const { owner, fill, join } = hogged();
  const bound = receiveQueueMaxBytes();
  t.ok(bound > 32 * KIB * KIB, 'more than the kernel lets a receive queue grow to by default');
  fill(2 * bound);
  const second = join();
  t.ok(second.fence.isClosed, 'what came before it does not count');
  fill(bound / 2);
  const third = join();
  fill(bound / 2 - READ);
  t.ok(second.fence.isClosed);
  fill(READ);
  t.notOk(second.fence.isClosed);
  t.equal(second.owner.opened, 1);
  t.ok(third.fence.isClosed, 'each has its own count');

  // A stall puts the opening off until everything received was taken.
  owner.isStalled = true;
  fill(bound);
  t.ok(third.fence.isClosed);
  owner.isStalled = false;
  fill(READ);
  t.notOk(third.fence.isClosed);
  t.equal(second.owner.opened, 1, 'once');
  t.ok(join().fence.isClosed, 'its socket may still hold what a newer one waits for');
  t.end();
});

t.test('a read that is not filled opens all fences, and the next connection has nothing to wait for', (t) => {
  const { hog, join } = hogged();
  const waiting = [join(), join()];
  hog.offered(READ);
  hog.received(READ - 1);
  hog.turnEnded();
  for (const { owner, fence } of waiting) t.same([owner.opened, fence.isClosed], [1, false]);
  t.notOk(join().fence.isClosed);
  t.end();
});
