// Branch coverage of core/ and format/: their unit tests and a part of the simulator's runs together take every branch, except those that
// uncovered.txt lists with a reason.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { runCommand } from '../helpers/command.js';
import { instrument } from './instrument.js';
import { nameOf } from './names.js';

const DIST = join(import.meta.dirname, '..', '..');
const LIST = join(DIST, '..', 'test', 'coverage', 'uncovered.txt');
const REGISTER = pathToFileURL(join(import.meta.dirname, 'register.js')).href;
const ROOMS = ['core', 'format'];
const SIMULATOR = [join(DIST, 'src/cli/main.js'), 'selftest', '--seed', '1', '--rounds', '12'];
const DEADLINE_MS = 300_000;

t.setTimeout(400_000);

/** Compiled files of a room below dist/src or dist/test; dist/ keeps what was renamed away, which is left out. */
function filesOf(tree: 'src' | 'test', room: string): string[] {
  return readdirSync(join(DIST, '..', tree, room))
    .filter((name) => name.endsWith('.ts') && !name.includes('.gen.'))
    .map((name) => join(DIST, tree, room, name.replace(/ts$/, 'js')));
}

/** Runs node processes, two at a time, with marks into a new directory; returns the marks of all together. */
async function measure(runs: readonly (readonly string[])[]): Promise<Map<string, number[]>> {
  const directory = mkdtempSync(join(tmpdir(), 'lvr-branches-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const env = { NODE_OPTIONS: `--import=${REGISTER}`, LVR_BRANCHES: directory, TAP_BAIL: '0' };
  const left = [...runs];
  const worker = async (): Promise<void> => {
    for (let run = left.shift(); run !== undefined; run = left.shift()) {
      const { code, stdout, stderr } = await runCommand(process.execPath, run, { env, timeoutMs: DEADLINE_MS });
      if (code !== 0) throw new Error(`${run.join(' ')}: exit ${code}\n${stdout.slice(-3000)}${stderr.slice(-3000)}`);
    }
  };
  await Promise.all([worker(), worker()]);
  const marks = new Map<string, number[]>();
  for (const name of readdirSync(directory)) {
    const taken = JSON.parse(readFileSync(join(directory, name), 'utf8')) as Record<string, number[]>;
    for (const [file, ways] of Object.entries(taken)) {
      const before = marks.get(file);
      marks.set(file, before === undefined ? ways : before.map((way, i) => way | (ways[i] as number)));
    }
  }
  return marks;
}

type Listed = { readonly branch: string; readonly reason: string };

function readList(): Listed[] {
  const lines = readFileSync(LIST, 'utf8').split('\n');
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const at = line.lastIndexOf(' | ');
      return { branch: line.slice(0, at), reason: line.slice(at + 3) };
    });
}

t.test('every branch of core/ and format/ is taken by a unit test or the simulator, or listed with its reason', async (t) => {
  const tests = ROOMS.flatMap((room) => filesOf('test', room)).map((file) => [file]);
  const marks = await measure([SIMULATOR, ...tests]);
  let branches = 0;
  const untaken: { branch: string; line: number }[] = [];
  for (const file of ROOMS.flatMap((room) => filesOf('src', room))) {
    const name = nameOf(pathToFileURL(file).href);
    if (name === undefined) continue;
    const all = instrument(readFileSync(file, 'utf8'), name).branches;
    branches += all.length;
    const ways = marks.get(name) ?? [];
    for (const [i, { line, what }] of all.entries()) if (ways[i] !== 1) untaken.push({ branch: `${name} | ${what}`, line });
  }
  const listed = readList();
  t.ok(branches > 500, `${branches} branches`);
  t.same(
    untaken.filter(({ branch }) => !listed.some((entry) => entry.branch === branch)),
    [],
    'neither taken nor listed (lines of dist/src)',
  );
  t.same(
    listed.filter((entry) => !untaken.some(({ branch }) => entry.branch === branch)),
    [],
    'listed, but taken or gone',
  );
  t.same(
    listed.filter(({ reason }) => reason.length < 10),
    [],
    'listed without a reason',
  );
  t.comment(
    `figure branches of core/ and format/ taken: ${branches - untaken.length} of ${branches}, ${listed.length} others listed with a reason`,
  );
});

const SAMPLE = `export function sample(a, b = 7) {
  let sum = 0;
  for (const x of a) { sum += x; }
  for (let i = 0; i < b; i++) sum++;
  switch (b) { case 1: sum++; break; case 2: case 3: sum--; break; default: sum -= 2; }
  try { if (a.length > 2 && b > 2) throw new Error('x'); } catch { sum = -1; }
  const more = a.find((x) => x > 5)?.constructor ?? (b === 4 ? { y: 1 } : ({ y: 2 }));
  return () => ({ sum, more });
}
`;

t.test('the measure itself: a program means the same with counters, and its untaken branches are named', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'lvr-sample-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const marks: Uint8Array[] = [];
  Object.assign(globalThis, {
    lvrBranches(_name: string, count: number): Uint8Array {
      marks.push(new Uint8Array(count));
      return marks.at(-1) as Uint8Array;
    },
  });
  const { source, branches } = instrument(SAMPLE, 'sample');
  t.equal(source.split('\n').length, SAMPLE.split('\n').length, 'lines keep their numbers');
  writeFileSync(join(directory, 'plain.mjs'), SAMPLE);
  writeFileSync(join(directory, 'counted.mjs'), source);
  type Sample = { sample: (a: number[], b?: number) => () => unknown };
  const [plain, counted] = [
    (await import(join(directory, 'plain.mjs'))) as Sample,
    (await import(join(directory, 'counted.mjs'))) as Sample,
  ];
  const untaken = (): string[] => branches.filter((_, i) => marks[0]?.[i] !== 1).map(({ what }) => what);
  t.equal(untaken().length, branches.length);
  const call = (a: number[], b?: number): boolean => t.same(counted.sample(a, b)(), plain.sample(a, b)());
  call([1], 1);
  const found = untaken();
  for (const what of [
    'default: b = 7',
    'begun: 3',
    'begun: default: sum -= 2;',
    'true: b === 4',
    'something: a.find((x) => x > 5)?.constructor',
  ])
    t.ok(found.includes(what), `${what} is not taken`);
  t.ok(found.some((what) => what.startsWith('begun: catch')) && found.includes('true: left of a.length > 2 && b > 2'));
  for (const what of ['false: left of a.length > 2 && b > 2', 'begun: 1', 'false: b === 4', 'true: i < b', 'begun: (x) => x > 5'])
    t.notOk(found.includes(what), `${what} is taken`);
  for (const b of [undefined, 0, 2, 3, 4]) call([1, 2, 6], b);
  for (const b of [1, 4]) call([1, 2, 3], b);
  t.same(untaken(), []);
});
