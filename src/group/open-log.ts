// Opening the log of a group, unless it was given up: then the superblock beside it counts, and the log begins anew if its device works.

import { LvrError } from '../core/errors.js';
import { PLANTED } from '../core/planted.js';
import type { Device, Log as Reporter } from '../core/ports.js';
import { LogDevice } from '../disk/log-device.js';
import { type KnownEnd, type LogIdentity, type LogMemory, type OpenedLog, openLog, whyForeign } from '../disk/log-open.js';
import { beginAnew, clearMark, type GivenUp, loadGivenUp } from '../disk/passthrough-state.js';
import { syncDevice } from '../disk/promises.js';
import { loadSuperblock } from '../disk/superblock-store.js';
import { RING_START, SUPERBLOCK_BYTES } from '../format/superblock.js';

/** What opening needs of its group. */
export type LogOpening = {
  readonly identity: LogIdentity;
  readonly role: 'primary' | 'secondary';
  readonly memory: LogMemory;
  readonly reporter: Reporter;
  /** Path of the log, for messages when there is no device. */
  readonly path: string;
  /** Opens the device of the log, makes one where there is none if that may be; rejects with LvrError. */
  openDevice(mayCreate: boolean): Promise<Device>;
  /** Where superblocks go when the log fails. */
  readonly spare: Device;
  /** The group had no log before: a blank one is its first. */
  readonly isFirst: boolean;
  /** A log may be done without. */
  readonly passesThrough: boolean;
  readonly knownEnd?: KnownEnd | undefined;
  readonly volumes: readonly Device[];
  /** The group has a log with another UUID: durable before it returns. */
  renamed(logUuid: string): Promise<void>;
};

/** `isAnew`: its UUID is not the one that the group knew. */
export type OpenedGroupLog = OpenedLog & { readonly isAnew: boolean };

/** Opens it. Rejects as openLog() does. The log's device owns that of the log and the spare; after a failure they are the caller's. */
export async function openGroupLog(opening: LogOpening): Promise<OpenedGroupLog> {
  const { spare, memory, path } = opening;
  const givenUp = await loadGivenUp(spare, memory);
  if (givenUp === undefined) {
    const device = await opening.openDevice(opening.isFirst);
    return { ...(await openOn(opening, new LogDevice(device, spare, path, device.sizeBytes))), isAnew: false };
  }
  if (opening.isFirst) {
    throw new LvrError('LOG_FOREIGN', `${spare.path} is of a group that had a log, but nothing else is known of one`, {
      hint: `put the other files of group ${opening.identity.group} back beside it, or remove it to begin with new volumes`,
    });
  }
  // From here on everything counts as applied and flushed.
  await settleVolumes(opening.volumes);
  let device: Device | undefined;
  let opened: OpenedLog | undefined;
  try {
    device = await opening.openDevice(true);
    await comeBack(opening, device, givenUp);
    opened = await openOn(opening, new LogDevice(device, spare, path, device.sizeBytes));
    await opening.renamed(opened.log.store.current.logUuid);
  } catch (error) {
    // A secondary has nothing to follow its primary with.
    const goesOn = opening.passesThrough && givenUp.superblock.role === 'primary';
    if (!goesOn || !(error instanceof LvrError)) throw error;
    // Whoever takes over from this process is to find it free.
    await device?.close().catch(() => undefined);
    opened = undefined;
    const { group } = opening.identity;
    opening.reporter.error('log-unusable', `group ${group} goes on without its log: ${error.message}`, { group });
  }
  if (opened !== undefined) {
    await clearMark(spare, memory);
    return { ...opened, isAnew: true };
  }
  const sizeBytes = RING_START + givenUp.superblock.ringBytes;
  await beginAnew(spare, memory, givenUp, sizeBytes);
  return { ...(await openOn(opening, new LogDevice(undefined, spare, path, sizeBytes))), isAnew: true };
}

/**
 * Makes durable what an earlier process has written without a log, which is nowhere else. If its flush failed, or the kernel's own writing
 * back, then the page cache has content that no flush will write any more, and no log to write it from again: that must not be read, sent
 * to a site, and be gone after the next power cut. Rejects with DEVICE_FAILED or DISK_FULL.
 */
async function settleVolumes(volumes: readonly Device[]): Promise<void> {
  if (PLANTED !== 'passthrough-start-not-flushed') await Promise.all(volumes.map(syncDevice));
  if (PLANTED !== 'passthrough-cache-trusted') for (const volume of volumes) volume.dropCached?.();
}

/** Makes an empty log on a device that has the one that was given up, or nothing. Rejects with LOG_FOREIGN, or as beginAnew() does. */
async function comeBack({ identity, memory }: LogOpening, device: Device, givenUp: GivenUp): Promise<void> {
  const { state, superblock } = await loadSuperblock(device, memory.createArena(2 * SUPERBLOCK_BYTES));
  const foreign = superblock === undefined ? undefined : whyForeign(superblock, identity, device);
  if (foreign !== undefined || state === 'newer' || state === 'invalid') {
    throw new LvrError('LOG_FOREIGN', `log ${device.path}: ${foreign ?? 'what stands on it is not known'}`, {
      hint: 'if nothing on it is needed, remove the file or zero the first MiB of the device, and restart the agent',
    });
  }
  await beginAnew(device, memory, givenUp, device.sizeBytes);
}

function openOn({ identity, role, memory, isFirst, knownEnd }: LogOpening, device: LogDevice): Promise<OpenedLog> {
  return openLog(device, identity, role, memory, isFirst, knownEnd);
}
