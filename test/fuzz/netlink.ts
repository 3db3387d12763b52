// What the kernel answers over netlink: well-formed answers are understood, others give nothing or a part, never an exception.

import fc from 'fast-check';
import t from 'tap';
import { familyRequest, nbdRequest, parseFamily, parseIndex, parseLinkDead, parseStatus } from '../../src/attach/netlink-message.js';
import { fuzz, judge } from './harness.js';
import { anywhere, type Field, mutate, several } from './mutate.js';

function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc((4 + value.length + 3) & ~3);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function message(command: number, attributes: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(20), ...attributes]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt8(command, 16);
  return bytes;
}

/** What is drawn: numbers for ids and indices. */
type Drawn = { readonly kind: number; readonly numbers: readonly number[] };

/** An answer of each kind, and what it must be understood as. */
function answerOf({ kind, numbers }: Drawn): { bytes: Buffer; meant: unknown } {
  const [first = 1, ...more] = numbers;
  if (kind === 0) {
    const id = Buffer.alloc(2);
    id.writeUInt16LE(first & 0xffff);
    const commands = more.map((command, i) => attribute(i + 1, attribute(1, u32(command))));
    const groups = attribute(1, Buffer.concat([attribute(1, Buffer.from('nbd_mc_group\0')), attribute(2, u32(first))]));
    const attributes = [attribute(2, Buffer.from('nbd\0')), attribute(1, id), attribute(5, u32(10))];
    const bytes = message(1, [...attributes, attribute(6, Buffer.concat(commands)), attribute(7, groups)]);
    return { bytes, meant: { id: first & 0xffff, group: first, commands: [...new Set(more)], maxAttribute: 10 } };
  }
  if (kind === 1) return { bytes: message(1, [attribute(1, u32(first))]), meant: first };
  if (kind === 2) return { bytes: message(4, [attribute(1, u32(first))]), meant: first };
  const devices = numbers.map((index) => attribute(1, Buffer.concat([attribute(1, u32(index)), attribute(2, Buffer.from([index & 1]))])));
  return {
    bytes: message(5, [attribute(9, Buffer.concat(devices))]),
    meant: numbers.map((index) => ({ index, connected: (index & 1) === 1 })),
  };
}

const PARSERS: readonly ((bytes: Buffer) => unknown)[] = [
  (bytes) => {
    const family = parseFamily(bytes);
    return family && { ...family, commands: [...family.commands] };
  },
  parseIndex,
  parseLinkDead,
  parseStatus,
];

/** Lengths and types of the attributes, outer and inner, at all places where one could begin. */
function fieldsOf(bytes: Buffer): Field[] {
  const fields: Field[] = [
    { at: 0, bytes: 4 },
    { at: 16, bytes: 1 },
  ];
  for (let at = 20; at + 4 <= bytes.length; at += 4) fields.push({ at, bytes: 2 }, { at: at + 2, bytes: 2 });
  return fields;
}

const arbitraryAnswer: fc.Arbitrary<Drawn> = fc.record({
  kind: fc.nat(3),
  numbers: fc.array(fc.oneof(fc.nat(20), fc.nat(0xffff_ffff)), { minLength: 1, maxLength: 6 }),
});

fuzz(t, {
  name: 'netlink',
  draw: fc.record({ answer: arbitraryAnswer, other: arbitraryAnswer, mutations: several(anywhere), as: fc.nat(7) }),
  expected: ['understood', 'nothing'],
  probe: ({ answer, other, mutations, as }, count) => {
    const { bytes: whole, meant } = answerOf(answer);
    const parse = PARSERS[mutations.length === 0 ? answer.kind : as] ?? (PARSERS[answer.kind] as (bytes: Buffer) => unknown);
    const bytes = Buffer.from(mutate(whole, fieldsOf(whole), mutations, answerOf(other).bytes));
    const got = parse(bytes);
    if (mutations.length === 0) judge(JSON.stringify(got) === JSON.stringify(meant), `understood as ${JSON.stringify(got)}`);
    judge(JSON.stringify(got ?? null).length <= 100 + 40 * bytes.length, 'no more is understood than was said');
    // What is asked is well-formed, whatever it is asked for.
    const [first = 0] = answer.numbers;
    for (const request of [
      familyRequest('nbd', first),
      nbdRequest(first & 0xffff, 1, first, { index: first, sockets: answer.numbers.map((n) => n & 1023) }),
    ]) {
      judge(request.readUInt32LE(0) === request.length && request.length % 4 === 0, 'a request says its length');
    }
    count(got === undefined || (Array.isArray(got) && got.length === 0) ? 'nothing' : 'understood');
  },
});
