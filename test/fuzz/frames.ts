// Frames over a byte stream: what is delivered depends on the bytes alone, never on how they were cut; payload lands where the owner said
// and nowhere else; what no correct end sends is told once, and nothing after it is delivered.

import fc from 'fast-check';
import t from 'tap';
import { SLAB_LARGE_PAYLOAD_BYTES } from '../../src/core/limits.js';
import { putU32 } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { FRAME_HEADER_BYTES, type FrameType, META_BYTES_MAX, RECORDS_META_BYTES_MAX, sealFrame } from '../../src/format/frame.js';
import { Channel, type ChannelOwner } from '../../src/link/channel.js';
import { ManualClock } from '../helpers/clock.js';
import { FedStream } from './fed-stream.js';
import { fuzz, judge } from './harness.js';
import { anywhere, cuts, type Field, inPlace, mutate, several } from './mutate.js';

const TYPES: readonly FrameType[] = ['hello', 'plan', 'ready', 'refused', 'ack', 'durable', 'ping', 'pong', 'bye'];
const GUARD = 0xee;
const GUARD_BYTES = 64;
const memory = new Uint8Array(SLAB_LARGE_PAYLOAD_BYTES + 2 * GUARD_BYTES);

/** A frame as drawn: type above the control types is a records frame. */
type DrawnFrame = { readonly type: number; readonly metaBytes: number; readonly payloadBytes: number };

const arbitraryFrame: fc.Arbitrary<DrawnFrame> = fc.record({
  type: fc.nat(TYPES.length + 3),
  metaBytes: fc.oneof(fc.nat(80), fc.nat(RECORDS_META_BYTES_MAX)),
  payloadBytes: fc.oneof({ weight: 12, arbitrary: fc.nat(3000) }, { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 150_000 }) }),
});

type Stream = { readonly bytes: Uint8Array; readonly starts: readonly number[]; readonly events: readonly string[] };

/** The bytes of drawn frames, and what must be delivered. */
function streamOf(frames: readonly DrawnFrame[]): Stream {
  const starts: number[] = [];
  const events: string[] = [];
  const parts = frames.map(({ type, metaBytes, payloadBytes }, i) => {
    const name = TYPES[type] ?? 'records';
    const isRecords = name === 'records';
    const length = FRAME_HEADER_BYTES + metaBytes + (isRecords ? payloadBytes : 0);
    const frame = new Uint8Array(length);
    for (let b = FRAME_HEADER_BYTES; b < length; b++) frame[b] = b * 7 + i * 31 + (b >> 8);
    sealFrame(frame, 0, name, metaBytes, isRecords ? payloadBytes : 0);
    const meta = sum(frame.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + metaBytes));
    events.push(isRecords ? `records ${meta} ${payloadBytes}` : `${name} ${meta}`);
    if (isRecords) events.push(`payload ${sum(frame.subarray(FRAME_HEADER_BYTES + metaBytes))}`);
    return frame;
  });
  let at = 0;
  for (const part of parts) {
    starts.push(at);
    at += part.length;
  }
  return { bytes: Buffer.concat(parts), starts, events };
}

function sum(bytes: Uint8Array): string {
  return `${bytes.length}:${crc32cSmall(bytes, 0, bytes.length)}`;
}

const clock = new ManualClock();

/** Writes down what a channel delivers. */
class Listener implements ChannelOwner {
  readonly events: string[] = [];
  readonly stream = new FedStream();
  readonly channel: Channel;
  readonly #rooms: readonly number[];
  #payloadBytes = -1;
  #asked = 0;
  #refusals = 0;
  #isOver = false;

  /** `rooms`: how often in turn a records frame finds no room before it does. */
  constructor(rooms: readonly number[]) {
    this.#rooms = rooms;
    this.channel = new Channel(this.stream, this, clock, 128 * 1024);
    this.stream.onPaused = () => this.channel.retry();
  }

  control(type: FrameType, message: Uint8Array): void {
    judge(!this.#isOver && this.#payloadBytes < 0, 'nothing is delivered after a violation, or inside a payload');
    judge(message.length <= META_BYTES_MAX, 'a message keeps its limit');
    this.events.push(`${type} ${sum(message)}`);
  }

  payload(
    type: FrameType,
    bytes: Uint8Array,
    start: number,
    length: number,
    payloadBytes: number,
  ): { arena: { bytes: Uint8Array; address: number }; dataStart: number; dataCapacity: number } | undefined {
    judge(!this.#isOver && this.#payloadBytes < 0, 'nothing is delivered after a violation, or inside a payload');
    judge(length <= RECORDS_META_BYTES_MAX && payloadBytes <= SLAB_LARGE_PAYLOAD_BYTES, 'a records frame keeps its limits');
    if (this.#refusals < (this.#rooms[this.#asked % this.#rooms.length] as number)) {
      this.#refusals++;
      return undefined;
    }
    this.#refusals = 0;
    this.#asked++;
    this.events.push(`${type} ${sum(bytes.subarray(start, start + length))} ${payloadBytes}`);
    this.#payloadBytes = payloadBytes;
    memory.fill(GUARD, 0, GUARD_BYTES);
    memory.fill(GUARD, GUARD_BYTES + payloadBytes, payloadBytes + 2 * GUARD_BYTES);
    return { arena: { bytes: memory, address: 0 }, dataStart: GUARD_BYTES, dataCapacity: payloadBytes };
  }

  payloadComplete(): void {
    const end = GUARD_BYTES + this.#payloadBytes;
    for (let i = 0; i < GUARD_BYTES; i++) judge(memory[i] === GUARD && memory[end + i] === GUARD, 'payload lands where it belongs');
    this.events.push(`payload ${sum(memory.subarray(GUARD_BYTES, end))}`);
    this.#payloadBytes = -1;
  }

  turnEnded(): void {}

  violated(reason: string): void {
    judge(!this.#isOver, 'a violation is told once');
    this.#isOver = true;
    this.events.push(`violated: ${reason}`);
    this.channel.destroy();
  }

  closed(): void {}
}

/** Makes the sums of frames at known places right again. */
function reseal(bytes: Uint8Array, starts: readonly number[]): void {
  for (const at of starts) {
    const metaBytes = Math.min(
      new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 12, true),
      bytes.length - at - FRAME_HEADER_BYTES,
    );
    putU32(bytes, at + 20, crc32cSmall(bytes, at + FRAME_HEADER_BYTES, metaBytes));
    putU32(bytes, at + 4, crc32cSmall(bytes, at + 8, FRAME_HEADER_BYTES - 8));
  }
}

function deliver(bytes: Uint8Array, sizes: readonly number[], rooms: readonly number[]): string[] {
  const listener = new Listener(rooms);
  listener.stream.feed(bytes, sizes);
  return listener.events;
}

fuzz(t, {
  name: 'frames',
  draw: fc.record({
    frames: fc.array(arbitraryFrame, { minLength: 1, maxLength: 6 }),
    other: fc.array(arbitraryFrame, { minLength: 1, maxLength: 2 }),
    isSealed: fc.boolean(),
    sealed: several(inPlace, 3),
    loose: several(anywhere, 3),
    rooms: fc.array(fc.nat(2), { minLength: 1, maxLength: 3 }),
    cuts: fc.tuple(cuts, cuts),
  }),
  inputsPerCase: 3,
  expected: ['whole', 'violated', 'unfinished'],
  probe: ({ frames, other, isSealed, sealed, loose, rooms, cuts: [first, second] }, count) => {
    const stream = streamOf(frames);
    const widths = [
      [0, 4],
      [4, 4],
      [8, 1],
      [9, 1],
      [10, 2],
      [12, 4],
      [16, 4],
      [20, 4],
    ] as const;
    const fields = stream.starts.flatMap((start) => widths.map(([at, bytes]): Field => ({ at: start + at, bytes })));
    const bytes = mutate(stream.bytes, fields, isSealed ? sealed : loose, streamOf(other).bytes);
    if (isSealed) reseal(bytes, stream.starts);
    const whole = deliver(bytes, [bytes.length + 1], rooms);
    for (const sizes of [first, second]) {
      const cut = deliver(bytes, sizes, rooms);
      judge(JSON.stringify(cut) === JSON.stringify(whole), `cut at ${sizes}: ${cut.at(-1)} instead of ${whole.at(-1)}`);
    }
    if (Buffer.compare(bytes, stream.bytes) === 0) judge(JSON.stringify(whole) === JSON.stringify(stream.events), 'frames go round');
    const isViolated = whole.at(-1)?.startsWith('violated') === true;
    count(isViolated ? 'violated' : whole.length < stream.events.length ? 'unfinished' : 'whole', 3);
  },
});
