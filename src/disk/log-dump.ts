// `lvr log show --raw FILE`: what stands in a log at rest, without an agent and without changing anything.

import { statSync } from 'node:fs';
import { LvrError } from '../core/errors.js';
import { LOG_BYTES_MIN, MIB } from '../core/limits.js';
import type { Arena, Device } from '../core/ports.js';
import { decideRecovery } from '../core/recovery.js';
import { RING_START, type Superblock } from '../format/superblock.js';
import { createEngines } from './engine.js';
import { type FileDevice, openDevice } from './file-device.js';
import { gatherFacts, isUnused } from './log-open.js';
import { LogScan, type ScanResult } from './log-scan.js';
import { crc32c, createArena } from './memory.js';
import { translated } from './open-descriptor.js';
import { loadSuperblock } from './superblock-store.js';

/** Memory for reading. */
const DUMP_BYTES = 32 * MIB;

/** Prints superblocks, every retained record and the verdict of the recovery table, one line each, through `out`. Rejects with LvrError. */
export async function dumpLog(path: string, out: (line: string) => void): Promise<void> {
  checkPath(path);
  const engines = createEngines();
  try {
    const device = await openDevice({ path, io: 'buffered', exclusive: true, readOnly: true, engines });
    await dump(device, out).finally(() => device.close());
  } catch (error) {
    if (error instanceof LvrError) throw error;
    throw new LvrError('FAILED', `cannot read the log ${path}: ${String(error)}`, { cause: error });
  } finally {
    engines.close();
  }
}

/** Throws NOT_FOUND, or why it cannot be looked at. */
function checkPath(path: string): void {
  try {
    statSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new LvrError('NOT_FOUND', `there is no ${path}`, { cause: error });
    throw translated(error, path, 'buffered');
  }
}

async function dump(device: FileDevice, out: (line: string) => void): Promise<void> {
  if (device.sizeBytes < LOG_BYTES_MIN) {
    throw new LvrError('DEVICE_UNUSABLE', `${device.path} has ${device.sizeBytes} bytes, no log has less than ${LOG_BYTES_MIN}`);
  }
  const arena = createArena(DUMP_BYTES);
  const loaded = await loadSuperblock(device, arena);
  loaded.slots.forEach((slot, i) => {
    if (slot.kind === 'valid') out(`slot ${i}: ${describe(slot.superblock)}`);
    else out(`slot ${i}: ${slot.kind === 'newer' ? `version ${slot.version}, newer than this lvr` : slot.kind}`);
  });
  const { superblock } = loaded;
  if (superblock !== undefined) for (const line of details(superblock)) out(line);
  const isCut = superblock !== undefined && RING_START + superblock.ringBytes > device.sizeBytes;
  if (isCut) out(`cut off: it was ${RING_START + superblock.ringBytes} bytes long, now ${device.sizeBytes}`);
  const scan = superblock === undefined || isCut ? undefined : await dumpRecords(device, arena, superblock, out);
  if (scan !== undefined) {
    out(`end: LSN ${scan.lastLsn}, position ${scan.endPosition}, chain ${hex(scan.lastChain)}: ${scan.endReason}`);
    out(`evidence behind the end: durable LSN ${scan.vouchedLsn}; in the superblock: ${superblock?.durableLsn}`);
  }
  const unused = loaded.state === 'zero' && (await isUnused(device, arena));
  const decision = decideRecovery(gatherFacts(loaded, unused, !isCut, scan));
  out(`recovery: ${decision.row} ${decision.action}: ${decision.says}`);
}

function dumpRecords(device: Device, arena: Arena, superblock: Superblock, out: (line: string) => void): Promise<ScanResult> {
  return new LogScan(device, arena, superblock, crc32c, {
    batch: (b) => out(`batch: ${b.count} records, LSN ${b.firstLsn}.., position ${b.position}, ${b.totalBytes} bytes`),
    record: (r, chain) =>
      out(
        `  LSN ${r.lsn} ${r.kind}${r.mayUnmap ? ' unmap' : ''} volume ${r.volume} offset ${r.offset} length ${r.length} ` +
          `writer ${r.epoch}.${r.incarnation} payload ${hex(r.payloadCrc)} chain ${hex(chain)} time ${new Date(r.timeUs / 1000).toISOString()}`,
      ),
  }).run();
}

function describe(s: Superblock): string {
  return `sequence ${s.sequence}, group ${s.group}, site ${s.site}, ${s.role}, epoch ${s.epoch}, incarnation ${s.incarnation}`;
}

function details(s: Superblock): string[] {
  return [
    `log ${s.logUuid}, group ${s.groupUuid}, ring ${s.ringBytes} bytes, volumes ${s.bornZero ? '' : 'not '}known zero at birth`,
    `trimmed ${s.trimmedLsn} (next batch at ${s.trimmedPosition}), applied ${s.appliedLsn}, durable ${s.durableLsn}, durable at primary ${s.primaryDurableLsn}`,
    `high-water mark: ${s.highWater ?? 'none'}`,
    `void: after LSN ${s.voidAfter.lsn}, writers up to ${s.voidAfter.epoch}.${s.voidAfter.incarnation}`,
    ...s.volumes.map((v, i) => `volume ${i}: ${v.name}, ${v.sizeBytes} bytes, block ${v.blockBytes}`),
    ...s.sites.map((site) => `site ${site.name}: acked ${site.ackedLsn}`),
    ...s.lineage.map((e) => `lineage: from LSN ${e.startLsn} writer ${e.epoch}.${e.incarnation}${e.own ? ' (this site)' : ''}`),
  ];
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
