// Which positions travel at once, which with others, and which alone after LINK_LAZY_MS: for every mode, at both ends.

import t from 'tap';
import type { SiteMode } from '../../src/core/group-config.js';
import { LINK_LAZY_MS, LINK_LINGER_MS, LINK_UNANSWERED_BYTES_MAX, LINK_UNANSWERED_FRAMES_MAX, MIB } from '../../src/core/limits.js';
import { type Ack, decodeAck, decodeDurable, encodeDurable } from '../../src/format/wire.js';
import { Random } from '../helpers/random.js';
import { rawPrimary, rawSecondary } from './raw-ends.js';
import type { RawPeer } from './raw-peer.js';
import { World } from './world.js';

const MODES: readonly SiteMode[] = ['async', 'memory', 'logged', 'applied'];

/** The acks a peer heard, as `received logged applied`. */
function acks(peer: RawPeer): string[] {
  return peer.heard
    .filter(({ type }) => type === 'ack')
    .map(({ meta }) => {
      const { received, logged, applied } = decodeAck(meta) as Ack;
      return `${received} ${logged} ${applied}`;
    });
}

function durables(peer: RawPeer): unknown[] {
  return peer.heard.filter(({ type }) => type === 'durable').map(({ meta }) => decodeDurable(meta));
}

t.test('a receiver answers at once what the primary waits for, and the rest a little later', async (t) => {
  for (const mode of MODES) {
    const { world, peer, send } = await rawPrimary(mode);
    const { group } = world.b;
    group.isLogging = false;
    const expected = ['0 0 0'];
    t.same(acks(peer), expected, `${mode}: the positions at the start`);

    send(3, 512, 0);
    await world.advance(LINK_LAZY_MS - 1);
    if (mode === 'memory') expected.push('3 0 0');
    t.same(acks(peer), expected, `${mode}: received`);
    await world.advance(1);
    if (mode !== 'memory') expected.push('3 0 0');
    t.same(acks(peer), expected);

    group.log();
    await world.settle();
    expected.push('3 3 0');
    t.same(acks(peer), expected, `${mode}: logged`);

    peer.say('durable', encodeDurable(3));
    await world.settle();
    group.log();
    await world.advance(LINK_LAZY_MS - 1);
    if (mode === 'applied') expected.push('3 3 3');
    t.same(acks(peer), expected, `${mode}: applied`);
    await world.advance(1);
    if (mode !== 'applied') expected.push('3 3 3');
    t.same(acks(peer), expected);

    await world.advance(1000);
    t.same(acks(peer), expected, `${mode}: nothing more, and no answer twice`);
    await world.stop();
  }
});

t.test('an answer takes along what nobody waits for', async (t) => {
  const { world, peer, send } = await rawPrimary('logged');
  const { group } = world.b;
  group.isLogging = false;
  send(3, 512, 0);
  await world.settle();
  group.log();
  await world.advance(10 * LINK_LAZY_MS);
  t.same(acks(peer), ['0 0 0', '3 3 0']);
  await world.stop();
});

t.test('the window keeps moving in modes that do not wait for receiving', async (t) => {
  for (const mode of ['async', 'logged', 'applied'] as const) {
    const { world, peer, send } = await rawPrimary(mode);
    Object.assign(world.b.group, { isLogging: false, leasesMax: 2 * LINK_UNANSWERED_FRAMES_MAX });
    const large = LINK_UNANSWERED_BYTES_MAX / MIB;
    for (let i = 1; i < large; i++) send(1, MIB, 0);
    await world.settle();
    t.equal(acks(peer).length, 1, `${mode}: below the limit`);
    send(1, MIB, 0);
    await world.settle();
    t.same(acks(peer).slice(1), [`${large} 0 0`]);

    for (let i = 0; i < LINK_UNANSWERED_FRAMES_MAX; i++) send(1, 0, 0);
    await world.settle();
    t.equal(acks(peer).length, 2, `${mode}: counted from the last answer`);
    send(1, 0, 0);
    await world.settle();
    t.same(acks(peer).slice(2), [`${large + LINK_UNANSWERED_FRAMES_MAX + 1} 0 0`]);
    await world.stop();
  }
});

t.test('a full stream puts answers off, and its drain sends the newest', async (t) => {
  for (const mode of MODES) {
    const { world, peer, send } = await rawPrimary(mode);
    const { group } = world.b;
    group.isLogging = false;
    world.network.unsentBytesMax = 1;
    const acceptor = world.network.streams.at(-1);
    if (acceptor === undefined) throw new Error('a session has two ends');
    acceptor.isSilent = true;
    send(1, 512, 0);
    await world.advance(LINK_LAZY_MS);
    for (let i = 0; i < 5; i++) {
      send(1, 512, 0);
      await world.settle();
      group.log();
      await world.advance(LINK_LAZY_MS);
    }
    acceptor.isSilent = false;
    await world.settle();
    t.same(acks(peer), ['0 0 0', '1 0 0', '6 6 0'], mode);
    await world.stop();
  }
});

t.test('a durable LSN goes alone at once in mode applied, and after a pause in the others', async (t) => {
  for (const mode of MODES) {
    const { world, peer, group } = await rawSecondary(mode);
    const urgent = mode === 'applied';
    group.append(1, 512);
    group.durableLsn = 0;
    world.a.link.pump();
    await world.settle();
    t.match(peer.types, /records$/);
    group.durableLsn = 1;
    for (let ms = 1; ms < LINK_LAZY_MS; ms++) {
      world.a.link.pump();
      await world.advance(1);
    }
    world.a.link.pump();
    await world.settle();
    t.same(durables(peer), urgent ? [1] : [], mode);
    await world.advance(1);
    t.same(durables(peer), [1]);
    await world.advance(1000);
    t.same(durables(peer), [1], 'once');
    await world.stop();
  }
});

t.test('under a load that does not pause, the durable LSN travels with the records only', async (t) => {
  for (const mode of MODES) {
    const { world, peer, group } = await rawSecondary(mode);
    const writes = 10 * LINK_LAZY_MS;
    for (let lsn = 1; lsn <= writes; lsn++) {
      group.append(1, 512);
      group.durableLsn = lsn - 1;
      world.a.link.pump();
      await world.settle();
      group.durableLsn = lsn;
      world.a.link.pump();
      await world.advance(1);
    }
    t.equal(durables(peer).length, mode === 'applied' ? writes : 0, mode);
    await world.advance(2 * LINK_LAZY_MS);
    t.equal(durables(peer).at(-1), writes, 'the last one when it pauses');
    t.equal(durables(peer).length, mode === 'applied' ? writes : 1);
    await world.stop();
  }
});

t.test('a session that ends in order tells the durable LSN first', async (t) => {
  const { world, peer, group } = await rawSecondary('logged');
  group.append(2, 512);
  group.durableLsn = 0;
  world.a.link.pump();
  group.durableLsn = 2;
  world.a.link.pump();
  const stopped = world.a.link.stop();
  await world.settle();
  t.match(peer.types, /records durable bye$/);
  t.same(durables(peer), [2]);
  await world.advance(LINK_LINGER_MS);
  await stopped;
  await world.stop();
});

t.test('no timer outlives its session', async (t) => {
  const sending = await rawSecondary('async');
  sending.group.append(1, 512);
  sending.group.durableLsn = 0;
  sending.world.a.link.pump();
  sending.group.durableLsn = 1;
  sending.world.a.link.pump();
  const receiving = await rawPrimary('async');
  receiving.world.b.group.isLogging = false;
  receiving.send(1, 512, 0);
  await receiving.world.settle();
  for (const { world, site } of [
    { world: sending.world, site: sending.world.a },
    { world: receiving.world, site: receiving.world.b },
  ]) {
    const { clock } = world;
    t.equal(clock.nextMs(Number.POSITIVE_INFINITY), clock.nowMs() + LINK_LAZY_MS, 'armed');
    void site.link.stop();
    t.equal(clock.nextMs(Number.POSITIVE_INFINITY), clock.nowMs() + LINK_LINGER_MS, 'cancelled: the next is the lingering channel’s');
    await world.stop();
  }
});

t.test('a load that pauses ends with everything known at the primary, in every mode', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  for (const mode of MODES) {
    for (let round = 0; round < 20; round++) {
      const world = new World('primary', 'secondary', false, mode);
      await world.start();
      const { group, link } = world.a;
      let durableLsn = 0;
      const turn = async (): Promise<void> => {
        group.durableLsn = durableLsn;
        link.pump();
        await world.advance(random.below(3) === 0 ? random.below(2 * LINK_LAZY_MS) : random.below(3));
      };
      for (let write = 0; write < 1 + random.below(30); write++) {
        group.append(1 + random.below(3), 512);
        durableLsn += random.below(group.sealedLsn - durableLsn + 1);
        await turn();
      }
      durableLsn = group.sealedLsn;
      group.durableLsn = durableLsn;
      link.pump();
      await world.advance(3 * LINK_LAZY_MS);
      t.same(group.progress, { received: durableLsn, durable: durableLsn, applied: durableLsn }, mode);
      await world.stop();
    }
  }
});

t.test('a site whose log stands still has caught up all the same', async (t) => {
  for (const mode of MODES) {
    const world = new World('primary', 'secondary', false, mode);
    world.b.group.isLogging = false;
    world.a.group.append(5, 512);
    await world.start();
    t.equal(world.a.link.state().replication, mode === 'memory' ? 'streaming' : 'catchingUp', mode);
    await world.advance(LINK_LAZY_MS);
    t.equal(world.a.link.state().replication, 'streaming');
    await world.stop();
  }
});

t.test('records without room still tell what may be applied, and that can make room', async (t) => {
  for (const isAtOnce of [false, true]) {
    const { world, send } = await rawPrimary('async');
    const { group } = world.b;
    group.isLogging = false;
    group.leasesMax = 2;
    const primaryDurable = group.primaryDurable.bind(group);
    group.primaryDurable = (lsn) => {
      primaryDurable(lsn);
      if (isAtOnce && lsn === 2) group.log();
    };
    send(1, 512, 0);
    send(1, 512, 0);
    send(1, 512, 3);
    await world.settle();
    t.equal(group.knownDurable, isAtOnce ? 3 : 2);
    t.equal(group.sealedLsn, isAtOnce ? 3 : 2);
    group.log();
    await world.settle();
    t.equal(group.sealedLsn, 3);
    await world.stop();
  }
});
