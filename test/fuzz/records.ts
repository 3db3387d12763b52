// Streams of records frames as a primary sends them, made once, and a secondary that takes them and looks at what it is given.

import { BLOCK_BYTES, RECORD_PAYLOAD_BYTES_MAX, RECORD_ZERO_BYTES_MAX, SLAB_LARGE_PAYLOAD_BYTES } from '../../src/core/limits.js';
import { LogBatch } from '../../src/disk/log-batch.js';
import { getU16, getU32, putU32 } from '../../src/format/bytes.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { FRAME_HEADER_BYTES, putRecordsMeta, RECORDS_META_HEADER_BYTES, recordsMetaBytes, sealFrame } from '../../src/format/frame.js';
import { chainOf, IDENTITY_BYTES, IDENTITY_START, readIdentity } from '../../src/format/record.js';
import type { Refusal } from '../../src/link/ports.js';
import { FakeGroup } from '../link/fake-group.js';
import { judge } from './harness.js';
import type { Field } from './mutate.js';

/** Records of one frame each: how many, and bytes of payload of each (0: trims). */
export type Shape = readonly (readonly [number, number])[];

/** A stream, where its frames begin, and the chain values of its records. */
export type RecordStream = {
  readonly bytes: Uint8Array;
  readonly starts: readonly number[];
  readonly chains: readonly number[];
  readonly fields: readonly Field[];
};

/** What a primary sends for records of this shape. */
export function recordStream(shape: Shape): RecordStream {
  const group = new FakeGroup('a', 'primary');
  const starts: number[] = [];
  const frames: Uint8Array[] = [];
  let at = 0;
  for (const [count, payloadBytes] of shape) {
    const durableLsn = group.durableLsn;
    const batch = group.append(count, payloadBytes);
    const metaBytes = recordsMetaBytes(count);
    const frame = new Uint8Array(FRAME_HEADER_BYTES + metaBytes + batch.payloadBytes);
    putRecordsMeta(frame, FRAME_HEADER_BYTES, durableLsn, count);
    for (let i = 0; i < count; i++) {
      const from = batch.headerAt(i) + IDENTITY_START;
      frame.set(batch.arena.bytes.subarray(from, from + IDENTITY_BYTES), identityAt(0, i));
    }
    frame.set(batch.arena.bytes.subarray(batch.dataStart, batch.dataStart + batch.payloadBytes), FRAME_HEADER_BYTES + metaBytes);
    sealFrame(frame, 0, 'records', metaBytes, batch.payloadBytes);
    starts.push(at);
    frames.push(frame);
    at += frame.length;
  }
  const fields = starts.flatMap((start, i) => fieldsOf(start, (shape[i] as Shape[number])[0]));
  return { bytes: Buffer.concat(frames), starts, chains: group.records.map(({ chain }) => chain), fields };
}

function identityAt(frame: number, i: number): number {
  return frame + FRAME_HEADER_BYTES + RECORDS_META_HEADER_BYTES + i * IDENTITY_BYTES;
}

/** The numbers of a records frame: see src/format/frame.ts and record.ts. */
function fieldsOf(start: number, count: number): Field[] {
  const meta = start + FRAME_HEADER_BYTES;
  const fields: Field[] = [
    { at: start + 12, bytes: 4 },
    { at: start + 16, bytes: 4 },
    { at: start + 9, bytes: 1 },
    { at: meta, bytes: 8 },
    { at: meta + 8, bytes: 2 },
    { at: meta + 10, bytes: 2 },
  ];
  for (let i = 0; i < count; i++) {
    const record = identityAt(start, i) - IDENTITY_START;
    for (const at of [8, 16, 24, 32, 56]) fields.push({ at: record + at, bytes: 8 });
    for (const at of [40, 48, 52]) fields.push({ at: record + at, bytes: 4 });
    fields.push({ at: record + 44, bytes: 2 }, { at: record + 46, bytes: 1 }, { at: record + 47, bytes: 1 });
  }
  return fields;
}

/** Makes the sums of frames at known places right again; `deep`: payload sums and the chain as well. */
export function resealRecords(bytes: Uint8Array, stream: RecordStream, deep: boolean): void {
  let chain = 0;
  for (const start of stream.starts) {
    const metaBytes = Math.min(getU32(bytes, start + 12), bytes.length - start - FRAME_HEADER_BYTES);
    const count = deep ? Math.min(getU16(bytes, start + FRAME_HEADER_BYTES + 8), 42) : 0;
    let payloadAt = start + FRAME_HEADER_BYTES + metaBytes;
    for (let i = 0; i < count && identityAt(start, i + 1) <= bytes.length; i++) {
      const record = identityAt(start, i) - IDENTITY_START;
      const length = bytes[record + 46] === 1 ? Math.min(getU32(bytes, record + 40), bytes.length - payloadAt) : 0;
      putU32(bytes, record + 48, length > 0 ? crc32cSmall(bytes, payloadAt, length) : 0);
      putU32(bytes, record + 52, chain);
      payloadAt += length;
      chain = chainOf(bytes, record);
    }
    putU32(bytes, start + 20, crc32cSmall(bytes, start + FRAME_HEADER_BYTES, metaBytes));
    putU32(bytes, start + 4, crc32cSmall(bytes, start + 8, FRAME_HEADER_BYTES - 8));
  }
}

const free: LogBatch[] = [];
const largest = { bytes: new Uint8Array(4 * (BLOCK_BYTES + SLAB_LARGE_PAYLOAD_BYTES)), address: 0 };
for (let i = 0; i < 4; i++) {
  free.push(new LogBatch(largest, i * (BLOCK_BYTES + SLAB_LARGE_PAYLOAD_BYTES), SLAB_LARGE_PAYLOAD_BYTES, (batch) => free.push(batch)));
}
const BATCHES = free.length;

/** A secondary whose memory is shared by all of its kind, and that trusts nothing it is given. */
export class StrictSink extends FakeGroup {
  override leaseBatch(payloadBytes: number): LogBatch | undefined {
    judge(payloadBytes <= SLAB_LARGE_PAYLOAD_BYTES, 'a batch keeps its limit');
    const batch = free.pop();
    batch?.reset();
    return batch;
  }

  override receive(batch: LogBatch): Refusal | undefined {
    for (let i = 0; i < batch.count; i++) {
      const record = readIdentity(batch.arena.bytes, batch.headerAt(i));
      // A sum over no payload is left to whoever checks the payloads.
      if (record === undefined) continue;
      const sizeBytes = this.volumeList[record.volume]?.sizeBytes ?? 0;
      judge(record.offset + record.length <= sizeBytes, `an extent outside its volume: ${record.offset} + ${record.length}`);
      judge(record.length <= (record.kind === 'write' ? RECORD_PAYLOAD_BYTES_MAX : RECORD_ZERO_BYTES_MAX), 'a record keeps its limit');
      judge(record.epoch <= 1, 'no record is of a later epoch than its primary');
    }
    return super.receive(batch);
  }

  /** Batches that have not come back. */
  get held(): number {
    return BATCHES - free.length;
  }
}
