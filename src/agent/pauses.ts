// Which sites, and whose resyncs, an operator has paused: kept in the state directory, so that a restart of the agent, or of the machine,
// does not end what only an operator may end.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LvrError, messageOf } from '../core/errors.js';
import { replaceFile } from './state-dir.js';

/** What is paused: the link to a site, or copies to it. */
export type PauseKind = 'site' | 'sync';

export class Pauses {
  readonly #path: string;
  /** `kind group/site`. */
  readonly #paused: Set<string>;

  /** Throws FAILED when what was kept cannot be read. */
  constructor(stateDir: string) {
    this.#path = join(stateDir, 'paused.json');
    this.#paused = new Set(read(this.#path));
  }

  has(kind: PauseKind, group: string, site: string): boolean {
    return this.#paused.has(`${kind} ${group}/${site}`);
  }

  /** Durable before it returns. */
  set(kind: PauseKind, group: string, site: string, isPaused: boolean): void {
    const key = `${kind} ${group}/${site}`;
    if (this.#paused.has(key) === isPaused) return;
    const after = new Set(this.#paused);
    if (isPaused) after.add(key);
    else after.delete(key);
    replaceFile(this.#path, `${JSON.stringify([...after])}\n`);
    if (isPaused) this.#paused.add(key);
    else this.#paused.delete(key);
  }
}

function read(path: string): string[] {
  try {
    const keys: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (Array.isArray(keys) && keys.every((key) => typeof key === 'string')) return keys;
    throw new Error('it is no list of names');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new LvrError('FAILED', `${path} is damaged: ${messageOf(error)}`, { hint: 'remove it: nothing is paused then', cause: error });
  }
}
