// Whether this kernel has nbd. The client for it comes with a later version; until then its presence only changes what attach says.

import { existsSync } from 'node:fs';
import { runTool } from './run.js';

/** True when the module is loaded, built in, or could be loaded. */
export async function hasKernelNbd(): Promise<boolean> {
  if (existsSync('/sys/module/nbd')) return true;
  return (await runTool('modprobe', ['--dry-run', '--quiet', 'nbd'])).code === 0;
}
