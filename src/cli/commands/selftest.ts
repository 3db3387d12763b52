// lvr selftest: runs the simulator on this machine. Sites, disks and network are simulated; core, group, link and disk code are those of
// this installation.

import { readFileSync } from 'node:fs';
import type { CommandModule } from 'yargs';
import { VERSION } from '../../agent/version.js';
import { LvrError, messageOf } from '../../core/errors.js';
import { type GlobalOptions, printResult } from '../output.js';

type Options = GlobalOptions & { seed: number | undefined; rounds: number; shrink: boolean; script: string | undefined };

const SEEDS = 1_000_000_000;

/** The command. */
export const selftestCommand: CommandModule<GlobalOptions, Options> = {
  command: 'selftest',
  describe: 'simulate sites, faults and crashes, and check every promise',
  builder: (yargs) =>
    yargs
      .option('seed', { type: 'number', requiresArg: true, describe: 'first seed; the same seed gives the same run' })
      .option('rounds', { type: 'number', default: 20, requiresArg: true, describe: 'seeds to run' })
      .option('shrink', { type: 'boolean', default: true, describe: 'make a failing run small' })
      .option('script', { type: 'string', requiresArg: true, describe: 'run the lines of this file instead' }),
  handler: async (options) => {
    if (options.script !== undefined) return runScript(options, options.script);
    const { failureText, selftest } = await import('../../sim/selftest.js');
    const seed = options.seed ?? Math.floor(Math.random() * SEEDS);
    if (!Number.isSafeInteger(seed) || seed < 0 || !(options.rounds >= 1)) throw new LvrError('USAGE', 'seed and rounds are whole numbers');
    const result = await selftest({ seed, rounds: options.rounds, shrinks: options.shrink });
    const { failure } = result;
    const sums = `${result.seeds} seeds from ${seed}, ${result.virtualHours.toFixed(1)} virtual hours, ${result.answers} answers checked`;
    const text =
      failure === null
        ? `${sums}: no violation`
        : `lvr ${VERSION}: ${failureText(failure)}\n\nagain: lvr selftest --seed ${failure.seed} --rounds 1`;
    printResult(options, { ...result, seed, version: VERSION }, text);
    if (failure !== null) process.exitCode = 1;
  },
};

async function runScript(options: Options, path: string): Promise<void> {
  const { runScenario } = await import('../../sim/scenario.js');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new LvrError('USAGE', `cannot read ${path}: ${messageOf(error)}`);
  }
  const outcome = await runScenario(text);
  printResult(options, outcome, outcome.message === '' ? `${path}: as expected` : `${path}:${outcome.line}: ${outcome.message}`);
  if (outcome.message !== '') process.exitCode = 1;
}
