// Runs one fuzz target: the inputs kept in corpus/ first, then so many drawn ones, from a seed that is fixed unless FUZZ_SEED names
// another (make soak does). What is said about every target: it throws nothing (a target turns the refusals that are allowed into results),
// it comes back, and it asks for no more memory than it may. Counts inputs: one is one byte string in one fragmentation given to the code.
//
// A failure is printed as JSON; put into corpus/TARGET.json it is tried in every later run.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import fc from 'fast-check';
import type { Test } from 'tap';
import { INPUTS, type TargetName } from './plan.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const CORPUS = join(ROOT, 'test', 'fuzz', 'corpus');
const SEED = Number(process.env['FUZZ_SEED'] ?? 20_261_125);
/** Inputs of every target times this. */
const FACTOR = Number(process.env['FUZZ_FACTOR'] ?? 1);
/** Processor time of one input, and time on the clock: a soak may wait long for its turn on a machine that has other work. */
const HANG_CPU_MS = 5_000;
const HANG_MS = 60_000;
/** All of a target, and the search for a smaller example: inputs that were not tried by then count as missing. */
const TARGET_MS = Number(process.env['FUZZ_TARGET_MS'] ?? 400_000);
const MIB = 1 << 20;

/** What the inputs of a target came to. */
export type Tally = { inputs: number; readonly outcomes: Map<string, number> };

/** Notes what became of an input (or of so many, or of a part of one: 0). */
export type Count = (outcome: string, inputs?: number) => void;

/** A target: `draw` gives plain data, `probe` makes inputs of it and judges what the code does with them (it throws). */
export type Target<Case> = {
  readonly name: TargetName;
  readonly draw: fc.Arbitrary<Case>;
  /** Inputs that one case makes at least; 1 when not given. */
  readonly inputsPerCase?: number;
  readonly probe: (drawn: Case, count: Count) => void | Promise<void>;
  /** Memory outside the heap that one case may ask for. */
  readonly limitBytes?: number;
  /** Outcomes that must have been met: the generator is known to reach them. */
  readonly expected?: readonly string[];
};

/** Throws unless `holds`: an oracle of a target. */
export function judge(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`oracle: ${what}`);
}

function corpusOf(name: string): unknown[] {
  const file = join(CORPUS, `${name}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as unknown[]) : [];
}

function externalBytes(): number {
  return getHeapStatistics().external_memory;
}

/** Everything that holds for every case of every target. */
async function guarded<Case>(target: Target<Case>, drawn: Case, count: Count): Promise<void> {
  const startMs = performance.now();
  const cpu = process.cpuUsage();
  const before = externalBytes();
  await target.probe(drawn, count);
  const asked = externalBytes() - before;
  judge(asked <= (target.limitBytes ?? 4 * MIB), `${asked} bytes of memory for one input`);
  const tookMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpu);
  const cpuMs = (user + system) / 1000;
  judge(cpuMs < HANG_CPU_MS && tookMs < HANG_MS, `${tookMs.toFixed(0)} ms for one input, ${cpuMs.toFixed(0)} ms of a processor`);
}

/** Runs a target as a test of its own. */
export function fuzz<Case>(t: Test, target: Target<Case>): void {
  t.setTimeout(0);
  t.test(`${target.name}: no input is taken wrongly, hangs, or ends in anything but a refusal`, { timeout: 0 }, async (t) => {
    const tally: Tally = { inputs: 0, outcomes: new Map() };
    const count: Count = (outcome, inputs = 1) => {
      tally.inputs += inputs;
      tally.outcomes.set(outcome, (tally.outcomes.get(outcome) ?? 0) + 1);
    };
    const examples = corpusOf(target.name).map((drawn) => [drawn] as [Case]);
    const property = fc.asyncProperty(target.draw, (drawn) => guarded(target, drawn, count));
    const numRuns = Math.ceil((INPUTS[target.name] * FACTOR) / (target.inputsPerCase ?? 1)) + examples.length;
    const startMs = performance.now();
    const result = await fc.check(property, { seed: SEED, numRuns, examples, interruptAfterTimeLimit: TARGET_MS });
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    if (result.failed) {
      const drawn = JSON.stringify(result.counterexample?.[0]);
      mkdirSync(join(ROOT, '.cache'), { recursive: true });
      writeFileSync(join(ROOT, '.cache', `fuzz-${target.name}.json`), `[${drawn}]\n`);
      const error = result.errorInstance;
      t.fail(`${error instanceof Error ? error.stack : String(error)}\nseed ${result.seed}, for corpus/${target.name}.json: ${drawn}`);
    }
    t.comment(`${seconds} s: ${JSON.stringify(Object.fromEntries([...tally.outcomes].sort()))}`);
    t.comment(`figure fuzz, ${target.name}: ${tally.inputs} inputs`);
    t.ok(result.failed || tally.inputs >= INPUTS[target.name] * FACTOR, 'as many inputs as planned');
    const missed = (target.expected ?? []).filter((outcome) => !tally.outcomes.has(outcome));
    if (FACTOR >= 1) t.same(missed, [], 'outcomes that no input has met');
  });
}
