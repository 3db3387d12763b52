// make soak HOURS=n: the generators of the simulator's stage and of the fuzz stage with fresh seeds until the time is over. Two workers;
// figures after every round; the first violation ends it with exit code 1 and its script or input in .cache/.

import { mkdirSync, writeFileSync } from 'node:fs';
import { fuzzRound } from '../fuzz/soak.js';
import { runSeeds } from './batches.js';
import { nthIo } from './nth-io.js';
import { smallWorlds } from './small-worlds.js';

const WORKERS = 2;
const ROUND_SEEDS = 100;
/** One round in so many is of small worlds, failing operations and fuzzing. */
const OTHER_EVERY = 6;
const PRIME = 17;

const hours = Number(process.argv[2] ?? '1');
const startMs = performance.now();
const endMs = startMs + hours * 3_600_000;
const sums = { seeds: 0, virtualHours: 0, answers: 0, crashStates: 0, failingIo: 0, fuzzInputs: 0 };
let next = Date.now() % 1_000_000_007;
let rounds = 0;
let failure = '';

/** A part of the exhaustive work, another one each time. */
async function other(round: number): Promise<void> {
  const small = await smallWorlds(round % PRIME, PRIME);
  sums.crashStates += small.states;
  if (small.violation !== undefined) failure = `${small.what}: ${small.violation.message}`;
  const nth = await nthIo(round % PRIME, PRIME);
  sums.failingIo += nth.runs;
  if (nth.violation !== undefined) failure = `${nth.what}: ${nth.violation.message}`;
  const fuzz = await fuzzRound(next + round);
  sums.fuzzInputs += fuzz.inputs;
  if (fuzz.failure !== '') failure = fuzz.failure;
}

async function worker(): Promise<void> {
  while (performance.now() < endMs && failure === '') {
    const round = rounds++;
    if (round % OTHER_EVERY === OTHER_EVERY - 1) await other(round);
    else {
      const first = next;
      next += ROUND_SEEDS;
      const result = await runSeeds(first, ROUND_SEEDS);
      sums.seeds += result.seeds;
      sums.virtualHours += result.virtualHours;
      sums.answers += result.answers;
      if (result.failure !== '') failure = result.failure;
    }
    const minutes = ((performance.now() - startMs) / 60_000).toFixed(1);
    console.log(
      `${minutes} min: ${sums.seeds} seeds, ${sums.virtualHours.toFixed(0)} virtual hours, ${sums.answers} answers, ` +
        `${sums.crashStates} crash states, ${sums.failingIo} failing operations, ${sums.fuzzInputs} fuzz inputs, ${failure === '' ? 0 : 1} violations`,
    );
  }
}

if (!(hours > 0)) throw new Error('HOURS is a positive number');
await Promise.all(Array.from({ length: WORKERS }, worker));
if (failure !== '') {
  mkdirSync('.cache', { recursive: true });
  writeFileSync('.cache/soak-failure.txt', `${failure}\n`);
  console.log(`\nVIOLATION (also in .cache/soak-failure.txt)\n${failure}`);
  process.exitCode = 1;
}
