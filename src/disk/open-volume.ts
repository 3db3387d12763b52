// Opening a volume's device as the configuration says, and proving that one reads as zeroes.

import { type Stats, statSync } from 'node:fs';
import { LvrError } from '../core/errors.js';
import type { VolumeConfig } from '../core/group-config.js';
import { MIB } from '../core/limits.js';
import type { Arena, Device } from '../core/ports.js';
import type { Engines } from './engine.js';
import { type FileDevice, openDevice } from './file-device.js';
import { type IoMode, translated } from './open-descriptor.js';
import { readDevice } from './promises.js';

/**
 * Direct for block devices, buffered for files, unless the configuration says otherwise. `mayCreate`: a file that is not there, or is
 * empty, is made; else it is refused, because what stood in it is gone, or its file system is not mounted. Rejects as openDevice().
 */
export async function openVolume(config: VolumeConfig, engines: Engines, mayCreate: boolean): Promise<FileDevice> {
  const stats = lookAt(config.device, config.io ?? 'buffered');
  const isBlock = stats?.isBlockDevice() ?? false;
  if (!mayCreate && config.sizeBytes > 0 && (stats === undefined || (stats.isFile() && stats.size === 0))) {
    throw new LvrError(
      'DEVICE_UNUSABLE',
      `${config.device} ${stats === undefined ? 'does not exist' : 'is empty'}, but the group had it before`,
      {
        hint: `put volume ${config.name} back (is its file system mounted?); a new one would read as zeroes`,
      },
    );
  }
  return openDevice({
    path: config.device,
    io: config.io ?? (isBlock ? 'direct' : 'buffered'),
    ...(config.sizeBytes > 0 ? { create: { sizeBytes: config.sizeBytes } } : {}),
    engines,
  });
}

function lookAt(path: string, io: IoMode): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw translated(error, path, io);
  }
}

/** True when every byte of the device is zero. Skips what the file system knows to be holes and stops at the first other byte. */
export async function readsAsZeroes(device: Device, arena: Arena): Promise<boolean> {
  const chunk = Math.min(MIB, arena.bytes.length);
  const zeroes = Buffer.alloc(chunk);
  for (let at = 0; at < device.sizeBytes; ) {
    const run = device.extents(at, device.sizeBytes - at, 1)[0];
    if (run?.zero === true && run.length > 0) {
      at += run.length;
      continue;
    }
    const length = Math.min(chunk, device.sizeBytes - at);
    await readDevice(device, arena, 0, length, at);
    if (zeroes.compare(arena.bytes, 0, length, 0, length) !== 0) return false;
    at += length;
  }
  return true;
}
