// Runs what would notice a planted bug, until something does: random runs, small worlds, damaged logs, failing operations, a scenario.
// Started by test/sim/planted.ts with the bug in its environment; prints one line of JSON.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runScenario } from '../../src/sim/scenario.js';
import { selftest } from '../../src/sim/selftest.js';
import { highWaterWorlds } from '../disk/high-water-worlds.js';
import { DISK_BYTES, resizeWorlds } from '../disk/resize-worlds.js';
import { passthroughWorlds } from '../group/passthrough-worlds.js';
import { nthIo } from './nth-io.js';
import { damagedLogs, smallWorlds } from './small-worlds.js';

const [order = 'runs', seed = '1', rounds = '40'] = process.argv.slice(2);

const SCENARIO_SEEDS = 12;

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

/** A scenario that leads close to the bug, as it is written, then with several seeds, for which only the oracles count. */
async function scenario(): Promise<Caught | undefined> {
  const name = process.argv[3] ?? '';
  const text = readFileSync(join(import.meta.dirname, '..', '..', '..', 'test', 'scenarios', name), 'utf8');
  const asWritten = await runScenario(text);
  if (asWritten.message !== '') {
    const oracle = asWritten.message.split(':')[0] ?? '';
    return { by: `scenario ${name}`, oracle, message: asWritten.message, script: [] };
  }
  for (let seed = 1; seed <= SCENARIO_SEEDS; seed++) {
    const { message } = await runScenario(`knob seed=${seed}\n${text.replace(/^(expect|knob seed=).*$/gm, '')}expect a up=true\n`);
    const oracle = message.split(':')[0] ?? '';
    if (message !== '' && oracle !== 'scenario') return { by: `scenario ${name}, seed ${seed}`, oracle, message, script: [] };
  }
  return undefined;
}

async function resize(): Promise<Caught | undefined> {
  const { violation } = await resizeWorlds(1, ['two laps'], [DISK_BYTES]);
  return violation === undefined ? undefined : { by: 'change of size', oracle: 'durability', message: violation, script: [] };
}

async function highWater(): Promise<Caught | undefined> {
  const { violation } = await highWaterWorlds();
  return violation === undefined ? undefined : { by: 'high-water mark', oracle: 'loud', message: violation, script: [] };
}

async function passthrough(): Promise<Caught | undefined> {
  const { violation } = await passthroughWorlds(Number(seed), Number(rounds));
  return violation === undefined ? undefined : { by: 'passthrough', oracle: 'promise', message: violation, script: [] };
}

const WAYS: Readonly<Record<string, () => Promise<Caught | undefined>>> = {
  runs,
  small,
  damage,
  nth,
  scenario,
  resize,
  'high-water': highWater,
  passthrough,
};
let caught: Caught | undefined;
for (const way of order.split(',')) caught ??= await WAYS[way]?.();
console.log(JSON.stringify(caught ?? null));
