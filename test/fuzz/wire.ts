// Control messages of a link: valid ones go round, damaged ones are refused in words or give a value that needs no further check.

import fc from 'fast-check';
import t from 'tap';
import { NAME_PATTERN } from '../../src/core/ids.js';
import { LINEAGE_ENTRIES_MAX, VOLUMES_PER_GROUP_MAX } from '../../src/core/limits.js';
import * as wire from '../../src/format/wire.js';
import { fuzz, judge } from './harness.js';
import { anywhere, type Field, mutate, several } from './mutate.js';

const KINDS = [
  'hello',
  'plan',
  'ready',
  'refused',
  'ack',
  'durable',
  'time',
  'bye',
  'regionsDone',
  'compared',
  'resyncEnd',
  'read',
  'readRefused',
] as const;
type Kind = (typeof KINDS)[number];

const MODES = ['async', 'memory', 'logged', 'applied'] as const;
const UUID = '0123456789abcdef'.repeat(2);
const NAMES = ['a', 'b', 'data', 'x'.repeat(63), '0.a_b-c'] as const;

/** A message as it is drawn; `numbers` are used in turn. */
type Drawn = { readonly kind: number; readonly numbers: readonly number[]; readonly flags: number; readonly count: number };

const arbitraryMessage: fc.Arbitrary<Drawn> = fc.record({
  kind: fc.nat(KINDS.length - 1),
  numbers: fc.array(
    fc.oneof(fc.nat(300), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), fc.constantFrom(0, 1, 2 ** 32, 2 ** 53 - 1)),
    {
      minLength: 1,
      maxLength: 10,
    },
  ),
  flags: fc.nat(255),
  count: fc.oneof(fc.nat(3), fc.nat(LINEAGE_ENTRIES_MAX)),
});

function lineageOf({ count, flags }: Drawn): { epoch: number; incarnation: number; startLsn: number; own: boolean }[] {
  return Array.from({ length: count }, (_, i) => {
    return { epoch: 1 + i, incarnation: 5, startLsn: 3 * i + 1, own: ((flags >> (i & 7)) & 1) === 1 };
  });
}

/** Numbers, names and flags of a message, in turn. */
type Draws = { readonly number: () => number; readonly name: () => string; readonly flag: (bit: number) => boolean };

/** A hello of everything drawn. */
function helloOf(drawn: Drawn, { number, name, flag }: Draws): { bytes: Uint8Array; value: unknown } {
  const lineage = lineageOf(drawn);
  const resync = flag(3) ? UUID : '';
  const bitmap = flag(4) ? { uuid: UUID, base: flag(5) ? number() : undefined, isKept: flag(6) } : undefined;
  const [trimmed, applied, last] = [number(), number(), number()].sort((a, b) => a - b) as [number, number, number];
  const fromSite = name();
  const role = flag(0) ? ('primary' as const) : ('secondary' as const);
  const own = { site: fromSite, role, groupUuid: 'ab'.repeat(16), blank: flag(1), bornZero: flag(2), epoch: drawn.count + 3 };
  const volumes = Array.from({ length: 1 + (drawn.count % VOLUMES_PER_GROUP_MAX) }, () => {
    return { name: name(), sizeBytes: Math.max(512, number()), blockBytes: 512 << (number() % 8) };
  });
  const value: wire.Hello = {
    protocol: wire.PROTOCOL_VERSION,
    features: number(),
    group: name(),
    fromSite,
    toSite: name(),
    session: number(),
    history: { ...own, lineage, trimmed, applied, last, resync, bitmap },
    volumes,
    frameBytesMax: 16_384 + (number() % 2 ** 24),
    logBytes: number(),
  };
  return { bytes: wire.encodeHello(value), value };
}

/** The encoded message, and what decoding must give. */
function messageOf(drawn: Drawn): { bytes: Uint8Array; value: unknown } {
  let at = 0;
  const number = (): number => drawn.numbers[at++ % drawn.numbers.length] as number;
  const name = (): string => NAMES[number() % NAMES.length] as string;
  const flag = (bit: number): boolean => ((drawn.flags >> bit) & 1) === 1;
  switch (KINDS[drawn.kind] as Kind) {
    case 'hello':
      return helloOf(drawn, { number, name, flag });
    case 'plan': {
      const digests = { chain: number() >>> 0, dialerDigest: number() >>> 0, acceptorDigest: number() >>> 0 };
      const mode = MODES[drawn.flags & 3] as (typeof MODES)[number];
      const from = Math.max(1, number());
      const what = flag(4) ? { action: 'resync' as const, uuid: UUID } : { action: 'stream' as const, uuid: '' };
      const rule = `C${number() % 100}`;
      const value: wire.PlanMessage = { ...what, rule, sender: name(), from, cut: flag(2), adopt: flag(3), ...digests, mode };
      return { bytes: wire.encodePlan(value), value };
    }
    case 'ready': {
      const from = Math.max(1, number());
      return { bytes: wire.encodeReady(from), value: from };
    }
    case 'refused': {
      const value = { code: 'DIVERGED', reason: `${name()} ${number()}` };
      return { bytes: wire.encodeRefused(value), value };
    }
    case 'ack': {
      const [applied, logged, received] = [number(), number(), number()].sort((a, b) => a - b) as [number, number, number];
      return { bytes: wire.encodeAck(received, logged, applied), value: { received, logged, applied } };
    }
    case 'durable': {
      const lsn = number();
      return { bytes: wire.encodeDurable(lsn), value: lsn };
    }
    case 'time': {
      const time = number();
      return { bytes: wire.encodeTime(time), value: time };
    }
    case 'regionsDone': {
      const regions = number();
      return { bytes: wire.encodeRegionsDone(regions), value: regions };
    }
    case 'compared': {
      const value: wire.Compared = { piece: number(), same: number() % 2 ** 16 };
      return { bytes: wire.encodeCompared(value), value };
    }
    case 'resyncEnd': {
      const lineage = lineageOf(drawn);
      const base = (lineage.at(-1)?.startLsn ?? 0) + (number() % 1000);
      const value: wire.ResyncEnd = { base, chain: number() >>> 0, end: base + (number() % 1000), lineage };
      return { bytes: wire.encodeResyncEnd(value), value };
    }
    case 'read': {
      const value = { id: number(), volume: number() >>> 0, offset: number(), length: number() >>> 0, lsn: number(), epoch: number() };
      return { bytes: wire.encodeRead(value), value };
    }
    case 'readRefused': {
      const value = { id: number(), code: 'NOT_CONSISTENT', reason: `${name()} ${number()}` };
      return { bytes: wire.encodeReadRefused(value), value };
    }
    case 'bye': {
      const reason = `${name()} leaves`;
      return { bytes: wire.encodeBye(reason), value: { reason } };
    }
  }
}

const DECODERS: Record<Kind, (bytes: Uint8Array) => unknown> = {
  hello: wire.decodeHello,
  plan: wire.decodePlan,
  ready: wire.decodeReady,
  refused: wire.decodeRefused,
  ack: wire.decodeAck,
  durable: wire.decodeDurable,
  time: wire.decodeTime,
  bye: wire.decodeBye,
  regionsDone: wire.decodeRegionsDone,
  compared: wire.decodeCompared,
  resyncEnd: wire.decodeResyncEnd,
  read: wire.decodeRead,
  readRefused: wire.decodeReadRefused,
};

const ENCODERS: Record<Kind, (value: never) => Uint8Array> = {
  hello: wire.encodeHello,
  plan: wire.encodePlan,
  ready: wire.encodeReady,
  refused: wire.encodeRefused,
  ack: ({ received, logged, applied }: wire.Ack) => wire.encodeAck(received, logged, applied),
  durable: wire.encodeDurable,
  time: wire.encodeTime,
  bye: ({ reason }: { reason: string }) => wire.encodeBye(reason),
  regionsDone: wire.encodeRegionsDone,
  compared: wire.encodeCompared,
  resyncEnd: wire.encodeResyncEnd,
  read: wire.encodeRead,
  readRefused: wire.encodeReadRefused,
};

/** Tags and lengths of the outer message and of those inside: one byte each, as far as they are. */
function fieldsOf(bytes: Uint8Array, start = 0, end = bytes.length): Field[] {
  const fields: Field[] = [];
  for (let at = start; at < end; ) {
    const tag = bytes[at] as number;
    fields.push({ at, bytes: 1 }, { at: at + 1, bytes: 1 });
    at++;
    if ((tag & 7) === 2) {
      const length = bytes[at] as number;
      if (length < 128) fields.push(...fieldsOf(bytes, at + 1, Math.min(end, at + 1 + length)));
      at += 1 + (length < 128 ? length : ((bytes[at + 1] as number) << 7) + (length & 127) + 1);
    } else {
      while (at < end && (bytes[at] as number) > 127) at++;
      at++;
    }
    if (fields.length > 400) break;
  }
  return fields;
}

/** Every number in it is a safe integer that is not negative, every name a name, every text short. */
function isClean(value: unknown, key = ''): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0;
  if (typeof value === 'string') {
    if (['group', 'fromSite', 'toSite', 'site', 'sender', 'name'].includes(key)) return NAME_PATTERN.test(value);
    return value.length <= 1000 && /^[\x20-\x7e\u00a0-\uffff]*$/.test(value);
  }
  if (Array.isArray(value)) return value.length <= LINEAGE_ENTRIES_MAX && value.every((each) => isClean(each, key));
  if (typeof value === 'object' && value !== null) return Object.entries(value).every(([name, each]) => isClean(each, name));
  return typeof value === 'boolean' || value === undefined;
}

fuzz(t, {
  name: 'wire',
  draw: fc.record({ message: arbitraryMessage, other: arbitraryMessage, mutations: several(anywhere), as: fc.nat(3 * KINDS.length) }),
  expected: ['round', 'refused', 'taken', 'another version'],
  probe: ({ message, other, mutations, as }, count) => {
    const { bytes: whole, value } = messageOf(message);
    const kind = KINDS[message.kind] as Kind;
    if (mutations.length === 0) {
      judge(JSON.stringify(sorted(DECODERS[kind](whole))) === JSON.stringify(sorted(value)), `${kind} goes round`);
      count('round', 0);
    }
    const bytes = mutate(whole, fieldsOf(whole), mutations, messageOf(other).bytes);
    // Mostly for what it is, sometimes for something else.
    const asKind = KINDS[as] ?? kind;
    const got = DECODERS[asKind](bytes);
    if (typeof got === 'string') return count('refused');
    if (typeof got === 'object' && got !== null && 'protocol' in got && !('group' in got)) return count('another version');
    count('taken');
    judge(isClean(got), `${asKind} is taken as ${JSON.stringify(got)}`);
    const again = DECODERS[asKind](ENCODERS[asKind](got as never));
    judge(JSON.stringify(sorted(again)) === JSON.stringify(sorted(got)), `${asKind} that was taken goes round`);
  },
});

/** With keys in order, for comparison. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  );
}
