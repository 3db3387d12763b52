// Makes and judges the pairs of images of one recording in a thread of its own, as images-worker.ts does for images. Ends with one message:
// the figures.

import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../helpers/random.js';
import type { PairRecording } from './pair-workload.js';
import { Pairs } from './pairs.js';

/** What the thread is given. */
export interface PairJob {
  readonly recording: PairRecording;
  readonly seed: number;
  readonly wanted: number;
  /** Where the first pair that fails is kept; undefined: not done. */
  readonly keepIn: string | undefined;
}

const { recording, seed, wanted, keepIn } = workerData as PairJob;
const figures = await new Pairs(recording, new Random(seed), wanted, keepIn).run();
parentPort?.postMessage({ ...figures });
