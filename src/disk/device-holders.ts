// Who is using a device or file that could not be opened: read from /proc and /sys for the error message, best effort.

import { existsSync, readdirSync, readFileSync, type Stats } from 'node:fs';

/** Text of a file, or '' when it cannot be read: this only feeds messages. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** 'major:minor' as /sys and mountinfo write it; the bits are those of glibc's gnu_dev_major and gnu_dev_minor. */
export function deviceNumber(rdev: number): string {
  const bits = BigInt(rdev);
  const major = ((bits >> 8n) & 0xfffn) | ((bits >> 32n) & 0xfffff000n);
  const minor = (bits & 0xffn) | ((bits >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/** The device's own number and its partitions': a mounted partition makes the whole disk busy too. */
function numbersOf(number: string): string[] {
  const directory = `/sys/dev/block/${number}`;
  const partitions = list(directory).filter((name) => existsSync(`${directory}/${name}/partition`));
  return [number, ...partitions.map((name) => read(`${directory}/${name}/dev`).trim())];
}

/** Mount points and kernel holders (device mapper, md, swap) of the block device, as phrases for a message. */
export function blockHolders(rdev: number): string[] {
  const numbers = numbersOf(deviceNumber(rdev));
  const found: string[] = [];
  for (const line of read('/proc/self/mountinfo').split('\n')) {
    const fields = line.split(' ');
    if (numbers.includes(fields[2] ?? '')) found.push(`mounted on ${fields[4] ?? '?'}`);
  }
  for (const number of numbers) {
    for (const holder of list(`/sys/dev/block/${number}/holders`)) found.push(`held by ${holder}`);
  }
  return found;
}

/** Processes with a flock on the file, as phrases for a message. */
export function lockHolders(stats: Stats): string[] {
  const found: string[] = [];
  for (const line of read('/proc/locks').split('\n')) {
    // 1: FLOCK  ADVISORY  WRITE 4242 fe:00:1573 0 EOF
    const fields = line.trim().split(/\s+/);
    const pid = fields[4] ?? '';
    if (fields[1] === 'FLOCK' && (fields[5] ?? '').endsWith(`:${stats.ino}`))
      found.push(`locked by ${read(`/proc/${pid}/comm`).trim()} (pid ${pid})`);
  }
  return found;
}
