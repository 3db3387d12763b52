// A resync that reads from a volume what the kernel has failed to write back: the sites must not be taken for alike.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const EIO = 5;
const VOLUME_BYTES = 1 << 20;
const OFFSET = 128 * 1024;

t.test('a copy ends only when the volumes that it was read from were flushed', async (t) => {
  const world = new SimWorld(new Random());
  const volumeBytes = VOLUME_BYTES;
  const a = await world.add('a', { volumeBytes, sites: ['b'], resync: { minDwellMs: 1, checksum: 'off' } });
  const b = await world.add('b', { volumeBytes, sites: ['a'], role: 'secondary' });
  await world.advance(5000);
  const client = new SimClient(a, new History(volumeBytes));
  // So that the group is never idle, which would flush the volumes.
  const load = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms && a.group.failure === undefined; at += 50) {
      client.write(1, ((at / 50) % 16) * 4096, 4096);
      client.commit();
      await world.advance(50);
    }
  };
  await load(1000);
  world.fold(a, 'b');
  await load(1000);
  // The page cache takes a write, cannot write it back, and drops it: the next flush says so, a read does not.
  let isDropped = false;
  const [volume] = a.volumeDevices;
  if (volume !== undefined) {
    volume.intercept = ({ kind, offset }) => {
      if (kind === 'sync') return isDropped ? EIO : 0;
      if (kind !== 'write' || offset !== OFFSET || isDropped) return 0;
      isDropped = true;
      return 'phantom';
    };
  }
  const write = client.write(0, OFFSET, 4096);
  const flush = client.flush();
  client.commit();
  await load(300);
  t.same([write?.errno, flush.errno, isDropped], [0, 0, true]);
  world.blocked.clear();
  await load(30_000);
  t.match(a.group.failure, { code: 'DEVICE_FAILED' }, 'the flush in front of the end mark fails');
  a.crash('process');
  await a.start();
  await world.advance(30_000);
  t.match(a.group.status(), { health: 'healthy', sites: [{ replication: 'streaming', tracking: 'log' }] });
  const at = (image: readonly Uint8Array[]): Buffer => Buffer.from((image[0] as Uint8Array).subarray(OFFSET, OFFSET + 4096));
  t.notOk(at(a.image()).equals(Buffer.alloc(4096)), 'the log had what the cache dropped');
  t.ok(at(a.image()).equals(at(b.image())), 'and the other site has it');
});
