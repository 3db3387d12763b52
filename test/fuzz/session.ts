// Whole sessions, from the connection on, with an end that says the right things damaged, doubled, left out or in the wrong order: nothing
// of the group changes before a plan was agreed on, the session ends with a reason, memory comes back, and the cuts do not matter.

import fc from 'fast-check';
import t from 'tap';
import type { FrameType } from '../../src/format/frame.js';
import {
  controlFrame,
  decodeHello,
  encodeAck,
  encodeBye,
  encodeDurable,
  encodeHello,
  encodePlan,
  encodeRead,
  encodeReadRefused,
  encodeReady,
  encodeRefused,
  encodeTime,
  FEATURE_READS,
  type Hello,
  historyDigest,
} from '../../src/format/wire.js';
import type { ReadOwner } from '../../src/link/ports.js';
import { contentFrame } from '../link/raw-ends.js';
import { helloOf, primaryHistory, RawPeer } from '../link/raw-peer.js';
import { World } from '../link/world.js';
import { fuzz, judge } from './harness.js';
import { anywhere, cuts, inPlace, mutate, several } from './mutate.js';
import { recordStream } from './records.js';

type Frame = { readonly type: FrameType; readonly message: Uint8Array } | { readonly raw: Uint8Array };

const TYPES: readonly FrameType[] = ['hello', 'plan', 'ready', 'refused', 'ack', 'durable', 'ping', 'pong', 'bye', 'read', 'readRefused'];
const records = recordStream([
  [2, 512],
  [1, 0],
  [1, 4096],
]);
const frameBytes = records.starts.map((start, i) => records.bytes.subarray(start, records.starts[i + 1]));

const READ = { volume: 0, offset: 0, length: 4096, lsn: 4, epoch: 1 };

/** Counts how often it is told. */
function ownerOf(told: number[], at: number): ReadOwner {
  const tell = (): undefined => {
    told[at] = (told[at] as number) + 1;
  };
  return { content: tell, refused: tell };
}

/** What a primary says to a blank secondary, in order. */
function primaryFlow(world: World): Frame[] {
  const own = primaryHistory(0);
  const digests = { dialerDigest: historyDigest(own), acceptorDigest: historyDigest(world.b.group.history()) };
  const plan = {
    action: 'stream' as const,
    uuid: '',
    rule: 'C6',
    sender: 'a',
    from: 1,
    cut: false,
    adopt: true,
    chain: 0,
    mode: 'logged' as const,
    ...digests,
  };
  return [
    { type: 'hello', message: encodeHello(helloOf({ history: own })) },
    { type: 'plan', message: encodePlan(plan) },
    { raw: frameBytes[0] as Uint8Array },
    { type: 'ping', message: encodeTime(5) },
    { raw: frameBytes[1] as Uint8Array },
    { type: 'durable', message: encodeDurable(3) },
    { type: 'read', message: encodeRead({ id: 1, volume: 0, offset: 0, length: 4096, lsn: 3, epoch: 1 }) },
    { raw: frameBytes[2] as Uint8Array },
    { type: 'pong', message: encodeTime(5) },
    { type: 'bye', message: encodeBye('enough') },
  ];
}

/** What a blank secondary says to a primary with four records. */
function secondaryFlow(session: number): Frame[] {
  const blank = { ...primaryHistory(0), site: 'b', role: 'secondary' as const, groupUuid: '0'.repeat(32), blank: true, epoch: 0 };
  return [
    { type: 'hello', message: encodeHello(helloOf({ fromSite: 'b', toSite: 'a', session, features: FEATURE_READS, history: blank })) },
    { type: 'ready', message: encodeReady(1) },
    { type: 'ack', message: encodeAck(2, 0, 0) },
    { type: 'ping', message: encodeTime(1) },
    { type: 'ack', message: encodeAck(4, 4, 1) },
    { type: 'ack', message: encodeAck(4, 4, 4) },
    { raw: contentFrame(1, 4096) },
    { type: 'readRefused', message: encodeReadRefused({ id: 2, code: 'DEVICE_FAILED', reason: 'no' }) },
    { type: 'refused', message: encodeRefused({ code: 'LOG_FAILED', reason: 'no disk' }) },
  ];
}

type Edit = { readonly kind: 'drop' | 'double' | 'swap' | 'retype'; readonly at: number; readonly other: number };
type Case = {
  readonly isPrimary: boolean;
  readonly edits: readonly Edit[];
  /** Damage of one message, sealed again as its sender would. */
  readonly damaged: number;
  readonly inside: readonly Parameters<typeof mutate>[2][number][];
  /** Damage of a frame as it travels. */
  readonly travels: number;
  readonly outside: readonly Parameters<typeof mutate>[2][number][];
  readonly cuts: readonly number[];
};

function edited(flow: readonly Frame[], { edits, damaged, inside }: Case): Uint8Array[] {
  const frames = [...flow];
  for (const { kind, at, other } of edits) {
    const place = at % frames.length;
    const frame = frames[place] as Frame;
    if (kind === 'drop' && frames.length > 1) frames.splice(place, 1);
    if (kind === 'double') frames.splice(other % (frames.length + 1), 0, frame);
    if (kind === 'swap') {
      frames[place] = frames[other % frames.length] as Frame;
      frames[other % frames.length] = frame;
    }
    if (kind === 'retype' && 'type' in frame) frames[place] = { ...frame, type: TYPES[other % TYPES.length] as FrameType };
  }
  return frames.map((frame, i) => {
    if ('raw' in frame) return frame.raw;
    const message = i === damaged % frames.length ? mutate(frame.message, [], inside) : frame.message;
    return controlFrame(frame.type, message);
  });
}

/** Plays the frames to a site and says what it came to. */
async function play(drawn: Case, isCut: boolean): Promise<string> {
  const world = new World(drawn.isPrimary ? 'secondary' : 'primary', 'secondary', false, 'memory');
  let at = 0;
  if (isCut) world.network.pieceBytes = () => drawn.cuts[at++ % drawn.cuts.length] as number;
  let peer: RawPeer | undefined;
  let flow: Frame[];
  const site = drawn.isPrimary ? world.b : world.a;
  if (drawn.isPrimary) {
    await site.listener.start('host', 7002);
    site.link.start();
    peer = await RawPeer.connect(world);
    flow = primaryFlow(world);
  } else {
    await world.network.listen('host', 7002, (stream) => {
      peer = new RawPeer(stream);
    });
    for (let i = 0; i < 4; i++) site.group.append(1, 512);
    site.link.start();
    await world.settle();
    const hello = decodeHello((peer as RawPeer | undefined)?.heard[0]?.meta ?? new Uint8Array(0)) as Hello;
    flow = secondaryFlow(hello.session);
  }
  // One frame after the other, as an end that waits for answers would say them.
  const told = [0, 0];
  let asked = 0;
  for (const [i, frame] of edited(flow, drawn).entries()) {
    for (; !drawn.isPrimary && asked < told.length; asked++) if (site.link.read(READ, ownerOf(told, asked)) === undefined) break;
    peer?.send(i === drawn.travels % flow.length ? mutate(frame, [], drawn.outside) : frame);
    await world.settle();
  }
  const { group } = site;
  const state = site.link.state();
  const outcome = [
    peer?.refusal,
    state.session,
    state.replication,
    state.code,
    group.records.length,
    group.prepared.length,
    group.knownDurable,
    told,
  ];
  if (drawn.isPrimary && group.prepared.length === 0) {
    judge(group.records.length === 0 && group.blank && group.epoch === 0 && group.lineage.length === 0, 'nothing changes without a plan');
  }
  if (drawn.isPrimary)
    judge(
      group.records.every(({ chain }, i) => chain === records.chains[i]),
      'what is taken is what was written',
    );
  else {
    judge(group.records.length === 4 && group.prepared.length === 0, 'a secondary changes nothing at a primary');
    const { received, durable, applied } = group.progress;
    judge(applied <= durable && durable <= received && received <= 4, 'no answer is taken for more than was sent');
  }
  judge(
    told.every((times) => times <= 1),
    'a read ends once',
  );
  judge(group.stepDowns === 0, 'nobody steps down');
  await world.stop();
  judge(group.leased === 0 || !drawn.isPrimary, 'every batch comes back');
  return JSON.stringify(outcome);
}

fuzz(t, {
  name: 'session',
  draw: fc.record({
    isPrimary: fc.boolean(),
    edits: fc.array(
      fc.record({
        kind: fc.constantFrom('drop' as const, 'double' as const, 'swap' as const, 'retype' as const),
        at: fc.nat(9),
        other: fc.nat(9),
      }),
      { maxLength: 2 },
    ),
    damaged: fc.nat(9),
    inside: several(anywhere, 2),
    travels: fc.nat(9),
    outside: several(inPlace, 2),
    cuts,
  }),
  inputsPerCase: 2,
  limitBytes: 16 << 20,
  expected: ['refused', 'offline with records', 'refused with records', 'connected with records'],
  probe: async (drawn, count) => {
    const whole = await play(drawn, false);
    const cut = await play(drawn, true);
    judge(cut === whole, `cut at ${drawn.cuts}: ${cut} instead of ${whole}`);
    const [, session, , , taken] = JSON.parse(whole) as [string, string, string, string, number];
    count(`${session}${taken > 0 ? ' with records' : ''}`, 2);
  },
});
