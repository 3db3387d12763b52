// The two halves of a resync session with a raw peer as the other end. What they are for is tested with real groups, in
// test/group/resync*.ts.

import t from 'tap';
import { BatchPool } from '../../src/disk/batch-pool.js';
import type { LogBatch } from '../../src/disk/log-batch.js';
import { compareFrame, HASH_BYTES } from '../../src/format/compare.js';
import { FRAME_HEADER_BYTES, REGION_META_BYTES } from '../../src/format/frame.js';
import { decodeRegionsDone, type ResyncEnd } from '../../src/format/wire.js';
import { Channel, type ChannelOwner } from '../../src/link/channel.js';
import type { RegionEvent, RegionPiece, ResyncRun } from '../../src/link/ports.js';
import { ResyncReceiver } from '../../src/link/resync-receiver.js';
import { ResyncSender } from '../../src/link/resync-sender.js';
import { FakeGroup } from './fake-group.js';
import { advance, FakeClock, MemoryNetwork, type MemoryStream, settle } from './memory-network.js';
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

/** A resync whose pieces a test hands out. */
class HandedOut implements ResyncRun {
  readonly pieces: (RegionPiece | undefined)[] = [];
  sent = 0;
  finished = 0;
  isComplete = false;
  #moved: (() => void) | undefined;

  async start(): Promise<void> {}

  async next(): Promise<RegionPiece | undefined> {
    while (this.pieces.length === 0 && !this.isComplete) await this.moved();
    const piece = this.pieces.shift();
    if (piece !== undefined) this.sent++;
    return piece;
  }

  done(count: number): string | undefined {
    this.finished = count;
    this.wake();
    return undefined;
  }

  compared(): string | undefined {
    return undefined;
  }

  get unfinished(): number {
    return this.sent - this.finished;
  }

  async end(): Promise<ResyncEnd | undefined> {
    return { base: 5, chain: 0, end: 5, lineage: [] };
  }

  moved(): Promise<void> {
    return new Promise((resolve) => {
      this.#moved = resolve;
    });
  }

  wake(): void {
    this.#moved?.();
  }

  stop(): void {
    this.isComplete = true;
    this.wake();
  }

  async settled(): Promise<void> {}
}

t.test('a site owes an answer while it has pieces or the end mark, and each piece that is durable gives it new time', async (t) => {
  const { network, clock, channel, peer } = await pair();
  const run = new HandedOut();
  const sender = new ResyncSender(run, channel, clock, { senderFailed: (error) => t.fail(String(error)) });
  const owed = () => sender.unansweredMs(clock.nowMs());
  const wait = () => advance(network, clock, 1000);
  const hand = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++)
      run.pieces.push({
        meta: { volume: 0, offset: 0, length: 65536, isZero: true, crc: 0 },
        batch: undefined,
        start: 0,
        hashes: undefined,
      });
    run.wake();
    await settle(network, clock);
  };
  sender.start();
  await wait();
  t.equal(owed(), 0, 'nothing was sent: paused, waiting for its turn');
  await hand(2);
  await wait();
  await hand(1);
  await wait();
  t.equal(owed(), 2000, 'since the first of them, not the last');
  sender.done(0);
  t.equal(owed(), 2000, 'an answer without progress is none');
  sender.done(1);
  t.equal(owed(), 0);
  await wait();
  t.equal(owed(), 1000, 'for the rest');
  sender.done(3);
  await wait();
  t.equal(owed(), 0, 'nothing is left: held to its rate');
  run.isComplete = true;
  run.wake();
  await wait();
  t.match(peer.types, /^region region region resyncEnd$/);
  t.equal(owed(), 1000, 'the end mark is answered as well');
  sender.stop();
});

/** A site that receives a resync from a primary that may stop reading; `tell` is what its group says. */
async function receiving() {
  const ends = await pair();
  ends.network.unsentBytesMax = 1;
  let listener: ((event: RegionEvent) => void) | undefined;
  const group = new FakeGroup('b', 'secondary');
  group.onRegions = (fn) => {
    listener = fn;
  };
  const receiver = new ResyncReceiver(group, ends.channel, () => t.fail('nothing is refused'));
  return { ...ends, group, receiver, tell: (event: RegionEvent) => listener?.(event) };
}

t.test('a primary that sends regions and never reads costs no memory: only the newest answer waits for it', async (t) => {
  const { network, clock, stream, peer, receiver, tell } = await receiving();
  const answers = () => peer.heard.map(({ meta }) => decodeRegionsDone(meta));
  stream.isSilent = true;
  for (let count = 1; count <= 1000; count++) tell(count);
  stream.isSilent = false;
  await settle(network, clock);
  t.same(answers(), [1, 1000]);
  tell(1001);
  await settle(network, clock);
  t.same(answers(), [1, 1000, 1001]);
  receiver.stop();
});

t.test('a primary that asks and never reads an answer is asked to read before it asks again', async (t) => {
  const { network, clock, stream, peer, group, receiver, tell } = await receiving();
  const slab = new BatchPool((bytes) => ({ bytes: new Uint8Array(bytes), address: 0 }), 0).take(0) as LogBatch;
  let leased = 0;
  group.leaseRegion = () => {
    leased++;
    return slab;
  };
  const frame = compareFrame({ volume: 0, offset: 0, length: 65536, isZero: false, crc: 0 }, new Uint8Array(HASH_BYTES));
  const ask = () => receiver.region('compare', frame, FRAME_HEADER_BYTES, REGION_META_BYTES, HASH_BYTES);
  t.equal(ask(), slab);
  stream.isSilent = true;
  tell({ piece: 1, same: 1 });
  t.equal(ask(), undefined, 'the answer stands in the stream');
  t.equal(leased, 1);
  stream.isSilent = false;
  await settle(network, clock);
  t.equal(peer.types, 'compared');
  t.equal(ask(), slab);
  receiver.stop();
});
