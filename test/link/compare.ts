// Questions of a resync on a session: asked only of a site that offers it, answered by number, refused where they make no sense.

import t from 'tap';
import { MIB } from '../../src/core/limits.js';
import { LogBatch } from '../../src/disk/log-batch.js';
import { COMPARE_BLOCKS_MAX, compareFrame, HASH_BYTES, readCompareMeta } from '../../src/format/compare.js';
import type { RegionMeta } from '../../src/format/frame.js';
import {
  type Compared,
  decodeCompared,
  decodeHello,
  encodeCompared,
  encodePlan,
  encodeReady,
  encodeRegionsDone,
  FEATURE_COMPARE,
  type Hello,
  historyDigest,
} from '../../src/format/wire.js';
import type { RegionEvent, RegionPiece, ResyncRun, SiteOffer } from '../../src/link/ports.js';
import { helloFrame, primaryHistory, RawPeer } from './raw-peer.js';
import { World } from './world.js';

const UUID = 'cd'.repeat(16);
const BITMAP = { uuid: UUID, base: 0, isKept: false };
const META: RegionMeta = { volume: 0, offset: MIB, length: MIB, isZero: false, crc: 0 };
const HASHES = new Uint8Array(COMPARE_BLOCKS_MAX * HASH_BYTES).fill(7);
const PIECE: RegionPiece = { meta: META, batch: undefined, start: 0, hashes: HASHES };

/** Site a with a bitmap of everything for a raw site b that is blank and offers these features. */
async function asking(features: number, answer: (answer: Compared) => string | undefined) {
  const world = new World();
  const { group, link } = world.a;
  const asked: number[] = [];
  const done: number[] = [];
  const pieces = [PIECE];
  const never = new Promise<void>(() => {});
  const run: ResyncRun = {
    start: async () => {},
    next: async () => pieces.shift(),
    done: (count) => void done.push(count),
    compared: answer,
    unfinished: 1,
    end: async () => undefined,
    moved: () => never,
    stop: () => {},
    settled: async () => {},
  };
  const history = group.history.bind(group);
  Object.assign(group, {
    history: () => ({ ...history(), bitmap: BITMAP }),
    resync: (_site: string, uuid: string, offered: SiteOffer) => {
      if (uuid !== UUID) throw new Error(uuid);
      asked.push(offered.features);
      return run;
    },
  });
  let accepted: RawPeer | undefined;
  await world.network.listen('host', 7002, (stream) => {
    accepted = new RawPeer(stream);
  });
  link.start();
  await world.settle();
  const peer = accepted as RawPeer;
  const hello = decodeHello(peer.heard[0]?.meta ?? new Uint8Array(0)) as Hello;
  const blank = { ...primaryHistory(0), role: 'secondary' as const, groupUuid: '0'.repeat(32), blank: true, epoch: 0, site: 'b' };
  peer.send(helloFrame({ features, fromSite: 'b', toSite: 'a', session: hello.session, history: blank }));
  await world.settle();
  peer.say('ready', encodeReady(1));
  await world.settle();
  return { world, peer, hello, asked, done };
}

t.test('the features of the other site reach the resync, which asks nothing of a site that does not offer it', async (t) => {
  for (const features of [0, FEATURE_COMPARE, FEATURE_COMPARE + 1]) {
    const { asked, hello } = await asking(features, () => undefined);
    t.same(asked, [features]);
    t.ok((hello.features & FEATURE_COMPARE) !== 0, 'this version offers it');
  }
});

t.test('a question and its answer', async (t) => {
  const answers: Compared[] = [];
  const { world, peer, done } = await asking(FEATURE_COMPARE, (answer) => void answers.push(answer));
  const frame = peer.heard.find(({ type }) => type === 'compare');
  t.equal(frame?.payloadBytes, HASHES.length);
  const meta = readCompareMeta(frame?.meta ?? new Uint8Array(0), 0, frame?.meta.length ?? 0, HASHES.length);
  t.match(meta, { volume: 0, offset: MIB, length: MIB });
  peer.say('compared', encodeCompared({ piece: 0, same: 5 }));
  peer.say('regionsDone', encodeRegionsDone(1));
  await world.settle();
  t.same(answers, [{ piece: 0, same: 5 }]);
  t.same(done, [1]);
  t.notOk(peer.isClosed);
});

t.test('an answer that cannot be ends the session', async (t) => {
  const { world, peer } = await asking(FEATURE_COMPARE, ({ piece }) => `no question ${piece}`);
  peer.say('compared', encodeCompared({ piece: 3, same: 0 }));
  await world.settle();
  t.equal(peer.refusal, 'PROTOCOL no question 3');
});

/** Site b in a resync from a raw primary. */
async function asked(receive: (meta: RegionMeta, batch: LogBatch) => string | undefined) {
  const world = new World();
  const { group } = world.b;
  const leases: number[] = [];
  let tell: ((event: RegionEvent) => void) | undefined;
  Object.assign(group, {
    leaseRegion: (bytes: number) => {
      leases.push(bytes);
      return new LogBatch({ bytes: new Uint8Array(4096 + MIB), address: 0 }, 0, MIB, () => {});
    },
    compareRegion: receive,
    onRegions: (fn: typeof tell) => {
      tell = fn;
    },
  });
  await world.b.listener.start('host', 7002);
  world.b.link.start();
  const peer = await RawPeer.connect(world);
  const own = { ...primaryHistory(0), bitmap: BITMAP };
  peer.send(helloFrame({ history: own, features: FEATURE_COMPARE }));
  await world.settle();
  const digests = { dialerDigest: historyDigest(own), acceptorDigest: historyDigest(group.history()) };
  const plan = { action: 'resync', uuid: UUID, rule: 'C18', sender: 'a', from: 1, cut: false, adopt: true, chain: 0 } as const;
  peer.say('plan', encodePlan({ ...plan, mode: 'async', ...digests }));
  await world.settle();
  return { world, peer, leases, tell: (event: RegionEvent) => tell?.(event) };
}

t.test('a site takes a question into memory for what it is about, and answers by its number', async (t) => {
  const metas: RegionMeta[] = [];
  const { world, peer, leases, tell } = await asked((meta, batch) => {
    metas.push(meta);
    t.same(batch.arena.bytes.subarray(batch.dataStart, batch.dataStart + HASHES.length), HASHES);
    return undefined;
  });
  peer.send(compareFrame(META, HASHES));
  await world.settle();
  t.equal(peer.refusal, '');
  t.same(leases, [MIB]);
  t.match(metas, [{ volume: 0, offset: MIB, length: MIB }]);
  tell({ piece: 0, same: 0x8001 });
  await world.settle();
  const answer = peer.heard.find(({ type }) => type === 'compared');
  t.same(decodeCompared(answer?.meta ?? new Uint8Array(0)), { piece: 0, same: 0x8001 });
});

t.test('a question about what lies outside of a volume, or with damaged hashes, ends the session', async (t) => {
  const outside = await asked(() => undefined);
  outside.peer.send(compareFrame({ ...META, offset: 1 << 30 }, HASHES));
  await outside.world.settle();
  t.match(outside.peer.refusal, /^PROTOCOL .* lies outside/);
  const odd = await asked(() => undefined);
  Object.assign(odd.world.b.group.volumeList[0] ?? {}, { blockBytes: 4096 });
  odd.peer.send(compareFrame({ ...META, offset: MIB + 512 }, HASHES));
  await odd.world.settle();
  t.match(odd.peer.refusal, /^PROTOCOL region frame: 1048576 bytes of volume 0 at 1049088 are no blocks of 4096/);
  const damaged = await asked(() => 'damaged');
  damaged.peer.send(compareFrame(META, HASHES));
  await damaged.world.settle();
  t.equal(damaged.peer.refusal, 'PROTOCOL damaged');
});

t.test('a question where no resync was agreed on ends the session', async (t) => {
  const world = new World();
  await world.b.listener.start('host', 7002);
  world.b.link.start();
  const peer = await RawPeer.connect(world);
  peer.send(helloFrame());
  await world.settle();
  peer.send(compareFrame(META, HASHES));
  await world.settle();
  t.match(peer.refusal, /^PROTOCOL compare frame out of order \(plan\)/);
});
