// A volume as /dev/nbdN through the kernel's own NBD client. The kernel gets one end of a socket pair, the agent's NBD server keeps the
// other, so there is neither a handshake nor a path that could be missing. The device outlives the agent: while nobody serves it the kernel
// holds its requests, up to DEAD_CONN_SECONDS, and another agent goes on with it.
//
// Order of attach: served sockets, connect (the kernel reads the partition table before it answers), sysfs confirms, queue settings.
// Nothing here may open the device or write to its queue from this thread, which has to answer the requests that this causes.

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { LvrError, messageOf } from '../core/errors.js';
import { isBlockDevice, startOf } from './holders.js';
import { isOfOtherEpoch } from './identity.js';
import { KernelDevice, type KernelParts, otherEpoch, wrongBackend } from './kernel-device.js';
import { indexOf } from './nbd-sysfs.js';
import { NetlinkError } from './netlink.js';
import type { Attacher, Attachment, AttachRequest, HandedSocket, OnLost, Probe } from './ports.js';
import { becomes, flushFailure, runTool, within } from './run.js';

/** Requests that were on their way when a link died are sent again after this time. */
const TIMEOUT_SECONDS = 15;
/** How long the kernel holds requests of a device that nobody serves, before its users get I/O errors. */
const DEAD_CONN_SECONDS = 300;
/** More sockets than CPUs bring nothing: the requests of a CPU stay on one. */
const CONNECTIONS_MAX = 4;
/** The driver takes logical blocks of up to a page. */
const BLOCK_BYTES_MAX = 4096;
/** udev looks at unconnected devices now and then, and the kernel refuses to connect one that is open. */
const BUSY_TRIES = 20;
const BUSY_PAUSE_MS = 100;
const SETTLE_MS = 5_000;
const EXCLUSIVE_MS = 5_000;
/** How long a start waits until a device has all its connections. */
const RESUME_MS = 5_000;
const EBUSY = 16;

/** The nbd of the kernel. */
export class KernelAttacher implements Attacher {
  readonly way = 'nbd';
  readonly outlives = true;
  readonly words = 'the nbd of the kernel';
  readonly #parts: KernelParts;
  readonly #handed: HandedSocket[];
  readonly #devices = new Map<string, KernelDevice>();
  readonly #connections = Math.min(CONNECTIONS_MAX, availableParallelism());

  /** `handed`: sockets that a predecessor served. */
  constructor(parts: KernelParts, handed: readonly HandedSocket[]) {
    this.#parts = parts;
    this.#handed = [...handed];
  }

  makes(device: string): boolean {
    return device.startsWith('/dev/nbd');
  }

  async probe(): Promise<Probe> {
    const no = (missing: string, hint: string): Probe => ({ usable: false, missing, hint });
    if (process.getuid?.() !== 0) return no('the agent does not run as root', 'run lvrd as root');
    if (!this.#parts.sysfs.isLoaded) {
      const { code, stderr } = await runTool('modprobe', ['nbd']);
      if (code !== 0 || !this.#parts.sysfs.isLoaded) {
        return no(
          `this kernel has no nbd${stderr === '' ? '' : ` (${stderr.split('\n')[0]})`}`,
          'modprobe nbd, or a kernel with CONFIG_BLK_DEV_NBD',
        );
      }
    }
    try {
      await this.#parts.control.check();
    } catch (error) {
      if (!(error instanceof LvrError)) throw error;
      return no(error.message, error.hint ?? '');
    }
    this.#parts.control.listen((index) => {
      if ([...this.#devices.values()].some((device) => device.index === index)) this.#parts.server.check();
    });
    return { usable: true, missing: '', hint: '' };
  }

  async attach(request: AttachRequest, how: string, onLost: OnLost): Promise<Attachment> {
    const { target, identity, blockBytes } = request;
    if (blockBytes > BLOCK_BYTES_MAX) {
      throw new LvrError('ATTACH', `${target} has blocks of ${blockBytes} bytes; an nbd device takes at most ${BLOCK_BYTES_MAX}`);
    }
    const left = this.#parts.sysfs.connected().find((device) => device.backend === identity);
    if (left !== undefined) return this.#resumeLeft(request, how, `/dev/nbd${left.index}`, onLost);
    const wanted = this.#wantedIndex(request);
    const device = new KernelDevice(this.#parts, target, identity, this.#connections, onLost);
    try {
      device.index = await device.withSockets(this.#connections, (sockets) => this.#connect(request, wanted, sockets));
      await this.#confirm(device, request);
    } catch (error) {
      device.release();
      if (device.index >= 0) await this.#parts.control.disconnect(device.index).catch(() => undefined);
      throw error;
    }
    this.#devices.set(device.device, device);
    return attachmentOf(device, request, how);
  }

  async resume(attachment: Attachment, request: AttachRequest, onLost: OnLost): Promise<Attachment> {
    const { sysfs } = this.#parts;
    const index = indexOf(attachment.device);
    const found = index === undefined ? undefined : sysfs.device(index);
    if (index === undefined || found === undefined || found.pid === '') {
      throw new LvrError('ATTACH', `${attachment.device} of ${attachment.target} is no longer connected`);
    }
    if (isOfOtherEpoch(found.backend, request.identity)) throw otherEpoch(attachment.device, attachment.target);
    if (found.backend !== request.identity) throw wrongBackend(attachment.device, attachment.target, found.backend);
    if (found.sizeBytes !== request.sizeBytes) {
      throw new LvrError(
        'DEVICE_CHANGED',
        `${attachment.device} has ${found.sizeBytes} bytes, ${request.target} has ${request.sizeBytes}`,
        {
          hint: `umount it, lvr detach ${request.target}, lvr attach ${request.target}`,
        },
      );
    }
    if (found.blockBytes < request.blockBytes) {
      const words = `${attachment.device} has blocks of ${found.blockBytes} bytes, ${request.target} takes none below ${request.blockBytes}`;
      throw new LvrError('DEVICE_CHANGED', words, { hint: `set io = "buffered" for ${request.target}, or put its device back` });
    }
    const device = this.#known(attachment.device, request.identity) ?? this.#left(attachment, request, index, onLost);
    device.takeOver(this.#takeHanded(attachment.device));
    // The kernel may have had fewer sockets than it is to get now, and never takes the rest: nobody waits for them.
    const failure = await within(device.repair(0), RESUME_MS);
    if (device.live === 0 || (failure !== undefined && failure !== '')) {
      const why = failure === undefined || failure === '' ? 'the kernel takes no socket' : failure;
      throw new LvrError('ATTACH', `${attachment.device} of ${attachment.target} is not served: ${why}`);
    }
    if (device.live < device.connections) {
      const text = `${device.device} is served by ${device.live} of ${device.connections} connections`;
      this.#parts.log.warn('device-links-missing', text, { volume: request.target });
    }
    return attachmentOf(device, request, attachment.how);
  }

  /** The device, if this process serves it already and gave it up: its live connections count. */
  #known(path: string, identity: string): KernelDevice | undefined {
    const known = this.#devices.get(path);
    if (known?.identity === identity) known.revive();
    else known?.release();
    return known?.identity === identity ? known : undefined;
  }

  /** A device that another process served. */
  #left({ device: path, connections }: Attachment, { target, identity }: AttachRequest, index: number, onLost: OnLost): KernelDevice {
    const device = new KernelDevice(this.#parts, target, identity, connections ?? this.#connections, onLost);
    device.index = index;
    this.#devices.set(path, device);
    return device;
  }

  leave({ device }: Attachment): void {
    this.#devices.get(device)?.release();
  }

  restored(): void {
    for (const { fd } of this.#handed.splice(0)) this.#parts.sockets.close(fd);
  }

  serves({ device, identity }: Attachment): boolean {
    const index = indexOf(device);
    const found = index === undefined ? undefined : this.#parts.sysfs.device(index);
    return found !== undefined && found.pid !== '' && found.backend === identity;
  }

  async detach(attachment: Attachment): Promise<void> {
    const { device: path, target } = attachment;
    const index = indexOf(path);
    if (index === undefined || !this.serves(attachment)) return void this.#devices.delete(path);
    const device = this.#devices.get(path);
    // A device without a link cannot be opened: that would wait for an answer to the first read.
    const exclusive = device !== undefined && device.live > 0 ? await this.#exclusively(path, target) : undefined;
    device?.release();
    try {
      await this.#parts.control.disconnect(index);
    } catch (error) {
      throw translated(error, `${path} cannot be disconnected`);
    } finally {
      await exclusive?.close();
    }
    const isGone = await becomes(SETTLE_MS, () => (this.#parts.sysfs.device(index)?.pid ?? '') === '');
    this.#devices.delete(path);
    if (!isGone) throw new LvrError('IN_USE', `${path} was disconnected, but somebody still has it open`, { hint: `fuser -v ${path}` });
  }

  /** The device that a connection of the NBD server belongs to. */
  deviceOf(client: unknown): string | undefined {
    for (const device of this.#devices.values()) if (device.owns(client)) return device.device;
    return undefined;
  }

  /** A device of ours that no file knows about: the agent died between connecting it and writing that down. */
  #resumeLeft(request: AttachRequest, how: string, path: string, onLost: OnLost): Promise<Attachment> {
    if (request.device !== undefined && request.device !== path) {
      throw new LvrError('IN_USE', `${request.target} is already connected as ${path}`, { hint: `lvr attach ${request.target}` });
    }
    const { target, readOnly, blockBytes, identity } = request;
    const left = {
      target,
      device: path,
      way: 'nbd',
      how,
      link: '',
      pid: 0,
      pidStart: '',
      mountPoint: '',
      readOnly,
      blockBytes,
      identity,
    } as const;
    return this.resume(left, request, onLost);
  }

  #takeHanded(device: string): HandedSocket[] {
    const taken = this.#handed.filter((socket) => socket.device === device);
    for (const socket of taken) this.#handed.splice(this.#handed.indexOf(socket), 1);
    return taken;
  }

  /** The index of the device that was named, if it is free. */
  #wantedIndex({ target, device }: AttachRequest): number | undefined {
    if (device === undefined) return undefined;
    const index = indexOf(device);
    if (index === undefined) {
      throw new LvrError('ATTACH', `${target} cannot be attached as ${device}: expected /dev/nbd0, /dev/nbd1, …`, {
        hint: `lvr attach ${target}`,
      });
    }
    const found = this.#parts.sysfs.device(index);
    if (found !== undefined && found.pid !== '') {
      const what = found.backend === '' ? 'something else' : found.backend;
      throw new LvrError('DEVICE_BUSY', `${device} is already connected to ${what}`, { hint: `lvr attach ${target} takes a free device` });
    }
    return index;
  }

  async #connect(request: AttachRequest, index: number | undefined, sockets: number[]): Promise<number> {
    const { target, sizeBytes, blockBytes, identity } = request;
    const settings = {
      sizeBytes,
      blockBytes,
      timeoutSeconds: TIMEOUT_SECONDS,
      deadConnTimeoutSeconds: DEAD_CONN_SECONDS,
      backend: identity,
    };
    const wanted = { index, ...settings, serverFlags: this.#parts.server.flags(target), clientFlags: 0, sockets };
    for (let left = BUSY_TRIES; ; left--) {
      try {
        return await this.#parts.control.connect(wanted);
      } catch (error) {
        const isBusy = error instanceof NetlinkError && error.errno === EBUSY;
        if (!isBusy || left === 0)
          throw translated(error, `${target} cannot be attached${index === undefined ? '' : ` as /dev/nbd${index}`}`);
        await sleep(BUSY_PAUSE_MS);
      }
    }
  }

  /** Waits until /sys and /dev show what was asked for, then sets the queue. */
  async #confirm(device: KernelDevice, { target, sizeBytes }: AttachRequest): Promise<void> {
    const path = device.device;
    const isThere = await becomes(SETTLE_MS, () => {
      const found = this.#parts.sysfs.device(device.index);
      return (
        found !== undefined && found.pid !== '' && found.backend === device.identity && found.sizeBytes === sizeBytes && isBlockDevice(path)
      );
    });
    if (!isThere) throw new LvrError('ATTACH', `${target} was connected, but ${path} does not show it`, { hint: 'is /dev a devtmpfs?' });
    const failed = await this.#parts.sysfs.tune(device.index);
    if (failed.length > 0) this.#parts.log.warn('device-not-tuned', `${path}: could not set ${failed.join(', ')}`, { volume: target });
  }

  /** Opens the device so that nobody else can mount it, with everything written back. */
  async #exclusively(path: string, target: string): Promise<FileHandle | undefined> {
    await runTool('udevadm', ['settle', `--timeout=${SETTLE_MS / 1000}`], SETTLE_MS * 2);
    let busy: unknown;
    const work = open(path, constants.O_RDWR | constants.O_EXCL).catch((error: NodeJS.ErrnoException) => {
      // A read-only device cannot be opened for writing, and has nothing to write back.
      if (error.code !== 'EACCES' && error.code !== 'EROFS') busy = error;
      return undefined;
    });
    const handle = await within(work, EXCLUSIVE_MS);
    // One that comes late keeps nobody out any more.
    if (handle === undefined) void work.then((late) => late?.close()).catch(() => undefined);
    if (busy !== undefined) {
      throw new LvrError('IN_USE', `${target} cannot be detached: ${path} is in use (${messageOf(busy)})`, {
        hint: `umount it, then lvr detach ${target}`,
      });
    }
    if (handle === undefined) return undefined;
    // Its writers were told, or did not ask: the kernel does not keep what it could not write.
    const failure = await flushFailure(handle, SETTLE_MS);
    if (failure !== '')
      this.#parts.log.warn('device-not-written-back', `${path}: what was written without a flush is lost: ${failure}`, { volume: target });
    return handle;
  }
}

function attachmentOf(device: KernelDevice, { target, readOnly, blockBytes, identity }: AttachRequest, how: string): Attachment {
  const { pid } = process;
  const rest = { link: '', pid, pidStart: startOf(pid), mountPoint: '', readOnly, blockBytes, identity, connections: device.connections };
  return { target, device: device.device, way: 'nbd', how, ...rest };
}

/** Errnos of the driver in words. */
const MEANINGS: Readonly<Record<number, readonly [why: string, hint: string]>> = {
  1: ['the agent lacks CAP_SYS_ADMIN', 'run lvrd as root, in a container with CAP_SYS_ADMIN and the host network namespace'],
  12: ['the kernel has no memory for it', 'free memory and try again'],
  [EBUSY]: [
    'the device is open in another program, or all devices are in use',
    'lsof /dev/nbd*; name a device with a higher number: /dev/nbd64',
  ],
  22: ['the kernel takes neither these sockets nor these settings', 'dmesg | grep nbd'],
  28: ['all devices are in use', 'modprobe -r nbd; modprobe nbd nbds_max=64, or detach volumes'],
  95: ['this kernel lacks a command of nbd', 'Linux 5.14 or later has it'],
};

function translated(error: unknown, what: string): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const [why, hint] = MEANINGS[error.errno] ?? [error.message, 'dmesg | grep nbd'];
  return new LvrError(error.errno === EBUSY ? 'DEVICE_BUSY' : 'ATTACH', `${what}: ${why}`, { hint, cause: error });
}
