// Frame headers and the meta part of records frames.

import t from 'tap';
import { putU32 } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import {
  CONTENT_META_BYTES,
  FRAME_HEADER_BYTES,
  type FrameType,
  isMetaValid,
  META_BYTES_MAX,
  putContentMeta,
  putRecordsMeta,
  putRegionMeta,
  RECORDS_META_BYTES_MAX,
  REGION_META_BYTES,
  type RegionMeta,
  readContentMeta,
  readFrameHeader,
  readRegionMeta,
  recordsMetaBytes,
  recordsMetaCount,
  recordsMetaDurable,
  sealFrame,
} from '../../src/format/frame.js';

const TYPES: readonly FrameType[] = [
  'hello',
  'plan',
  'ready',
  'refused',
  'ack',
  'durable',
  'ping',
  'pong',
  'bye',
  'records',
  'read',
  'readRefused',
  'content',
];

function frame(type: FrameType, metaBytes: number, payloadBytes = 0): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + metaBytes);
  for (let i = 0; i < metaBytes; i++) bytes[FRAME_HEADER_BYTES + i] = i * 7;
  sealFrame(bytes, 0, type, metaBytes, payloadBytes);
  return bytes;
}

/** Puts the CRC right behind a change of header fields. */
function resealHeader(bytes: Uint8Array): Uint8Array {
  putU32(bytes, 4, crc32cSmall(bytes, 8, 16));
  return bytes;
}

t.test('a sealed frame of every type reads back', async (t) => {
  for (const type of TYPES) {
    const bytes = frame(type, 72, type === 'records' ? 4096 : 0);
    const header = readFrameHeader(bytes, 0);
    if (typeof header === 'string') throw new Error(header);
    t.match(header, { type, metaBytes: 72, payloadBytes: type === 'records' ? 4096 : 0 });
    t.ok(isMetaValid(bytes, FRAME_HEADER_BYTES, header));
  }
});

t.test('a frame that the other end would refuse is not made', async (t) => {
  t.throws(() => frame('hello', META_BYTES_MAX + 1), /keeps its limits/);
  t.throws(() => frame('ping', 10, 512), /keeps its limits/);
});

t.test('every single-bit flip in header or meta part of every frame type is found', async (t) => {
  for (const type of TYPES) {
    const bytes = frame(type, 72, type === 'records' ? 4096 : 0);
    let missed = 0;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      const header = readFrameHeader(bytes, 0);
      if (typeof header !== 'string' && isMetaValid(bytes, FRAME_HEADER_BYTES, header)) missed++;
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    }
    t.equal(missed, 0, type);
  }
});

t.test('a header with right CRC and impossible fields is refused with the reason', async (t) => {
  const cases: [string, (bytes: Uint8Array) => void, RegExp][] = [
    ['version', (b) => b.fill(2, 8, 9), /version 2/],
    ['type 0', (b) => b.fill(0, 9, 10), /type 0/],
    ['unknown type', (b) => b.fill(99, 9, 10), /type 99/],
    ['reserved bits', (b) => b.fill(1, 10, 11), /must be zero/],
    ['long meta', (b) => putU32(b, 12, META_BYTES_MAX + 1), /meta part/],
    ['longest meta', (b) => putU32(b, 12, 0xffff_ffff), /meta part/],
    ['payload of a control frame', (b) => putU32(b, 16, 1), /payload/],
  ];
  for (const [title, change, reason] of cases) {
    const bytes = frame('ping', 10);
    change(bytes);
    t.match(readFrameHeader(resealHeader(bytes), 0), reason, title);
  }
  const records = frame('records', 72, 1 << 20);
  t.type(readFrameHeader(records, 0), 'object', 'largest payload');
  putU32(records, 16, (1 << 20) + 1);
  t.match(readFrameHeader(resealHeader(records), 0), /payload/);
  putU32(records, 16, 0);
  putU32(records, 12, RECORDS_META_BYTES_MAX + 1);
  t.match(readFrameHeader(resealHeader(records), 0), /meta part/);
  t.match(readFrameHeader(new Uint8Array(FRAME_HEADER_BYTES), 0), /not a frame/);
});

t.test('the meta part of a records frame keeps count, length and durable LSN within bounds', async (t) => {
  const meta = (count: number): Uint8Array => {
    const bytes = new Uint8Array(recordsMetaBytes(count));
    putRecordsMeta(bytes, 0, 2 ** 53 - 1, count);
    return bytes;
  };
  t.equal(recordsMetaCount(meta(1), 0, recordsMetaBytes(1)), 1);
  t.equal(recordsMetaCount(meta(42), 0, RECORDS_META_BYTES_MAX), 42);
  t.equal(recordsMetaDurable(meta(1), 0), 2 ** 53 - 1);
  t.equal(recordsMetaCount(meta(0), 0, recordsMetaBytes(0)), 0, 'no records');
  t.equal(recordsMetaCount(meta(43), 0, recordsMetaBytes(43)), 0, 'too many');
  t.equal(recordsMetaCount(meta(2), 0, recordsMetaBytes(1)), 0, 'count and length differ');
  t.equal(recordsMetaCount(meta(1), 0, 15), 0, 'too short');
  const reserved = meta(1);
  reserved[12] = 1;
  t.equal(recordsMetaCount(reserved, 0, reserved.length), 0, 'reserved bytes');
  const large = meta(1);
  large[6] = 0x20;
  large[7] = 0xff;
  t.equal(recordsMetaCount(large, 0, large.length), 0, 'durable LSN beyond 2^53-1');
});

t.test('the meta part of a region frame goes round, and every impossible one is refused', async (t) => {
  const bytes = new Uint8Array(64);
  const read = (meta: RegionMeta, payloadBytes: number, metaBytes = REGION_META_BYTES): RegionMeta | string => {
    putRegionMeta(bytes, 8, meta);
    return readRegionMeta(bytes, 8, metaBytes, payloadBytes);
  };
  const data: RegionMeta = { volume: 3, offset: 2 ** 40, length: 65536, isZero: false, crc: 0xdead_beef };
  const hole: RegionMeta = { volume: 0, offset: 0, length: 128 * 1024 * 1024, isZero: true, crc: 0 };
  t.same(read(data, 65536), data);
  t.same(read(hole, 0), hole);
  const wrong: [string, RegionMeta, number][] = [
    ['nothing', { ...data, length: 0 }, 0],
    ['too long', { ...data, length: 1024 * 1024 + 512 }, 1024 * 1024 + 512],
    ['hole too long', { ...hole, length: 128 * 1024 * 1024 + 512 }, 0],
    ['part of a sector', { ...data, length: 100 }, 100],
    ['place inside a sector', { ...data, offset: 7 }, 65536],
    ['place beyond 2^53', { ...data, offset: 2 ** 60 }, 65536],
    ['other payload', data, 512],
    ['hole with payload', hole, 512],
    ['hole with CRC', { ...hole, crc: 1 }, 0],
  ];
  for (const [title, meta, payloadBytes] of wrong) t.match(read(meta, payloadBytes), /impossible extent/, title);
  t.match(read(data, 65536, REGION_META_BYTES - 1), /impossible meta/);
  putRegionMeta(bytes, 8, data);
  bytes[8 + 2] = 2;
  t.match(readRegionMeta(bytes, 8, REGION_META_BYTES, 65536), /impossible meta/, 'unknown flag');
  putRegionMeta(bytes, 8, data);
  bytes[8 + 20] = 1;
  t.match(readRegionMeta(bytes, 8, REGION_META_BYTES, 65536), /impossible meta/, 'bits that must be zero');
});

t.test('the meta part of a content frame goes round, and every impossible one is refused', async (t) => {
  const bytes = new Uint8Array(64);
  const meta = { id: 2 ** 53 - 1, crc: 0xdead_beef };
  putContentMeta(bytes, 8, meta);
  t.same(readContentMeta(bytes, 8, CONTENT_META_BYTES), meta);
  t.match(readContentMeta(bytes, 8, CONTENT_META_BYTES - 1), /impossible meta/);
  bytes[8 + 12] = 1;
  t.match(readContentMeta(bytes, 8, CONTENT_META_BYTES), /impossible meta/, 'bits that must be zero');
  putContentMeta(bytes, 8, { ...meta, id: 2 ** 60 });
  t.match(readContentMeta(bytes, 8, CONTENT_META_BYTES), /impossible meta/, 'id beyond 2^53-1');
});
