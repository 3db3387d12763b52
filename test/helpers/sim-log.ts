// A log on a simulated disk, opened as a group would, and batches to fill it with.

import { assert } from '../../src/core/assert.js';
import type { Lsn } from '../../src/core/ids.js';
import type { Arena } from '../../src/core/ports.js';
import { decideRecovery } from '../../src/core/recovery.js';
import { BatchPool } from '../../src/disk/batch-pool.js';
import type { Log } from '../../src/disk/log.js';
import type { LogBatch } from '../../src/disk/log-batch.js';
import { gatherFacts, type LogIdentity, type LogMemory, type OpenedLog, openLog } from '../../src/disk/log-open.js';
import type { LogOwner } from '../../src/disk/log-parts.js';
import { LogScan } from '../../src/disk/log-scan.js';
import { WINDOW_BYTES_MIN } from '../../src/disk/log-window.js';
import { crc32c, crc32cSpans } from '../../src/disk/memory.js';
import { sealIdentities } from '../../src/disk/seal.js';
import { type LoadedSuperblock, loadSuperblock } from '../../src/disk/superblock-store.js';
import { putIdentity, type RecordKind, recordHasPayload, recordIncarnation, recordLength, recordLsn } from '../../src/format/record.js';
import type { SimDevice, SimDisk } from '../../src/sim/disk.js';
import type { SimMemory } from '../../src/sim/memory.js';

export { SimMemory } from '../../src/sim/memory.js';

export const IDENTITY: LogIdentity = { group: 'app', site: 'a', volumes: [{ name: 'data', sizeBytes: 1 << 20, blockBytes: 512 }] };

/** Runs the device until `work` is done. */
export async function drive<Value>(devices: readonly SimDevice[], work: Promise<Value>): Promise<Value> {
  let done = false;
  const end = (): void => {
    done = true;
  };
  work.then(end, end);
  for (let idle = 0; !done; ) {
    assert(idle < 1000, 'the work goes on');
    await new Promise((resolve) => setImmediate(resolve));
    let moved = false;
    for (const device of devices) while (device.step()) moved = true;
    idle = moved ? 0 : idle + 1;
  }
  return work;
}

const scanArena: Arena = { bytes: new Uint8Array(WINDOW_BYTES_MIN), address: 0 };

/** The superblocks of a log at rest. */
export function superblocksOf(disk: SimDisk): Promise<LoadedSuperblock> {
  const device = disk.open();
  device.immediate = true;
  return loadSuperblock(device, scanArena);
}

/** What a start would find, without the memory that an open log needs: `end LSN` or the code of the refusal. */
export async function verdictOf(disk: SimDisk, known?: LoadedSuperblock): Promise<string> {
  const loaded = known ?? (await superblocksOf(disk));
  const device = disk.open();
  device.immediate = true;
  const scan = loaded.superblock === undefined ? undefined : await new LogScan(device, scanArena, loaded.superblock, crc32c).run();
  const decision = decideRecovery(gatherFacts(loaded, false, true, scan));
  return decision.action === 'refuse' ? decision.code : `end ${scan?.lastLsn}`;
}

/** What a record of a test does. */
export type Content = { readonly kind?: RecordKind; readonly bytes?: number; readonly offset?: number };

/** One opened log with its owner. */
export class SimLog implements LogOwner {
  readonly device: SimDevice;
  readonly log: Log;
  readonly opened: OpenedLog;
  readonly pool: BatchPool;
  /** Last LSN of every batch that became durable. */
  readonly durable: number[] = [];
  failures = 0;

  constructor(device: SimDevice, opened: OpenedLog, memory: LogMemory, poolBytes: number) {
    this.device = device;
    this.opened = opened;
    this.log = opened.log;
    this.pool = new BatchPool(memory.createArena, poolBytes);
    this.log.setOwner(this);
  }

  static async open(
    disk: SimDisk,
    memory: SimMemory,
    role: 'primary' | 'secondary' = 'primary',
    mayCreate = true,
    poolBytes = 16 << 20,
  ): Promise<SimLog> {
    const device = disk.open();
    const opened = await drive([device], openLog(device, IDENTITY, role, memory, mayCreate));
    return new SimLog(device, opened, memory, poolBytes);
  }

  batchDurable(batch: LogBatch): void {
    this.durable.push(batch.lastLsn);
  }

  logFailed(): void {
    this.failures++;
  }

  /** Begins a writer, one incarnation above everything known. */
  async lead(epoch = 1): Promise<{ epoch: number; incarnation: number }> {
    const known = Math.max(this.log.store.current.incarnation, this.log.lineage.at(-1)?.incarnation ?? 0);
    const writer = { epoch, incarnation: known + 1 };
    await drive([this.device], this.log.beginWriting(writer, { role: 'primary' }));
    return writer;
  }

  /** An unsealed batch with these records; the content of a write is made from its LSN. */
  batch(writer: { epoch: number; incarnation: number }, records: readonly Content[]): LogBatch {
    const payload = records.reduce((sum, record) => sum + payloadOf(record), 0);
    const batch = this.pool.take(payload);
    assert(batch !== undefined, 'the pool of the test has room');
    batch.firstLsn = this.log.appendedLsn + 1;
    for (const record of records) {
      const lsn = (batch.firstLsn + batch.count) as Lsn;
      const bytes = payloadOf(record);
      const kind = record.kind ?? 'write';
      putIdentity(batch.arena.bytes, batch.headerAt(batch.count), {
        lsn,
        ...writer,
        offset: record.offset ?? 0,
        length: record.bytes ?? 512,
        volume: 0,
        kind,
        mayUnmap: kind === 'trim',
        timeUs: lsn,
      });
      const at = batch.dataStart + batch.payloadBytes;
      for (let i = 0; i < bytes; i++) batch.arena.bytes[at + i] = contentByte(writer.incarnation, lsn, i);
      batch.payloadBytes += bytes;
      batch.count++;
    }
    return batch;
  }

  /** Appends as the primary. */
  append(writer: { epoch: number; incarnation: number }, records: readonly Content[]): LogBatch {
    const batch = this.batch(writer, records);
    this.log.appendOwn(batch);
    this.log.submit();
    batch.release();
    return batch;
  }

  /** Appends as a secondary would: identities sealed before. */
  receive(writer: { epoch: number; incarnation: number }, records: readonly Content[]): void {
    const batch = this.batch(writer, records);
    this.log.appendReceived(batch, sealIdentities(batch, this.log.chain, crc32cSpans));
    this.log.submit();
    batch.release();
  }

  /** Everything appended becomes durable. */
  async settle(): Promise<void> {
    await drive([this.device], this.log.quiet());
  }

  /** LSNs of all retained records, read back. */
  async records(): Promise<number[]> {
    return [...(await this.writers()).keys()];
  }

  /** Reads every retained record back and checks its content; gives the incarnation that wrote each LSN. */
  async writers(): Promise<Map<number, number>> {
    const found = new Map<number, number>();
    for (let lsn = this.log.trimmedLsn + 1; lsn <= this.log.appendedLsn; ) {
      const batch = await drive([this.device], this.log.reader.readBatch(lsn));
      const bytes = batch.arena.bytes;
      let at = batch.dataStart;
      for (let i = 0; i < batch.count; i++) {
        const header = batch.headerAt(i);
        const incarnation = recordIncarnation(bytes, header);
        found.set(recordLsn(bytes, header), incarnation);
        if (!recordHasPayload(bytes, header)) continue;
        const length = recordLength(bytes, header);
        for (let b = 0; b < length; b += 61) {
          assert(bytes[at + b] === contentByte(incarnation, batch.firstLsn + i, b), `LSN ${batch.firstLsn + i} has its content`);
        }
        at += length;
      }
      lsn = batch.lastLsn + 1;
      batch.release();
    }
    return found;
  }

  /** Trims up to `lsn` as a checkpoint does: superblock first, then the space. */
  async trim(lsn: number): Promise<void> {
    const trimmed = this.log.trimmedAt(lsn);
    const { lineage } = this.log;
    const update = this.log.store.update((current) => ({ ...current, ...trimmed, lineage, appliedLsn: Math.max(current.appliedLsn, lsn) }));
    await drive([this.device], update);
    this.log.free();
  }
}

function payloadOf(record: Content): number {
  return (record.kind ?? 'write') === 'write' ? (record.bytes ?? 512) : 0;
}

/** Byte `i` of the payload of a record. */
export function contentByte(incarnation: number, lsn: number, i: number): number {
  return (incarnation * 31 + lsn * 7 + i * 13 + (i >> 8)) & 0xff;
}
