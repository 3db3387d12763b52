// Every short life of one site: all sequences of up to three operations, cut off by a crash after every device operation, and the recovery
// from it cut off again, up to three times. After each the promises are judged as in the long runs.

import { RING_START } from '../../src/format/superblock.js';
import type { SimDisk } from '../../src/sim/disk.js';
import { plainKnobs } from '../../src/sim/knobs.js';
import { finish } from '../../src/sim/run.js';
import { Script } from '../../src/sim/script.js';
import { Violation } from '../../src/sim/violation.js';
import { shortly } from '../../src/sim/world.js';

/** What was run. A state is what a crash left for a recovery to find. */
export type SmallFigures = { sequences: number; states: number; violation: Violation | undefined; what: string };

// Two writes that overlap each other, one of the same shape elsewhere, one on the other volume, what reads as zeroes, and the two ways
// to ask for durability.
const OPERATIONS = [
  'write a data 0 4096',
  'write a data 2048 4096',
  'write a wal 8192 4096 fua',
  'zero a data 512 3072',
  'trim a wal 8192 2048',
  'flush a',
];
const RECOVERY_MS = 20_000;
const LIFE_MS = 5_000;

type Crash = { readonly kind: 'power' | 'process'; readonly after: number };

function sequences(length: number): string[][] {
  if (length === 0) return [[]];
  return sequences(length - 1).flatMap((head) => (head.length === length - 1 ? OPERATIONS.map((operation) => [...head, operation]) : []));
}

/** A site alone, on copies of disks that already hold a group with some history. */
class SmallWorld {
  readonly script: Script;
  #left = Number.POSITIVE_INFINITY;
  #isCut = false;
  operations = 0;

  constructor(base: readonly SimDisk[], seed: number) {
    this.script = new Script({ ...plainKnobs(seed), sites: 1, volumeBytes: 64 * 1024, logMs: [0.2], volumeMs: 0.3 });
    const { site } = this;
    for (const disk of site.disks) disk.discard();
    site.setDisks(base.map((disk) => disk.clone()));
    site.hadLog = true;
  }

  get site() {
    return this.script.world.site('a');
  }

  /** From here on only `operations` device operations complete. */
  allow(operations: number): void {
    this.#left = operations;
    this.#isCut = false;
    this.operations = 0;
    for (const device of this.site.devices) {
      device.intercept = () => {
        this.operations++;
        if (this.#left-- > 0) return 0;
        this.#isCut = true;
        return 'hang';
      };
    }
  }

  /** Starts the site with so many operations; true when it came up. */
  async start(operations: number): Promise<boolean> {
    const { script } = this;
    script.start(this.site);
    this.allow(operations);
    const until = script.world.nowMs + RECOVERY_MS;
    const isUp = (): boolean => this.site.isUp && this.site.group.open;
    await script.world.clock.run(until, () => isUp() || this.#isCut || script.refusals.size > 0);
    return isUp();
  }

  /** The operations, each with or without time to complete before the next. */
  async live(lines: readonly string[], pauses: boolean): Promise<void> {
    const { world } = this.script;
    for (const line of lines) {
      if (this.#isCut) return;
      await this.script.line(line);
      if (pauses) await world.clock.run(world.nowMs + 3, () => this.#isCut);
    }
    // A checkpoint follows when nothing happens for two seconds.
    await world.clock.run(world.nowMs + LIFE_MS, () => this.#isCut);
  }

  crash(kind: 'power' | 'process'): void {
    this.script.crash(this.site, kind, false);
  }
}

/** Disks of a site that was started, wrote a little, and ended. */
async function baseDisks(): Promise<SimDisk[]> {
  const script = new Script({ ...plainKnobs(1), sites: 1, volumeBytes: 64 * 1024 });
  let disks: SimDisk[] = [];
  await finish(script, async () => {
    await script.begin();
    script.crash(script.world.site('a'), 'power', false);
    const site = script.world.site('a');
    disks = site.disks.map((disk) => disk.clone());
  });
  return disks;
}

/** One life: operations, a crash, recoveries that are crashed, one that is not, and the verdict. Returns its device operations. */
async function oneLife(
  base: readonly SimDisk[],
  lines: readonly string[],
  crashes: readonly Crash[],
  pauses: boolean,
  seed: number,
  figures: SmallFigures,
): Promise<{ life: number; recovery: number }> {
  const small = new SmallWorld(base, seed);
  const counted = { life: 0, recovery: 0 };
  const violation = await finish(small.script, async () => {
    await small.start(Number.POSITIVE_INFINITY);
    const [first, ...others] = crashes;
    small.allow(first?.after ?? Number.POSITIVE_INFINITY);
    await small.live(lines, pauses);
    counted.life = small.operations;
    for (const { kind, after } of others) {
      small.crash(first?.kind ?? 'power');
      figures.states++;
      await small.start(after);
      small.crash(kind);
    }
    if (others.length === 0) small.crash(first?.kind ?? 'power');
    figures.states++;
    if (!(await small.start(Number.POSITIVE_INFINITY))) {
      const refusal = small.script.refusals.get('a');
      throw new Violation('recovery', refusal === undefined ? 'the site does not come up' : shortly(refusal));
    }
    counted.recovery = small.operations;
    small.script.checkAll();
    if (seed % 4 === 1) await writeAndCut(small, figures);
    // What was read may have stood in a cache: a flush answered now is a promise too.
    if (first?.kind === 'process') await flushAndCut(small, figures);
  });
  if (violation !== undefined && figures.violation === undefined) {
    figures.violation = small.script.violation ?? violation;
    figures.what = `${lines.join('; ')} | ${crashes.map((crash) => `${crash.kind} after ${crash.after}`).join(', ')} | seed ${seed}`;
  }
  return counted;
}

/** A second life on top: what the first crash left behind the end of the log must not come back in it. */
async function writeAndCut(small: SmallWorld, figures: SmallFigures): Promise<void> {
  await small.script.line('write a data 0 4096 fua');
  await small.script.line('wait 2');
  await cutAndCheck(small, figures);
}

async function flushAndCut(small: SmallWorld, figures: SmallFigures): Promise<void> {
  await small.script.line('flush a');
  await small.script.line('wait 5');
  await cutAndCheck(small, figures);
}

async function cutAndCheck(small: SmallWorld, figures: SmallFigures): Promise<void> {
  small.crash('power');
  figures.states++;
  if (!(await small.start(Number.POSITIVE_INFINITY))) throw new Violation('recovery', 'the site does not come up after a power cut');
  small.script.checkAll();
}

/**
 * Crashes of a recovery that ends after `recovery` operations: one, two and three in a row. `salt` grows from state to state, so that over
 * the states of a sequence each operation has its turn.
 */
function recoveryCrashes(recovery: number, salt: number): Crash[][] {
  const once = Array.from({ length: recovery }, (_, after): Crash[] => [{ kind: (after + salt) % 3 === 0 ? 'process' : 'power', after }]);
  const twice = once.map(([crash], i): Crash[] => [crash as Crash, { kind: 'power', after: (i * 3 + salt) % recovery }]);
  const thrice = twice.map((pair, i): Crash[] => [...pair, { kind: 'power', after: (i * 5 + salt) % recovery }]);
  const some = (of: Crash[][], step: number): Crash[][] => of.filter((_, i) => (i + salt) % step === 0);
  return [...some(once, 2), ...some(twice, 4), ...some(thrice, 4)];
}

/** Runs sequences number `from`, `from + step`, ...; stops at the first violation, or when `statesMax` is reached. */
export async function smallWorlds(from: number, step: number, statesMax = Number.POSITIVE_INFINITY): Promise<SmallFigures> {
  const figures: SmallFigures = { sequences: 0, states: 0, violation: undefined, what: '' };
  const base = await baseDisks();
  const all = [...sequences(1), ...sequences(2), ...sequences(3)];
  let salt = from;
  for (let at = from; at < all.length && figures.states < statesMax; at += step) {
    const lines = all[at] as string[];
    figures.sequences++;
    const pauses = at % 2 === 0;
    const { life } = await oneLife(base, lines, [], pauses, at, figures);
    for (let after = 0; after < life && figures.violation === undefined; after++) {
      for (const kind of ['power', 'process'] as const) {
        salt++;
        const { recovery } = await oneLife(base, lines, [{ kind, after }], pauses, salt, figures);
        if (kind === 'process' && at % 3 !== 0) continue;
        for (const more of recoveryCrashes(Math.max(1, recovery), salt)) {
          if (figures.violation !== undefined) break;
          await oneLife(base, lines, [{ kind, after }, ...more], pauses, ++salt, figures);
        }
      }
    }
    if (figures.violation !== undefined) break;
  }
  for (const disk of base) disk.discard();
  return figures;
}

/** A log of several flushed batches, damaged in one place at a time: everything but its end must be refused. */
export async function damagedLogs(): Promise<SmallFigures> {
  const figures: SmallFigures = { sequences: 1, states: 0, violation: undefined, what: '' };
  const base = await baseDisks();
  const batches = 6;
  for (let batch = 0; batch < batches - 1 && figures.violation === undefined; batch++) {
    for (const place of [0, 70, 120, 300, 4096, 6000]) {
      const small = new SmallWorld(base, place);
      figures.violation = await finish(small.script, async () => {
        await small.start(Number.POSITIVE_INFINITY);
        for (let i = 0; i < batches; i++) {
          await small.script.line(`write a data ${i * 4096} 4096 fua`);
          await small.script.line('wait 3');
        }
        small.crash('power');
        figures.states++;
        small.site.log.corrupt(RING_START + batch * 8192 + place, place % 8);
        small.script.world.tainted.add('a');
        const isUp = await small.start(Number.POSITIVE_INFINITY);
        // A byte that no record covers may change unnoticed; then the site must hold everything.
        if (!isUp && small.script.refusals.get('a')?.code === 'LOG_CORRUPT') return;
        const { appendedLsn } = small.site.group.log;
        if (appendedLsn < batches) throw new Violation('loud', `LSN ${batch + 1} is damaged, and the log was cut to LSN ${appendedLsn}`);
        const words = new Uint32Array(small.site.volumes[0]?.view.slice(batch * 4096, batch * 4096 + 4096).buffer as ArrayBuffer);
        if (words.some((word, i) => i % 128 !== 1 && word !== words[0]))
          throw new Violation('loud', `LSN ${batch + 1} is damaged and was applied`);
      });
      figures.what = `batch ${batch}, byte ${place}`;
      if (figures.violation !== undefined) break;
    }
  }
  for (const disk of base) disk.discard();
  return figures;
}
