// Completing and checking the records of a batch in memory. On the primary a batch is sealed: payload CRCs and the chain are computed once,
// from the bytes that go to the log, the device and the wire alike. On a secondary the identities came sealed; they are verified, and only
// the fields of the local log are added.

import { BATCH_RECORDS_MAX } from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import { batchBytes, putBatchHeader } from '../format/batch.js';
import {
  chainOf,
  recordHasPayload,
  recordLength,
  recordLsn,
  recordPayloadCrc,
  recordPrevChain,
  sealHeader,
  sealIdentity,
} from '../format/record.js';
import type { LogBatch } from './log-batch.js';

/** CRC32C of many spans in one call: `spans` holds [start, length] pairs; see disk/memory.ts. */
export type CrcSpans = (bytes: Uint8Array, spans: Uint32Array, count: number, out: Uint32Array) => void;

// Scratch space: sealing is synchronous, so one set serves all groups.
const spans = new Uint32Array(2 * BATCH_RECORDS_MAX);
const crcs = new Uint32Array(BATCH_RECORDS_MAX);
const crcIndex = new Int32Array(BATCH_RECORDS_MAX);

/** Computes the payload CRCs of all write records into `crcs` in record order (0 for records without payload). */
function payloadCrcs(batch: LogBatch, crc32cSpans: CrcSpans): void {
  const bytes = batch.arena.bytes;
  let count = 0;
  let at = batch.dataStart;
  for (let i = 0; i < batch.count; i++) {
    const header = batch.headerAt(i);
    crcIndex[i] = -1;
    if (!recordHasPayload(bytes, header)) continue;
    const length = recordLength(bytes, header);
    spans[2 * count] = at;
    spans[2 * count + 1] = length;
    crcIndex[i] = count++;
    at += length;
  }
  if (count > 0) crc32cSpans(bytes, spans, count, crcs);
}

/** Seals the identities of a batch made here; returns the chain value of its last record. */
export function sealIdentities(batch: LogBatch, prevChain: number, crc32cSpans: CrcSpans): number {
  payloadCrcs(batch, crc32cSpans);
  let chain = prevChain;
  for (let i = 0; i < batch.count; i++) {
    const header = batch.headerAt(i);
    const crc = crcIndex[i] as number;
    sealIdentity(batch.arena.bytes, header, crc < 0 ? 0 : (crcs[crc] as number), chain);
    chain = chainOf(batch.arena.bytes, header);
  }
  return chain;
}

/**
 * Checks identities that came from elsewhere: LSNs contiguous from `firstLsn`, chain unbroken from `prevChain`, payload CRCs right.
 * Returns the chain value of the last record, or the index of the first bad record as a negative number minus one.
 */
export function verifyIdentities(batch: LogBatch, firstLsn: number, prevChain: number, crc32cSpans: CrcSpans): number {
  const bytes = batch.arena.bytes;
  payloadCrcs(batch, crc32cSpans);
  let chain = prevChain;
  for (let i = 0; i < batch.count; i++) {
    const header = batch.headerAt(i);
    const crc = crcIndex[i] as number;
    const expected = crc < 0 ? 0 : (crcs[crc] as number);
    const good =
      recordLsn(bytes, header) === firstLsn + i &&
      recordPrevChain(bytes, header) === chain &&
      (recordPayloadCrc(bytes, header) === expected || PLANTED === 'payload-unchecked');
    if (!good) return -1 - i;
    chain = chainOf(bytes, header);
  }
  return chain;
}

/** Completes batch and record headers for this log at batch.position. Identities are sealed. Returns the bytes to write. */
export function sealForLog(batch: LogBatch, durableLsn: number, primaryDurableLsn: number, logUuid: Uint8Array): number {
  const bytes = batch.arena.bytes;
  for (let i = 0; i < batch.count; i++) sealHeader(bytes, batch.headerAt(i), durableLsn, logUuid);
  const totalBytes = batchBytes(batch.payloadBytes);
  const { position, payloadBytes, count, firstLsn } = batch;
  putBatchHeader(bytes, batch.start, { position, totalBytes, payloadBytes, count, firstLsn, primaryDurableLsn }, logUuid);
  // Padding is zero, so that a batch of the same records always has the same bytes.
  bytes.fill(0, batch.dataStart + batch.payloadBytes, batch.start + totalBytes);
  return totalBytes;
}
