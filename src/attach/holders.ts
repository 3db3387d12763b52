// Who uses a block device: mounts in any mount namespace, swap, devices stacked on it, processes that have it open. Read from /proc and
// /sys each time; best effort where a process ends while it is looked at.

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';

/** Processes looked at; beyond that only mounts and stacked devices are found. */
const PROCESSES_MAX = 16_384;
const HOLDERS_SHOWN_MAX = 20;

/** Users of `device` in words, without those of the processes in `except`. Empty: it can be removed. */
export function findHolders(device: string, except: readonly number[]): string[] {
  const found = new Set<string>();
  const numbers = deviceNumbers(device);
  for (const pid of processes()) {
    for (const where of mountsOf(pid, numbers)) found.add(`mounted on ${where}`);
    if (!except.includes(pid) && hasOpen(pid, device)) found.add(`open in ${nameOf(pid)} (pid ${pid})`);
  }
  for (const line of readText('/proc/swaps').split('\n')) if (line.split(/\s/)[0] === device) found.add('used as swap');
  for (const holder of listNames(`/sys/class/block/${basename(device)}/holders`)) found.add(`held by /dev/${holder}`);
  return [...found].sort().slice(0, HOLDERS_SHOWN_MAX);
}

/** `major:minor` of the device and of its partitions, as mountinfo writes them. */
function deviceNumbers(device: string): Set<string> {
  const name = basename(device);
  const directory = `/sys/class/block/${name}`;
  const names = [
    directory,
    ...listNames(directory)
      .filter((entry) => entry.startsWith(name))
      .map((entry) => `${directory}/${entry}`),
  ];
  return new Set(names.map((path) => readText(`${path}/dev`).trim()).filter((number) => number !== ''));
}

function processes(): number[] {
  return listNames('/proc')
    .filter((name) => /^\d+$/.test(name))
    .slice(0, PROCESSES_MAX)
    .map(Number);
}

/** Mount points (octal escapes for blanks are left as they are) on one of the device numbers, as this process sees them. */
function mountsOf(pid: number, numbers: Set<string>): string[] {
  const found: string[] = [];
  for (const line of readText(`/proc/${pid}/mountinfo`).split('\n')) {
    const fields = line.split(' ', 6);
    if (numbers.has(fields[2] ?? '')) found.push(fields[4] ?? '');
  }
  return found;
}

function hasOpen(pid: number, device: string): boolean {
  const directory = `/proc/${pid}/fd`;
  return listNames(directory).some((fd) => {
    try {
      return readlinkSync(`${directory}/${fd}`) === device;
    } catch {
      return false;
    }
  });
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
