// The version of this build, from package.json.

import { readFileSync } from 'node:fs';

/** Read once; `0.0.0` when package.json is not where the build expects it. */
export const VERSION: string = readVersion();

function readVersion(): string {
  try {
    const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
    return String((JSON.parse(text) as { version?: unknown }).version ?? '0.0.0');
  } catch {
    return '0.0.0';
  }
}
