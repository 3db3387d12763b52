// The fuzz targets for `make soak`: one after the other in processes of their own, with a seed of their own.

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Part of the inputs of `make test` in one round. */
const FACTOR = '0.2';
const DEADLINE_MS = 600_000;
const TARGETS = readdirSync(import.meta.dirname).filter(
  (name) => name.endsWith('.js') && /^fuzz\(|NATIVE_INPUTS\)/m.test(readFileSync(join(import.meta.dirname, name), 'utf8')),
);

/** Runs all targets; `failure` is empty when nothing was found, else what the target said. */
export async function fuzzRound(seed: number): Promise<{ inputs: number; failure: string }> {
  let inputs = 0;
  for (const target of TARGETS) {
    const said = await runTarget(target, seed);
    for (const [, count] of said.output.matchAll(/# figure fuzz, .*: (\d+) inputs/g)) inputs += Number(count);
    if (said.failed)
      return { inputs, failure: `fuzz ${target} with FUZZ_SEED=${seed} FUZZ_FACTOR=${FACTOR}\n${said.output.slice(0, 10_000)}` };
  }
  return { inputs, failure: '' };
}

function runTarget(target: string, seed: number): Promise<{ failed: boolean; output: string }> {
  const env = { ...process.env, FUZZ_SEED: String(seed), FUZZ_FACTOR: FACTOR, TAP_BAIL: '0' };
  const options = { env, timeout: DEADLINE_MS, maxBuffer: 1 << 26 };
  return new Promise((resolve) => {
    execFile(process.execPath, [join(import.meta.dirname, target)], options, (error, stdout) => {
      resolve({ failed: error !== null, output: stdout });
    });
  });
}
