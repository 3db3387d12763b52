// Judges the pairs of images of one recording, in a thread of its own.

import { apart } from '../helpers/apart.js';
import { Random } from '../helpers/random.js';
import { PairFigures } from './pair-figures.js';
import type { PairRecording } from './pair-workload.js';
import { Pairs } from './pairs.js';

/** Which recording, and what of it. */
export interface PairJob {
  readonly recording: PairRecording;
  readonly seed: number;
  readonly wanted: number;
  /** Where the first pair that fails is kept; undefined: not done. */
  readonly keepIn: string | undefined;
}

/** Makes and judges the pairs, in this thread. */
export function figuresOf({ recording, seed, wanted, keepIn }: PairJob): Promise<PairFigures> {
  return new Pairs(recording, new Random(seed), wanted, keepIn).run();
}

/** Resolves with the figures when all pairs are judged. */
export async function judgePairs(job: PairJob): Promise<PairFigures> {
  return Object.assign(new PairFigures(), await apart<typeof figuresOf>(new URL(import.meta.url), 'figuresOf', job));
}
