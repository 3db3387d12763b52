// Opening damaged logs. A start refuses with one of its codes, or opens a log of which every record can be read, is possible, and is the
// one that was written; it is never shorter than what something in the log shows to have been durable; and it writes nothing.

import fc from 'fast-check';
import t from 'tap';
import { LvrError } from '../../src/core/errors.js';
import { BLOCK_BYTES, LOG_BYTES_MIN, RECORD_PAYLOAD_BYTES_MAX, RECORD_ZERO_BYTES_MAX } from '../../src/core/limits.js';
import type { Arena, Device, ExtentRun, IoTarget } from '../../src/core/ports.js';
import { type OpenedLog, openLog } from '../../src/disk/log-open.js';
import { batchBytes, recordHeaderAt } from '../../src/format/batch.js';
import { getU64, putU32 } from '../../src/format/bytes.js';
import { readIdentity } from '../../src/format/record.js';
import { RING_START, SUPERBLOCK_BYTES } from '../../src/format/superblock.js';
import { SimMemory } from '../../src/sim/memory.js';
import { SUPERBLOCK_FIELDS, sealSuperblock } from './drawn-superblock.js';
import { type Count, fuzz, judge } from './harness.js';
import { arbitraryLog, imageOf, type LogImage, type PlacedBatch, reseal, VOLUME_BYTES } from './log-image.js';
import { inPlace, type Mutation, mutate, several } from './mutate.js';

const IDENTITY = { group: 'app', site: 'a', volumes: [{ name: 'data', sizeBytes: VOLUME_BYTES, blockBytes: 512 }] };
const REFUSALS = new Set(['LOG_CORRUPT', 'LOG_SUPERBLOCK', 'LOG_FOREIGN', 'LOG_VERSION']);

/** An image as a device that can only be read; behind the image everything is zero. */
class ImageDevice implements Device {
  readonly path = 'image';
  readonly sizeBytes = LOG_BYTES_MIN;
  readonly blockBytes = 512;
  image: Uint8Array;
  #queued: (() => void)[] = [];
  writes = 0;

  constructor(image: Uint8Array) {
    this.image = image;
  }

  read(arena: Arena, start: number, length: number, offset: number, target: IoTarget, tag: number): void {
    judge(length > 0 && offset >= 0 && offset + length <= this.sizeBytes && start + length <= arena.bytes.length, 'a read is possible');
    this.#queued.push(() => {
      const from = this.image.subarray(offset, offset + length);
      arena.bytes.set(from, start);
      arena.bytes.fill(0, start + from.length, start + length);
      target.ioDone(tag, 0);
    });
  }

  write(): void {
    this.writes++;
  }

  zero(): void {
    this.writes++;
  }

  sync(target: IoTarget, tag: number): void {
    this.#queued.push(() => target.ioDone(tag, 0));
  }

  extents(_offset: number, length: number): ExtentRun[] {
    return [{ length, zero: false }];
  }

  kick(): void {
    for (const run of this.#queued.splice(0)) run();
  }

  async close(): Promise<void> {}
}

const memory = new SimMemory();

async function open(device: ImageDevice): Promise<OpenedLog | LvrError> {
  try {
    return await openLog(device, IDENTITY, 'primary', memory, false);
  } catch (error) {
    if (error instanceof LvrError && REFUSALS.has(error.code)) return error;
    throw error;
  }
}

/** Reads every record back. */
async function readBack({ log }: OpenedLog, image: LogImage, isSealed: boolean): Promise<void> {
  for (let lsn = log.trimmedLsn + 1; lsn <= log.appendedLsn; ) {
    const batch = await log.reader.readBatch(lsn);
    const bytes = batch.arena.bytes;
    let payloadAt = batch.dataStart;
    for (let i = 0; i < batch.count; i++) {
      const record = readIdentity(bytes, batch.headerAt(i));
      judge(record !== undefined && record.lsn === lsn + i, 'LSNs have no gap');
      const { kind, length, offset, volume } = record;
      judge(length <= (kind === 'write' ? RECORD_PAYLOAD_BYTES_MAX : RECORD_ZERO_BYTES_MAX), `a record of ${length} bytes`);
      judge(volume === 0 && offset + length <= VOLUME_BYTES, `an extent outside its volume: ${volume}, ${offset} + ${length}`);
      if (!isSealed) judgeSame(image, lsn + i, bytes, batch.headerAt(i), payloadAt, kind === 'write' ? length : 0);
      if (kind === 'write') payloadAt += length;
    }
    lsn += batch.count;
    batch.release();
  }
}

/** Nothing was sealed anew, so what is taken must be what was written. */
function judgeSame(image: LogImage, lsn: number, bytes: Uint8Array, header: number, payloadAt: number, payloadBytes: number): void {
  const from = image.batches.find((placed) => lsn >= placed.firstLsn && lsn < placed.firstLsn + placed.count);
  judge(from !== undefined, `LSN ${lsn} was never written`);
  const original = from.at + recordHeaderAt(lsn - from.firstLsn);
  const same = Buffer.compare(bytes.subarray(header, header + 96), image.bytes.subarray(original, original + 96)) === 0;
  judge(same, `LSN ${lsn} is not what was written`);
  let at = from.at + BLOCK_BYTES;
  for (let i = from.firstLsn; i < lsn; i++) {
    const other = readIdentity(image.bytes, from.at + recordHeaderAt(i - from.firstLsn));
    if (other?.kind === 'write') at += other.length;
  }
  const payload = Buffer.compare(bytes.subarray(payloadAt, payloadAt + payloadBytes), image.bytes.subarray(at, at + payloadBytes));
  judge(payload === 0, `LSN ${lsn} has not the payload that was written`);
}

/** Reads from a log that was damaged after it was opened. */
async function readDamaged({ log }: OpenedLog, count: Count): Promise<void> {
  for (let lsn = log.trimmedLsn + 1; lsn <= log.appendedLsn; lsn++) {
    try {
      (await log.reader.readBatch(lsn)).release();
      count('read', 0);
    } catch (error) {
      judge(error instanceof LvrError && error.code === 'LOG_CORRUPT', `a reader ends in ${String(error)}`);
      count('read refused', 0);
    }
  }
}

/** The highest durable LSN that whole batches behind `end` still tell of. */
function evidenceBehind(image: LogImage, bytes: Uint8Array, end: number): number {
  let evidence = image.superblock.durableLsn;
  for (const { at, firstLsn, count } of image.batches) {
    const isWhole = Buffer.compare(bytes.subarray(at, at + BLOCK_BYTES), image.bytes.subarray(at, at + BLOCK_BYTES)) === 0;
    if (firstLsn <= end || !isWhole) continue;
    for (let i = 0; i < count; i++) evidence = Math.max(evidence, getU64(bytes, at + recordHeaderAt(i) + 64));
  }
  return evidence;
}

type Case = {
  readonly log: Parameters<typeof imageOf>[0];
  readonly mutations: readonly Mutation[];
  readonly moves: readonly { readonly from: number; readonly to: number; readonly blocks: number }[];
  readonly grow: number;
  readonly seal: number;
  readonly superblock: boolean;
  /** Damage that comes while the log is open. */
  readonly later: readonly Mutation[];
};

/** The damaged image. */
function damage(image: LogImage, { mutations, moves, grow, seal, superblock }: Case): Uint8Array {
  const bytes = image.bytes.slice();
  if (superblock) {
    const slot = mutate(image.bytes.subarray(0, SUPERBLOCK_BYTES), SUPERBLOCK_FIELDS, mutations);
    if (seal > 0) sealSuperblock(slot);
    bytes.set(slot);
  } else {
    const fields = image.fields.map((field) => ({ ...field, at: field.at - RING_START }));
    bytes.set(mutate(image.bytes.subarray(RING_START), fields, mutations), RING_START);
  }
  const blocks = (bytes.length - RING_START) / BLOCK_BYTES;
  for (const move of moves) {
    const start = RING_START + (move.from % blocks) * BLOCK_BYTES;
    const to = RING_START + (move.to % blocks) * BLOCK_BYTES;
    bytes.copyWithin(to, start, Math.min(start + move.blocks * BLOCK_BYTES, start + bytes.length - to));
  }
  if (grow > 0) {
    // A batch that claims to be longer, in all of its fields.
    const { at } = image.batches[grow % image.batches.length] as PlacedBatch;
    const payloadBytes = grow * 512;
    putU32(bytes, at + 20, payloadBytes);
    putU32(bytes, at + 16, batchBytes(payloadBytes));
    putU32(bytes, at + recordHeaderAt(0) + 40, payloadBytes);
  }
  if (seal > 0) reseal(bytes, image, seal > 1);
  return bytes;
}

fuzz(t, {
  name: 'log-image',
  draw: fc.record({
    log: arbitraryLog,
    mutations: several(inPlace, 3),
    moves: fc.oneof(
      { weight: 5, arbitrary: fc.constant([]) },
      fc.array(fc.record({ from: fc.nat(30), to: fc.nat(30), blocks: fc.integer({ min: 1, max: 3 }) }), { maxLength: 2 }),
    ),
    grow: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.nat(40), fc.nat(100_000)),
    seal: fc.nat(2),
    superblock: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
    later: several(inPlace, 2),
  }),
  // What openLog() takes for its scan and for readers, however small the log is.
  limitBytes: 36 << 20,
  expected: ['whole', 'shorter', 'LOG_CORRUPT', 'LOG_SUPERBLOCK', 'read refused'],
  probe: async (drawn, count) => {
    const image = imageOf(drawn.log);
    const bytes = damage(image, drawn);
    const device = new ImageDevice(bytes);
    memory.recycle();
    const opened = await open(device);
    judge(device.writes === 0, 'a start writes nothing');
    if (opened instanceof LvrError) {
      count(opened.code);
      judge(Buffer.compare(bytes, image.bytes) !== 0, `an undamaged log is refused: ${opened.message}`);
    } else {
      const { appendedLsn } = opened.log;
      count(appendedLsn === image.lastLsn ? 'whole' : 'shorter');
      judge(appendedLsn === image.lastLsn || Buffer.compare(bytes, image.bytes) !== 0, 'all of an undamaged log is found');
      if (drawn.seal === 0 && !drawn.superblock) {
        judge(appendedLsn >= evidenceBehind(image, bytes, appendedLsn), `cut at LSN ${appendedLsn} although later ones were durable`);
      }
      await readBack(opened, image, drawn.seal > 0);
      device.image = mutate(bytes, image.fields, drawn.later);
      if (drawn.seal > 0) reseal(device.image, image, drawn.seal > 1);
      if (drawn.later.length === 0) return;
      count('damaged while open');
      await readDamaged(opened, count);
    }
  },
});
