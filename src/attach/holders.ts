// Who uses a block device: mounts in any mount namespace, swap, devices stacked on it, processes that have it open by its usual name. Read
// from /proc and /sys each time; best effort where a process ends while it is looked at.

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';

/** Processes looked at; beyond that only mounts and stacked devices are found. */
const PROCESSES_MAX = 16_384;
const HOLDERS_SHOWN_MAX = 20;

/**
 * Users of `device` and its partitions in words, without those of the processes in `except`. Empty: it can be removed. What uses a
 * partition begins with its path.
 */
export function findHolders(device: string, except: readonly number[]): string[] {
  const found = new Set<string>();
  const parts = withPartitions(basename(device));
  for (const pid of processes()) {
    for (const where of mountsOf(pid, parts)) found.add(`mounted on ${where}`);
    if (except.includes(pid)) continue;
    for (const path of openOf(pid, parts)) found.add(`${ofPart(path, device)}open in ${nameOf(pid)} (pid ${pid})`);
  }
  const swaps = readText('/proc/swaps')
    .split('\n')
    .map((line) => line.split(/\s/)[0]);
  for (const { path, directory } of parts) {
    if (swaps.includes(path)) found.add(`${ofPart(path, device)}used as swap`);
    for (const holder of listNames(`${directory}/holders`)) found.add(`${ofPart(path, device)}held by /dev/${holder}`);
  }
  for (const loop of listNames('/sys/class/block').filter((name) => name.startsWith('loop'))) {
    const path = backingFile(loop);
    if (parts.some((part) => part.path === path)) found.add(`${ofPart(path, device)}held by /dev/${loop}`);
  }
  return [...found].sort().slice(0, HOLDERS_SHOWN_MAX);
}

/** A device or a partition of it: its node, its directory in sysfs, and `major:minor` as mountinfo writes it. */
type Part = { readonly path: string; readonly directory: string; readonly number: string };

/** The device of this name and its partitions, as far as they exist. */
function withPartitions(name: string): Part[] {
  const directory = `/sys/class/block/${name}`;
  const partitions = listNames(directory).filter((entry) => entry.startsWith(name));
  return [directory, ...partitions.map((entry) => `${directory}/${entry}`)]
    .map((at) => ({ path: `/dev/${basename(at)}`, directory: at, number: readText(`${at}/dev`).trim() }))
    .filter(({ number }) => number !== '');
}

function ofPart(path: string, device: string): string {
  return path === device ? '' : `${path}: `;
}

function processes(): number[] {
  return listNames('/proc')
    .filter((name) => /^\d+$/.test(name))
    .slice(0, PROCESSES_MAX)
    .map(Number);
}

/**
 * Mount points (octal escapes for blanks are left as they are) on one of the parts, as this process sees them: by device number, or by the
 * source, because btrfs has a number of its own.
 */
function mountsOf(pid: number, parts: readonly Part[]): string[] {
  const found: string[] = [];
  for (const line of readText(`/proc/${pid}/mountinfo`).split('\n')) {
    const fields = line.split(' ', 6);
    const source = line.split(' - ', 2)[1]?.split(' ')[1];
    if (parts.some(({ number, path }) => number === fields[2] || path === source)) found.push(fields[4] ?? '');
  }
  return found;
}

/** Which of the parts a process has open. */
function openOf(pid: number, parts: readonly Part[]): string[] {
  const directory = `/proc/${pid}/fd`;
  const open = new Set<string>();
  for (const fd of listNames(directory)) {
    try {
      open.add(readlinkSync(`${directory}/${fd}`));
    } catch {
      // Closed meanwhile.
    }
  }
  return parts.map(({ path }) => path).filter((path) => open.has(path));
}

/** The command name of a process, or `?`. */
export function nameOf(pid: number): string {
  return readText(`/proc/${pid}/comm`).trim() || '?';
}

/** Start time of a process in clock ticks since boot (proc(5), stat field 22), or '' when it is gone: with the pid it names one process. */
export function startOf(pid: number): string {
  const text = readText(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

/** Whether something is mounted at `path` (also a FUSE mount whose server has died). */
export function isMountPoint(path: string): boolean {
  return readText('/proc/self/mountinfo')
    .split('\n')
    .some((line) => line.split(' ', 6)[4] === path.replaceAll(' ', '\\040'));
}

/** The file behind a loop device, or '' when it has none. */
export function backingFile(device: string): string {
  return readText(`/sys/class/block/${basename(device)}/loop/backing_file`).trim();
}

/** Whether there is something behind a loop or nbd device. */
export function isServed(device: string): boolean {
  return backingFile(device) !== '' || readText(`/sys/class/block/${basename(device)}/pid`) !== '';
}

/** Whether the path is a block device node. */
export function isBlockDevice(path: string): boolean {
  try {
    return statSync(path).isBlockDevice();
  } catch {
    return false;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function listNames(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
