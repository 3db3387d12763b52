// Judges the images of one recording, in a thread of its own.

import { apart } from '../helpers/apart.js';
import { Random } from '../helpers/random.js';
import { Figures, type ImageOptions, Images } from './images.js';
import { RealStart } from './real-start.js';
import type { Recording } from './workload.js';

/** Which recording, and what of it. */
export interface ImageJob {
  readonly recording: Recording;
  readonly seed: number;
  readonly options: ImageOptions;
  /** Where the first image that fails is kept, and where some images are recovered from real files; undefined: not done. */
  readonly keepIn: string | undefined;
  readonly realIn: string | undefined;
}

/** Makes and judges the images, in this thread. */
export async function figuresOf({ recording, seed, options, keepIn, realIn }: ImageJob): Promise<Figures> {
  const realStart = realIn === undefined ? undefined : new RealStart(realIn);
  const figures = await new Images(recording, new Random(seed), options, keepIn, realStart).run();
  realStart?.close();
  return figures;
}

/** Resolves with the figures when all images are judged. */
export async function judgeImages(job: ImageJob): Promise<Figures> {
  return Object.assign(new Figures(), await apart<typeof figuresOf>(new URL(import.meta.url), 'figuresOf', job));
}
