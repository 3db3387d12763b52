// The test runner behind `make test`: runs compiled test files stage by stage, one process a file, and adds up what they say.
//
// Stages are directories below test/, so a new kind of test is a new line in STAGES. A file counts as a test when it imports tap
// directly; helpers beside it are left alone. Everything a machine cannot run is skipped with a reason, printed and counted.
// Figures that tests measured stand in one table at the end; a whole run fails when one is below its minimum (helpers/figures.ts).
// The last line is always `N passed, N failed, N skipped`; the exit code is 1 when something failed or nothing ran.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type Figure, figuresIn, tableOf } from './helpers/figures.js';
import { type Leaf, parseTap } from './helpers/tap-output.js';

/** A group of test files that run under the same conditions. */
interface Stage {
  readonly name: string;
  /** Directories or files below dist/test, in order; what takes longest is named before its directory, so that it starts first. */
  readonly places: readonly string[];
  readonly parallel: number;
  /** Files that measure times: they run first, and each alone. */
  readonly alone?: readonly string[];
  /** A file that is still running after this long is killed and counted as failed. */
  readonly deadlineMs: number;
  readonly environment?: Readonly<Record<string, string>>;
  /** Tools to run before the files: name and command line below node_modules/.bin. */
  readonly tools?: readonly (readonly string[])[];
}

/** What one file, tool or stage came to. */
interface Figures {
  passed: number;
  failed: number;
  skipped: number;
}

const UNIT_PLACES = ['core', 'format', 'disk', 'nbd', 'link', 'group', 'agent', 'attach', 'cli', 'native', 'helpers'];

const STAGES: readonly Stage[] = [
  {
    name: 'static checks',
    places: ['tidy.js'],
    parallel: 1,
    deadlineMs: 120_000,
    tools: [
      ['biome', 'check', '--error-on-warnings'],
      ['knip', '--no-progress'],
    ],
  },
  { name: 'unit and property', places: UNIT_PLACES, parallel: 2, deadlineMs: 300_000 },
  { name: 'unit with the thread pool', places: ['disk', 'group'], parallel: 2, deadlineMs: 300_000, environment: { LVR_IO: 'threads' } },
  { name: 'branches', places: ['coverage'], parallel: 1, deadlineMs: 420_000 },
  { name: 'fuzz', places: ['fuzz'], parallel: 2, deadlineMs: 600_000 },
  {
    name: 'simulator',
    places: ['sim/seeds.js', 'sim/planted.js', 'sim/failing-io.js', 'sim/seeds-further.js', 'sim/exhaustive.js', 'sim'],
    parallel: 2,
    deadlineMs: 900_000,
  },
  { name: 'crash images', places: ['crash/process.js', 'crash'], parallel: 2, deadlineMs: 600_000 },
  {
    name: 'processes',
    places: ['integration/failover.js', 'integration/crash.js', 'integration/mid-resync.js', 'integration'],
    parallel: 2,
    alone: ['integration/log-full.js', 'integration/site-away.js'],
    deadlineMs: 600_000,
  },
  {
    name: 'kernel',
    places: ['kernel/power-cuts.js', 'kernel/takeover-logged.js', 'kernel/judge-xfs.js', 'kernel/judge-ext4.js', 'kernel'],
    parallel: 2,
    alone: ['kernel/attached.js', 'kernel/drbd.js'],
    deadlineMs: 900_000,
  },
];

const TEST_DIRECTORY = import.meta.dirname;
const ROOT = join(TEST_DIRECTORY, '..', '..');
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** Between the limit of a file and its deadline. */
const ORDERLY_MS = 10_000;
const running = new Set<ChildProcess>();
/** What tests measured, printed in one table at the end. */
const measured: Figure[] = [];

/** Kills the whole process group of a child, so that nothing a test started outlives it. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/** Ends all children first: an interrupted run leaves no process behind. */
function interrupted(): void {
  for (const child of running) killGroup(child);
  process.exit(130);
}

interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  /** undefined: ended by itself with exit code 0. */
  readonly problem: string | undefined;
}

/** Runs one command to its end or its deadline. */
function run(command: string, parameters: readonly string[], stage: Stage): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(command, parameters, {
      cwd: ROOT,
      detached: true,
      // A file without a limit of its own ends in order before it is killed; the framework's 30 s is little on a machine with neighbours.
      env: { ...process.env, TAP_BAIL: '0', TAP_TIMEOUT: String((stage.deadlineMs - ORDERLY_MS) / 1000), ...stage.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    const text = { stdout: '', stderr: '' };
    let problem: string | undefined;
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (piece: string) => {
        if (text[name].length < OUTPUT_BYTES_MAX) text[name] += piece;
      });
    }
    const deadline = setTimeout(() => {
      problem = `still running after ${stage.deadlineMs / 1000} s, killed`;
      // Asked first, so that the test can remove its devices and files.
      child.kill('SIGTERM');
      setTimeout(() => killGroup(child), 5000).unref();
    }, stage.deadlineMs);
    child.on('error', (error) => {
      problem = error.message;
    });
    child.on('close', (code, signal) => {
      clearTimeout(deadline);
      running.delete(child);
      killGroup(child);
      if (problem === undefined && code !== 0) problem = signal === null ? `exit code ${code}` : `killed by ${signal}`;
      resolve({ ...text, problem });
    });
  });
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ');
}

function printLeaf(file: string, leaf: Leaf, stderr: string): void {
  if (leaf.outcome === 'skipped') console.log(`  skipped ${file}: ${leaf.title === '' ? '' : `${leaf.title}: `}${leaf.reason}`);
  if (leaf.outcome === 'failed')
    console.log(`\n  FAILED ${file}: ${leaf.title}\n${indent(leaf.detail)}${stderr === '' ? '' : `\n${indent(stderr)}`}\n`);
}

/** Runs one test file and prints what did not pass. */
async function runFile(path: string, stage: Stage): Promise<Figures> {
  const startMs = performance.now();
  const ended = await run(process.execPath, ['--enable-source-maps', path], stage);
  const report = parseTap(ended.stdout);
  measured.push(...figuresIn(ended.stdout));
  const file = relative(TEST_DIRECTORY, path).replace(/\.js$/, '.ts');
  const leaves = [...report.leaves];
  if (leaves.every((leaf) => leaf.outcome !== 'failed')) {
    const reason =
      report.bailOut ?? ended.problem ?? (leaves.length === 0 ? 'no test ran in it' : report.planned ? undefined : 'ended before its plan');
    if (reason !== undefined)
      leaves.push({ title: reason, outcome: 'failed', reason: '', detail: ended.stdout.split('\n').slice(-40).join('\n') });
  }
  const figures: Figures = { passed: 0, failed: 0, skipped: 0 };
  for (const leaf of leaves) {
    figures[leaf.outcome]++;
    printLeaf(
      file,
      leaf,
      leaf === leaves.find((other) => other.outcome === 'failed') ? ended.stderr.split('\n').slice(-100).join('\n').trim() : '',
    );
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`  ${figures.failed === 0 ? 'ok  ' : 'FAIL'} ${file} (${figures.passed} passed, ${seconds} s)`);
  // What a test measured or reached, said in comments that begin so.
  for (const [, said] of ended.stdout.matchAll(/^ *# figures: (.*)$/gm)) console.log(`         ${said}`);
  return figures;
}

/** Runs one command line tool; its exit code is the result. */
async function runTool(tool: readonly string[], stage: Stage): Promise<Figures> {
  const [name, ...parameters] = tool as [string, ...string[]];
  const ended = await run(join(ROOT, 'node_modules', '.bin', name), parameters, stage);
  const ok = ended.problem === undefined;
  console.log(ok ? `  ok   ${name}` : `\n  FAILED ${tool.join(' ')}: ${ended.problem}\n${indent(`${ended.stdout}\n${ended.stderr}`)}`);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 };
}

/** Test files of a place, sorted; only those whose source still exists, because dist/ keeps what was renamed away. */
function filesOf(place: string): string[] {
  const path = join(TEST_DIRECTORY, place);
  if (!existsSync(path)) return [];
  const names = place.endsWith('.js') ? [''] : (readdirSync(path, { recursive: true, encoding: 'utf8' }) as string[]).sort();
  return names
    .map((name) => join(path, name))
    .filter((file) => file.endsWith('.js') && existsSync(join(ROOT, 'test', relative(TEST_DIRECTORY, file).replace(/\.js$/, '.ts'))))
    .filter((file) => /^import .* from 'tap';$/m.test(readFileSync(file, 'utf8')));
}

function add(total: Figures, part: Figures): void {
  total.passed += part.passed;
  total.failed += part.failed;
  total.skipped += part.skipped;
}

/** Runs a stage: tools first, then files alone, then files `parallel` at a time. Returns undefined when nothing in it was wanted. */
async function runStage(stage: Stage, only: readonly string[]): Promise<Figures | undefined> {
  const wanted = (name: string): boolean => only.length === 0 || only.some((part) => name.includes(part));
  const tools = (stage.tools ?? []).filter((tool) => wanted(tool[0] as string));
  const files = [...new Set(stage.places.flatMap(filesOf))].filter((file) => wanted(relative(TEST_DIRECTORY, file)));
  if (tools.length === 0 && files.length === 0) return undefined;
  console.log(`${stage.name}`);
  const startMs = performance.now();
  const figures: Figures = { passed: 0, failed: 0, skipped: 0 };
  for (const tool of tools) add(figures, await runTool(tool, stage));
  const isAlone = (file: string): boolean => stage.alone?.includes(relative(TEST_DIRECTORY, file)) ?? false;
  for (const file of files.filter(isAlone)) add(figures, await runFile(file, stage));
  const others = files.filter((file) => !isAlone(file));
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < others.length) add(figures, await runFile(others[next++] as string, stage));
  };
  await Promise.all(Array.from({ length: stage.parallel }, worker));
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`  ${stage.name}: ${figures.passed} passed, ${figures.failed} failed, ${figures.skipped} skipped in ${seconds} s\n`);
  return figures;
}

/** `run.js [--static] [PART...]`: all stages, only the first one, or only files whose path contains a PART. */
async function main(): Promise<void> {
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  const parameters = process.argv.slice(2);
  const only = parameters.filter((word) => !word.startsWith('--')).flatMap((word) => word.split(','));
  const stages = parameters.includes('--static') ? STAGES.slice(0, 1) : STAGES;
  const total: Figures = { passed: 0, failed: 0, skipped: 0 };
  for (const stage of stages) {
    const figures = await runStage(stage, only);
    if (figures !== undefined) add(total, figures);
  }
  const { lines, missed } = tableOf(measured, stages === STAGES && only.length === 0);
  for (const line of lines) console.log(line);
  for (const what of missed) console.log(`\n  FAILED figures: ${what}`);
  total.failed += missed.length;
  if (total.passed + total.failed === 0) console.log('nothing ran');
  process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
}

await main();
