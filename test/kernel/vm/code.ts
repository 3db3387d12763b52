// An archive of the files that starting an agent or the command line reads from this checkout, to be unpacked in a test machine as it
// boots. Four hundred files one by one over 9p cost an emulated machine more than the start itself. What is not in the archive is read
// from the host as everything else, so nothing depends on the list being complete.
//
// Made for each workspace, from the files as they are now: a machine never runs code that is no longer in the checkout.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LVR, LVRD } from '../../helpers/agent.js';
import { mustRun } from '../../helpers/command.js';
import { REPOSITORY, type Workspace } from '../../helpers/workspace.js';

const archives = new WeakMap<Workspace, Promise<string>>();

/** Path of the archive of this workspace. */
export function codeArchive(workspace: Workspace): Promise<string> {
  const known = archives.get(workspace) ?? make(workspace);
  archives.set(workspace, known);
  return known;
}

async function make(workspace: Workspace): Promise<string> {
  const files = new Set<string>();
  for (const program of [LVRD, LVR]) {
    const trace = workspace.file('opened');
    const words = ['-f', '-qq', '-e', 'trace=open,openat', '-e', 'status=successful', '-o', trace];
    await mustRun('strace', [...words, process.execPath, program, '--help']);
    for (const [, path] of readFileSync(trace, 'utf8').matchAll(/"([^"]+)"/g)) {
      if (path?.startsWith(`${REPOSITORY}/`)) files.add(path);
    }
  }
  // cpio wants each directory before what is in it, and with the mode that it has here. Node looks for package.json on the way up.
  const names = new Set<string>();
  for (const file of files) {
    const above: string[] = [];
    for (let place = dirname(file); place !== '/'; place = dirname(place)) above.unshift(place);
    const packages = above.map((place) => join(place, 'package.json')).filter((path) => existsSync(path));
    for (const path of [...above, ...packages, file]) names.add(path.slice(1));
  }
  const archive = workspace.file('code.cpio');
  await mustRun('bash', ['-c', 'cpio --quiet -o -H newc >"$0"', archive], { cwd: '/', input: `${[...names].join('\n')}\n` });
  return archive;
}
