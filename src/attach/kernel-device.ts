// One /dev/nbdN while it is attached: its connections to the NBD server of this process, and their replacement when one is lost.
//
// Owner of the number of live connections and of the repair. The kernel replaces only sockets that it knows to be dead and closes others
// unused, which shows here as a connection that is lost at once; so lost connections are replaced one at a time, with pauses that grow.
// What may pass (a role change under way, a kernel that is busy) is waited for in the same way, for a while. A device whose volume cannot
// be served (its group failed or is secondary) is left waiting: the kernel holds its requests.
//
// A connection is served only while the volume is what the device was made of: looked at for each, in the turn in which it is served. Once
// another site was primary in between, what the users of the device hold must never reach the volume.

import { setTimeout as sleep } from 'node:timers/promises';
import { expectedError, LvrError, messageOf } from '../core/errors.js';
import type { Log } from '../core/ports.js';
import type { Binding } from './native.js';
import type { NbdDevice, NbdSysfs } from './nbd-sysfs.js';
import { type NbdControl, NetlinkError } from './netlink.js';
import type { HandedSocket, KernelClient, KernelServer, OnLost } from './ports.js';

/** Buffer of each direction: the driver of some kernels fails when a socket takes only part of a request. */
const SOCKET_BYTES = 4 * 1024 * 1024;
const PAUSE_MIN_MS = 20;
const PAUSE_MAX_MS = 2_000;
const SETTLE_MS = 50;
/** How long the repair goes on while nothing but refusals come. */
const PATIENCE_MS = 30_000;

/** What a device is made with. */
export type KernelParts = {
  readonly control: NbdControl;
  readonly sysfs: NbdSysfs;
  readonly sockets: Pick<Binding, 'socketPair' | 'close'>;
  readonly server: KernelServer;
  readonly log: Log;
};

/** The served end of one socket. */
class Link implements KernelClient {
  readonly device: KernelDevice;

  constructor(device: KernelDevice) {
    this.device = device;
  }

  closed(reason: string): void {
    this.device.linkClosed(this, reason);
  }
}

export class KernelDevice {
  readonly target: string;
  readonly identity: string;
  /** -1 until connected. */
  index = -1;
  readonly #parts: KernelParts;
  /** Sockets that the kernel has or is to get. */
  readonly connections: number;
  readonly #onLost: OnLost;
  readonly #links = new Set<Link>();
  #isReleased = false;
  #isRepairing = false;

  constructor(parts: KernelParts, target: string, identity: string, connections: number, onLost: OnLost) {
    this.#parts = parts;
    this.target = target;
    this.identity = identity;
    this.connections = connections;
    this.#onLost = onLost;
  }

  get device(): string {
    return `/dev/nbd${this.index}`;
  }

  /** Connections that work. */
  get live(): number {
    return this.#links.size;
  }

  /** Makes `count` served connections and gives their other ends to `use`, which hands them to the kernel; ours are closed then. */
  async withSockets<T>(count: number, use: (fds: number[]) => Promise<T>): Promise<T> {
    const fds: number[] = [];
    try {
      for (let i = 0; i < count; i++) {
        const [kernelEnd, serverEnd] = this.#parts.sockets.socketPair(SOCKET_BYTES);
        fds.push(kernelEnd);
        this.#serve(serverEnd, new Uint8Array(0));
      }
      return await use(fds);
    } finally {
      for (const fd of fds) this.#parts.sockets.close(fd);
    }
  }

  /** Goes on with sockets that a predecessor served. Those that are not served are closed, so that the kernel sees them end. */
  takeOver(handed: readonly HandedSocket[]): void {
    let begun = 0;
    try {
      this.#assertSame();
      for (const { fd, received } of handed) {
        begun++;
        this.#serve(fd, received);
      }
    } finally {
      for (const { fd } of handed.slice(begun)) this.#parts.sockets.close(fd);
    }
  }

  /** Throws when the volume is not what the device was made of, or waiting for it does not help. */
  #assertSame(): void {
    if (this.#parts.server.identity(this.target) !== this.identity) throw otherEpoch(this.device, this.target);
  }

  #serve(fd: number, received: Uint8Array): void {
    const link = new Link(this);
    try {
      this.#parts.server.serve(this.target, fd, received, link);
    } catch (error) {
      this.#parts.sockets.close(fd);
      throw error;
    }
    this.#links.add(link);
  }

  /** Whether a connection that the server serves is one of this device. */
  owns(client: unknown): boolean {
    return client instanceof Link && this.#links.has(client);
  }

  /** Nothing is repaired any more: the device is being removed, or given up. */
  release(): void {
    this.#isReleased = true;
  }

  /** Goes on after release(): what was given up is tried again. */
  revive(): void {
    this.#isReleased = false;
  }

  linkClosed(link: Link, reason: string): void {
    this.#links.delete(link);
    if (this.#isReleased || this.index < 0 || this.#isRepairing) return;
    this.#parts.log.warn('device-link-lost', `${this.device} of ${this.target} lost a connection: ${reason}`, { volume: this.target });
    void this.repair();
  }

  /**
   * Replaces lost connections until all are there, or nothing more can be done: resolves with the reason then, '' otherwise. Refusals that
   * may pass are taken for `patienceMs`.
   */
  async repair(patienceMs = PATIENCE_MS): Promise<string> {
    if (this.#isRepairing) return '';
    this.#isRepairing = true;
    try {
      let pauseMs = PAUSE_MIN_MS;
      let leftMs = patienceMs;
      while (!this.#isReleased && this.#links.size < this.connections) {
        const refusal = await this.#replaceOne();
        if (refusal === undefined) leftMs = patienceMs;
        else if (leftMs <= 0) throw refusal;
        else leftMs -= pauseMs;
        // A socket that the kernel had no use for is closed by now.
        await sleep(this.#links.size < this.connections ? pauseMs : SETTLE_MS);
        pauseMs = Math.min(PAUSE_MAX_MS, pauseMs * 2);
      }
      if (!this.#isReleased)
        this.#parts.log.info('device-linked', `${this.device} of ${this.target} is connected`, { volume: this.target });
      return '';
    } catch (error) {
      this.release();
      const reason = messageOf(error);
      this.#onLost(reason);
      return reason;
    } finally {
      this.#isRepairing = false;
    }
  }

  /** What the kernel says of the device; an error when this process cannot look just now. */
  #look(): NbdDevice | undefined | LvrError {
    try {
      return this.#parts.sysfs.device(this.index);
    } catch (error) {
      const expected = expectedError(error);
      if (expected === undefined) throw error;
      return expected;
    }
  }

  /** Undefined, or a refusal that may pass. Throws what will not. */
  async #replaceOne(): Promise<LvrError | undefined> {
    const { control } = this.#parts;
    const { index, identity } = this;
    const found = this.#look();
    if (found instanceof LvrError) return found;
    if (found === undefined || found.pid === '') throw new LvrError('ATTACH', `the kernel has disconnected ${this.device}`);
    if (found.backend !== identity) throw wrongBackend(this.device, this.target, found.backend);
    this.#assertSame();
    try {
      await this.withSockets(1, (sockets) => control.reconfigure({ index, backend: identity, sockets }));
    } catch (error) {
      const expected = expectedError(error);
      if (expected !== undefined) return expected;
      if (!(error instanceof NetlinkError)) throw error;
      return new LvrError('ATTACH', `${this.device} cannot be reconnected: ${error.message}`, { hint: 'dmesg | grep nbd', cause: error });
    }
    return undefined;
  }
}

/** The device was made of the volume as it was before another site was primary. */
export function otherEpoch(device: string, target: string): LvrError {
  return new LvrError(
    'DEVICE_CHANGED',
    `another site was primary for ${target} while ${device} waited: its users have an older past in memory`,
    {
      hint: `umount ${device} or stop its users (what they have not written yet is lost), then lvr detach ${target}, lvr attach ${target}`,
    },
  );
}

/** The device is connected to something that is not this volume. */
export function wrongBackend(device: string, target: string, backend: string): LvrError {
  const what = backend === '' ? 'something without a name' : backend;
  return new LvrError('DEVICE_BUSY', `${device} is connected to ${what}, not to ${target}; it is left alone`, {
    hint: `whoever connected it disconnects it (nbd-client -d ${device}); lvr attach ${target} takes another device`,
  });
}
