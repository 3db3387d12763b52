// The agent and the command line for a test machine: each as one file, in the place of its main.js, in an archive that the machine
// unpacks over the host's files as it boots. An emulated machine takes three seconds to find, open and compile the three hundred files
// of the agent, and one second for the same code in one. Everything else is read from the host over 9p, so nothing depends on the
// archive being complete.
//
// Made for each workspace, from the files as they are now: a machine never runs code that is no longer in the checkout.

import { chmodSync, copyFileSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { LVR, LVRD } from '../../helpers/agent.js';
import { mustRun } from '../../helpers/command.js';
import { REPOSITORY, type Workspace } from '../../helpers/workspace.js';

/** What a program finds beside itself; places relative to the importing module are right because all of src/ lies at one depth. */
const FILES = ['package.json', 'native/build/Release/lvr.node'];
/** Packages written for require() find it in a file of modules too. */
const REQUIRE = "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);";

const archives = new WeakMap<Workspace, Promise<string>>();

/** Path of the archive of this workspace. */
export function codeArchive(workspace: Workspace): Promise<string> {
  const known = archives.get(workspace) ?? make(workspace);
  archives.set(workspace, known);
  return known;
}

/** Makes the directories down to `path` below `top`, with the modes they have at their own place: those hide the host's. */
function makePlace(top: string, path: string): string {
  const parent = dirname(path);
  if (parent !== '/') makePlace(top, parent);
  mkdirSync(join(top, parent), { recursive: true });
  chmodSync(join(top, parent), statSync(parent).mode);
  return join(top, path);
}

async function make(workspace: Workspace): Promise<string> {
  const top = workspace.file('code');
  for (const program of [LVRD, LVR]) {
    const how = { bundle: true, platform: 'node', format: 'esm', target: 'node20', banner: { js: REQUIRE }, logLevel: 'error' } as const;
    await build({ ...how, entryPoints: [program], outfile: makePlace(top, program) });
  }
  for (const file of FILES) copyFileSync(join(REPOSITORY, file), makePlace(top, join(REPOSITORY, file)));
  const archive = workspace.file('code.cpio');
  await mustRun('bash', ['-c', 'find . -mindepth 1 | sort | cpio --quiet -o -H newc >"$0"', archive], { cwd: top });
  return archive;
}
