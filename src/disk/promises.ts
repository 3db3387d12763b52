// Promises over the completion ports, for everything that is not the data path: recovery, superblocks, checkpoints.

import { LvrError } from '../core/errors.js';
import type { Arena, Device, IoTarget } from '../core/ports.js';

type Waiter = { resolve: () => void; reject: (error: Error) => void; what: string; path: string };

class Waiters implements IoTarget {
  readonly #waiting = new Map<number, Waiter>();
  #nextTag = 1;

  add(waiter: Waiter): number {
    const tag = this.#nextTag++;
    this.#waiting.set(tag, waiter);
    return tag;
  }

  ioDone(tag: number, error: number): void {
    const waiter = this.#waiting.get(tag);
    this.#waiting.delete(tag);
    if (error === 0) waiter?.resolve();
    else waiter?.reject(deviceError(waiter.what, waiter.path, error));
  }
}

// One per device, so that what waits for a device that is gone goes with it.
const waitersByDevice = new WeakMap<Device, Waiters>();

function waitersOf(device: Device): Waiters {
  const known = waitersByDevice.get(device);
  if (known !== undefined) return known;
  const waiters = new Waiters();
  waitersByDevice.set(device, waiters);
  return waiters;
}

/** The error for a failed operation on a device; `errno` is positive. */
export function deviceError(what: string, path: string, errno: number): LvrError {
  return errno === 28 || errno === 122
    ? new LvrError('DISK_FULL', `${what} ${path}: no space left`, {
        hint: 'free space on the file system, then restart the agent',
        details: { errno },
      })
    : new LvrError('DEVICE_FAILED', `${what} ${path}: I/O error (errno ${errno})`, {
        hint: 'check the kernel log and the device',
        details: { errno },
      });
}

function submit(device: Device, what: string, queue: (target: IoTarget, tag: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const waiters = waitersOf(device);
    queue(waiters, waiters.add({ resolve, reject, what, path: device.path }));
    device.kick();
  });
}

/** Reads into arena[start, start + length). Rejects with DEVICE_FAILED. */
export function readDevice(device: Device, arena: Arena, start: number, length: number, offset: number): Promise<void> {
  return submit(device, 'read', (target, tag) => device.read(arena, start, length, offset, target, tag));
}

/** The same for what will not be read again soon. */
export function readDeviceOnce(device: Device, arena: Arena, start: number, length: number, offset: number): Promise<void> {
  if (device.readOnce === undefined) return readDevice(device, arena, start, length, offset);
  return submit(device, 'read', (target, tag) => device.readOnce?.(arena, start, length, offset, target, tag));
}

/** Writes so that the data survives a power cut when the promise resolves. */
export function writeDurably(device: Device, arena: Arena, start: number, length: number, offset: number): Promise<void> {
  return submit(device, 'write', (target, tag) => device.write(arena, start, length, offset, true, target, tag));
}

/** Writes; durable after the next syncDevice(). */
export function writeDevice(device: Device, arena: Arena, start: number, length: number, offset: number): Promise<void> {
  return submit(device, 'write', (target, tag) => device.write(arena, start, length, offset, false, target, tag));
}

/** Flushes everything written before. */
export function syncDevice(device: Device): Promise<void> {
  return submit(device, 'flush', (target, tag) => device.sync(target, tag));
}

/** Gives the space of a range back where the device can. */
export function discardDevice(device: Device, offset: number, length: number): Promise<void> {
  if (device.discard === undefined) return Promise.resolve();
  return submit(device, 'discard', (target, tag) => device.discard?.(offset, length, target, tag));
}

/** Zeroes a range; durable after the next syncDevice(). */
export function zeroDevice(device: Device, offset: number, length: number, mayUnmap = false): Promise<void> {
  return submit(device, 'zero', (target, tag) => device.zero(offset, length, mayUnmap, target, tag));
}
