// NBD requests behind a handshake: every request is answered once with its own cookie, the backend sees nothing outside the volume, a
// refused request changes nothing, memory comes back, and answers and volume do not depend on how the bytes were cut.

import fc from 'fast-check';
import t from 'tap';
import { NBD_PAYLOAD_BYTES_MAX } from '../../src/core/limits.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { clientFlags, goData, metaData, option, request } from '../helpers/nbd-raw-client.js';
import { fuzz, judge } from './harness.js';
import { anywhere, cuts, type Field, type Mutation, mutate, several } from './mutate.js';
import { NbdEnd } from './nbd-end.js';

const VOLUME_BYTES = 256 * 1024;
const backend = new MemoryBackend({ sizeBytes: VOLUME_BYTES, slabCount: 2 });
backend.snapshotReads = true;
backend.recording = true;

/** One request as drawn. */
type DrawnRequest = {
  readonly type: number;
  readonly flags: number;
  readonly block: number;
  readonly blocks: number;
  readonly fill: number;
};

const arbitraryRequest: fc.Arbitrary<DrawnRequest> = fc.record({
  type: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(0, 0, 1, 1, 3, 4, 6, 7) }, fc.constantFrom(2, 5, 8, 0xffff)),
  flags: fc.oneof({ weight: 6, arbitrary: fc.constantFrom(0, 0, 1) }, fc.nat(15), fc.nat(0xffff)),
  block: fc.nat(VOLUME_BYTES / 512 + 2),
  blocks: fc.oneof({ weight: 12, arbitrary: fc.integer({ min: 0, max: 6 }) }, { weight: 1, arbitrary: fc.integer({ min: 120, max: 200 }) }),
  fill: fc.integer({ min: 1, max: 255 }),
});

const prelude = (isStructured: boolean): Buffer =>
  Buffer.concat([
    clientFlags(3),
    ...(isStructured ? [option(8), option(10, metaData('app/data', ['base:allocation']))] : []),
    option(7, goData('app/data')),
  ]);
const PRELUDES = [prelude(false), prelude(true)];

type Made = { readonly bytes: Buffer; readonly fields: Field[] };

/** Requests behind a handshake. The cookie is the number of the request. */
function requestsOf(drawn: readonly DrawnRequest[]): Made {
  const fields: Field[] = [];
  let at = 0;
  const parts = drawn.map(({ type, flags, block, blocks, fill }, i) => {
    const length = type === 3 ? 0 : blocks * 512;
    const offset = type === 3 ? 0 : block * 512;
    const payload = type === 1 ? Buffer.alloc(length, fill) : undefined;
    const bytes = request({ type, flags, cookie: BigInt(i + 1), offset, length, ...(payload === undefined ? {} : { payload }) });
    const widths = [
      [0, 4],
      [4, 2],
      [6, 2],
      [8, 8],
      [16, 8],
      [24, 4],
      [24, 4],
    ] as const;
    for (const [offset, width] of widths) fields.push({ at: at + offset, bytes: width, big: true });
    at += bytes.length;
    return bytes;
  });
  return { bytes: Buffer.concat(parts), fields };
}

type Answer = { readonly cookie: bigint; readonly error: number; readonly bytes: Buffer };

/** The answers to requests of these sizes, taken apart; a read's data has the length that its request asked for. */
function answersOf(output: Buffer, reads: ReadonlyMap<bigint, number>): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < output.length; ) {
    const magic = output.readUInt32BE(at);
    const start = at;
    const cookie = output.readBigUInt64BE(at + 8);
    let error = 0;
    if (magic === 0x6744_6698) {
      error = output.readUInt32BE(at + 4);
      at += 16 + (error === 0 ? (reads.get(cookie) ?? 0) : 0);
    } else {
      judge(magic === 0x668e_33ef, `an answer begins with ${magic.toString(16)}`);
      judge(output.readUInt16BE(at + 4) === 1, 'an answer in one piece');
      if (output.readUInt16BE(at + 6) === 0x8001) error = output.readUInt32BE(at + 20);
      at += 20 + output.readUInt32BE(at + 16);
    }
    judge(at <= output.length, 'answers are whole');
    answers.push({ cookie, error, bytes: output.subarray(start, at) });
  }
  return answers;
}

/** What came of a connection. */
type Outcome = { readonly ended: string; readonly output: Buffer; readonly data: Buffer; readonly journal: string[] };

function talk(bytes: Buffer, sizes: readonly number[], drawn: { readonly isSync: boolean; readonly isTight: boolean }): Outcome {
  backend.data.fill(0);
  backend.journal.length = 0;
  backend.room = true;
  backend.completion = drawn.isSync ? 'sync' : 'commit';
  const end = new NbdEnd(backend);
  end.feed(bytes, sizes, drawn.isTight);
  const ended = end.ended ?? 'open';
  end.close();
  judge(backend.leased === 0 && backend.readsHeld === 0 && backend.connected.size === 0, 'everything lent comes back');
  return { ended, output: end.output, data: Buffer.from(backend.data), journal: [...backend.journal] };
}

/** Every operation that reached the backend is one that a volume can carry out. */
function judgeJournal(journal: readonly string[]): void {
  for (const line of journal) {
    const [offset, length] = line.split(' ').slice(-2).map(Number) as [number, number];
    judge(offset >= 0 && length >= 0 && offset + length <= VOLUME_BYTES, `outside the volume: ${line}`);
    judge(length <= NBD_PAYLOAD_BYTES_MAX && (offset % 512) + (length % 512) === 0, `unaligned or too long: ${line}`);
  }
}

type Case = {
  readonly isStructured: boolean;
  readonly requests: readonly DrawnRequest[];
  readonly other: readonly DrawnRequest[];
  readonly mutations: readonly Mutation[];
  readonly isSync: boolean;
  readonly isTight: boolean;
  readonly cuts: readonly [readonly number[], readonly number[]];
};

/** Answers as a set: their order is the server's choice. */
function asSet(output: Buffer, reads: ReadonlyMap<bigint, number>): string {
  return answersOf(output, reads)
    .map(({ bytes }) => bytes.toString('latin1'))
    .sort()
    .join('|');
}

/** Cookies of the requests that arrive, with the length of a read's data; `whole`: how many arrive completely and want an answer. */
type Asked = { readonly reads: ReadonlyMap<bigint, number>; readonly whole: number };

/** What is asked for up to DISC or the first wrong magic; undefined when cookies repeat. */
function askedIn(bytes: Buffer): Asked | undefined {
  const reads = new Map<bigint, number>();
  let whole = 0;
  for (let at = 0; at + 28 <= bytes.length; ) {
    if (bytes.readUInt32BE(at) !== 0x2560_9513) break;
    const type = bytes.readUInt16BE(at + 6);
    const cookie = bytes.readBigUInt64BE(at + 8);
    if (reads.has(cookie)) return undefined;
    const length = bytes.readUInt32BE(at + 24);
    reads.set(cookie, type === 0 ? length : 0);
    if (type === 2) break;
    at += 28 + (type === 1 ? length : 0);
    if (at <= bytes.length) whole++;
  }
  return { reads, whole };
}

/** Returns how many were refused. */
function judgeAnswers(outcome: Outcome, start: number, { reads, whole }: Asked): number {
  const answers = answersOf(outcome.output.subarray(start), reads);
  const answered = new Set(answers.map(({ cookie }) => cookie));
  judge(answered.size === answers.length, 'a request is answered once');
  for (const cookie of answered) judge(reads.has(cookie), `an answer to ${cookie}, which nobody asked`);
  if (!outcome.ended.startsWith('violated')) judge(answered.size === whole, `${answered.size} answers to ${whole} requests`);
  return answers.filter(({ error }) => error !== 0).length;
}

function probe(drawn: Case, count: (outcome: string, inputs?: number) => void): void {
  const made = requestsOf(drawn.requests);
  const requests = Buffer.from(mutate(made.bytes, made.fields, drawn.mutations, requestsOf(drawn.other).bytes));
  const before = PRELUDES[drawn.isStructured ? 1 : 0] as Buffer;
  const bytes = Buffer.concat([before, requests]);
  const whole = talk(bytes, [bytes.length + 1], drawn);
  judgeJournal(whole.journal);
  const start = greetingBytes(before);
  const asked = askedIn(requests);
  if (asked !== undefined) {
    const refused = judgeAnswers(whole, start, asked);
    if (refused === asked.reads.size)
      judge(
        whole.data.every((byte) => byte === 0),
        'refused requests change nothing',
      );
  }
  for (const sizes of drawn.cuts) {
    const cut = talk(bytes, sizes, drawn);
    judge(cut.ended === whole.ended, `cut at ${sizes}: ${cut.ended} instead of ${whole.ended}`);
    judge(cut.data.equals(whole.data), `cut at ${sizes}: another volume`);
    // What was aborted may have left a part of its answers behind.
    if (asked === undefined || whole.ended.startsWith('violated')) continue;
    judge(
      asSet(cut.output.subarray(start), asked.reads) === asSet(whole.output.subarray(start), asked.reads),
      `cut at ${sizes}: other answers`,
    );
  }
  count(whole.ended.split(':')[0] as string, 3);
}

const greetings = new Map<Buffer, number>();

/** Bytes that the server says before the first answer. */
function greetingBytes(before: Buffer): number {
  const known = greetings.get(before);
  if (known !== undefined) return known;
  const { length } = talk(before, [before.length], { isSync: true, isTight: false }).output;
  greetings.set(before, length);
  return length;
}

fuzz(t, {
  name: 'nbd-transmission',
  draw: fc.record({
    isStructured: fc.boolean(),
    requests: fc.array(arbitraryRequest, { minLength: 1, maxLength: 8 }),
    other: fc.array(arbitraryRequest, { minLength: 1, maxLength: 2 }),
    mutations: several(anywhere, 2),
    isSync: fc.boolean(),
    isTight: fc.boolean(),
    cuts: fc.tuple(cuts, cuts),
  }),
  inputsPerCase: 3,
  limitBytes: 64 << 20,
  expected: ['open', 'done', 'violated'],
  probe,
});
