// Judges the pairs of images of one recording in a thread of their own (pairs-worker.ts).

import { Worker } from 'node:worker_threads';
import { PairFigures } from './pair-figures.js';
import type { PairRecording } from './pair-workload.js';

/** What the thread is given. */
export interface PairJob {
  readonly recording: PairRecording;
  readonly seed: number;
  readonly wanted: number;
  /** Where the first pair that fails is kept; undefined: not done. */
  readonly keepIn: string | undefined;
}

/** Resolves with the figures when all pairs are judged. */
export function judgePairs(job: PairJob): Promise<PairFigures> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./pairs-worker.js', import.meta.url), { workerData: job });
    worker.once('message', (figures: PairFigures) => resolve(Object.assign(new PairFigures(), figures)));
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the thread ended with ${code} before it was done`)));
  });
}
