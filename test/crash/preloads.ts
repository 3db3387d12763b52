// Libraries that take the durability of a process away, for the negative controls. They cannot get between io_uring and the kernel, so such
// a process runs on the thread pool.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { REPOSITORY, type Workspace } from '../helpers/workspace.js';

/** What `eatmydata COMMAND` preloads: fsync and fdatasync do nothing. Throws when it is not installed. */
export function eatmydata(): string {
  return execFileSync('eatmydata', ['sh', '-c', 'echo "$LD_PRELOAD"'], { encoding: 'utf8' }).trim();
}

/** The library that takes RWF_DSYNC away, which eatmydata does not know. */
export function noFlush(workspace: Workspace): string {
  const library = workspace.file('no-flush.so');
  execFileSync('gcc', ['-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', library, join(REPOSITORY, 'test/crash/no-flush.c')]);
  return library;
}

/** The environment of a process with these libraries. */
export function preloading(...libraries: readonly string[]): Readonly<Record<string, string>> {
  return { LVR_IO: 'threads', LD_PRELOAD: libraries.join(':') };
}
