// Stable names of attached devices: state_dir/by-res/GROUP/VOLUME always, /dev/lvr/by-res/GROUP/VOLUME when no other agent of this machine
// has that name. Owns these symbolic links.

import { mkdirSync, readlinkSync, rmdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isServed } from './holders.js';

const DEV_DIRECTORY = '/dev/lvr/by-res';

/** Points the names of `target` at `device`; returns the best of them. */
export function makeLinks(stateDir: string, target: string, device: string): string {
  const own = join(stateDir, 'by-res', target);
  replaceLink(own, device);
  const shared = join(DEV_DIRECTORY, target);
  const present = linkTarget(shared);
  if (present !== '' && present !== device && isServed(present)) return own;
  try {
    replaceLink(shared, device);
    return shared;
  } catch {
    // A read-only /dev, or not root: the name under state_dir is as good.
    return own;
  }
}

/** Removes the names of `target` that point at `device`. Throws when one stays. */
export function removeLinks(stateDir: string, target: string, device: string): void {
  try {
    removeLink(join(DEV_DIRECTORY, target), device);
  } finally {
    removeLink(join(stateDir, 'by-res', target), device);
  }
}

function removeLink(path: string, device: string): void {
  if (linkTarget(path) !== device) return;
  rmSync(path, { force: true });
  removeIfEmpty(dirname(path));
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Names of other volumes are in it.
  }
}

function replaceLink(path: string, device: string): void {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(device, path);
}

function linkTarget(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
