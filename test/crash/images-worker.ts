// Makes and judges the images of one recording in a thread of its own, because the test framework follows every promise of the main one,
// and a recovery makes thousands. Ends with one message: the figures.

import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../helpers/random.js';
import { type ImageOptions, Images } from './images.js';
import { RealStart } from './real-start.js';
import type { Recording } from './workload.js';

/** What the thread is given. */
export interface ImageJob {
  readonly recording: Recording;
  readonly seed: number;
  readonly options: ImageOptions;
  /** Where the first image that fails is kept, and where some images are recovered from real files; undefined: not done. */
  readonly keepIn: string | undefined;
  readonly realIn: string | undefined;
}

const { recording, seed, options, keepIn, realIn } = workerData as ImageJob;
const realStart = realIn === undefined ? undefined : new RealStart(realIn);
const figures = await new Images(recording, new Random(seed), options, keepIn, realStart).run();
realStart?.close();
parentPort?.postMessage({ ...figures });
