// The NBD handshake: what is answered depends on the bytes alone, answers are whole option replies about options that were asked, the
// state is that of the accepted options only, and no client makes it keep or answer more than its limits.

import fc from 'fast-check';
import t from 'tap';
import { NBD_HANDSHAKE_BYTES_MAX, NBD_OPTIONS_MAX } from '../../src/core/limits.js';
import { Handshake } from '../../src/nbd/handshake.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { clientFlags, goData, metaData, option, parseOptionReplies } from '../helpers/nbd-raw-client.js';
import { fuzz, judge } from './harness.js';
import { anywhere, cuts, type Field, mutate, pieces, several } from './mutate.js';

const backend = new MemoryBackend({ sizeBytes: 1 << 20, slabCount: 1 });
const closed = new MemoryBackend({ exportName: 'app/closed', unavailable: 'app is secondary here', sizeBytes: 1 << 20, slabCount: 1 });
const registry = {
  lookup: (name: string) => [backend, closed].find(({ exportName }) => exportName === name),
  list: () => [backend, closed],
};
const NAMES = ['app/data', 'app/closed', 'app/none', '', 'x'.repeat(4096), 'x'.repeat(5000)];

/** One option as drawn. */
type DrawnOption = { readonly number: number; readonly name: number; readonly infos: readonly number[]; readonly raw: readonly number[] };

const arbitraryOption: fc.Arbitrary<DrawnOption> = fc.record({
  number: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(1, 2, 3, 5, 6, 7, 7, 8, 8, 9, 10, 10) }, fc.nat(20), fc.nat(0xffff_ffff)),
  name: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.nat(NAMES.length - 1)),
  infos: fc.array(fc.oneof(fc.nat(4), fc.nat(0xffff)), { maxLength: 4 }),
  raw: fc.array(fc.nat(255), { maxLength: 12 }),
});

function dataOf({ number, name, infos, raw }: DrawnOption): Buffer {
  const text = NAMES[name] as string;
  if (number === 1) return Buffer.from(text);
  if (number === 6 || number === 7) return goData(text, [...infos]);
  if (number === 9 || number === 10) return metaData(text, ['base:allocation', 'base:', 'qemu:dirty', ''].slice(0, infos.length));
  return Buffer.from(raw);
}

type Made = { readonly bytes: Buffer; readonly fields: Field[] };

function bytesOf(flags: number, options: readonly DrawnOption[]): Made {
  const parts = [clientFlags(flags)];
  const fields: Field[] = [{ at: 0, bytes: 4, big: true }];
  let at = 4;
  for (const drawn of options) {
    const part = option(drawn.number, dataOf(drawn));
    for (const offset of [0, 4, 8, 12, 12, 12]) fields.push({ at: at + offset, bytes: 4, big: true });
    if (part.length >= 24) fields.push({ at: at + 16, bytes: 4, big: true }, { at: at + 22, bytes: 2, big: true });
    if (drawn.number > 5 && drawn.number < 11) fields.push({ at: at + 20 + (NAMES[drawn.name] as string).length, bytes: 4, big: true });
    parts.push(part);
    at += part.length;
  }
  return { bytes: Buffer.concat(parts), fields };
}

/** What came of a handshake: everything that a client or the transmission could see. */
type Outcome = { readonly output: Buffer; readonly used: number; readonly says: string };

function shake(bytes: Buffer, sizes: readonly number[]): Outcome {
  const handshake = new Handshake(registry);
  const output: Buffer[] = handshake.takeOutput();
  judge(output.length === 1 && output[0]?.length === 18, 'the greeting comes first');
  let at = 0;
  for (const [, end] of pieces(bytes.length, sizes)) {
    const used = handshake.step(bytes, at, end);
    judge(used >= 0 && used <= end - at, 'no more is used up than is there');
    at += used;
    output.push(...handshake.takeOutput());
    if (handshake.outcome !== 'more') break;
  }
  const { outcome, closeReason, negotiated, violated } = handshake;
  const state = negotiated && [negotiated.backend.exportName, negotiated.structured, negotiated.allocationContext];
  return { output: Buffer.concat(output.slice(1)), used: at, says: JSON.stringify([outcome, closeReason, violated, state]) };
}

/** The answers in order; an answer to EXPORT_NAME, which has no header, may be the last. */
function judgeOutput({ output, says }: Outcome): void {
  const isOldStyle = says.startsWith('["transmit"') && [10, 134].some((length) => isExportAnswer(output, length));
  const end = isOldStyle ? output.length - (isExportAnswer(output, 134) ? 134 : 10) : output.length;
  const replies = parseOptionReplies(output.subarray(0, end));
  let answered = 0;
  for (const { type, data } of replies) {
    judge([1, 2, 3, 4].includes(type) || type >= 0x8000_0000, `a reply of type ${type}`);
    judge(data.length <= 4096 + 300, `a reply of ${data.length} bytes`);
    if (type === 1 || type >= 0x8000_0000) answered++;
  }
  judge(answered <= NBD_OPTIONS_MAX, 'the number of options is limited');
}

function isExportAnswer(output: Buffer, length: number): boolean {
  return output.length >= length && output.readBigUInt64BE(output.length - length) === BigInt(backend.sizeBytes);
}

fuzz(t, {
  name: 'nbd-handshake',
  draw: fc.record({
    flags: fc.oneof({ weight: 6, arbitrary: fc.constant(3) }, fc.nat(7), fc.nat(0xffff_ffff)),
    options: fc.array(arbitraryOption, { maxLength: 8 }),
    other: fc.array(arbitraryOption, { maxLength: 2 }),
    times: fc.oneof({ weight: 12, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 12 })),
    mutations: several(anywhere, 3),
    cuts: fc.tuple(cuts, cuts),
  }),
  inputsPerCase: 4,
  limitBytes: 8 << 20,
  expected: ['more', 'transmit', 'close', 'violated'],
  probe: ({ flags, options, other, times, mutations, cuts: [first, second] }, count) => {
    const made = bytesOf(flags, Array.from({ length: times }, () => options).flat());
    const bytes = Buffer.from(mutate(made.bytes, made.fields, mutations, bytesOf(3, other).bytes));
    const whole = shake(bytes, [bytes.length + 1]);
    judgeOutput(whole);
    judge(whole.used <= NBD_HANDSHAKE_BYTES_MAX + 16 * 1024, 'a handshake comes to an end');
    for (const sizes of [first, second, [1]]) {
      const cut = shake(bytes, sizes);
      judge(cut.says === whole.says, `cut at ${sizes}: ${cut.says} instead of ${whole.says}`);
      judge(cut.used === whole.used && cut.output.equals(whole.output), `cut at ${sizes}: other answers`);
    }
    const [outcome, , violated] = JSON.parse(whole.says) as [string, string, boolean];
    count(violated ? 'violated' : outcome, 4);
  },
});
