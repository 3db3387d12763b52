// Fuzzing of the native code that parses or indexes, by libFuzzer with AddressSanitizer and UBSan: test/fuzz/native/NAME.cc is a target,
// test/fuzz/native/corpus/NAME/ holds inputs that are tried first. The headers under test are those that the addon is built from.

import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { NATIVE_INPUTS } from './plan.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const SOURCES = join(ROOT, 'test', 'fuzz', 'native');
/** What a failing input is kept as, for the corpus. */
const FAILURES = join(ROOT, '.cache', 'fuzz-native-');
const COMPILE = ['-std=c++17', '-g', '-O1', '-Wall', '-Wextra', '-Werror', '-fno-sanitize-recover=all'];
const SANITIZE = '-fsanitize=fuzzer,address,undefined';
const SEED = process.env['FUZZ_SEED'] ?? '20261125';
const FACTOR = Number(process.env['FUZZ_FACTOR'] ?? 1);
const DEADLINE_MS = 300_000;
/** One input that takes longer hangs. */
const HANG_SECONDS = 10;

const hasClang = spawnSync('clang++', ['--version']).status === 0;
const skip = hasClang ? false : 'there is no clang++ (Debian packages clang and libclang-rt-dev)';

function run(command: string, parameters: readonly string[]): Promise<{ error: Error | null; output: string }> {
  return new Promise((resolve) => {
    execFile(command, parameters, { timeout: DEADLINE_MS, maxBuffer: 1 << 26, cwd: ROOT }, (error, stdout, stderr) => {
      resolve({ error, output: `${stdout}\n${stderr}` });
    });
  });
}

mkdirSync(join(ROOT, '.cache'), { recursive: true });
const directory = mkdtempSync(join(tmpdir(), 'lvr-fuzz-native-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
t.setTimeout(0);

for (const [name, inputs] of Object.entries(NATIVE_INPUTS)) {
  t.test(`native ${name}: no input breaks memory, arithmetic or what is checked`, { skip, timeout: 0 }, async (t) => {
    const program = join(directory, name);
    const source = join(SOURCES, `${name}.cc`);
    const built = await run('clang++', [...COMPILE, SANITIZE, '-I', join(ROOT, 'native'), '-o', program, source]);
    t.equal(built.error, null, `it compiles: ${built.output.slice(0, 4000)}`);
    if (built.error !== null) return;
    const kept = join(SOURCES, 'corpus', name);
    const found = join(directory, `${name}-corpus`);
    mkdirSync(found);
    const runs = Math.ceil(inputs * FACTOR);
    const limits = [
      `-runs=${runs}`,
      `-seed=${SEED}`,
      '-max_len=512',
      `-timeout=${HANG_SECONDS}`,
      '-malloc_limit_mb=64',
      '-rss_limit_mb=1024',
    ];
    const { error, output } = await run(program, [...limits, `-artifact_prefix=${FAILURES}${name}-`, found, kept]);
    t.equal(error, null, `with seed ${SEED}: ${output.slice(-6000)}`);
    const done = Number(/^Done (\d+) runs/m.exec(output)?.[1] ?? '0');
    const covered = Number(/DONE +cov: (\d+)/.exec(output)?.[1] ?? '0');
    t.ok(done >= runs, 'as many inputs as planned');
    t.ok(covered > 10, 'what is tried reaches the code');
    t.comment(`figure fuzz, native ${name}: ${done} inputs, ${covered} edges`);
  });
}
