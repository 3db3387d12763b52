// The two halves of a resync session with a raw peer as the other end. What they are for is tested with real groups (test/group/resync*.ts).

import t from 'tap';
import { decodeRegionsDone } from '../../src/format/wire.js';
import { Channel, type ChannelOwner } from '../../src/link/channel.js';
import type { Refusal } from '../../src/link/ports.js';
import { ResyncReceiver } from '../../src/link/resync-receiver.js';
import { FakeGroup } from './fake-group.js';
import { FakeClock, MemoryNetwork, type MemoryStream, settle } from './memory-network.js';
import { RawPeer } from './raw-peer.js';

const OWNER: ChannelOwner = {
  control() {},
  payload: () => undefined,
  payloadComplete() {},
  turnEnded() {},
  violated() {},
  closed() {},
};

/** A channel with a raw peer at its other end. */
async function pair(): Promise<{ network: MemoryNetwork; clock: FakeClock; channel: Channel; stream: MemoryStream; peer: RawPeer }> {
  const network = new MemoryNetwork();
  const clock = new FakeClock();
  let peer: RawPeer | undefined;
  await network.listen('host', 1, (stream) => {
    peer = new RawPeer(stream);
  });
  const stream = await network.connect('host', 1, 1000);
  return { network, clock, stream, channel: new Channel(stream, OWNER, clock), peer: peer as RawPeer };
}

t.test('a primary that sends regions and never reads costs no memory: only the newest answer waits for it', async (t) => {
  const { network, clock, channel, stream, peer } = await pair();
  network.unsentBytesMax = 1;
  let tell: ((event: number | Refusal) => void) | undefined;
  const group = new FakeGroup('b', 'secondary');
  group.onRegions = (fn) => {
    tell = fn;
  };
  const receiver = new ResyncReceiver(group, channel, () => t.fail('nothing is refused'));
  const answers = () => peer.heard.map(({ meta }) => decodeRegionsDone(meta));
  stream.isSilent = true;
  for (let count = 1; count <= 1000; count++) tell?.(count);
  stream.isSilent = false;
  await settle(network, clock);
  t.same(answers(), [1, 1000]);
  tell?.(1001);
  await settle(network, clock);
  t.same(answers(), [1, 1000, 1001]);
  receiver.stop();
});
