// Strangers, mistakes and floods at the listener.

import t from 'tap';
import { LINK_HELLO_MS, LINK_LINGER_MS, LINK_UNKNOWN_MAX, LINK_UNKNOWN_PER_ADDRESS_MAX } from '../../src/core/limits.js';
import { lvr } from '../../src/format/wire.gen.js';
import { controlFrame, encodeTime, PROTOCOL_VERSION } from '../../src/format/wire.js';
import { helloFrame, helloOf, RawPeer } from './raw-peer.js';
import { World } from './world.js';

/** Only site b runs: it is secondary and waits to be called. */
async function listening(insecure = false): Promise<World> {
  const world = new World('primary', 'secondary', insecure);
  await world.b.listener.start('host', 7002);
  world.b.link.start();
  return world;
}

t.test('a hello for this site, group and volumes reaches its link', async (t) => {
  const world = await listening();
  const peer = await RawPeer.connect(world);
  peer.send(helloFrame());
  await world.settle();
  t.equal(peer.types, 'hello');
  t.equal(world.b.listener.unknownCount, 0);
  t.equal(world.b.link.state().session, 'handshaking');
  await world.stop();
});

t.test('a hello for someone else is refused with code and reason, and changes nothing', async (t) => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['group', helloFrame({ group: 'other' }), /^WRONG_GROUP site b has no group other/],
    ['addressee', helloFrame({ toSite: 'c' }), /^WRONG_GROUP site c was meant, this is b/],
    ['caller', helloFrame({ fromSite: 'z' }), /^WRONG_GROUP site b has no site z/],
    ['number of volumes', helloFrame({ volumes: [...helloOf().volumes, ...helloOf().volumes] }), /^WRONG_GROUP .*2 of them/],
    ['size', helloFrame({ volumes: [{ name: 'data', sizeBytes: 4096, blockBytes: 512 }] }), /^WRONG_GROUP .*differently/],
    ['name', helloFrame({ volumes: [{ name: 'date', sizeBytes: 1 << 30, blockBytes: 512 }] }), /^WRONG_GROUP .*date/],
    ['block size', helloFrame({ volumes: [{ name: 'data', sizeBytes: 1 << 30, blockBytes: 4096 }] }), /^WRONG_GROUP .*4096/],
    ['version', controlFrame('hello', lvr.Hello.encode({ protocol: 9 }).finish()), /^PROTOCOL .*version 9/],
    ['content', controlFrame('hello', lvr.Hello.encode({ protocol: PROTOCOL_VERSION, group: 'UP' }).finish()), /^PROTOCOL hello/],
    ['other frame', controlFrame('ping', encodeTime(1)), /^PROTOCOL ping frame before/],
    ['bytes behind', Uint8Array.from([...helloFrame(), 1]), /^PROTOCOL bytes behind/],
    ['garbage', new TextEncoder().encode('GET / HTTP/1.1\r\nHost: lvr\r\n\r\n'), /^PROTOCOL not a frame/],
  ];
  for (const [title, bytes, refusal] of cases) {
    const world = await listening();
    const peer = await RawPeer.connect(world);
    peer.send(bytes);
    await world.settle();
    t.match(peer.refusal, refusal, title);
    t.equal(peer.isClosed, false, 'the reason has time to arrive');
    await world.advance(LINK_LINGER_MS + 1);
    t.equal(peer.isClosed, true);
    t.equal(world.b.listener.unknownCount, 0);
    t.equal(world.b.listener.rejected, 1);
    t.same(world.b.group.prepared, []);
    await world.stop();
  }
});

t.test('who says nothing, or half a hello, is closed in time', async (t) => {
  const world = await listening();
  const silent = await RawPeer.connect(world);
  const slow = await RawPeer.connect(world);
  const hello = helloFrame();
  slow.send(hello.subarray(0, hello.length - 1));
  await world.advance(LINK_HELLO_MS - 100);
  t.equal(world.b.listener.unknownCount, 2);
  await world.advance(200);
  t.equal(world.b.listener.unknownCount, 0);
  t.ok(silent.isClosed && slow.isClosed);
  await world.stop();
});

t.test('an announced length beyond the limit is refused before anything is kept for it', async (t) => {
  const world = await listening();
  const peer = await RawPeer.connect(world);
  const records = new Uint8Array(24);
  const { sealFrame } = await import('../../src/format/frame.js');
  sealFrame(records, 0, 'records', 0, 1 << 20);
  peer.send(records);
  await world.settle();
  t.match(peer.refusal, /^PROTOCOL records frame before a hello/);
  await world.stop();
});

t.test('callers without a hello are few, and few from one address', async (t) => {
  const world = await listening();
  const peers: RawPeer[] = [];
  for (let i = 0; i < LINK_UNKNOWN_PER_ADDRESS_MAX + 1; i++) peers.push(await RawPeer.connect(world));
  t.equal(world.b.listener.unknownCount, LINK_UNKNOWN_PER_ADDRESS_MAX);
  t.equal(peers.at(-1)?.isClosed, true);
  for (let address = 2; world.b.listener.unknownCount < LINK_UNKNOWN_MAX; address++) {
    world.network.address = `127.0.0.${address}`;
    for (let i = 0; i < LINK_UNKNOWN_PER_ADDRESS_MAX; i++) peers.push(await RawPeer.connect(world));
  }
  world.network.address = '127.0.0.99';
  t.equal((await RawPeer.connect(world)).isClosed, true);
  t.equal(world.b.lines.filter((line) => line.startsWith('link-rejected')).length, 1, 'one line a second');
  peers[0]?.stream.destroy();
  await world.settle();
  t.equal((await RawPeer.connect(world)).isClosed, false, 'room again when one leaves');
  await world.stop();
});

t.test('beyond this machine only with insecure = true', async (t) => {
  const refused = await listening();
  refused.network.address = '10.0.0.7';
  const peer = await RawPeer.connect(refused);
  t.match(peer.refusal, /^INSECURE .*10\.0\.0\.7/, 'without waiting for a hello');
  await refused.stop();

  const allowed = await listening(true);
  allowed.network.address = '10.0.0.7';
  const welcome = await RawPeer.connect(allowed);
  welcome.send(helloFrame());
  await allowed.settle();
  t.equal(welcome.types, 'hello');
  t.equal(allowed.b.link.state().insecure, true);
  await allowed.stop();
});
