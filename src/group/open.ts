// Opening a group: devices, log, identity, replay. On any refusal everything that was opened is closed again and nothing was changed.

import { mkdir, open as openFile, readFile, rename, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { REGIONS_PER_VOLUME_MAX } from '../core/dirty-map.js';
import { LvrError, messageOf } from '../core/errors.js';
import type { GroupConfig } from '../core/group-config.js';
import { MIB } from '../core/limits.js';
import type { Device } from '../core/ports.js';
import { BitmapStore } from '../disk/bitmap-store.js';
import type { Engines } from '../disk/engine.js';
import { openDevice } from '../disk/file-device.js';
import type { KnownEnd, OpenedLog } from '../disk/log-open.js';
import { openVolume, readsAsZeroes } from '../disk/open-volume.js';
import { loadSuperblock } from '../disk/superblock-store.js';
import { UndoStore } from '../disk/undo-store.js';
import { UUID_NONE } from '../format/bytes.js';
import { PASSTHROUGH_BYTES } from '../format/passthrough-mark.js';
import { SUPERBLOCK_BYTES, type Superblock } from '../format/superblock.js';
import type { GroupEnv } from './env.js';
import { Group } from './group.js';
import { openGroupLog } from './open-log.js';
import type { GroupStores } from './resyncs.js';
import { Roles } from './roles.js';
import { UNDO_UNIT_BYTES } from './saved-content.js';

/** What the real world adds: where small state lives and what does the I/O. */
export type OpenEnv = GroupEnv & { readonly stateDir: string; readonly engines: Engines };

/**
 * Opens and recovers a group; its links and volumes stay closed until start(). `knownEnd` comes from the process that has just closed it.
 * Rejects with LvrError.
 */
export async function openGroup(config: GroupConfig, env: OpenEnv, knownEnd?: KnownEnd): Promise<Group> {
  const devices: Device[] = [];
  let stores: GroupStores | undefined;
  try {
    const binding = await readBinding(config.name, env.stateDir);
    for (const volume of config.volumes) devices.push(await openVolume(volume, env.engines, binding === undefined));
    checkRegions(config, devices);
    const volumes = devices.slice();
    const openLogDevice = async (mayCreate: boolean): Promise<Device> => {
      // A log that is there may have another size than the configuration says by now.
      const isGone = await isGoneOrEmpty(config.log.path);
      if (isGone && !mayCreate) throw logGone(config);
      const isMissing = mayCreate && (binding === undefined || isGone);
      const create = isMissing ? { create: { sizeBytes: config.log.sizeBytes } } : {};
      const device = await openDevice({ path: config.log.path, io: 'direct', ...create, reserve: true, engines: env.engines });
      devices.push(device);
      if (binding === undefined && !isGone) await refuseUnknownHistory(device, config.name, env);
      return device;
    };
    const sparePath = join(env.stateDir, 'groups', `${config.name}.passthrough`);
    // Nothing is made for a log that is refused, unless it may have been given up.
    const hasSpare = await checkSpare(sparePath, binding, config.name);
    const logDevice = hasSpare ? undefined : await openLogDevice(binding === undefined);
    await mkdir(dirname(sparePath), { recursive: true, mode: 0o700 });
    const create = { sizeBytes: PASSTHROUGH_BYTES };
    const spare = await openDevice({ path: sparePath, io: 'direct', create, reserve: true, engines: env.engines });
    devices.push(spare);
    const storeDevices = await openStoreDevices(config, env, volumes);
    devices.push(...storeDevices);
    const identity = {
      group: config.name,
      site: env.site,
      volumes: config.volumes.map((v, i) => ({ name: v.name, sizeBytes: deviceSize(volumes, i), blockBytes: volumes[i]?.blockBytes ?? 0 })),
    };
    const opened = await openGroupLog({
      identity,
      role: config.role,
      memory: env.memory,
      reporter: env.log,
      path: config.log.path,
      openDevice: async (mayCreate) => logDevice ?? openLogDevice(mayCreate),
      spare,
      isFirst: binding === undefined,
      passesThrough: config.onLogError === 'passthrough',
      knownEnd,
      volumes,
      renamed: (logUuid) => writeBinding(config.name, env.stateDir, logUuid),
    });
    if (!opened.isAnew) checkBinding(opened, binding, config);
    // Before the log has any history: one whose group nobody knows is refused.
    if (binding?.hasSpare !== true) await writeBinding(config.name, env.stateDir, opened.log.store.current.logUuid);
    const [bitmapDevice, undoDevice] = storeDevices as [Device, Device | undefined];
    const sizes = volumes.map((device) => device.sizeBytes);
    stores = makeStores(config, bitmapDevice, undoDevice, env.memory, sizes);
    return await assembleGroup(config, env, opened, volumes, stores);
  } catch (error) {
    await stores?.undo?.end();
    await Promise.allSettled(devices.map((device) => device.close()));
    throw error;
  }
}

/** The regions of a volume are counted in 32 bits. */
function checkRegions(config: GroupConfig, devices: readonly Device[]): void {
  const large = devices.findIndex((device) => device.sizeBytes / config.regionBytes > REGIONS_PER_VOLUME_MAX);
  if (large < 0) return;
  const words = `volume ${config.name}/${config.volumes[large]?.name} has too many regions of ${config.regionBytes} bytes`;
  throw new LvrError('DEVICE_UNUSABLE', words, { hint: `give group ${config.name} a larger region` });
}

/** Created by a start that was cut off before it had seen whether the volumes are blank: nothing has happened since. */
function isUntouched(log: OpenedLog['log']): boolean {
  return !hasHistory(log.store.current) && log.appendedLsn === 0;
}

function hasHistory({ groupUuid, epoch, incarnation, bornZero }: Superblock): boolean {
  return groupUuid !== UUID_NONE || epoch > 0 || incarnation > 0 || bornZero;
}

/**
 * What state_dir knows of a group is gone, and with it whether its log was given up: replayed, it would undo what was written and flushed
 * since. Rejects with LOG_FOREIGN.
 */
async function refuseUnknownHistory(log: Device, group: string, { site, stateDir, memory }: OpenEnv): Promise<void> {
  const { superblock } = await loadSuperblock(log, memory.createArena(2 * SUPERBLOCK_BYTES));
  // Another group's, or another site's, is refused for that.
  if (superblock === undefined || superblock.group !== group || superblock.site !== site || !hasHistory(superblock)) return;
  const path = bindingPath(group, stateDir);
  throw new LvrError('LOG_FOREIGN', `log ${log.path} has a history, but ${dirname(path)} knows nothing of group ${group}`, {
    hint:
      `put ${dirname(path)} back (agent.state_dir); only if the group never went on without its log (event log-given-up), ` +
      `write the line "log ${superblock.logUuid}" to ${path}`,
  });
}

function deviceSize(devices: readonly Device[], i: number): number {
  return devices[i]?.sizeBytes ?? 0;
}

/** The stores of a group on their devices. */
export function makeStores(
  config: GroupConfig,
  bitmaps: Device,
  undo: Device | undefined,
  memory: GroupEnv['memory'],
  volumeBytes: readonly number[],
): GroupStores {
  return {
    devices: undo === undefined ? [bitmaps] : [bitmaps, undo],
    bitmaps: new BitmapStore(bitmaps, memory, volumeBytes, config.regionBytes),
    undo: undo === undefined || config.undo === 'off' ? undefined : new UndoStore(undo, memory),
  };
}

/** Size of an undo store that can take everything a resync may overwrite. */
export function undoBytes(volumeBytes: readonly number[]): number {
  const units = volumeBytes.reduce((sum, bytes) => sum + Math.ceil(bytes / UNDO_UNIT_BYTES), 0);
  return UndoStore.sizeBytes(units, UNDO_UNIT_BYTES);
}

/** Files under state_dir, sparse until they are needed. */
async function openStoreDevices(config: GroupConfig, env: OpenEnv, volumes: readonly Device[]): Promise<Device[]> {
  const sizes = volumes.map((device) => device.sizeBytes);
  const { engines } = env;
  const open = async (name: string, sizeBytes: number): Promise<Device> => {
    const path = join(env.stateDir, 'groups', `${config.name}.${name}`);
    // Larger than before: another region size, of which the old pages are not.
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    if (size > 0 && size < sizeBytes) await truncate(path, sizeBytes);
    return openDevice({ path, io: 'direct', create: { sizeBytes }, engines });
  };
  const devices = [await open('bitmaps', BitmapStore.sizeBytes(sizes, config.regionBytes))];
  if (config.undo !== 'off') devices.push(await open('undo', undoBytes(sizes)));
  return devices;
}

/** Makes the group from its opened log and devices and replays. The simulator enters here. */
export async function assembleGroup(
  config: GroupConfig,
  env: GroupEnv,
  opened: OpenedLog,
  devices: readonly Device[],
  stores: GroupStores,
): Promise<Group> {
  const { log } = opened;
  if (opened.created || isUntouched(log)) {
    const arena = env.memory.createArena(MIB);
    let bornZero = true;
    for (const device of devices) bornZero = bornZero && (await readsAsZeroes(device, arena));
    if (bornZero) await log.store.update((current) => ({ ...current, bornZero }));
  }
  const group = new Group(config, env, log, devices, stores);
  try {
    await recover(group, opened);
    return group;
  } catch (error) {
    // Its devices are about to be closed.
    group.applyFailed(error instanceof LvrError ? error : new LvrError('FAILED', String(error)));
    await Promise.all([group.checkpointer.settled(), stores.undo?.end()]);
    throw error;
  }
}

/** Replays; a primary becomes the writer again. */
async function recover(group: Group, opened: OpenedLog): Promise<void> {
  const { env, config, log } = group;
  await group.resyncs.recover();
  await group.passthrough.trackSites();
  env.log.info('log-opened', `group ${config.name}: ${opened.decision.says}`, { group: config.name, rule: opened.decision.row });
  if (group.role === 'secondary') return group.allowApply();
  group.applier.allow(log.durableLsn);
  await Promise.race([group.applier.reached(log.durableLsn), failed(group)]);
  const { epoch, groupUuid } = log.store.current;
  const isNew = groupUuid === UUID_NONE;
  await new Roles(group).lead(Math.max(1, epoch), isNew ? env.memory.newUuid() : undefined);
}

/** Rejects when the group fails while it replays. */
async function failed(group: Group): Promise<void> {
  while (group.failure === undefined && group.applier.appliedLsn < group.log.durableLsn) {
    await new Promise<void>((resolve) => void group.env.clock.after(50, resolve));
  }
  if (group.failure !== undefined) throw group.failure;
}

/**
 * The log UUID this group used last, kept beside the log so that a swapped or vanished log is noticed; and whether there is a file that
 * says if that log counts.
 */
type Binding = { readonly logUuid: string; readonly hasSpare: boolean };

async function readBinding(group: string, stateDir: string): Promise<Binding | undefined> {
  const path = bindingPath(group, stateDir);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new LvrError('FAILED', `cannot read ${path}: ${error.message}`);
  });
  if (text === undefined) return undefined;
  const [, logUuid, spare] = /^log ([0-9a-f]{32})\n(spare\n)?$/.exec(text) ?? [];
  if (logUuid === undefined)
    throw new LvrError('LOG_FOREIGN', `${path} is damaged`, {
      hint: `write the line "log UUID" there, with the UUID of the log of group ${group}: lvr log show --raw FILE`,
    });
  return { logUuid, hasSpare: spare !== undefined };
}

/** No file, or one without content. */
async function isGoneOrEmpty(path: string): Promise<boolean> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new LvrError('FAILED', `cannot look at ${path}: ${error.message}`, { cause: error });
  });
  return stats === undefined || (stats.isFile() && stats.size === 0);
}

function logGone({ name, log }: GroupConfig): LvrError {
  return new LvrError('LOG_FOREIGN', `log ${log.path} does not exist, or is empty, but group ${name} had it before`, {
    hint: 'put it back (is its file system mounted?); if it is lost, promote another site: without its log this one has no history',
  });
}

/** The file that says whether the log counts must not just be made anew: a log that was given up would be replayed over newer content. */
async function checkSpare(path: string, binding: Binding | undefined, group: string): Promise<boolean> {
  const isThere = !(await isGoneOrEmpty(path));
  if (isThere || binding?.hasSpare !== true) return isThere;
  throw new LvrError('LOG_SUPERBLOCK', `${path} is missing or empty: it says whether the log of group ${group} counts`, {
    hint: `put it back; only if the group never went on without its log (event log-given-up), remove the line "spare" of ${group}.log beside it`,
  });
}

function checkBinding(opened: OpenedLog, binding: Binding | undefined, config: GroupConfig): void {
  const { logUuid } = opened.log.store.current;
  if (binding === undefined || binding.logUuid === logUuid) return;
  throw new LvrError('LOG_FOREIGN', `log ${config.log.path}: it is ${logUuid}, but group ${config.name} used ${binding.logUuid} before`, {
    hint: 'put the right log back',
  });
}

async function writeBinding(group: string, stateDir: string, logUuid: string): Promise<void> {
  const path = bindingPath(group, stateDir);
  await replaceFile(path, `log ${logUuid}\nspare\n`).catch((error: unknown) => {
    throw new LvrError('FAILED', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  });
}

async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await openFile(`${path}.new`, 'w', 0o600);
  await file.writeFile(text);
  await file.sync();
  await file.close();
  await rename(`${path}.new`, path);
  const directory = await openFile(dirname(path), 'r');
  await directory.sync();
  await directory.close();
}

function bindingPath(group: string, stateDir: string): string {
  return join(stateDir, 'groups', `${group}.log`);
}
