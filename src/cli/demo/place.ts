// Everything the demo makes on this machine: one directory, processes, mounts. Owner of its removal, which works from any state: at the
// end, after a failure, on Ctrl-C.

import { type ChildProcess, execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statfsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LvrError } from '../../core/errors.js';

/** Room for two logs and for what is written, twice. */
const FREE_BYTES_MIN = 1024 ** 3;
/** Where agents put stable names of devices; the demo's group is `app`. */
const NAMES = '/dev/lvr/by-res';
const TMPFS_MAGIC = 0x01021994;
const TOOL_MS = 30_000;
const END_MS = 20_000;
const UMOUNT_TRIES = 50;

/** Tools the demo runs, and the Debian packages they come from. */
const TOOLS: Readonly<Record<string, string>> = {
  'mkfs.ext4': 'e2fsprogs',
  'fsck.ext4': 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  xfs_repair: 'xfsprogs',
  nbdfuse: 'libnbd-bin',
  fusermount3: 'fuse3',
  losetup: 'mount',
};

/** The demo's directory and everything in it. */
export class Place {
  readonly path: string;
  readonly #children = new Set<ChildProcess>();
  #removal: Promise<void> | undefined;

  constructor() {
    this.path = mkdtempSync(join(baseDirectory(), 'lvr-demo-'));
  }

  /** A process to be ended with the place. */
  adopt(child: ChildProcess): void {
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
  }

  /** Mounts a device at a new directory; returns the path. */
  async mount(device: string, name: string): Promise<string> {
    const where = join(this.path, name);
    await mkdir(where, { recursive: true });
    await run('mount', [device, where]);
    return where;
  }

  /** Unmounts; a file system whose device is gone may need a few tries. */
  async umount(where: string): Promise<void> {
    let last = '';
    for (let i = 0; i < UMOUNT_TRIES; i++) {
      if (!mountsBelow(where).includes(where)) return;
      last = await run('umount', [where]).then(
        () => '',
        (error: unknown) => String(error),
      );
      if (last !== '') await sleep(100);
    }
    if (last !== '') throw new LvrError('FAILED', `${where} cannot be unmounted: ${last}`);
  }

  /** Removes mounts, devices, processes and files; safe to call twice and at any time. */
  remove(): Promise<void> {
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  async #remove(): Promise<void> {
    for (const where of mountsBelow(join(this.path, 'mnt')))
      await this.umount(where).catch(() => run('umount', ['--lazy', where]).catch(() => undefined));
    await Promise.all([...this.#children].map(endChild));
    for (const device of loopsBelow(this.path)) await run('losetup', ['--detach', device]).catch(() => undefined);
    for (const where of mountsBelow(this.path).reverse())
      await this.umount(where).catch(() => run('umount', ['--lazy', where]).catch(() => undefined));
    removeStaleNames();
    await rm(this.path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** Names under /dev that a killed agent left, pointing at devices that serve nothing any more. */
function removeStaleNames(): void {
  const directory = join(NAMES, 'app');
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const device = basename(readlinkSync(path));
    if (!existsSync(`/sys/class/block/${device}/loop/backing_file`)) rmSync(path, { force: true });
  }
  if (readdirSync(directory).length === 0) rmSync(directory, { recursive: true });
}

/** Throws LvrError naming what is missing on this machine, with the fix. */
export function checkMachine(): void {
  if (process.getuid?.() !== 0)
    throw new LvrError('PERMISSION', 'the demo makes devices and mounts, so it must run as root', { hint: 'sudo lvr demo' });
  const directories = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  const missing = Object.keys(TOOLS).filter((tool) => !directories.some((directory) => existsSync(join(directory, tool))));
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((tool) => TOOLS[tool] ?? tool))].join(' ');
    throw new LvrError('FAILED', `not installed: ${missing.join(', ')}`, { hint: `apt-get install ${packages}` });
  }
  for (const device of ['/dev/fuse', '/dev/loop-control']) {
    if (!existsSync(device))
      throw new LvrError('FAILED', `there is no ${device}`, { hint: 'modprobe fuse loop (in a container: pass the devices in)' });
  }
}

/** Runs a tool and returns its output. Throws FAILED with what it said. */
export function run(command: string, parameters: readonly string[]): Promise<string> {
  const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  return new Promise((resolve, reject) => {
    execFile(command, [...parameters], { timeout: TOOL_MS, env: { ...process.env, PATH } }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout.trim());
      else
        reject(
          new LvrError('FAILED', `${command} ${parameters.join(' ')}: ${stderr.trim() || stdout.trim() || error.message}`, {
            cause: error,
          }),
        );
    });
  });
}

/** A directory on a real file system with enough room: the agents use O_DIRECT, which a tmpfs may not have. */
function baseDirectory(): string {
  for (const directory of [tmpdir(), '/var/tmp']) {
    const { type, bavail, bsize } = statfsSync(directory);
    if (type !== TMPFS_MAGIC && bavail * bsize >= FREE_BYTES_MIN) return directory;
  }
  throw new LvrError('DISK_FULL', `neither ${tmpdir()} nor /var/tmp is a disk with 1 GiB free`, { hint: 'TMPDIR=/some/disk lvr demo' });
}

async function endChild(child: ChildProcess): Promise<void> {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS);
  await ended;
  clearTimeout(timer);
}

/** Mount points at or below a path, outer ones first. */
function mountsBelow(path: string): string[] {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ', 6)[4] ?? '');
  return points.filter((point) => point === path || point.startsWith(`${path}/`));
}

function loopsBelow(path: string): string[] {
  const names = readdirSync('/sys/class/block').filter((name) => /^loop\d+$/.test(name));
  return names
    .filter((name) => {
      const file = `/sys/class/block/${name}/loop/backing_file`;
      return existsSync(file) && readFileSync(file, 'utf8').startsWith(`${path}/`);
    })
    .map((name) => `/dev/${name}`);
}
