// Runs what would notice a planted bug, until something does: random runs, then the small worlds, then failing operations, or what it is told. Started by
// test/sim/planted.ts with the bug in its environment; prints one line of JSON.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runScenario } from '../../src/sim/scenario.js';
import { selftest } from '../../src/sim/selftest.js';
import { nthIo } from './nth-io.js';
import { damagedLogs, smallWorlds } from './small-worlds.js';

const [order = 'runs', seed = '1', rounds = '40'] = process.argv.slice(2);

type Caught = { by: string; oracle: string; message: string; script: readonly string[] };

async function runs(): Promise<Caught | undefined> {
  const { failure } = await selftest({ seed: Number(seed), rounds: Number(rounds), shrinks: process.env['LVR_SHRINK'] === '1' });
  return failure === null ? undefined : { by: `seed ${failure.seed}`, ...failure };
}

async function small(): Promise<Caught | undefined> {
  const { violation, what } = await smallWorlds(7, 13, 12_000);
  return violation === undefined
    ? undefined
    : { by: `small world: ${what}`, oracle: violation.oracle, message: violation.message, script: [] };
}

async function damage(): Promise<Caught | undefined> {
  const { violation, what } = await damagedLogs();
  return violation === undefined
    ? undefined
    : { by: `damaged log: ${what}`, oracle: violation.oracle, message: violation.message, script: [] };
}

async function nth(): Promise<Caught | undefined> {
  const { violation, what } = await nthIo(0, 2, process.argv[3] === undefined ? undefined : [process.argv[3]]);
  return violation === undefined ? undefined : { by: what, oracle: violation.oracle, message: violation.message, script: [] };
}

/** A file of test/scenarios. */
async function scenario(): Promise<Caught | undefined> {
  const name = process.argv[3] as string;
  const { message } = await runScenario(readFileSync(join(import.meta.dirname, '..', '..', '..', 'test', 'scenarios', name), 'utf8'));
  return message === '' ? undefined : { by: `scenario ${name}`, oracle: message.split(':')[0] as string, message, script: [] };
}

const WAYS: Readonly<Record<string, () => Promise<Caught | undefined>>> = { runs, small, damage, nth, scenario };
let caught: Caught | undefined;
for (const way of order.split(',')) caught ??= await WAYS[way]?.();
console.log(JSON.stringify(caught ?? null));
