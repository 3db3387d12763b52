// Checks that look at more than one key of the configuration, or at what the paths in it lead to (two spellings of one device). Reads the
// file system, changes nothing. A path that does not exist is no problem here: the group that needs it will say so.

import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { REGIONS_PER_VOLUME_MAX } from '../core/dirty-map.js';
import { NAME_PATTERN } from '../core/ids.js';
import { BLOCK_BYTES, LOG_BYTES_MIN, MIB, SITES_PER_GROUP_MAX, VOLUMES_PER_GROUP_MAX } from '../core/limits.js';
import { whyNoPace } from '../core/resync-pace.js';
import { limitProblems, toLimits } from './config-limits.js';
import type { ConfigFile } from './config-schema.js';
import { type Address, formatAddress, isLoopback } from './config-values.js';

const GROUPS_MAX = 64;
const NAME_RULE = 'expected 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit';

/** A problem at a key; `message` is what stands after `FILE:LINE key: `. */
export type ConfigProblem = { readonly path: readonly PropertyKey[]; readonly message: string };

type GroupFile = ConfigFile['groups'][string];

/** Problems in a file whose shape is right: `wrong` must be corrected, `insecure` needs insecure = true. */
export function checkConfig(file: ConfigFile): { wrong: ConfigProblem[]; insecure: ConfigProblem[] } {
  const wrong: ConfigProblem[] = [];
  checkName(wrong, ['agent', 'site'], file.agent.site);
  const names = Object.keys(file.groups);
  if (names.length > GROUPS_MAX) wrong.push({ path: ['groups'], message: `expected at most ${GROUPS_MAX} groups, got ${names.length}` });
  for (const [name, group] of Object.entries(file.groups)) checkGroup(wrong, ['groups', name], name, group, file.agent.site);
  checkListeners(wrong, file.agent);
  checkStorage(wrong, file);
  return { wrong, insecure: file.agent.insecure ? [] : insecureSites(file) };
}

function checkName(wrong: ConfigProblem[], path: PropertyKey[], name: string): void {
  if (!NAME_PATTERN.test(name)) wrong.push({ path, message: `${NAME_RULE}, got ${JSON.stringify(name)}` });
}

function checkGroup(wrong: ConfigProblem[], path: string[], name: string, group: GroupFile, self: string): void {
  checkName(wrong, path, name);
  const volumes = Object.entries(group.volumes);
  if (volumes.length === 0) wrong.push({ path: [...path, 'volumes'], message: 'expected at least one volume' });
  if (volumes.length > VOLUMES_PER_GROUP_MAX) {
    wrong.push({ path: [...path, 'volumes'], message: `expected at most ${VOLUMES_PER_GROUP_MAX} volumes, got ${volumes.length}` });
  }
  for (const [volume, { size, device }] of volumes) {
    const at = [...path, 'volumes', volume];
    checkName(wrong, at, volume);
    checkRegions(wrong, [...path, 'region'], group.region, size ?? fileBytes(device), volume);
    if (size === undefined) continue;
    if (size === 0) wrong.push({ path: [...at, 'size'], message: 'expected a size above 0' });
    if (size % BLOCK_BYTES !== 0)
      wrong.push({ path: [...at, 'size'], message: `expected a multiple of ${BLOCK_BYTES} bytes, got ${size}` });
  }
  checkLog(wrong, [...path, 'log'], group.log);
  checkResync(wrong, [...path, 'resync'], group.resync);
  checkSites(wrong, [...path, 'sites'], group.sites, self);
}

/** The regions of a volume are counted in 32 bits. */
function checkRegions(wrong: ConfigProblem[], path: string[], region: number, volumeBytes: number, volume: string): void {
  const regions = Math.ceil(volumeBytes / region);
  if (regions <= REGIONS_PER_VOLUME_MAX) return;
  wrong.push({
    path,
    message: `volume ${volume} would have ${regions} regions, at most ${REGIONS_PER_VOLUME_MAX} are possible: use a larger one`,
  });
}

function checkResync(wrong: ConfigProblem[], path: string[], resync: GroupFile['resync']): void {
  const { max_rate: maxRate, min_rate: minRate, latency_target: latencyTargetMs } = resync;
  const message = whyNoPace({ maxRate, minRate, latencyTargetMs });
  if (message !== undefined) wrong.push({ path: [...path, 'min_rate'], message });
}

function checkLimits(wrong: ConfigProblem[], path: string[], site: GroupFile['sites'][string]): void {
  if (site.limits === undefined) return;
  for (const { key, message } of limitProblems(toLimits(site.limits), site.mode)) {
    wrong.push({ path: key === '' ? path : [...path, key], message });
  }
}

function checkLog(wrong: ConfigProblem[], path: string[], log: GroupFile['log']): void {
  const at = [...path, 'size'];
  if (log.size === undefined) {
    if (!log.path.startsWith('/dev/')) wrong.push({ path: at, message: 'missing: a log in a file needs a size' });
    return;
  }
  if (log.size < LOG_BYTES_MIN) wrong.push({ path: at, message: `expected at least ${LOG_BYTES_MIN / MIB}MiB, got ${log.size} bytes` });
  if (log.size % BLOCK_BYTES !== 0) wrong.push({ path: at, message: `expected a multiple of ${BLOCK_BYTES} bytes, got ${log.size}` });
}

function checkSites(wrong: ConfigProblem[], path: string[], sites: GroupFile['sites'], self: string): void {
  const entries = Object.entries(sites);
  if (entries.length > SITES_PER_GROUP_MAX) {
    wrong.push({ path, message: `expected at most ${SITES_PER_GROUP_MAX} sites, got ${entries.length}` });
  }
  const seen = new Map<string, string>();
  for (const [site, settings] of entries) {
    const { address } = settings;
    const at = [...path, site];
    checkName(wrong, at, site);
    checkLimits(wrong, [...at, 'limits'], settings);
    if (site === self) wrong.push({ path: at, message: 'this is the name of this agent (agent.site); list only the others' });
    const key = formatAddress(address);
    const other = seen.get(key);
    if (other !== undefined) wrong.push({ path: [...at, 'address'], message: `${key} is already the address of site ${other}` });
    seen.set(key, site);
  }
}

function checkListeners(wrong: ConfigProblem[], agent: ConfigFile['agent']): void {
  const seen = new Map<string, string>();
  const add = (path: PropertyKey[], key: string): void => {
    const other = seen.get(key);
    if (other !== undefined) wrong.push({ path, message: `${key} is already used by ${other}` });
    else seen.set(key, path.join('.'));
  };
  const addTcp = (path: PropertyKey[], address: Address | undefined): void => {
    if (address && address.port !== 0) add(path, formatAddress(address));
  };
  add(['agent', 'control'], agent.control);
  addTcp(['agent', 'listen'], agent.listen);
  addTcp(['agent', 'metrics'], agent.metrics);
  (agent.nbd ?? []).forEach((listen, i) => {
    if (listen.kind === 'unix') add(['agent', 'nbd', i], listen.path);
    else addTcp(['agent', 'nbd', i], listen);
  });
}

/** Every volume and every log on storage of its own, and no log inside a volume. */
function checkStorage(wrong: ConfigProblem[], file: ConfigFile): void {
  const users = new Map<string, string>();
  const volumes = new Map<string, string>();
  const add = (path: string[], device: string, what: string): void => {
    const key = storageKey(device);
    const other = users.get(key);
    if (other !== undefined) wrong.push({ path, message: `${device} is already used by ${other}` });
    else users.set(key, what);
  };
  for (const [name, group] of Object.entries(file.groups)) {
    for (const [volume, { device }] of Object.entries(group.volumes)) {
      add(['groups', name, 'volumes', volume, 'device'], device, `volume ${name}/${volume}`);
      volumes.set(storageKey(device), `${name}/${volume}`);
    }
  }
  for (const [name, group] of Object.entries(file.groups)) {
    const path = ['groups', name, 'log', 'path'];
    add(path, group.log.path, `the log of ${name}`);
    const below = volumes.get(underlyingKey(group.log.path));
    if (below !== undefined) wrong.push({ path, message: `${group.log.path} lies on a file system on volume ${below}` });
  }
}

/** One key per piece of storage, whatever its spelling: device number, file system and inode, or resolved path of what is not there yet. */
function storageKey(path: string): string {
  try {
    const stat = statSync(path);
    return stat.isBlockDevice() ? `block ${stat.rdev}` : `file ${stat.dev} ${stat.ino}`;
  } catch {
    return `path ${resolveParent(path)}`;
  }
}

/** The key of the block device that holds the file system a path is on. */
function underlyingKey(path: string): string {
  for (let at = path, depth = 0; depth < 64; at = dirname(at), depth++) {
    try {
      return `block ${statSync(at).dev}`;
    } catch {
      if (at === '/') break;
    }
  }
  return '';
}

/** Size of a file that is there; 0 for anything else: the size of a device is known when it is opened. */
function fileBytes(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

function resolveParent(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

function insecureSites(file: ConfigFile): ConfigProblem[] {
  return Object.entries(file.groups).flatMap(([name, group]) =>
    Object.entries(group.sites)
      .filter(([, site]) => !isLoopback(site.address.host))
      .map(([site, { address }]) => ({
        path: ['groups', name, 'sites', site, 'address'],
        message: `${formatAddress(address)} is beyond this machine, and plain TCP there needs insecure = true`,
      })),
  );
}
