// Records frames at a secondary: what it takes is a prefix of what was written, or (sealed by a liar) at least possible; a refusal changes
// nothing; memory comes back; and none of it depends on how the bytes were cut.

import fc from 'fast-check';
import t from 'tap';
import type { Slab } from '../../src/core/ports.js';
import type { FrameType } from '../../src/format/frame.js';
import { decodeDurable } from '../../src/format/wire.js';
import { Channel, type ChannelOwner } from '../../src/link/channel.js';
import type { Refusal } from '../../src/link/ports.js';
import { Receiver } from '../../src/link/receiver.js';
import { FakeClock } from '../link/memory-network.js';
import { FedStream } from './fed-stream.js';
import { fuzz, judge } from './harness.js';
import { anywhere, cuts, inPlace, mutate, several } from './mutate.js';
import { recordStream, resealRecords, type Shape, StrictSink } from './records.js';

const SHAPES: readonly Shape[] = [
  [[1, 512]],
  [
    [2, 512],
    [3, 0],
  ],
  [
    [1, 0],
    [1, 4096],
    [42, 0],
  ],
  [
    [5, 1024],
    [2, 512],
    [1, 512],
  ],
  [
    [1, 70_144],
    [1, 512],
    [1, 100_352],
  ],
  [[42, 512]],
];
const streams = SHAPES.map(recordStream);

/** What a session does with a receiver. */
class End implements ChannelOwner {
  readonly sink = new StrictSink('b', 'secondary');
  readonly stream = new FedStream();
  readonly clock = new FakeClock();
  readonly #channel: Channel;
  readonly #receiver: Receiver;
  refusal: string | undefined;

  constructor() {
    this.#channel = new Channel(this.stream, this, this.clock, 128 * 1024);
    this.#receiver = new Receiver(this.sink, this.#channel, this.clock, 1, 1, 'logged');
    this.#receiver.start();
  }

  control(type: FrameType, message: Uint8Array): void {
    const lsn = decodeDurable(message);
    if (type !== 'durable' || typeof lsn === 'string') return this.violated(`${type} frame`);
    this.#refuseIf(this.#receiver.durable(lsn));
  }

  payload(type: FrameType, bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | undefined {
    if (type !== 'records') {
      this.violated(`${type} frame where none was agreed on`);
      return undefined;
    }
    const before = this.#state;
    const answer = this.#receiver.records(bytes, start, length, payloadBytes);
    if (answer === undefined || 'arena' in answer) return answer;
    judge(this.#state === before, 'a refusal changes nothing');
    this.#refuseIf(answer);
    return undefined;
  }

  payloadComplete(): void {
    this.#refuseIf(this.#receiver.recordsComplete());
  }

  turnEnded(): void {
    this.#receiver.turnEnded();
    this.clock.runSoon();
  }

  violated(reason: string): void {
    this.#refuseIf({ code: 'PROTOCOL', reason });
  }

  closed(): void {}

  get #state(): string {
    return `${this.sink.records.length} ${this.sink.knownDurable} ${this.sink.loggedLsn}`;
  }

  #refuseIf(refusal: Refusal | undefined): void {
    if (refusal === undefined) return;
    judge(this.refusal === undefined, 'a session is refused once');
    this.refusal = `${refusal.code} ${refusal.reason}`;
    this.#channel.destroy();
    this.stop();
  }

  stop(): void {
    this.#receiver.stop();
  }

  /** What it came to. */
  get outcome(): string {
    return JSON.stringify([this.refusal, this.sink.records, this.sink.knownDurable]);
  }
}

function deliver(bytes: Uint8Array, sizes: readonly number[]): End {
  const end = new End();
  end.stream.feed(bytes, sizes);
  end.stop();
  judge(end.sink.held === 0, 'every batch comes back');
  judge(end.sink.knownDurable <= end.sink.records.length, 'nothing counts as durable before it is here');
  return end;
}

fuzz(t, {
  name: 'receiver',
  draw: fc.record({
    shape: fc.nat(SHAPES.length - 1),
    seal: fc.nat(2),
    sealed: several(inPlace, 3),
    loose: several(anywhere, 3),
    cuts,
  }),
  inputsPerCase: 2,
  expected: ['all', 'PROTOCOL', 'LOG_CORRUPT', 'DIVERGED', 'unfinished'],
  probe: ({ shape, seal, sealed, loose, cuts: sizes }, count) => {
    const stream = streams[shape] as (typeof streams)[number];
    const bytes = mutate(stream.bytes, stream.fields, seal > 0 ? sealed : loose);
    if (seal > 0) resealRecords(bytes, stream, seal > 1);
    const whole = deliver(bytes, [bytes.length + 1]);
    const cut = deliver(bytes, sizes);
    judge(cut.outcome === whole.outcome, `cut at ${sizes}: ${cut.outcome} instead of ${whole.outcome}`);
    const { records } = whole.sink;
    // Nothing but its frame vouches for the last record; the others are vouched for by their successors.
    const vouched = seal === 0 ? records : seal === 1 ? records.slice(0, -1) : [];
    judge(
      vouched.every(({ chain }, i) => chain === stream.chains[i]),
      'what is taken is what was written',
    );
    if (Buffer.compare(bytes, stream.bytes) === 0) judge(records.length === stream.chains.length, 'all of it is taken');
    count(whole.refusal?.split(' ')[0] ?? (records.length === stream.chains.length ? 'all' : 'unfinished'), 2);
  },
});
