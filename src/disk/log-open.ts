// Opening a log: superblock, scan, the recovery table's decision, and the Log that results. Nothing on disk is changed unless a blank log
// is
// created; a refusal leaves every byte as it was.

import { assert } from '../core/assert.js';
import { LvrError } from '../core/errors.js';
import { nextHighWater } from '../core/high-water.js';
import { BLOCK_BYTES, LOG_BYTES_MIN, MIB, SLAB_LARGE_PAYLOAD_BYTES } from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import type { Arena, Crc32c, Device } from '../core/ports.js';
import { decideRecovery, type LogFacts, type RecoveryDecision } from '../core/recovery.js';
import { Ring } from '../core/ring.js';
import { isZero, putUuid, UUID_NONE } from '../format/bytes.js';
import { isPartOf, RING_START, SUPERBLOCK_BYTES, type Superblock } from '../format/superblock.js';
import { BatchPool, type CreateArena } from './batch-pool.js';
import { Log } from './log.js';
import { LogIndex } from './log-index.js';
import { LogReader } from './log-reader.js';
import { LogScan, type ScanResult } from './log-scan.js';
import { readDevice, syncDevice } from './promises.js';
import type { CrcSpans } from './seal.js';
import { type LoadedSuperblock, loadSuperblock, SuperblockStore } from './superblock-store.js';

/** Whose log it must be. */
export type LogIdentity = {
  readonly group: string;
  readonly site: string;
  readonly volumes: readonly { name: string; sizeBytes: number; blockBytes: number }[];
  /** Size of the ring of a new log; all that the device has room for unless it is given. */
  readonly ringBytes?: number;
};

/** Memory and checksums, real or simulated. */
export type LogMemory = {
  readonly createArena: CreateArena;
  readonly crc32c: Crc32c;
  readonly crc32cSpans: CrcSpans;
  /** 32 random hex digits. */
  readonly newUuid: () => string;
};

/**
 * Memory for the scan, and then for reading batches back: slabs that all readers of a log share. The same memory, because a replay follows
 * the scan, and pages that were touched are much cheaper than fresh ones.
 */
const READER_BYTES = 32 * (BLOCK_BYTES + SLAB_LARGE_PAYLOAD_BYTES);

export type OpenedLog = { readonly log: Log; readonly decision: RecoveryDecision; readonly created: boolean };

/** Where a process that has just closed a log in order ended it. */
export type KnownEnd = { readonly logUuid: string; readonly lsn: number };

/**
 * Opens the log on `device`, or creates one there if it is blank and `mayCreate` (the group never had a log). Rejects with the LvrError of
 * the
 * recovery row that refused.
 */
export async function openLog(
  device: Device,
  identity: LogIdentity,
  role: 'primary' | 'secondary',
  memory: LogMemory,
  mayCreate: boolean,
  knownEnd?: KnownEnd,
): Promise<OpenedLog> {
  if (device.sizeBytes < LOG_BYTES_MIN) {
    throw new LvrError('DEVICE_UNUSABLE', `log ${device.path}: ${device.sizeBytes} bytes are too few`, { hint: 'give it at least 16 MiB' });
  }
  const arena = memory.createArena(READER_BYTES);
  const loaded = await loadSuperblock(device, arena);
  const foreign = loaded.superblock === undefined ? undefined : whyForeign(loaded.superblock, identity, device);
  const scan =
    loaded.superblock !== undefined && foreign === undefined
      ? await new LogScan(device, arena, loaded.superblock, memory.crc32c, {}, knownLsn(loaded.superblock, knownEnd)).run()
      : undefined;
  const blank = blankSuperblock(device, identity, role, memory.newUuid());
  const facts = gatherFacts(loaded, false, foreign === undefined, scan);
  const state = isUnfinished(loaded, arena, blank) ? 'unfinished' : loaded.state;
  const unused = (state === 'zero' || state === 'unfinished') && (await isUnused(device, arena));
  const decision = decideRecovery({ ...facts, superblock: state, unused });
  if (decision.action === 'refuse') throw refusal(device, decision, foreign);
  const slots = memory.createArena(2 * SUPERBLOCK_BYTES);
  if (decision.action === 'create') {
    if (!mayCreate) {
      throw new LvrError('LOG_FOREIGN', `log ${device.path} is blank, but group ${identity.group} had a log before`, {
        hint: 'put the right log back; a new one would forget which writes the sites still lack',
      });
    }
    const store = new SuperblockStore(device, slots, blank, 1);
    await store.update((current) => current);
    return { log: assemble(device, store, nothingFound(), memory, arena), decision, created: true };
  }
  assert(loaded.superblock !== undefined && scan !== undefined, 'an opened log was scanned');
  // What was read may still stand in a volatile cache, left by a process that ended before its writes were durable: make it so first.
  if (PLANTED !== 'open-without-flush') await syncDevice(device);
  const superblock = loaded.superblock;
  const slot = loaded.slots.findIndex((s) => s.kind === 'valid' && s.superblock === superblock);
  return {
    log: assemble(device, new SuperblockStore(device, slots, superblock, slot, loaded.older), scan, memory, arena),
    decision,
    created: false,
  };
}

function knownLsn(superblock: Superblock, known: KnownEnd | undefined): number | undefined {
  return known?.logUuid === superblock.logUuid ? known.lsn : undefined;
}

/** The input of the recovery table. */
export function gatherFacts(loaded: LoadedSuperblock, unused: boolean, belongs: boolean, scan: ScanResult | undefined): LogFacts {
  return {
    superblock: loaded.state,
    unused,
    belongs,
    lastValidLsn: scan?.lastLsn ?? 0,
    superblockDurableLsn: loaded.superblock?.durableLsn ?? 0,
    vouchedLsn: scan?.vouchedLsn ?? 0,
  };
}

/** True when the power went off during the first write of a new log, `blank`, whose slots are still in the arena. */
function isUnfinished(loaded: LoadedSuperblock, arena: Arena, blank: Superblock): boolean {
  const [first, second] = loaded.slots;
  if (first.kind !== 'invalid' || second.kind !== 'zero') return false;
  return isPartOf(arena.bytes.subarray(0, SUPERBLOCK_BYTES), { ...blank, sequence: blank.sequence + 1 });
}

/** True when nothing was ever written where a ring would start. */
export async function isUnused(device: Device, arena: Arena): Promise<boolean> {
  await readDevice(device, arena, 0, MIB, 0);
  return isZero(arena.bytes, 2 * SUPERBLOCK_BYTES, MIB);
}

/** Why a valid superblock is not that of this group, or undefined. */
export function whyForeign(superblock: Superblock, identity: LogIdentity, device: Device): string | undefined {
  if (superblock.group !== identity.group) return `it belongs to group ${superblock.group}, not ${identity.group}`;
  if (superblock.site !== identity.site) return `it belongs to site ${superblock.site}, not ${identity.site}`;
  if (RING_START + superblock.ringBytes > device.sizeBytes)
    return `it was ${RING_START + superblock.ringBytes} bytes long, now ${device.sizeBytes}`;
  const had = superblock.volumes.map((v) => v.name).join(', ');
  const has = identity.volumes.map((v) => v.name).join(', ');
  if (had !== has) return `it was written for volumes ${had}, not ${has}`;
  for (const [i, volume] of identity.volumes.entries()) {
    const before = superblock.volumes[i]?.sizeBytes;
    if (before !== volume.sizeBytes) return `volume ${volume.name} had ${before} bytes, its device has ${volume.sizeBytes}`;
  }
  return undefined;
}

function refusal(device: Device, decision: RecoveryDecision & { action: 'refuse' }, foreign: string | undefined): LvrError {
  const hints: Partial<Record<typeof decision.code, string>> = {
    LOG_SUPERBLOCK: 'if nothing on it is needed, remove the file or zero the first MiB of the device; it is never overwritten by itself',
    LOG_FOREIGN: 'check the log path in the configuration; to start anew, remove the file or zero the first MiB of the device',
    LOG_VERSION: 'start the newer version of lvr that wrote it',
    LOG_CORRUPT: 'keep the log as it is; promote a site that has these records, or restore from one',
  };
  const hint = hints[decision.code];
  return new LvrError(decision.code, `log ${device.path}: ${foreign ?? decision.says} (rule ${decision.row})`, {
    ...(hint === undefined ? {} : { hint }),
    details: { rule: decision.row },
  });
}

function blankSuperblock(device: Device, identity: LogIdentity, role: 'primary' | 'secondary', logUuid: string): Superblock {
  const ringBytes = identity.ringBytes ?? Math.floor((device.sizeBytes - RING_START) / BLOCK_BYTES) * BLOCK_BYTES;
  return {
    sequence: 0,
    logUuid,
    groupUuid: UUID_NONE,
    group: identity.group,
    site: identity.site,
    ringBytes,
    highWater: nextHighWater(undefined, 0, ringBytes),
    epoch: 0,
    incarnation: 0,
    role,
    bornZero: false,
    trimmedLsn: 0,
    trimmedPosition: 0,
    trimmedChain: 0,
    appliedLsn: 0,
    durableLsn: 0,
    voidAfter: { lsn: 0, epoch: 0, incarnation: 0 },
    primaryDurableLsn: 0,
    volumes: identity.volumes,
    sites: [],
    lineage: [],
  };
}

/** The scan of a log that was just created. */
function nothingFound(): ScanResult {
  return {
    index: new LogIndex(),
    lastLsn: 0,
    lastChain: 0,
    endPosition: 0,
    endReason: 'created',
    lineage: [],
    vouchedLsn: 0,
    primaryDurableLsn: 0,
  };
}

function assemble(device: Device, store: SuperblockStore, found: ScanResult, memory: LogMemory, arena: Arena): Log {
  const uuid = new Uint8Array(16);
  putUuid(uuid, 0, store.current.logUuid);
  const ring = new Ring(store.current.ringBytes, store.current.ringChange);
  const pool = BatchPool.within(arena);
  const { crc32cSpans } = memory;
  const reader = new LogReader({ device, ring, index: found.index, pool, uuid, crc32cSpans });
  return new Log({ ...found, device, store, ring, reader, crc32cSpans });
}
