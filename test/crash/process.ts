// Crash images of the real process: the writes and flushes of lvrd under load are recorded, what a power cut could leave of them at every
// instant is built, the product recovers each image, and an oracle looks whether everything promised by then is there and both volumes
// together are a prefix of what was written. The same without flushes must fail, or the check would be worth nothing.
//
// SEED chooses load and images; the trace itself depends on timing as well. LVR_CRASH_IMAGES sets the images of each trace. The first
// image that fails is kept below .cache/.

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Random } from '../helpers/random.js';
import { REPOSITORY, Workspace } from '../helpers/workspace.js';
import type { Figures, ImageOptions } from './images.js';
import { judgeImages } from './judge-images.js';
import { eatmydata, noFlush, preloading } from './preloads.js';
import { type Recording, record, recordSecondary, type WorkloadOptions } from './workload.js';

const IMAGES = process.env['LVR_CRASH_IMAGES'] === undefined ? undefined : Number(process.env['LVR_CRASH_IMAGES']);
const ENDS = [
  { laps: 1.2, by: 'kill' },
  { laps: 2.1, by: 'stop' },
  { laps: 3.2, by: 'kill' },
] as const;
const THROUGH_IMAGES = 1000;
const SECONDARY_IMAGES = 1500;
const SECONDARY_LAPS = 1.5;
const CONTROL_IMAGES = 400;
const IMAGES_WANTED = 2000;

const workspace = new Workspace('images');
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);

/** Of all traces but those of the controls. */
const totals = { images: 0, violations: 0 };

type Plan = WorkloadOptions & ImageOptions;

/** Records what `plan` says and judges images of it. */
async function imagesOf(t: Test, plan: Plan, isControl = false): Promise<Figures> {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  return judged(t, plan, random, await record(workspace, random, plan), isControl);
}

async function judged(t: Test, plan: ImageOptions & { name: string }, random: Random, recording: Recording, isControl = false) {
  const { name } = plan;
  const { answers, role } = recording;
  const keepIn = isControl ? undefined : join(REPOSITORY, '.cache', 'crash-images', name);
  const realIn = isControl || role === 'secondary' ? undefined : workspace.file('real');
  const figures = await judgeImages({ recording, seed: random.seed, options: plan, keepIn, realIn });
  t.comment(`figures: ${name}, SEED=${random.seed}: ${answers} answers; ${figures.line()}`);
  if (!isControl) {
    totals.images += figures.images;
    totals.violations += figures.violations;
  }
  return figures;
}

/** Without these the images would prove little. */
function checkReach(t: Test, figures: Figures): void {
  const least = {
    prefixes: 500,
    subsets: 300,
    torn: 150,
    tornTails: 30,
    superblockCuts: 50,
    replayed: 500,
    twice: 50,
    creation: 10,
    real: 1,
    laps: 3,
  };
  for (const [what, wanted] of Object.entries(least)) {
    const reached = figures[what as keyof typeof least];
    t.ok(reached >= wanted, `${what}: ${reached}, at least ${wanted}`);
  }
}

for (const plan of [
  { name: 'direct', io: 'direct', environment: {} },
  { name: 'buffered', io: 'buffered', environment: { LVR_IO: 'threads' } },
] as const) {
  t.test(`${plan.name} volumes: every image of a power cut holds what was promised, and the volumes are one prefix`, async (t) => {
    const figures = await imagesOf(t, { ...plan, ends: ENDS, imagesWanted: IMAGES });
    t.same(figures.problems, []);
    t.equal(figures.violations, 0);
    if ((IMAGES ?? IMAGES_WANTED) < IMAGES_WANTED) return;
    t.ok(figures.images >= IMAGES_WANTED, `${figures.images} images`);
    checkReach(t, figures);
  });
}

t.test('write_cache = false: every image holds every write that was answered', async (t) => {
  const plan = { name: 'through', io: 'direct', environment: {}, writeCache: false, ends: [{ laps: 1.2, by: 'kill' }] } as const;
  const figures = await imagesOf(t, { ...plan, imagesWanted: IMAGES ?? THROUGH_IMAGES });
  t.same(figures.problems, []);
  t.ok(figures.images > 100, `${figures.images} images`);
});

t.test('a secondary in mode logged: every image is a prefix, and promoted it holds every write that was answered', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const recording = await recordSecondary(workspace, random, 'secondary', SECONDARY_LAPS);
  const figures = await judged(t, { name: 'secondary', imagesWanted: IMAGES ?? SECONDARY_IMAGES }, random, recording);
  t.same(figures.problems, []);
  t.ok(figures.images > 100 && figures.replayed > 50, `${figures.images} images, ${figures.replayed} with records to apply`);
});

/** A process whose flushes are lost. */
async function control(t: Test, name: string, environment: Readonly<Record<string, string>>): Promise<Figures> {
  const plan = { name, io: 'direct', environment, ends: [{ laps: 1.5, by: 'kill' }] } as const;
  return imagesOf(t, { ...plan, imagesWanted: CONTROL_IMAGES }, true);
}

t.test('control: with eatmydata only the flushes of the volumes are lost, and the check fails', async (t) => {
  // The log is written with RWF_DSYNC, which eatmydata does not know: it takes disks with flushes of their own to see this.
  const figures = await control(t, 'control-eatmydata', preloading(eatmydata()));
  t.ok(figures.logFlushes > 50 && figures.volumeFlushes < 5, `${figures.logFlushes} and ${figures.volumeFlushes} flushes`);
  t.comment(`such as: ${figures.problems[0]}`);
  t.ok(figures.violations > figures.images / 10, `${figures.violations} of ${figures.images} images fail`);
  t.ok(
    figures.problems.some((problem) => problem.includes('is no prefix')),
    'writes are missing that the log had let go of',
  );
});

t.test('control: with eatmydata and RWF_DSYNC taken away nothing is durable, and the check fails', async (t) => {
  const figures = await control(t, 'control-no-flush', preloading(eatmydata(), noFlush(workspace)));
  t.ok(figures.logFlushes + figures.volumeFlushes < 8, `${figures.logFlushes} and ${figures.volumeFlushes} flushes`);
  t.comment(`such as: ${figures.problems[0]}`);
  t.ok(figures.violations > figures.images / 10, `${figures.violations} of ${figures.images} images fail`);
});

t.test('figures', async (t) => {
  t.comment(`figure crash images, of one site: ${totals.images} (${totals.violations} violations)`);
  t.ok(totals.images > 0);
});
