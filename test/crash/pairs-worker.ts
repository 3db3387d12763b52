// Makes and judges the pairs of images of one recording in a thread of its own, as images-worker.ts does for images. Ends with one message:
// the figures.

import { parentPort, workerData } from 'node:worker_threads';
import { Random } from '../helpers/random.js';
import type { PairJob } from './judge-pairs.js';
import { Pairs } from './pairs.js';

const { recording, seed, wanted, keepIn } = workerData as PairJob;
const figures = await new Pairs(recording, new Random(seed), wanted, keepIn).run();
parentPort?.postMessage({ ...figures });
