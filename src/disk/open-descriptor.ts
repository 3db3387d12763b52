// Opening of devices: finds out what a path is, creates a missing file, keeps others out, and says plainly what is wrong.
//
// Order of creation: size, then blocks, then the file's and its directory's flush; whatever fails on the way removes the file again.
// A crash may leave an empty file behind, which therefore counts as missing.

import { closeSync, constants, fsyncSync, openSync, realpathSync, type Stats, statSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { type ErrorCode, LvrError } from '../core/errors.js';
import { BLOCK_BYTES } from '../core/limits.js';
import { blockHolders, lockHolders } from './device-holders.js';
import type { Engines } from './engine.js';
import { binding, type DeviceInfo, isSystemError } from './native.js';

/** 'buffered' goes through the page cache, 'direct' past it (O_DIRECT). */
export type IoMode = 'buffered' | 'direct';

/** What to open, and how. */
export type DeviceOptions = {
  /** File or block device; symbolic links (/dev/vg/lv) are followed. */
  path: string;
  io: IoMode;
  /** Create a missing (or empty) file of this size; without it a missing file is an error. Ignored for block devices. */
  create?: { sizeBytes: number };
  /** For logs: all blocks of a new file are allocated and written once, so that no later write waits for space or lacks it. */
  reserve?: boolean;
  /** Nothing is ever written: a device or file system that is set read-only will do. */
  readOnly?: boolean;
  /** Keep other users out: O_EXCL for block devices, flock for files. Default true. */
  exclusive?: boolean;
  engines: Engines;
};

const FILE_MODE = 0o600;

/**
 * A descriptor ready for use. `filename` is the resolved path. `fill` tells what of a log is still to be written once: all of a file that
 * was made now; the holes of one that has just the size that it would get, as a crash may have come before its blocks or their filling.
 */
export type OpenedDescriptor = {
  readonly fd: number;
  readonly info: DeviceInfo;
  readonly filename: string;
  readonly fill: 'all' | 'holes' | 'nothing';
};

/** Opens, creates, sizes, locks and checks as the options say. Throws LvrError as openDevice() does, and leaves nothing behind then. */
export function openDescriptor(options: DeviceOptions): OpenedDescriptor {
  let created = false;
  try {
    created = createIfMissing(options);
    const filename = realpathSync(options.path);
    const stats = statSync(filename);
    const fd = open(filename, stats, options);
    return prepared(filename, fd, stats, options);
  } catch (error) {
    if (created) unlinkSync(options.path);
    throw translated(error, options.path, options.io);
  }
}

/** True when it made an empty file. Without O_DIRECT, which some file systems refuse only after they have made the file. */
function createIfMissing(options: DeviceOptions): boolean {
  if (options.create === undefined) return false;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
  try {
    binding.close(binding.open(options.path, flags, FILE_MODE));
    return true;
  } catch (error) {
    if (isSystemError(error) && error.code === 'EEXIST') return false;
    throw error;
  }
}

function open(path: string, stats: Stats, options: DeviceOptions): number {
  if (stats.isDirectory()) throw unusable(options.path, 'is a directory');
  if (!stats.isFile() && !stats.isBlockDevice()) throw unusable(options.path, 'is neither a file nor a block device');
  const exclusive = options.exclusive !== false && stats.isBlockDevice() ? constants.O_EXCL : 0;
  const direct = options.io === 'direct' ? constants.O_DIRECT : 0;
  try {
    const access = options.readOnly === true ? constants.O_RDONLY : constants.O_RDWR;
    return binding.open(path, access | constants.O_NOFOLLOW | exclusive | direct, 0);
  } catch (error) {
    if (isSystemError(error) && error.code === 'EBUSY') throw busy(options.path, blockHolders(stats.rdev));
    throw error;
  }
}

/** Locks the descriptor, gives a new file its size and blocks, and checks the result. Closes the descriptor when it throws. */
function prepared(filename: string, fd: number, stats: Stats, options: DeviceOptions): OpenedDescriptor {
  try {
    const before = binding.deviceInfo(fd);
    if (before.readOnly && options.readOnly !== true) throw unusable(options.path, 'is set read-only', `blockdev --setrw ${filename}`);
    if (before.logicalBlockBytes === 0) throw unusable(options.path, 'is on a file system without O_DIRECT', 'set io = "buffered"');
    if (before.logicalBlockBytes > BLOCK_BYTES) {
      const hint = before.kind === 'file' ? 'use a file system with smaller blocks; a volume can also have io = "buffered"' : undefined;
      throw unusable(options.path, `has blocks of ${before.logicalBlockBytes} bytes, ${BLOCK_BYTES} is the most`, hint);
    }
    if (before.kind === 'file' && options.exclusive !== false && !binding.lock(fd)) throw busy(options.path, lockHolders(stats));
    const wantedBytes = before.kind === 'file' ? (options.create?.sizeBytes ?? 0) : 0;
    const isNew = before.kind === 'file' && before.sizeBytes === 0 && wantedBytes > 0;
    if (isNew) sizeNewFile(filename, fd, wantedBytes, options.reserve === true);
    const isOurs = !isNew && wantedBytes > 0 && before.sizeBytes === wantedBytes && options.reserve === true;
    if (isOurs) binding.fallocateReserve(fd, 0, wantedBytes);
    const after = isNew ? binding.deviceInfo(fd) : before;
    if (after.sizeBytes < wantedBytes) {
      throw unusable(options.path, `has ${after.sizeBytes} bytes, ${wantedBytes} are configured`, 'enlarge the file or correct the size');
    }
    if (after.sizeBytes < after.logicalBlockBytes) throw unusable(options.path, `has ${after.sizeBytes} bytes, less than one block`);
    return { fd, info: after, filename, fill: isNew ? 'all' : isOurs ? 'holes' : 'nothing' };
  } catch (error) {
    binding.close(fd);
    throw error;
  }
}

function sizeNewFile(path: string, fd: number, sizeBytes: number, reserve: boolean): void {
  try {
    binding.ftruncate(fd, sizeBytes);
    if (reserve) binding.fallocateReserve(fd, 0, sizeBytes);
  } catch (error) {
    // Empty again, so that the next attempt does not take it for a complete file.
    binding.ftruncate(fd, 0);
    throw error;
  }
  fsyncSync(fd);
  const directory = openSync(dirname(path), constants.O_RDONLY);
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function unusable(path: string, reason: string, hint?: string): LvrError {
  return new LvrError('DEVICE_UNUSABLE', `${path} ${reason}`, hint === undefined ? {} : { hint });
}

function busy(path: string, holders: string[]): LvrError {
  const who = holders.length === 0 ? 'in use by another program' : holders.join(', ');
  return new LvrError('DEVICE_BUSY', `${path} is ${who}`, {
    hint: 'stop the other user (unmount, close, another agent) and try again',
    details: { holders },
  });
}

type Meaning = readonly [code: ErrorCode, reason: string, hint?: string];

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOENT: ['DEVICE_UNUSABLE', 'does not exist', 'create it, or give a size for a file'],
  ENOTDIR: ['DEVICE_UNUSABLE', 'has a path through something that is not a directory'],
  ELOOP: ['DEVICE_UNUSABLE', 'is a loop of symbolic links'],
  EISDIR: ['DEVICE_UNUSABLE', 'is a directory'],
  EROFS: ['DEVICE_UNUSABLE', 'is on a read-only file system'],
  ENXIO: ['DEVICE_UNUSABLE', 'has no device behind it'],
  ENODEV: ['DEVICE_UNUSABLE', 'has no device behind it'],
  ENOMEDIUM: ['DEVICE_UNUSABLE', 'has no medium'],
  EFBIG: ['DEVICE_UNUSABLE', 'would be larger than the file system or the limit on file sizes allows'],
  ENOSPC: ['DISK_FULL', 'does not fit: no space left on the file system', 'free space or choose a smaller size'],
  EDQUOT: ['DISK_FULL', 'does not fit: the quota is used up', 'raise the quota or choose a smaller size'],
  EACCES: ['PERMISSION', 'may not be opened for writing', 'check its permissions and that it is not set read-only'],
  EPERM: ['PERMISSION', 'may not be opened for writing', 'check its permissions and that it is not set read-only'],
};

/** Gives a file its size, with all blocks, durably. Throws LvrError; what cannot be made longer stays as it was, if its device works. */
export function resizeFile(path: string, fd: number, io: IoMode, beforeBytes: number, sizeBytes: number): void {
  try {
    binding.ftruncate(fd, sizeBytes);
    if (sizeBytes > beforeBytes) binding.fallocateReserve(fd, beforeBytes, sizeBytes - beforeBytes);
    fsyncSync(fd);
  } catch (error) {
    if (sizeBytes > beforeBytes) giveBack(fd, beforeBytes);
    throw translated(error, path, io);
  }
}

function giveBack(fd: number, sizeBytes: number): void {
  try {
    binding.ftruncate(fd, sizeBytes);
  } catch {
    // The same device refused the size: what is said is the reason for that.
  }
}

/** Turns what a system call on a device threw into an LvrError; anything else passes unchanged. */
export function translated(error: unknown, path: string, io: IoMode): unknown {
  if (!(error instanceof Error) || error instanceof LvrError) return error;
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string' || !('syscall' in error)) return error;
  if (code === 'EINVAL' && io === 'direct') {
    return new LvrError('DEVICE_UNUSABLE', `${path} cannot be opened with O_DIRECT`, { hint: 'set io = "buffered"', cause: error });
  }
  const meaning = MEANINGS[code];
  if (meaning === undefined) return new LvrError('DEVICE_FAILED', `${path}: ${error.message}`, { cause: error });
  const [id, reason, hint] = meaning;
  return new LvrError(id, `${path} ${reason}`, hint === undefined ? { cause: error } : { hint, cause: error });
}
