// The header of a record: 96 bytes, little endian. Bytes 8..64 are the record's identity: they are the same at every site and travel
// on the wire as they are; their CRC32C is the record's chain value, which the successor repeats. The rest belongs to one log.
//
//   at  size  field
//    0    4   magic "LVRr"
//    4    4   header CRC32C over bytes 8..96
//    8    8   LSN
//   16    8   epoch
//   24    8   incarnation
//   32    8   offset in the volume, bytes
//   40    4   length of the extent, bytes
//   44    2   volume index
//   46    1   kind: 1 write, 2 zero, 3 trim
//   47    1   flags: bit 0 may unmap (zero, trim)
//   48    4   CRC32C of the payload (0 without payload)
//   52    4   chain value of the predecessor
//   56    8   time of acceptance, microseconds since 1970 (display only)
//   64    8   LSN known durable in this log when the record was written (evidence against silent truncation)
//   72   16   UUID of the log
//   88    8   zero
//
// The header CRC continues the chain value, so both are computed in one pass.

import type { Lsn } from '../core/ids.js';
import { getU16, getU32, getU64, putU16, putU32, putU64 } from './bytes.js';
import { crc32cSmall } from './crc32c.js';

export const RECORD_HEADER_BYTES = 96;
export const RECORD_MAGIC = 0x7252_564c;
/** Offset and size of the identity inside the header. */
export const IDENTITY_START = 8;
export const IDENTITY_BYTES = 56;

/** What a record does to its extent. A trim reads as zeroes afterwards, so that sites cannot differ. */
export type RecordKind = 'write' | 'zero' | 'trim';
const KIND_CODES: Record<RecordKind, number> = { write: 1, zero: 2, trim: 3 };
const KINDS: readonly (RecordKind | undefined)[] = [undefined, 'write', 'zero', 'trim'];
const FLAG_MAY_UNMAP = 1;

/** The site-independent content of a record header. Offsets and lengths in bytes. */
export type RecordIdentity = {
  lsn: Lsn;
  epoch: number;
  incarnation: number;
  offset: number;
  length: number;
  volume: number;
  kind: RecordKind;
  mayUnmap: boolean;
  payloadCrc: number;
  prevChain: number;
  timeUs: number;
};

/** Writes the identity of a record whose payload CRC is not known yet (see sealIdentity). `header` is the start of the record header. */
export function putIdentity(bytes: Uint8Array, header: number, record: Omit<RecordIdentity, 'payloadCrc' | 'prevChain'>): void {
  putU64(bytes, header + 8, record.lsn);
  putU64(bytes, header + 16, record.epoch);
  putU64(bytes, header + 24, record.incarnation);
  putU64(bytes, header + 32, record.offset);
  putU32(bytes, header + 40, record.length);
  putU16(bytes, header + 44, record.volume);
  bytes[header + 46] = KIND_CODES[record.kind];
  bytes[header + 47] = record.mayUnmap ? FLAG_MAY_UNMAP : 0;
  putU32(bytes, header + 48, 0);
  putU32(bytes, header + 52, 0);
  putU64(bytes, header + 56, record.timeUs);
}

/** Adds payload CRC and the predecessor's chain value. */
export function sealIdentity(bytes: Uint8Array, header: number, payloadCrc: number, prevChain: number): void {
  putU32(bytes, header + 48, payloadCrc);
  putU32(bytes, header + 52, prevChain);
}

/** The chain value of a record: CRC32C of its identity. */
export function chainOf(bytes: Uint8Array, header: number): number {
  return crc32cSmall(bytes, header + IDENTITY_START, IDENTITY_BYTES);
}

/** Completes a header whose identity is sealed with the fields of this log, and returns the record's chain value. */
export function sealHeader(bytes: Uint8Array, header: number, durableLsn: number, logUuid: Uint8Array): number {
  putU64(bytes, header + 64, durableLsn);
  bytes.set(logUuid, header + 72);
  putU64(bytes, header + 88, 0);
  putU32(bytes, header, RECORD_MAGIC);
  const chain = chainOf(bytes, header);
  putU32(bytes, header + 4, crc32cSmall(bytes, header + 64, 32, chain));
  return chain;
}

/** True when magic and header CRC are right. Says nothing about where the record belongs. */
export function isHeaderValid(bytes: Uint8Array, header: number): boolean {
  return (
    getU32(bytes, header) === RECORD_MAGIC &&
    getU32(bytes, header + 4) === crc32cSmall(bytes, header + IDENTITY_START, RECORD_HEADER_BYTES - IDENTITY_START)
  );
}

/** Reads an identity. Returns undefined when a field has a value that no version writes; the caller has checked the CRC. */
export function readIdentity(bytes: Uint8Array, header: number): RecordIdentity | undefined {
  const kind = KINDS[bytes[header + 46] as number];
  const flags = bytes[header + 47] as number;
  const record = {
    lsn: getU64(bytes, header + 8) as Lsn,
    epoch: getU64(bytes, header + 16),
    incarnation: getU64(bytes, header + 24),
    offset: getU64(bytes, header + 32),
    length: getU32(bytes, header + 40),
    volume: getU16(bytes, header + 44),
    mayUnmap: (flags & FLAG_MAY_UNMAP) !== 0,
    payloadCrc: getU32(bytes, header + 48),
    prevChain: getU32(bytes, header + 52),
    timeUs: getU64(bytes, header + 56),
  };
  const sane =
    record.lsn >= 1 && record.epoch >= 1 && record.incarnation >= 1 && record.offset >= 0 && record.length > 0 && record.timeUs >= 0;
  if (kind === undefined || flags > FLAG_MAY_UNMAP || !sane || (kind !== 'write' && record.payloadCrc !== 0)) return undefined;
  return { ...record, kind };
}

// Single fields, for the data path: no object per record.
export const recordLsn = (bytes: Uint8Array, header: number): Lsn => getU64(bytes, header + 8) as Lsn;
export const recordEpoch = (bytes: Uint8Array, header: number): number => getU64(bytes, header + 16);
export const recordIncarnation = (bytes: Uint8Array, header: number): number => getU64(bytes, header + 24);
export const recordOffset = (bytes: Uint8Array, header: number): number => getU64(bytes, header + 32);
export const recordLength = (bytes: Uint8Array, header: number): number => getU32(bytes, header + 40);
export const recordVolume = (bytes: Uint8Array, header: number): number => getU16(bytes, header + 44);
export const recordHasPayload = (bytes: Uint8Array, header: number): boolean => bytes[header + 46] === KIND_CODES.write;
export const recordMayUnmap = (bytes: Uint8Array, header: number): boolean => ((bytes[header + 47] as number) & FLAG_MAY_UNMAP) !== 0;
export const recordPayloadCrc = (bytes: Uint8Array, header: number): number => getU32(bytes, header + 48);
export const recordPrevChain = (bytes: Uint8Array, header: number): number => getU32(bytes, header + 52);
export const recordTimeUs = (bytes: Uint8Array, header: number): number => getU64(bytes, header + 56);
export const recordDurableLsn = (bytes: Uint8Array, header: number): number => getU64(bytes, header + 64);
