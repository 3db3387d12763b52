// A link carries frames: a header of 24 bytes, the meta part (a control message, or what stands below), the payload part (records, region
// and content frames only). Little endian.
//
//   at  size  field
//    0    4   magic "LVRf"
//    4    4   CRC32C over bytes 8..24
//    8    1   version of the frame format: 1
//    9    1   type
//   10    2   zero
//   12    4   length of the meta part, bytes
//   16    4   length of the payload part, bytes
//   20    4   CRC32C of the meta part
//
// Meta part of a records frame:
//
//    0    8   LSN known durable at the primary
//    8    2   number of records n, 1 to 42
//   10    6   zero
//   16   56 each  record identities (record.ts, bytes 8..64 of a record header), LSNs without a gap
//
// Meta part of a region frame (a piece of a volume as it is, in a resync):
//
//    0    2   volume
//    2    2   flags (bit 0: all zeroes, there is no payload)
//    4    4   length, bytes
//    8    8   offset in the volume
//   16    4   CRC32C of the payload part; 0 when there is none
//   20    4   zero
//
// Meta part of a content frame (the answer to a Read; the payload part is what was read):
//
//    0    8   id of the Read
//    8    4   CRC32C of the payload part
//   12    4   zero
//
// The meta part of a compare frame is in compare.ts.
//
// The payload part of a records frame is the payloads of the write records, in order without gaps. So a change of any single bit of a frame
// is found: in the header and the meta part here, in the payload part by the payload CRCs inside the identities, which the owner of the log
// checks.

import { assert } from '../core/assert.js';
import {
  BATCH_RECORDS_MAX,
  FRAME_BYTES_MAX,
  FRAME_BYTES_MAX_BEFORE_HELLO,
  KIB,
  RECORD_PAYLOAD_BYTES_MAX,
  RECORD_ZERO_BYTES_MAX,
  SECTOR_BYTES,
  SLAB_LARGE_PAYLOAD_BYTES,
} from '../core/limits.js';
import { getU16, getU32, getU64, isZero, putU16, putU32, putU64 } from './bytes.js';
import { crc32cSmall } from './crc32c.js';
import { IDENTITY_BYTES } from './record.js';

export const FRAME_HEADER_BYTES = 24;
export const FRAME_MAGIC = 0x6652_564c;
export const FRAME_VERSION = 1;

/** Start of the identities in the meta part of a records frame. */
export const RECORDS_META_HEADER_BYTES = 16;
/** Largest meta part of a records frame. */
export const RECORDS_META_BYTES_MAX = RECORDS_META_HEADER_BYTES + BATCH_RECORDS_MAX * IDENTITY_BYTES;
/** Largest meta part of any frame. */
export const META_BYTES_MAX = FRAME_BYTES_MAX_BEFORE_HELLO - FRAME_HEADER_BYTES;

assert(RECORDS_META_BYTES_MAX <= META_BYTES_MAX, 'identities fit a meta part');
assert(META_BYTES_MAX <= 16 * KIB, 'meta parts are small');
assert(META_BYTES_MAX + SLAB_LARGE_PAYLOAD_BYTES <= FRAME_BYTES_MAX, 'a batch fits a frame');

/** Frame types; the codes are part of the format. */
const TYPE_CODES = {
  hello: 1,
  plan: 2,
  ready: 3,
  refused: 4,
  ack: 5,
  durable: 6,
  ping: 7,
  pong: 8,
  bye: 9,
  regionsDone: 10,
  resyncEnd: 11,
  compared: 12,
  read: 13,
  readRefused: 14,
  records: 16,
  region: 17,
  compare: 18,
  content: 19,
} as const;
export type FrameType = keyof typeof TYPE_CODES;
const TYPES = new Map<number, FrameType>((Object.keys(TYPE_CODES) as FrameType[]).map((type) => [TYPE_CODES[type], type]));

/** Frames of this type can have a payload part. */
export function hasPayload(type: FrameType): type is 'records' | 'region' | 'compare' | 'content' {
  return type === 'records' || type === 'region' || type === 'compare' || type === 'content';
}

/** A frame header that passed every check. Lengths in bytes. */
export type FrameHeader = { type: FrameType; metaBytes: number; payloadBytes: number; metaCrc: number };

/** Completes a frame whose meta part already stands at start + FRAME_HEADER_BYTES. */
export function sealFrame(bytes: Uint8Array, start: number, type: FrameType, metaBytes: number, payloadBytes: number): void {
  assert(metaBytes <= META_BYTES_MAX && (payloadBytes === 0 || hasPayload(type)), 'a frame keeps its limits');
  putU32(bytes, start, FRAME_MAGIC);
  bytes[start + 8] = FRAME_VERSION;
  bytes[start + 9] = TYPE_CODES[type];
  putU16(bytes, start + 10, 0);
  putU32(bytes, start + 12, metaBytes);
  putU32(bytes, start + 16, payloadBytes);
  putU32(bytes, start + 20, crc32cSmall(bytes, start + FRAME_HEADER_BYTES, metaBytes));
  putU32(bytes, start + 4, crc32cSmall(bytes, start + 8, FRAME_HEADER_BYTES - 8));
}

/** Reads the header at `start`, of which all bytes are there. Returns what is wrong with it as words when it is not valid. */
export function readFrameHeader(bytes: Uint8Array, start: number): FrameHeader | string {
  if (getU32(bytes, start) !== FRAME_MAGIC) return 'not a frame of a link';
  if (getU32(bytes, start + 4) !== crc32cSmall(bytes, start + 8, FRAME_HEADER_BYTES - 8)) return 'frame header CRC is wrong';
  if (bytes[start + 8] !== FRAME_VERSION) return `frame version ${bytes[start + 8]} instead of ${FRAME_VERSION}`;
  const type = TYPES.get(bytes[start + 9] as number);
  if (type === undefined) return `frame type ${bytes[start + 9]} is not known`;
  if (getU16(bytes, start + 10) !== 0) return 'frame header has bits that must be zero';
  const metaBytes = getU32(bytes, start + 12);
  const payloadBytes = getU32(bytes, start + 16);
  if (metaBytes > (type === 'records' ? RECORDS_META_BYTES_MAX : META_BYTES_MAX))
    return `${type} frame with ${metaBytes} bytes of meta part`;
  if (payloadBytes > (hasPayload(type) ? SLAB_LARGE_PAYLOAD_BYTES : 0)) return `${type} frame with ${payloadBytes} bytes of payload`;
  return { type, metaBytes, payloadBytes, metaCrc: getU32(bytes, start + 20) };
}

/** True when the meta part at `start` is the one the header was made for. */
export function isMetaValid(bytes: Uint8Array, start: number, header: FrameHeader): boolean {
  return crc32cSmall(bytes, start, header.metaBytes) === header.metaCrc;
}

/** Writes the fixed fields of a records frame's meta part; the identities follow at start + RECORDS_META_HEADER_BYTES. */
export function putRecordsMeta(bytes: Uint8Array, start: number, durableLsn: number, count: number): void {
  putU64(bytes, start, durableLsn);
  putU16(bytes, start + 8, count);
  bytes.fill(0, start + 10, start + RECORDS_META_HEADER_BYTES);
}

/** Bytes of the meta part of a records frame with this many records. */
export function recordsMetaBytes(count: number): number {
  return RECORDS_META_HEADER_BYTES + count * IDENTITY_BYTES;
}

/** The number of records of a records frame's meta part, or 0 when count, length, durable LSN or reserved bytes are not possible. */
export function recordsMetaCount(bytes: Uint8Array, start: number, metaBytes: number): number {
  if (metaBytes < RECORDS_META_HEADER_BYTES) return 0;
  const count = getU16(bytes, start + 8);
  if (count > BATCH_RECORDS_MAX || metaBytes !== recordsMetaBytes(count) || !isZero(bytes, start + 10, start + 16)) return 0;
  return getU64(bytes, start) >= 0 ? count : 0;
}

/** The durable LSN of a records frame's meta part. */
export function recordsMetaDurable(bytes: Uint8Array, start: number): number {
  return getU64(bytes, start);
}

/** A piece of a volume. `isZero`: it is all zeroes and travels without payload. */
export type RegionMeta = {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly isZero: boolean;
  readonly crc: number;
};

/** Bytes of the meta part of a region frame. */
export const REGION_META_BYTES = 24;

/** Writes the meta part of a region frame. */
export function putRegionMeta(bytes: Uint8Array, start: number, meta: RegionMeta): void {
  putU16(bytes, start, meta.volume);
  putU16(bytes, start + 2, meta.isZero ? 1 : 0);
  putU32(bytes, start + 4, meta.length);
  putU64(bytes, start + 8, meta.offset);
  putU32(bytes, start + 16, meta.crc);
  putU32(bytes, start + 20, 0);
}

/** Reads the meta part of a region frame; words when it is not possible. The caller checks the volume's size and the CRC. */
export function readRegionMeta(bytes: Uint8Array, start: number, metaBytes: number, payloadBytes: number): RegionMeta | string {
  const meta = regionMetaAt(bytes, start, metaBytes);
  if (meta === undefined) return 'region frame with an impossible meta part';
  const { isZero, length, crc } = meta;
  const isSane =
    isExtent(meta) &&
    length <= (isZero ? RECORD_ZERO_BYTES_MAX : RECORD_PAYLOAD_BYTES_MAX) &&
    payloadBytes === (isZero ? 0 : length) &&
    (!isZero || crc === 0);
  return isSane ? meta : 'region frame with an impossible extent';
}

/** The fields of a meta part of this form, which are not checked; undefined when its length is another or reserved bits are set. */
export function regionMetaAt(bytes: Uint8Array, start: number, metaBytes: number): RegionMeta | undefined {
  if (metaBytes !== REGION_META_BYTES || getU16(bytes, start + 2) > 1 || getU32(bytes, start + 20) !== 0) return undefined;
  return {
    volume: getU16(bytes, start),
    isZero: getU16(bytes, start + 2) === 1,
    length: getU32(bytes, start + 4),
    offset: getU64(bytes, start + 8),
    crc: getU32(bytes, start + 16),
  };
}

/** Whole sectors, and not none of them. Written so that NaN is refused. */
export function isExtent({ offset, length }: RegionMeta): boolean {
  return length > 0 && length % SECTOR_BYTES === 0 && offset >= 0 && offset % SECTOR_BYTES === 0;
}

/** What a content frame says: the Read it answers, and the CRC32C of its payload part. */
export type ContentMeta = { readonly id: number; readonly crc: number };

/** Bytes of the meta part of a content frame. */
export const CONTENT_META_BYTES = 16;

/** Writes the meta part of a content frame. */
export function putContentMeta(bytes: Uint8Array, start: number, { id, crc }: ContentMeta): void {
  putU64(bytes, start, id);
  putU32(bytes, start + 8, crc);
  putU32(bytes, start + 12, 0);
}

/** Reads the meta part of a content frame; words when it is not possible. */
export function readContentMeta(bytes: Uint8Array, start: number, metaBytes: number): ContentMeta | string {
  const isSane = metaBytes === CONTENT_META_BYTES && getU32(bytes, start + 12) === 0 && getU64(bytes, start) >= 0;
  return isSane ? { id: getU64(bytes, start), crc: getU32(bytes, start + 8) } : 'content frame with an impossible meta part';
}
