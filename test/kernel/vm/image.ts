// Kernel, modules and initial ram disk of the test machines, made from Debian's own package and kept in .cache/vm of the checkout.
//
// Order: everything is made in a directory of its own, which is renamed into place at the end, so a killed run leaves nothing half made and
// two runs at once do no harm. Made again when it is missing, or when init.sh or the list of drivers has changed.

import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { mustRun, runCommand } from '../../helpers/command.js';
import { REPOSITORY } from '../../helpers/workspace.js';

/** Where this harness has its shell scripts; the compiled tree has none. */
export const VM_SOURCES = join(REPOSITORY, 'test/kernel/vm');
/** What is needed before the host's root file system can be seen, and what every machine needs: from here they load faster. */
const EARLY_DRIVERS = ['virtio_pci', 'virtio_console', '9p', '9pnet_virtio', 'overlay', 'virtio_net', 'virtio_blk', 'virtio_rng'];
const CACHE = join(REPOSITORY, '.cache/vm');
const XZ_MAGIC = Buffer.from('fd377a585a00', 'hex');
const DOWNLOAD_MS = 300_000;

/** Files to start a machine with. */
export interface VmImage {
  readonly release: string;
  readonly kernel: string;
  readonly initrd: string;
  /** To be mounted over /lib/modules. */
  readonly modules: string;
  /** A cpio archive to be unpacked over the root file system. */
  readonly code?: string;
}

/** Why no test machine can run here; undefined: it can. */
export function vmMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'test machines need root';
  const places = (process.env['PATH'] ?? '').split(':');
  const programs = ['qemu-system-x86_64', 'apt-get', 'dpkg-deb', 'cpio', 'depmod', 'busybox', 'strace'];
  const absent = programs.filter((name) => !places.some((place) => existsSync(join(place, name))));
  return absent.length === 0 ? undefined : `not installed: ${absent.join(', ')}`;
}

/** The files, made if needed: a download of 70 MB and half a minute the first time. */
export async function prepareImage(): Promise<VmImage> {
  const init = readFileSync(join(VM_SOURCES, 'init.sh'));
  const key = createHash('sha256').update(init).update(EARLY_DRIVERS.join()).digest('hex').slice(0, 12);
  const system = await prepareKernel();
  const initrd = join(CACHE, `initrd-${system.release}-${key}.gz`);
  if (!existsSync(initrd)) await makeInitrd(system, initrd);
  return { ...system, initrd };
}

type System = Omit<VmImage, 'initrd'>;

/** The kernel that was unpacked before, or else what linux-image-amd64 depends on now. */
async function prepareKernel(): Promise<System> {
  const found = existsSync(CACHE) ? readdirSync(CACHE).find((name) => name.startsWith('linux-')) : undefined;
  if (found !== undefined) return systemIn(join(CACHE, found));
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, 'making-'));
  try {
    const name = await download(work);
    const release = name.replace('linux-image-', '');
    const file = readdirSync(work).find((entry) => entry.endsWith('.deb'));
    if (file === undefined) throw new Error(`apt-get download ${name} left no package in ${work}`);
    const tree = join(work, 'tree');
    await mustRun('dpkg-deb', ['-x', join(work, file), tree], { timeoutMs: DOWNLOAD_MS });
    await mustRun('depmod', ['-b', tree, release], { timeoutMs: DOWNLOAD_MS });
    await unpackKernel(join(tree, 'boot'), release);
    const place = join(CACHE, `linux-${release}`);
    if (!existsSync(place)) renameSync(tree, place);
    return systemIn(place);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function systemIn(place: string): System {
  const release = basename(place).replace('linux-', '');
  const unpacked = join(place, 'boot/vmlinux');
  const kernel = existsSync(unpacked) ? unpacked : join(place, 'boot', `vmlinuz-${release}`);
  return { release, kernel, modules: join(place, 'lib/modules') };
}

/** The kernel as an ELF file, which QEMU starts directly: unpacking itself takes it three seconds under TCG. Other than xz: packed. */
async function unpackKernel(boot: string, release: string): Promise<void> {
  const packed = readFileSync(join(boot, `vmlinuz-${release}`));
  // Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length.
  const start = ((packed.readUInt8(0x1f1) || 4) + 1) * 512 + packed.readUInt32LE(0x248);
  if (!packed.subarray(start, start + 6).equals(XZ_MAGIC)) return;
  const payload = join(boot, 'payload.xz');
  writeFileSync(payload, packed.subarray(start, start + packed.readUInt32LE(0x24c)));
  await mustRun('bash', ['-c', 'xz -dc --single-stream "$0" >"$1"', payload, join(boot, 'vmlinux')]);
  rmSync(payload);
}

/** Downloads the package that linux-image-amd64 stands for into `directory`; refreshes apt's lists once if they are missing or too old. */
async function download(directory: string): Promise<string> {
  let problem = '';
  for (const refresh of [false, true]) {
    if (refresh) await mustRun('apt-get', ['update', '-q'], { timeoutMs: DOWNLOAD_MS });
    const shown = await runCommand('apt-cache', ['depends', 'linux-image-amd64']);
    const name = /Depends: (linux-image-\S+)/.exec(shown.stdout)?.[1];
    if (name === undefined) {
      problem = `apt knows no linux-image-amd64: ${shown.stderr}`;
      continue;
    }
    const got = await runCommand('apt-get', ['download', '-q', name], { cwd: directory, timeoutMs: DOWNLOAD_MS });
    if (got.code === 0) return name;
    problem = got.stderr;
  }
  throw new Error(`the kernel for the test machines could not be downloaded: ${problem}`);
}

/** A busybox, the early drivers in the order in which they load, and init.sh. */
async function makeInitrd(system: System, target: string): Promise<void> {
  const work = mkdtempSync(join(CACHE, 'making-'));
  try {
    const root = join(work, 'root');
    for (const place of ['bin', 'modules', 'proc', 'sys', 'dev', 'lower', 'upper', 'root'])
      mkdirSync(join(root, place), { recursive: true });
    cpSync('/bin/busybox', join(root, 'bin/busybox'));
    cpSync(join(VM_SOURCES, 'init.sh'), join(root, 'init'));
    const order: string[] = [];
    for (const driver of EARLY_DRIVERS) {
      const tree = join(system.modules, '../..');
      const listed = await mustRun('modprobe', ['-d', tree, '-S', system.release, '--show-depends', driver]);
      for (const [, path] of listed.matchAll(/^insmod (\S+)/gm)) {
        if (path === undefined || order.includes(basename(path))) continue;
        order.push(basename(path));
        cpSync(path, join(root, 'modules', basename(path)));
      }
    }
    writeFileSync(join(root, 'modules/order'), `${order.join('\n')}\n`);
    const archive = join(work, 'initrd.gz');
    const pack = 'chmod 755 init bin/busybox && find . | cpio --quiet -o -H newc | gzip -1';
    await mustRun('bash', ['-c', `set -o pipefail; (${pack}) >"$0"`, archive], { cwd: root });
    renameSync(archive, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
