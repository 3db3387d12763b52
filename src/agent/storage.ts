// Refuses state and logs on a volume of lvr on this machine: to answer a write the agent would have to write there, and wait for itself.
// Follows a path to its file system, to the device below it, and from there through partitions, device mapper, md and loop devices. Reads
// /proc and /sys, changes nothing; what cannot be found out is no reason to refuse.

import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LvrError } from '../core/errors.js';
import { deviceNumber } from '../disk/device-holders.js';
import type { AgentConfig } from './config.js';

/** Devices stacked deeper are not looked at. */
const DEPTH_MAX = 16;

/** Where facts come from; tests put directories of their own in their place. */
export type Roots = { readonly sys: string; readonly mounts: string };
const REAL: Roots = { sys: '/sys', mounts: '/proc/self/mountinfo' };

/** Throws IN_USE for the first of the agent's own places that lies on an lvr volume of this machine. */
export function refuseOwnVolumes(config: AgentConfig, roots: Roots = REAL): void {
  const places = [
    ...(config.agent.hooks === undefined
      ? []
      : [{ what: 'the directory of hooks', path: config.agent.hooks, hint: 'set agent.hooks to a place on another disk' }]),
    { what: 'the state directory', path: config.agent.stateDir, hint: 'set agent.state_dir to a place on another disk' },
    ...config.groups.map(({ name, log }) => ({
      what: `the log of group ${name}`,
      path: log.path,
      hint: `set groups.${name}.log.path to a place on another disk`,
    })),
  ];
  for (const { what, path, hint } of places) {
    const found = lvrDeviceBelow(path, roots);
    if (found === undefined) continue;
    throw new LvrError('IN_USE', `${what}, ${path}, lies on ${found}, which is a volume of lvr itself`, { hint });
  }
}

/** The nbd device with a backend of lvr that a path is stored on. */
export function lvrDeviceBelow(path: string, roots: Roots = REAL): string | undefined {
  const number = numberBelow(path);
  return number === undefined ? undefined : search(number, roots, 0);
}

/** `major:minor` of the device a path is, or of the one its file system is on. What does not exist yet lies where its directory does. */
function numberBelow(path: string): string | undefined {
  for (let at = path, depth = 0; depth < 64; at = dirname(at), depth++) {
    try {
      const stat = statSync(at);
      return deviceNumber(stat.isBlockDevice() ? stat.rdev : stat.dev);
    } catch {
      if (at === dirname(at)) return undefined;
    }
  }
  return undefined;
}

function search(number: string, roots: Roots, depth: number): string | undefined {
  if (depth > DEPTH_MAX) return undefined;
  const directory = directoryOf(number, roots);
  if (directory === undefined) return searchMount(number, roots, depth);
  // A partition is a directory inside that of its disk.
  const disk = text(join(directory, 'partition')) === '' ? directory : dirname(directory);
  const name = basename(disk);
  if (/^nbd\d+$/.test(name) && text(join(disk, 'backend')).startsWith('lvr:')) return `/dev/${name}`;
  const file = text(join(disk, 'loop/backing_file'));
  if (file !== '') {
    const found = lvrDeviceBelow(file, roots);
    if (found !== undefined) return found;
  }
  for (const slave of names(join(disk, 'slaves'))) {
    const found = search(text(join(disk, 'slaves', slave, 'dev')), roots, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A file system with a number of its own (btrfs): its mount says which device it is on. */
function searchMount(number: string, roots: Roots, depth: number): string | undefined {
  for (const line of text(roots.mounts).split('\n')) {
    const [front = '', back = ''] = line.split(' - ');
    const source = back.split(' ')[1] ?? '';
    if (front.split(' ')[2] !== number || !source.startsWith('/dev/')) continue;
    const below = numberBelow(source);
    if (below !== undefined && below !== number) return search(below, roots, depth + 1);
  }
  return undefined;
}

function directoryOf(number: string, roots: Roots): string | undefined {
  try {
    return realpathSync(join(roots.sys, 'dev/block', number));
  } catch {
    return undefined;
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function names(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
