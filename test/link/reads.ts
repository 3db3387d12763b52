// Reads at another site within a session: who is asked, what is refused, and what becomes of them when the session ends.

import t from 'tap';
import { LINK_READS_MAX, RECORD_PAYLOAD_BYTES_MAX } from '../../src/core/limits.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { FRAME_HEADER_BYTES } from '../../src/format/frame.js';
import { controlFrame, decodeRead, encodeRead, encodeReadRefused, FEATURE_READS } from '../../src/format/wire.js';
import type { ReadOwner, ReadPiece, Refusal } from '../../src/link/ports.js';
import { contentFrame, rawPrimary, rawSecondary } from './raw-ends.js';
import { helloFrame, primaryHistory, RawPeer } from './raw-peer.js';
import { share, World } from './world.js';

/** Who asked, and what it was told. */
class Owner implements ReadOwner {
  readonly told: string[] = [];
  bytes: Uint8Array | undefined;
  /** What it says to content. */
  problem: string | undefined;

  content(bytes: Uint8Array, start: number, length: number, crc: number): string | undefined {
    this.bytes = bytes.slice(start, start + length);
    this.told.push(crc === crc32cSmall(this.bytes, 0, length) ? 'content' : 'damaged content');
    return this.problem;
  }

  refused({ code, reason }: Refusal): void {
    this.told.push(`${code} ${reason}`);
  }
}

/** A piece that notes that it was given back. */
function pieceOf(length: number): ReadPiece & { released: number } {
  const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
  const piece = { bytes, crc: crc32cSmall(bytes, 0, length), released: 0, release: () => void piece.released++ };
  return piece;
}

const READ = { volume: 0, offset: 4096, length: 8192, lsn: 2, epoch: 1 };

async function running(): Promise<World> {
  const world = new World();
  share(world, 2);
  await world.start();
  return world;
}

t.test('a site is asked, and answers with content or with why not, in any order', async (t) => {
  const world = await running();
  const { a, b } = world;
  const owners = [new Owner(), new Owner(), new Owner()];
  for (const [i, owner] of owners.entries()) t.type(a.link.read({ ...READ, offset: 512 * i }, owner), 'function');
  await world.settle();
  t.same(
    b.group.asked.map(({ read }) => read),
    [0, 1, 2].map((i) => ({ ...READ, offset: 512 * i })),
  );
  const pieces = [pieceOf(8192), pieceOf(8192)];
  b.group.asked[2]?.answer.content(pieces[0] as ReadPiece);
  b.group.asked[0]?.answer.refused({ code: 'DEVICE_FAILED', reason: 'no' });
  b.group.asked[1]?.answer.content(pieces[1] as ReadPiece);
  world.append(a, 3, 512);
  await world.settle();
  t.same(
    owners.map(({ told }) => told),
    [['DEVICE_FAILED no'], ['content'], ['content']],
  );
  t.same(owners[2]?.bytes, pieces[0]?.bytes);
  t.same(
    pieces.map(({ released }) => released),
    [1, 1],
  );
  t.same(b.group.records.length, 5, 'records flow beside');
  t.equal(`${world}`, 'connected streaming | connected streaming');
  await world.stop();
});

t.test('the durable LSN goes ahead of a read, so that the site may apply what it is asked for', async (t) => {
  const world = await running();
  world.a.group.append(1, 512);
  world.a.group.durableLsn = 2;
  world.a.link.pump();
  await world.settle();
  world.a.group.durableLsn = 3;
  t.same([world.b.group.records.length, world.b.group.knownDurable], [3, 2]);
  world.a.link.read({ ...READ, lsn: 3 }, new Owner());
  await world.settle();
  t.equal(world.b.group.knownDurable, 3);
  await world.stop();
});

t.test('an answer that nobody waits for any more is dropped, and the session goes on', async (t) => {
  const world = await running();
  const owner = new Owner();
  world.a.link.read(READ, owner)?.();
  await world.settle();
  const piece = pieceOf(8192);
  world.b.group.asked[0]?.answer.content(piece);
  await world.settle();
  t.same([owner.told, piece.released], [[], 1]);
  t.equal(`${world}`, 'connected streaming | connected streaming');
  await world.stop();
});

t.test('the end of a session ends its reads at both ends, and memory comes back', async (t) => {
  const world = await running();
  const [asked, sent] = [new Owner(), new Owner()];
  world.a.link.read(READ, asked);
  world.a.link.read(READ, sent);
  await world.settle();
  const [first, second] = world.b.group.asked;
  const [held, late] = [pieceOf(8192), pieceOf(8192)];
  second?.answer.content(held);
  // The frame is on its way.
  world.a.link.meetAgain('the test says so');
  await world.settle();
  t.match([asked.told, sent.told], [[/^FAILED the session has ended/], [/^FAILED the session has ended/]]);
  t.equal(first?.answer.isDropped, true);
  first?.answer.content(late);
  t.same([held.released, late.released], [1, 1]);
  await world.advance(3000);
  t.equal(`${world}`, 'connected streaming | connected streaming');
  t.type(world.a.link.read(READ, new Owner()), 'function');
  await world.stop();
});

t.test('damaged content ends the session', async (t) => {
  const world = await running();
  const owner = new Owner();
  owner.problem = 'damaged';
  world.a.link.read(READ, owner);
  await world.settle();
  const piece = pieceOf(8192);
  world.b.group.asked[0]?.answer.content({ ...piece, crc: piece.crc ^ 1 });
  await world.settle();
  t.same(owner.told, ['damaged content'], 'told once');
  t.match(world.a.link.state(), { session: 'refused', code: 'PROTOCOL', reason: 'damaged' });
  await world.stop();
});

t.test('who receives no records is not asked: before a session, and a primary by its secondary', async (t) => {
  const world = new World();
  share(world, 2);
  t.equal(world.a.link.read(READ, new Owner()), undefined);
  await world.start();
  t.equal(world.b.link.read(READ, new Owner()), undefined);
  await world.stop();
});

t.test('a site of an older version hears of no read', async (t) => {
  // Features that are not known mean nothing.
  for (const [features, isAsked] of [
    [0, false],
    [1, false],
    [FEATURE_READS, true],
    [2 ** 40 + FEATURE_READS, true],
    [2 ** 40, false],
  ] as const) {
    const { world, peer } = await rawSecondary('async', features);
    t.equal(world.a.link.read(READ, new Owner()) !== undefined, isAsked);
    await world.settle();
    t.equal(peer.types.includes('read'), isAsked, peer.types);
    if (isAsked) t.same(decodeRead(peer.heard.find(({ type }) => type === 'read')?.meta ?? new Uint8Array(0)), { id: 1, ...READ });
    t.equal(world.a.link.state().session, 'connected');
    await world.stop();
  }
});

t.test('answers to what was never asked, or of another length, end the session', async (t) => {
  const wrong: [string, Uint8Array, RegExp][] = [
    ['a later read', contentFrame(2, 8192), /read 2, which was never asked/],
    ['read 0', contentFrame(0, 8192), /read 0, which was never asked/],
    ['too short', contentFrame(1, 4096), /4096 bytes as the answer/],
    ['empty', contentFrame(1, 0), /0 bytes as the answer/],
    [
      'reserved bytes',
      contentFrame(1, 8192, (frame) => frame.fill(1, FRAME_HEADER_BYTES + 12, FRAME_HEADER_BYTES + 13)),
      /impossible meta/,
    ],
    ['refusal of a later read', controlFrame('readRefused', encodeReadRefused({ id: 9, code: 'FAILED', reason: '' })), /never asked/],
  ];
  for (const [title, frame, reason] of wrong) {
    const { world, peer } = await rawSecondary('async', FEATURE_READS);
    const owner = new Owner();
    world.a.link.read(READ, owner);
    await world.settle();
    peer.send(frame);
    await world.settle();
    t.match(peer.refusal, reason, title);
    t.match(owner.told, [/^FAILED the session has ended/], title);
    await world.stop();
  }
  const { world, peer } = await rawSecondary('async', FEATURE_READS);
  peer.say('readRefused', encodeReadRefused({ id: 1, code: 'FAILED', reason: '' }));
  await world.settle();
  t.match(peer.refusal, /readRefused of nothing/);
  await world.stop();
});

t.test('a primary that asks for what cannot be is refused', async (t) => {
  const wrong: [string, Partial<typeof READ>][] = [
    ['a volume that is not there', { volume: 1 }],
    ['nothing', { length: 0 }],
    ['more than a piece', { length: RECORD_PAYLOAD_BYTES_MAX + 512 }],
    ['beyond the end', { offset: (1 << 30) - 4096 }],
    ['part of a block', { length: 100 }],
    ['a place inside a block', { offset: 100 }],
  ];
  for (const [title, change] of wrong) {
    const { world, peer } = await rawPrimary('async');
    peer.say('read', encodeRead({ id: 1, ...READ, ...change }));
    await world.settle();
    t.match(peer.refusal, /^PROTOCOL read of .*, which is not possible/, title);
    t.same(world.b.group.asked, []);
    await world.stop();
  }
  const { world, peer } = await rawPrimary('async');
  for (let id = 1; id <= 100; id++) peer.say('read', encodeRead({ id, ...READ, length: RECORD_PAYLOAD_BYTES_MAX }));
  await world.settle();
  t.equal(world.b.group.asked.length, 4 * LINK_READS_MAX, 'no more wait at once');
  t.equal(peer.heard.filter(({ type }) => type === 'readRefused').length, 100 - 4 * LINK_READS_MAX);
  t.equal(world.b.link.state().session, 'connected');
  await world.stop();

  const idle = new World('secondary', 'secondary');
  await idle.b.listener.start('host', 7002);
  idle.b.link.start();
  const other = await RawPeer.connect(idle);
  other.send(helloFrame({ history: { ...primaryHistory(0), role: 'secondary' } }));
  await idle.settle();
  other.say('read', encodeRead({ id: 1, ...READ }));
  await idle.settle();
  t.match(other.refusal, /read where no records are received/);
  await idle.stop();

  const sends = await rawSecondary('async');
  sends.peer.send(contentFrame(1, 512));
  await sends.world.settle();
  t.match(sends.peer.refusal, /content of nothing/);
  await sends.world.stop();
});
