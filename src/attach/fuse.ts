// A block device without help of the kernel's nbd: nbdfuse shows the export as a file, a loop device makes a disk of the file.
//
// Owner of the nbdfuse process and of everything at the mount point. The agent serves the export on its only thread, so nothing here may
// touch the FUSE file with a synchronous call. Direct I/O on the loop device: measured 2 to 4 times the write rate of buffered, and no
// second page cache that could outlive a change of role.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LvrError } from '../core/errors.js';
import { backingFile, isBlockDevice, isMountPoint, startOf } from './holders.js';
import type { Attacher, Attachment, AttachRequest, Probe } from './ports.js';
import { becomes, runTool } from './run.js';

/** NBD connections of one device: with four, direct writes at depth 32 were a third faster than with two. */
const CONNECTIONS = 4;
const MOUNT_MS = 10_000;
const RELEASE_MS = 5_000;
/** Loop devices take logical sectors of up to a page. */
const SECTOR_BYTES_MAX = 4096;
const STDERR_BYTES_MAX = 4096;

/** nbdfuse and loop. */
export class FuseAttacher implements Attacher {
  readonly way = 'fuse';
  readonly outlives = false;
  readonly words = 'nbdfuse and a loop device';
  readonly #directory: string;

  /** Mount points and pid files are made in `directory`. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  makes(device: string): boolean {
    return device.startsWith('/dev/loop');
  }

  /** A device whose nbdfuse is gone has answered errors: there is nothing to go on with. */
  resume(attachment: Attachment): Promise<Attachment> {
    throw new LvrError('ATTACH', `${attachment.device} cannot be served again`);
  }

  leave(): void {}

  restored(): void {}

  async probe(): Promise<Probe> {
    const no = (missing: string, hint: string): Probe => ({ usable: false, missing, hint });
    if (process.getuid?.() !== 0) return no('the agent does not run as root', 'run lvrd as root');
    if (!existsSync('/dev/fuse')) return no('there is no /dev/fuse', 'modprobe fuse (in a container: pass the device in)');
    if (!existsSync('/dev/loop-control')) return no('there is no /dev/loop-control', 'modprobe loop (in a container: pass the devices in)');
    if ((await runTool('nbdfuse', ['--version'])).missing) return no('nbdfuse is not installed', 'apt-get install libnbd-bin fuse3');
    if ((await runTool('losetup', ['--version'])).missing) return no('losetup is not installed', 'apt-get install util-linux mount');
    return { usable: true, missing: '', hint: '' };
  }

  async attach(request: AttachRequest, how: string, onLost: (reason: string) => void): Promise<Attachment> {
    const { target, device: wanted } = request;
    this.#check(request);
    const mountPoint = join(this.#directory, target.replace('/', '.'));
    await this.#cleanUp(target, mountPoint);
    mkdirSync(mountPoint, { recursive: true, mode: 0o700 });
    const file = join(mountPoint, basename(target));
    const server = new FuseServer(request, mountPoint, file);
    try {
      await server.ready();
      const device = await attachLoop(request, file, wanted);
      const { pid } = server;
      server.onExit(onLost);
      const { readOnly, blockBytes, identity } = request;
      return { target, device, way: 'fuse', how, link: '', pid, pidStart: startOf(pid), mountPoint, readOnly, blockBytes, identity };
    } catch (error) {
      await this.#cleanUp(target, mountPoint).catch(() => undefined);
      server.kill();
      throw error;
    }
  }

  serves({ device, mountPoint }: Attachment): boolean {
    return dirname(backingFile(device)) === mountPoint;
  }

  async detach({ target, mountPoint }: Attachment): Promise<void> {
    await this.#cleanUp(target, mountPoint);
  }

  #check({ target, device, blockBytes, socketPath }: AttachRequest): void {
    if (blockBytes > SECTOR_BYTES_MAX) {
      throw new LvrError('ATTACH', `${target} has blocks of ${blockBytes} bytes; a loop device takes at most ${SECTOR_BYTES_MAX}`);
    }
    if (!existsSync(socketPath)) throw new LvrError('ATTACH', `${target} cannot be attached: the NBD socket ${socketPath} does not exist`);
    if (device === undefined) return;
    if (!/^\/dev\/loop\d+$/.test(device)) {
      throw new LvrError('ATTACH', `${target} cannot be attached as ${device}: expected /dev/loop0, /dev/loop1, …`, {
        hint: `lvr attach ${target}`,
      });
    }
    if (!isBlockDevice(device)) throw new LvrError('ATTACH', `${device} does not exist`, { hint: `lvr attach ${target}` });
    const file = backingFile(device);
    if (file !== '') throw new LvrError('DEVICE_BUSY', `${device} already serves ${file}`, { hint: `lvr attach ${target}` });
  }

  /** Removes loop devices on a mount point, the mount and its nbdfuse, whether they work or not. Throws IN_USE when something holds on. */
  async #cleanUp(target: string, mountPoint: string): Promise<void> {
    for (const device of loopDevicesIn(mountPoint)) {
      await runTool('losetup', ['--detach', device]);
      const free = await becomes(RELEASE_MS, () => !backingFile(device).startsWith(`${mountPoint}/`));
      if (!free)
        throw new LvrError('IN_USE', `${target} cannot be detached: ${device} is still in use`, {
          hint: `umount it, then lvr detach ${target}`,
        });
    }
    if (isMountPoint(mountPoint)) {
      let last = '';
      // The loop device lets go of the file a moment after it was detached.
      const gone = await becomes(RELEASE_MS, async () => {
        last = (await runTool('umount', [mountPoint])).stderr;
        return !isMountPoint(mountPoint);
      });
      if (!gone) throw new LvrError('IN_USE', `${target} cannot be detached: ${mountPoint} stays mounted: ${last}`);
    }
    await endServer(`${mountPoint}.pid`);
    rmSync(`${mountPoint}.pid`, { force: true });
    rmSync(mountPoint, { recursive: true, force: true });
  }
}

/** One nbdfuse process. It has a process group of its own: Ctrl-C on the agent must not take devices away before their users are gone. */
class FuseServer {
  readonly #child: ChildProcess;
  readonly #target: string;
  readonly #pidFile: string;
  #stderr = '';
  #ended = '';
  #onExit: ((reason: string) => void) | undefined;

  constructor(request: AttachRequest, mountPoint: string, file: string) {
    this.#target = request.target;
    this.#pidFile = `${mountPoint}.pid`;
    const uri = `nbd+unix:///${encodeURIComponent(request.target)}?socket=${encodeURIComponent(request.socketPath)}`;
    const flags = ['-C', String(CONNECTIONS), '-P', this.#pidFile, ...(request.readOnly ? ['-r'] : [])];
    this.#child = spawn('nbdfuse', [...flags, file, uri], { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_BYTES_MAX);
    });
    this.#child.on('error', (error) => this.#end(error.message));
    this.#child.on('exit', (code, signal) => this.#end(`nbdfuse ended (${signal ?? `exit ${code}`})`));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when the file is there. nbdfuse writes its pid file at that moment. */
  async ready(): Promise<void> {
    const settled = await becomes(MOUNT_MS, () => this.#ended !== '' || existsSync(this.#pidFile));
    if (settled && this.#ended === '') return;
    const why = settled
      ? [this.#ended, this.#stderr.trim()].filter(Boolean).join(': ')
      : `nbdfuse was not ready within ${MOUNT_MS / 1000} s`;
    throw new LvrError('ATTACH', `${this.#target} cannot be attached: ${why}`);
  }

  onExit(fn: (reason: string) => void): void {
    this.#onExit = fn;
    if (this.#ended !== '') fn(this.#ended);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #end(reason: string): void {
    if (this.#ended !== '') return;
    this.#ended = reason;
    this.#onExit?.(reason);
  }
}

/** For a free loop device, while others look for one too. */
const LOOP_TRIES = 8;
const LOOP_WAIT_MS = 20;

async function attachLoop(request: AttachRequest, file: string, wanted: string | undefined): Promise<string> {
  const place = wanted === undefined ? ['--find'] : [wanted];
  const flags = ['--show', '--direct-io=on', `--sector-size=${request.blockBytes}`, ...(request.readOnly ? ['--read-only'] : [])];
  const words = wanted === undefined ? [...place, ...flags, file] : [...flags, ...place, file];
  let result = await runTool('losetup', words);
  // Somebody else may have taken the device that losetup had found free.
  for (let tries = 1; wanted === undefined && tries < LOOP_TRIES && result.code !== 0 && /busy/i.test(result.stderr); tries++) {
    await sleep(tries * LOOP_WAIT_MS);
    result = await runTool('losetup', words);
  }
  const device = result.stdout || wanted || '';
  if (result.code !== 0) throw new LvrError('ATTACH', `no loop device for ${request.target}: ${result.stderr}`, { hint: 'losetup --list' });
  return device;
}

/** Loop devices whose backing file lies in the directory. */
function loopDevicesIn(directory: string): string[] {
  return readdirSync('/sys/class/block')
    .filter((name) => /^loop\d+$/.test(name) && dirname(backingFile(`/dev/${name}`)) === directory)
    .map((name) => `/dev/${name}`);
}

/** Waits for the nbdfuse of a mount that is gone; one that does not notice is killed. */
async function endServer(pidFile: string): Promise<void> {
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, 'utf8').trim());
  const isOurs = (): boolean => commandLine(pid).includes(pidFile);
  if (!(await becomes(RELEASE_MS, () => !isOurs())) && isOurs()) process.kill(pid, 'SIGKILL');
}

/** Arguments of a process; empty when it is gone or a zombie. */
function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
