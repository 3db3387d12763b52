// One channel without a network: what it says of the life of its other end.

import t from 'tap';
import { KIB } from '../../src/core/limits.js';
import type { Slab } from '../../src/core/ports.js';
import { Channel } from '../../src/link/channel.js';
import { FedStream } from '../fuzz/fed-stream.js';
import { FakeClock } from './memory-network.js';
import { contentFrame } from './raw-ends.js';

t.test('a site that had no room for long is not taken for dead when the rest of a long payload is slow', async (t) => {
  const clock = new FakeClock();
  const stream = new FedStream();
  let slab: Slab | undefined;
  let completed = 0;
  const owner = {
    control: () => t.fail('no control frame was sent'),
    payload: () => slab,
    payloadComplete: () => completed++,
    turnEnded() {},
    violated: (reason: string) => t.fail(reason),
    closed: () => t.fail('it was closed'),
  };
  const channel = new Channel(stream, owner, clock);
  const frame = contentFrame(1, 512 * KIB);
  const [begun, lastPart] = [100 * KIB, frame.length - 1000];
  stream.onPaused = () => {
    clock.moveTo(clock.nowMs() + 20_000);
    t.equal(clock.nowMs() - channel.lastReceivedMs, 0, 'silence is its own doing');
    t.equal(channel.noRoomMs(clock.nowMs()), 20_000);
    slab = { arena: { bytes: new Uint8Array(1024 * KIB), address: 0 }, dataStart: 4096, dataCapacity: 512 * KIB };
    channel.retry();
  };
  stream.feed(frame.subarray(0, begun), [begun]);
  // The stream tells of what comes now when all of it is there, or after a second.
  clock.moveTo(clock.nowMs() + 900);
  t.equal(clock.nowMs() - channel.lastReceivedMs, 900);
  stream.feed(frame.subarray(begun, lastPart), [frame.length]);
  t.equal(clock.nowMs() - channel.lastReceivedMs, 0);
  stream.feed(frame.subarray(lastPart), [frame.length]);
  t.equal(completed, 1);
  channel.destroy();
});
