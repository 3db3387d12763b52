// Record headers: every field comes back, every flipped bit is seen.

import t from 'tap';
import type { Lsn } from '../../src/core/ids.js';
import { getUuid, putUuid } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import * as record from '../../src/format/record.js';
import { flipBit } from '../helpers/bits.js';
import { Random } from '../helpers/random.js';

const AT = 17;
const uuid = new Uint8Array(16);
putUuid(uuid, 0, '0123456789abcdef0123456789abcdef');

function sealed(fields: Partial<record.RecordIdentity> = {}): { bytes: Uint8Array; chain: number } {
  const bytes = new Uint8Array(record.RECORD_HEADER_BYTES + AT + 5).fill(0xaa);
  const identity: record.RecordIdentity = {
    lsn: 77 as Lsn,
    epoch: 3,
    incarnation: 2 ** 40 + 5,
    offset: 2 ** 41 + 512,
    length: 4096,
    volume: 31,
    kind: 'write',
    mayUnmap: false,
    payloadCrc: 0xdeadbeef,
    prevChain: 0x89abcdef,
    timeUs: 1_700_000_000_000_000,
    ...fields,
  };
  record.putIdentity(bytes, AT, identity);
  record.sealIdentity(bytes, AT, identity.payloadCrc, identity.prevChain);
  return { bytes, chain: record.sealHeader(bytes, AT, 70, uuid) };
}

t.test('every field of a record comes back, for every kind', async (t) => {
  for (const kind of ['write', 'zero', 'trim'] as const) {
    for (const mayUnmap of [false, true]) {
      const payloadCrc = kind === 'write' ? 0xdeadbeef : 0;
      const { bytes, chain } = sealed({ kind, mayUnmap, payloadCrc });
      t.ok(record.isHeaderValid(bytes, AT));
      const read = record.readIdentity(bytes, AT);
      t.match(read, { lsn: 77, epoch: 3, incarnation: 2 ** 40 + 5, offset: 2 ** 41 + 512, length: 4096, volume: 31, kind, mayUnmap });
      t.match(read, { payloadCrc, prevChain: 0x89abcdef, timeUs: 1_700_000_000_000_000 });
      t.equal(chain, crc32cSmall(bytes, AT + 8, 56));
      t.equal(record.chainOf(bytes, AT), chain);
      t.equal(record.recordHasPayload(bytes, AT), kind === 'write');
      t.equal(record.recordMayUnmap(bytes, AT), mayUnmap);
    }
  }
  const { bytes } = sealed();
  const single = [record.recordLsn, record.recordEpoch, record.recordIncarnation, record.recordOffset, record.recordLength];
  t.same(
    single.map((read) => read(bytes, AT)),
    [77, 3, 2 ** 40 + 5, 2 ** 41 + 512, 4096],
  );
  const more = [record.recordVolume, record.recordPayloadCrc, record.recordPrevChain, record.recordTimeUs, record.recordDurableLsn];
  t.same(
    more.map((read) => read(bytes, AT)),
    [31, 0xdeadbeef, 0x89abcdef, 1_700_000_000_000_000, 70],
  );
  t.equal(getUuid(bytes, AT + 72), '0123456789abcdef0123456789abcdef');
});

t.test('every single-bit flip in a record header is seen', async (t) => {
  const { bytes } = sealed();
  const missed: number[] = [];
  for (let bit = 0; bit < record.RECORD_HEADER_BYTES * 8; bit++) {
    flipBit(bytes, AT, bit);
    if (record.isHeaderValid(bytes, AT)) missed.push(bit);
    flipBit(bytes, AT, bit);
  }
  t.same(missed, []);
  t.ok(record.isHeaderValid(bytes, AT));
});

t.test('any change of the identity changes the chain value, the local fields do not', async (t) => {
  const { bytes, chain } = sealed();
  let same = 0;
  for (let bit = 8 * 8; bit < 64 * 8; bit++) {
    flipBit(bytes, AT, bit);
    if (record.chainOf(bytes, AT) === chain) same++;
    flipBit(bytes, AT, bit);
  }
  t.equal(same, 0);
  t.equal(record.sealHeader(bytes, AT, 1, new Uint8Array(16)), chain);
});

t.test('values that no version writes are refused', async (t) => {
  const bad: [string, (bytes: Uint8Array) => void][] = [
    ['LSN 0', (bytes) => bytes.fill(0, AT + 8, AT + 16)],
    ['LSN beyond safe integers', (bytes) => bytes.fill(0xff, AT + 8, AT + 16)],
    ['epoch 0', (bytes) => bytes.fill(0, AT + 16, AT + 24)],
    ['incarnation 0', (bytes) => bytes.fill(0, AT + 24, AT + 32)],
    ['offset beyond safe integers', (bytes) => bytes.fill(0xff, AT + 32, AT + 40)],
    ['length 0', (bytes) => bytes.fill(0, AT + 40, AT + 44)],
    ['kind 0', (bytes) => bytes.fill(0, AT + 46, AT + 47)],
    ['kind 4', (bytes) => bytes.fill(4, AT + 46, AT + 47)],
    ['unknown flag', (bytes) => bytes.fill(2, AT + 47, AT + 48)],
    ['a sum over no payload', (bytes) => bytes.fill(2, AT + 46, AT + 47)],
    ['time beyond safe integers', (bytes) => bytes.fill(0xff, AT + 56, AT + 64)],
  ];
  for (const [name, spoil] of bad) {
    const { bytes } = sealed();
    t.not(record.readIdentity(bytes, AT), undefined);
    spoil(bytes);
    t.equal(record.readIdentity(bytes, AT), undefined, name);
  }
});

t.test('random identities come back', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  let wrong: unknown;
  for (let run = 0; run < 2000 && wrong === undefined; run++) {
    const kind = (['write', 'zero', 'trim'] as const)[random.below(3)] ?? 'write';
    const fields = {
      lsn: (1 + random.below(2 ** 32)) as Lsn,
      epoch: 1 + random.below(1000),
      incarnation: 1 + random.below(2 ** 32) * 2 ** 20,
      offset: random.below(2 ** 32) * 512,
      length: 1 + random.below(2 ** 32 - 1),
      volume: random.below(65536),
      kind,
      mayUnmap: random.below(2) === 1,
      payloadCrc: kind === 'write' ? random.below(2 ** 32) : 0,
      prevChain: random.below(2 ** 32),
      timeUs: random.below(2 ** 32) * 2 ** 10,
    };
    const { bytes } = sealed(fields);
    const read = record.readIdentity(bytes, AT);
    if (JSON.stringify(Object.entries(read ?? {}).sort()) !== JSON.stringify(Object.entries(fields).sort())) wrong = { read, fields };
  }
  t.equal(wrong, undefined, '2000 identities');
});
