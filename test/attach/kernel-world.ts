// What is around an attacher of the kernel's nbd: a made-up driver, /sys and NBD server.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { KernelAttacher } from '../../src/attach/kernel.js';
import { type NbdDevice, NbdSysfs } from '../../src/attach/nbd-sysfs.js';
import type { NbdControl } from '../../src/attach/netlink.js';
import type { DeviceArguments } from '../../src/attach/netlink-message.js';
import type { Attachment, AttachRequest, HandedSocket, KernelClient } from '../../src/attach/ports.js';
import { LvrError } from '../../src/core/errors.js';

export const IDENTITY = 'lvr:0123456789abcdef0123456789abcdef/data@fedcba#3';
export const SIZE_BYTES = 1024 * 1024;

function noDescriptors(syscall: string): Error {
  return Object.assign(new Error(`EMFILE: too many open files, ${syscall}`), { code: 'EMFILE', syscall });
}

class Sysfs extends NbdSysfs {
  /** The process has no descriptor left. */
  cannotLook = false;

  override device(index: number): NbdDevice | undefined {
    if (this.cannotLook) throw noDescriptors('open');
    return super.device(index);
  }
}

/** Everything around an attacher, as it looks in memory and in a directory that stands for /sys. */
export class World {
  readonly root = mkdtempSync(join(tmpdir(), 'lvr-sys-'));
  readonly sysfs = new Sysfs(this.root);
  readonly calls: string[] = [];
  /** Served connections that were not closed. */
  readonly served: { client: KernelClient; fd: number; received: Uint8Array }[] = [];
  readonly closed: number[] = [];
  readonly lost: string[] = [];
  /** Thrown by the next calls of the driver. */
  refusals: unknown[] = [];
  unavailable = '';
  /** Thrown where the volume cannot be served at all. */
  never = '';
  identity = IDENTITY;
  /** The driver ignores the next sockets: it closes its end. */
  ignores = 0;
  /** The process has one descriptor left. */
  noSockets = false;
  #fd = 1000;

  constructor(test: Test) {
    test.teardown(() => rmSync(this.root, { recursive: true, force: true }));
    mkdirSync(join(this.root, 'block'));
  }

  readonly control: NbdControl = {
    check: async () => undefined,
    connect: async (wanted) => {
      this.#refuse();
      const index = wanted.index ?? 0;
      this.calls.push(
        `connect ${wanted.index ?? 'any'} ${wanted.sockets?.length} ${wanted.timeoutSeconds} ${wanted.deadConnTimeoutSeconds}`,
      );
      this.put(index, { backend: wanted.backend ?? '', sizeBytes: wanted.sizeBytes ?? 0 });
      return index;
    },
    reconfigure: async (wanted: DeviceArguments) => {
      try {
        this.#refuse();
      } catch (error) {
        // The other end of what was to be handed over is closed then.
        setImmediate(() => this.drop(this.served.length - 1));
        throw error;
      }
      this.calls.push(`reconfigure ${wanted.index} ${wanted.sockets?.length} ${wanted.backend} ${wanted.sizeBytes ?? ''}`);
      if (this.ignores-- > 0) setImmediate(() => this.drop(this.served.length - 1));
    },
    disconnect: async (index) => {
      this.#refuse();
      this.calls.push(`disconnect ${index}`);
      rmSync(join(this.root, `block/nbd${index}/pid`), { force: true });
      for (let at = this.served.length - 1; at >= 0; at--) this.drop(at);
    },
    status: async () => [],
    listen: () => undefined,
  };

  #refuse(): void {
    const refusal = this.refusals.shift();
    if (refusal !== undefined) throw refusal;
  }

  /** A device appears, connected to `backend`. */
  put(
    index: number,
    { backend, sizeBytes = SIZE_BYTES, blockBytes = 512 }: { backend: string; sizeBytes?: number; blockBytes?: number },
  ): void {
    const directory = join(this.root, `block/nbd${index}`);
    mkdirSync(join(directory, 'queue'), { recursive: true });
    const files = { size: sizeBytes / 512, pid: 77, backend, 'queue/scheduler': '[mq-deadline] none', 'queue/max_sectors_kb': 128 };
    for (const [name, value] of Object.entries({ ...files, 'queue/max_hw_sectors_kb': 32_768, 'queue/logical_block_size': blockBytes }))
      writeFileSync(join(directory, name), `${value}\n`);
  }

  /** A connection is lost. */
  drop(at: number): void {
    this.served.splice(at, 1)[0]?.client.closed('gone');
  }

  queue(index: number, name: string): string {
    return readFileSync(join(this.root, `block/nbd${index}/queue/${name}`), 'utf8').trim();
  }

  readonly parts = {
    control: this.control,
    sysfs: this.sysfs,
    sockets: {
      socketPair: (): [number, number] => {
        if (this.noSockets) throw noDescriptors('socketpair');
        return [this.#fd++, this.#fd++];
      },
      close: (fd: number) => void this.closed.push(fd),
    },
    server: {
      flags: () => 0x16d,
      identity: () => {
        if (this.never !== '') throw new LvrError('ROLE', this.never);
        return this.identity;
      },
      serve: (_target: string, fd: number, received: Uint8Array, client: KernelClient) => {
        if (this.unavailable !== '') throw new LvrError('ROLE', this.unavailable);
        this.served.push({ client, fd, received });
      },
      check: () => undefined,
    },
    log: { info: () => undefined, warn: (event: string) => void this.calls.push(`log ${event}`), error: () => undefined },
  };

  attacher(handed: HandedSocket[] = []): KernelAttacher {
    return new KernelAttacher(this.parts, handed);
  }

  readonly onLost = (reason: string): void => void this.lost.push(reason);
}

/** What is asked for. */
export function request(more: Partial<AttachRequest> = {}): AttachRequest {
  const rest = { socketPath: '', sizeBytes: SIZE_BYTES, blockBytes: 512, readOnly: false, device: undefined };
  return { target: 'app/data', identity: IDENTITY, ...rest, ...more };
}

/** What was made of it. */
export function attachment(device: string): Attachment {
  const rest = { how: 'how', link: '', pid: 1, pidStart: '1', mountPoint: '', readOnly: false, blockBytes: 512 };
  return { target: 'app/data', device, way: 'nbd', identity: IDENTITY, ...rest };
}

/** Waits for something that happens by itself; fails after five seconds. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await sleep(10);
  if (!condition()) throw new Error(`never happened: ${what}`);
}
