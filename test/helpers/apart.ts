// Runs work of many promises in a thread of its own. The test framework follows every promise of the main thread (async_hooks), which
// makes a simulated run five times as long as it is without.

import { Worker } from 'node:worker_threads';

/** What the thread is given. */
export interface ApartJob {
  /** URL of a module, and the name of a function that it exports. */
  readonly module: string;
  readonly name: string;
  readonly parameters: readonly unknown[];
}

type Work = (...parameters: never[]) => Promise<unknown>;

/**
 * Calls the function that `module` exports by this name, in a thread. Parameters and result are copied as structuredClone() does it: plain
 * objects, maps and typed arrays, nothing with methods. Rejects with what the function throws.
 */
export function apart<Fn extends Work>(module: URL, name: string, ...parameters: Parameters<Fn>): Promise<Awaited<ReturnType<Fn>>> {
  const job: ApartJob = { module: module.href, name, parameters };
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./apart-thread.js', import.meta.url), { workerData: job });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the thread of ${name} ended with ${code} before it was done`)));
  });
}
