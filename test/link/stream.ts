// Sender and receiver on a running session: window, catching up, lack of room, answers, and everything a primary must not send.

import t from 'tap';
import {
  BATCH_RECORDS_MAX,
  LINK_LAZY_MS,
  LINK_LINGER_MS,
  LINK_NO_ROOM_MS,
  LINK_READ_BATCHES_MAX,
  LINK_WINDOW_BYTES,
  MIB,
  RECORD_ZERO_BYTES_MAX,
} from '../../src/core/limits.js';
import { putU32, putU64 } from '../../src/format/bytes.js';
import { FRAME_HEADER_BYTES } from '../../src/format/frame.js';
import { IDENTITY_BYTES } from '../../src/format/record.js';
import { decodeAck, encodeDurable } from '../../src/format/wire.js';
import { rawPrimary } from './raw-ends.js';
import { World } from './world.js';

const STREAMING = 'connected streaming | connected streaming';

t.test('never more than the window is sent without an answer', async (t) => {
  const world = new World();
  await world.start();
  const [dialer, acceptor] = world.network.streams;
  if (acceptor !== undefined) acceptor.isSilent = true;
  const { sentBytes } = world.a.link.counters;
  for (let i = 0; i < 40; i++) world.append(world.a, 1, MIB);
  await world.settle();
  const inWindow = world.a.link.counters.sentBytes - sentBytes;
  t.ok(inWindow <= LINK_WINDOW_BYTES && inWindow > LINK_WINDOW_BYTES - 2 * MIB, `${inWindow} bytes`);
  t.equal(world.b.group.sealedLsn, world.a.link.state().sentLsn, 'all of it arrived');
  t.equal(world.a.group.sentLsn, world.b.group.sealedLsn, 'and was told of as sent');
  t.notMatch(world.a.group.events.join(), /sent/, 'in order');
  if (acceptor !== undefined) acceptor.isSilent = false;
  await world.settle();
  t.equal(world.a.group.progress.received, 40, 'answers open the window');
  t.ok(dialer?.isOpen);
  await world.stop();
});

t.test('a slow stream holds few batches, and drains', async (t) => {
  const world = new World();
  await world.start();
  world.network.unsentBytesMax = 100_000;
  for (let i = 0; i < 300; i++) world.append(world.a, 2, 4096);
  const sent = world.a.link.counters.sentRecords;
  t.ok(sent >= 20 && sent <= 30, `${sent} records wait in the stream`);
  await world.settle();
  t.equal(world.a.group.progress.received, 600);
  await world.stop();
});

t.test('a stream that breaks gives back every batch it held', async (t) => {
  const world = new World();
  await world.start();
  for (const stream of world.network.streams) stream.isSilent = true;
  for (let i = 0; i < 30; i++) world.append(world.a, 2, 4096);
  t.equal(world.a.link.counters.sentRecords, 60);
  await world.advance(16_000);
  await world.advance(5000);
  t.equal(world.a.group.progress.received, 60, 'on the next stream');
  await world.stop();
  const { leased, batches } = world.a.group;
  for (const batch of batches) batch.release();
  t.equal(leased - world.a.group.leased, batches.length, 'only the log itself held them');
});

t.test('stop waits for the batches that the stream still holds', async (t) => {
  const world = new World();
  await world.start();
  for (const stream of world.network.streams) stream.isSilent = true;
  world.append(world.a, 2, 4096);
  let isStopped = false;
  const stopped = world.a.link.stop().then(() => {
    isStopped = true;
  });
  await world.settle();
  t.equal(isStopped, false);
  await world.advance(LINK_LINGER_MS);
  await stopped;
  world.a.group.batches[0]?.release();
  t.equal(world.a.group.leased, -1, 'only the log itself held it');
  await world.stop();
});

t.test('many small frames are bounded in number too', async (t) => {
  const world = new World();
  await world.start();
  for (let i = 0; i < 1000; i++) world.append(world.a, 1, 512);
  t.equal(world.a.link.counters.sentRecords, 64, 'frames that the stream has not taken');
  await world.settle();
  t.equal(world.a.group.progress.received, 1000);
  await world.stop();
});

t.test('what is no longer in memory is read from the log, a few batches at a time, until the site has caught up', async (t) => {
  const world = new World();
  for (let i = 0; i < 30; i++) world.a.group.append(10, 4096);
  world.a.group.forget(280);
  await world.start();
  t.equal(`${world}`, STREAMING);
  t.equal(world.a.group.reads, 28);
  t.equal(world.a.group.readsAtOnceMax, LINK_READ_BATCHES_MAX);
  t.same(world.a.seen.slice(-2), ['connected catchingUp', 'connected streaming']);
  world.append(world.a, 1, 512);
  await world.settle();
  t.equal(world.a.group.reads, 28, 'nothing is read while it streams');
  for (let i = 0; i < 10; i++) world.a.group.append(1, 512);
  world.a.group.forget(305);
  world.a.link.pump();
  await world.settle();
  t.same(world.a.seen.slice(-2), ['connected catchingUp', 'connected streaming'], 'fell behind, and caught up again');
  t.same(world.b.group.records, world.a.group.records);
  await world.stop();
});

t.test('a site catches up under a load that never pauses', async (t) => {
  const world = new World();
  for (let i = 0; i < 10; i++) world.a.group.append(5, 512);
  world.network.pieceBytes = () => 700;
  let left = 400;
  const source = world.a.group;
  const progress = source.siteProgress.bind(source);
  source.siteProgress = (...positions) => {
    progress(...positions);
    // Before every answer is dealt with there is something new on the way.
    if (left-- > 0) source.append(2, 512);
  };
  await world.a.listener.start('host', 7001);
  await world.b.listener.start('host', 7002);
  world.a.link.start();
  world.b.link.start();
  let seenAt = -1;
  await world.settle();
  seenAt = world.a.seen.indexOf('connected streaming');
  t.ok(seenAt > 0);
  t.ok(left <= 0);
  t.equal(world.a.seen.filter((state) => state === 'connected streaming').length, 1);
  await world.stop();
});

t.test('a log that cannot be read ends the session with the reason', async (t) => {
  const world = new World();
  world.a.group.append(1, 512);
  world.a.group.forget(1);
  world.a.group.batches.length = 0;
  await world.start();
  t.equal(`${world}`, 'refused stopped LOG_CORRUPT | refused stopped LOG_CORRUPT');
  t.same(world.a.group.events, ['streaming b 1', 'gone b']);
  await world.stop();
});

t.test('without room the stream waits, and goes on when there is room again', async (t) => {
  const world = new World('primary', 'secondary', false, 'memory');
  world.b.group.isLogging = false;
  world.b.group.leasesMax = 3;
  const sizes = [4096, 65536, 512, MIB, 0, 300_000 - (300_000 % 512)];
  for (let i = 0; i < 60; i++) world.a.group.append(1, sizes[i % sizes.length] as number);
  await world.start();
  t.equal(world.b.group.sealedLsn, 3);
  t.equal(world.a.group.progress.received, 3);
  t.equal(world.a.group.progress.durable, 0);
  await world.advance(LINK_NO_ROOM_MS / 2);
  t.equal(world.network.connects, 1, 'waiting for room is not silence');
  for (let i = 0; i < 25; i++) {
    world.b.group.log();
    await world.settle();
    t.ok(world.b.group.leased <= 3);
  }
  t.same(world.b.group.records, world.a.group.records);
  t.equal(world.a.group.progress.applied, 60);
  await world.stop();
});

t.test('a site whose room hangs on what stands behind the records it has no room for hears it on a new session', async (t) => {
  const world = new World();
  const { a, b } = world;
  b.group.isLogging = false;
  b.group.leasesMax = 3;
  const primaryDurable = b.group.primaryDurable.bind(b.group);
  b.group.primaryDurable = (lsn) => {
    primaryDurable(lsn);
    b.group.log();
  };
  await world.start();
  for (let i = 0; i < 5; i++) a.group.append(1, 4096);
  a.group.durableLsn = 0;
  a.link.pump();
  await world.settle();
  t.equal(b.group.sealedLsn, 3, 'all of its room is taken by records that may not be applied');
  a.group.durableLsn = 5;
  a.link.pump();
  await world.advance(LINK_NO_ROOM_MS / 2);
  t.equal(b.group.knownDurable, 0);
  await world.advance(LINK_NO_ROOM_MS);
  t.equal(a.group.progress.applied, 5);
  await world.stop();
});

t.test('a secondary without room notices in the end that its primary is gone', async (t) => {
  const world = new World();
  world.b.group.leasesMax = 0;
  await world.start();
  world.append(world.a, 1, 4096);
  await world.settle();
  for (const stream of world.network.streams) stream.isSilent = true;
  void world.a.link.stop();
  await world.advance(LINK_NO_ROOM_MS / 2);
  t.equal(world.b.link.state().session, 'connected');
  await world.advance(LINK_NO_ROOM_MS);
  t.equal(world.b.link.state().session, 'offline', 'so that it can be promoted');
  await world.stop();
});

t.test('answers of one turn are one frame, and name received, logged and applied', async (t) => {
  const { world, peer, send } = await rawPrimary('memory');
  world.b.group.isLogging = false;
  const acks = (): number => peer.heard.filter(({ type }) => type === 'ack').length;
  const before = acks();
  send(5, 512, 0);
  await world.settle();
  t.equal(acks(), before + 1);
  t.same(decodeAck(peer.heard.at(-1)?.meta ?? new Uint8Array(0)), { received: 5, logged: 0, applied: 0 });
  world.b.group.log();
  world.b.group.log();
  await world.settle();
  t.same(decodeAck(peer.heard.at(-1)?.meta ?? new Uint8Array(0)), { received: 5, logged: 5, applied: 0 }, 'not durable at the primary');
  peer.say('durable', encodeDurable(4));
  await world.settle();
  world.b.group.log();
  await world.advance(LINK_LAZY_MS);
  t.same(decodeAck(peer.heard.at(-1)?.meta ?? new Uint8Array(0)), { received: 5, logged: 5, applied: 4 });
  t.equal(acks(), before + 3);
  await world.stop();
});

t.test('the durable LSN reaches the sink only as far as the records did', async (t) => {
  const { world, peer, send } = await rawPrimary('async');
  peer.say('durable', encodeDurable(100));
  send(3, 512, 100);
  await world.settle();
  t.equal(world.b.group.knownDurable, 3);
  send(3, 512, 100);
  await world.settle();
  t.equal(world.b.group.knownDurable, 6, 'and goes on with them');
  peer.say('durable', encodeDurable(99));
  await world.settle();
  t.match(peer.refusal, /^PROTOCOL the durable LSN went back/);
  await world.stop();
});

t.test('a durable LSN that no records frame carries travels alone', async (t) => {
  const world = new World('primary', 'secondary', false, 'applied');
  await world.start();
  world.a.group.append(1, 512);
  world.a.group.durableLsn = 0;
  world.a.link.pump();
  await world.settle();
  t.equal(world.b.group.knownDurable, 0);
  world.a.group.durableLsn = 1;
  world.a.link.pump();
  await world.settle();
  t.equal(world.b.group.knownDurable, 1);
  t.equal(world.a.group.progress.applied, 1);
  await world.stop();
});

t.test('records that do not fit are refused before anything is stored, and the session ends', async (t) => {
  const second = IDENTITY_BYTES;
  const cases: [string, (frame: Uint8Array, header: number) => void][] = [
    ['LSN again', (f, h) => putU64(f, h + 8, 2)],
    ['LSN left out', (f, h) => putU64(f, h + second + 8, 5)],
    ['LSN beyond 2^53', (f, h) => f.fill(255, h + 8, h + 16)],
    ['epoch 0', (f, h) => putU64(f, h + 16, 0)],
    ['later epoch than the primary’s', (f, h) => putU64(f, h + 16, 2)],
    ['incarnation 0', (f, h) => putU64(f, h + 24, 0)],
    ['incarnation going back', (f, h) => putU64(f, h + 24, 2)],
    ['offset beyond the volume', (f, h) => putU64(f, h + 32, 1 << 30)],
    ['end beyond the volume', (f, h) => putU64(f, h + 32, (1 << 30) - 512)],
    ['offset beyond 2^53', (f, h) => f.fill(255, h + 32, h + 40)],
    ['offset inside a sector', (f, h) => putU64(f, h + 32, 1)],
    ['no length', (f, h) => putU32(f, h + 40, 0)],
    ['length inside a sector', (f, h) => putU32(f, h + 40, 1000)],
    ['other length than the payload', (f, h) => putU32(f, h + 40, 512)],
    ['long write', (f, h) => putU32(f, h + 40, 2 * MIB)],
    ['unknown volume', (f, h) => f.fill(1, h + 44, h + 45)],
    ['unknown kind', (f, h) => f.fill(4, h + 46, h + 47)],
    ['kind 0', (f, h) => f.fill(0, h + 46, h + 47)],
    ['unknown flag', (f, h) => f.fill(2, h + 47, h + 48)],
    ['time beyond 2^53', (f, h) => f.fill(255, h + 56, h + 64)],
    ['trim where a write was', (f, h) => f.fill(3, h + 46, h + 47)],
    ['count of 0', (f) => f.fill(0, FRAME_HEADER_BYTES + 8, FRAME_HEADER_BYTES + 9)],
    ['count of 3', (f) => f.fill(3, FRAME_HEADER_BYTES + 8, FRAME_HEADER_BYTES + 9)],
  ];
  for (const [title, change] of cases) {
    const { world, peer, send } = await rawPrimary('async');
    send(2, 1024, 0);
    send(2, 1024, 0, change);
    await world.settle();
    t.match(peer.refusal, /^PROTOCOL /, title);
    t.equal(world.b.group.sealedLsn, 2);
    t.equal(world.b.group.leased, 0);
    t.match(world.b.link.state(), { session: 'refused', code: 'PROTOCOL' });
    await world.stop();
  }
});

t.test('a trim may be long, but not too long', async (t) => {
  for (const [length, accepted] of [
    [RECORD_ZERO_BYTES_MAX, true],
    [RECORD_ZERO_BYTES_MAX + 512, false],
  ] as const) {
    const { world, send, peer } = await rawPrimary('async');
    // The last record of a batch: nothing after it depends on its chain value.
    send(1, 0, 0, (frame, header) => putU32(frame, header + 40, length));
    await world.settle();
    t.equal(peer.refusal === '', accepted);
    await world.stop();
  }
});

t.test('a damaged payload and the sink’s refusal end the session, and nothing leaks', async (t) => {
  for (const payloadBytes of [512, 65536]) {
    const { world, peer, send } = await rawPrimary('async');
    send(2, payloadBytes, 0, (frame) => frame.fill(255, frame.length - 3, frame.length - 2));
    await world.settle();
    t.match(peer.refusal, /^LOG_CORRUPT/);
    t.equal(world.b.group.leased, 0);
    t.equal(world.b.group.sealedLsn <= 1, true);
    await world.stop();
  }
});

t.test('a session that ends inside a payload gives its batch back', async (t) => {
  for (const payloadBytes of [4096, MIB]) {
    const world = new World();
    await world.start();
    const [dialer] = world.network.streams;
    world.network.pieceBytes = () => 1000;
    if (dialer !== undefined) dialer.cutAtBytes = dialer.deliveredBytes + 2500;
    world.append(world.a, 1, payloadBytes);
    await world.settle();
    t.equal(world.b.group.leased, 0);
    t.equal(world.b.group.sealedLsn, 0);
    world.b.group.leasesMax = 0;
    await world.advance(3000);
    t.equal(world.b.group.sealedLsn, 0, 'no room');
    world.b.link.roleChanged();
    await world.stop();
    t.equal(world.b.group.leased, 0);
  }
});

t.test('a full batch of the largest number of records passes', async (t) => {
  const { world, send } = await rawPrimary('async');
  send(BATCH_RECORDS_MAX, 4096, BATCH_RECORDS_MAX);
  await world.settle();
  t.equal(world.b.group.sealedLsn, BATCH_RECORDS_MAX);
  t.equal(world.b.group.appliedLsn, BATCH_RECORDS_MAX);
  await world.stop();
});
