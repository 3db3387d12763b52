// The house rules as a test: what may import what, how long things may be, what stands where. It reads the sources, never runs them.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import t from 'tap';

const ROOT = join(import.meta.dirname, '..', '..');
const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
const COLUMNS_MAX = 140;

/** Rooms each room may import. One direction only, so no cycle between rooms is possible. */
const CHAIN = ['agent', 'group', 'link', 'disk', 'format', 'core'];
const ALLOWED = new Map<string, readonly string[]>([
  ...CHAIN.map((room, at) => [room, CHAIN.slice(at)] as const),
  ['cli', ['cli', 'sim', ...CHAIN]],
  ['agent', [...CHAIN, 'nbd', 'attach']],
  ['sim', ['sim', ...CHAIN.slice(1)]],
  ['nbd', ['nbd', 'core']],
  ['attach', ['attach', 'core']],
]);
const BINDING_ROOMS = ['disk', 'attach'];
const TOP_LEVEL = new Set(
  'package.json package-lock.json tsconfig.json biome.json Makefile native src systemd test docs README.md CHANGELOG.md CONTRIBUTING.md LICENSE'.split(
    ' ',
  ),
);
/** What may not be called in core/: time, chance, the process and everything that waits. */
const CLOCKS = /\b(Date\.now|new Date|performance\.|setTimeout|setInterval|setImmediate|queueMicrotask)/;
const IMPURE = /\b(Math\.random|crypto\.|process\.\w|globalThis\.|Buffer\.|await |async |new Promise)/;
const UNFINISHED = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK'].join('|')})\\b`);

interface Source {
  /** Path from the repository's root. */
  readonly path: string;
  readonly lines: readonly string[];
  readonly room: string;
}

function sourcesBelow(directory: string): Source[] {
  return readdirSync(join(ROOT, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('.gen.'))
    .sort()
    .map((name) => {
      const path = join(directory, name);
      return { path, lines: readFileSync(join(ROOT, path), 'utf8').trimEnd().split('\n'), room: name.split('/')[0] as string };
    });
}

const SOURCES = sourcesBelow('src');
const EVERYTHING = [...SOURCES, ...sourcesBelow('test')];

/** The line without what follows `//`; block comments and strings stay, which is good enough for formatted code. */
function code(line: string): string {
  return /^\s*(\/\/|\*|\/\*)/.test(line) ? '' : line.replace(/\s\/\/ .*$/, '');
}

/** Module specifiers of a file with their line numbers. */
function importsOf(source: Source): { specifier: string; where: string }[] {
  const found: { specifier: string; where: string }[] = [];
  for (const [at, line] of source.lines.entries()) {
    const match = /(?:\bfrom |^import |\bimport\(|\brequire\()'([^']+)'/.exec(code(line));
    if (match !== null) found.push({ specifier: match[1] as string, where: `${source.path}:${at + 1}` });
  }
  return found;
}

function isFunctionStart(line: string): boolean {
  const text = code(line).trim();
  if (!text.endsWith('{') || /^(\} |)?(if|for|while|switch|catch|else|do|try|finally|class|interface)\b/.test(text.replace(/^\} /, '')))
    return false;
  return text.endsWith('=> {') || /\bfunction\b/.test(text) || /\)(: .*)? \{$/.test(text);
}

/** Functions that are too long. Formatted code closes a block at the indentation of the line that opened it. */
function longFunctions(source: Source): string[] {
  const long: string[] = [];
  for (const [at, line] of source.lines.entries()) {
    if (!isFunctionStart(line)) continue;
    const indent = line.length - line.trimStart().length;
    const close = source.lines.findIndex((other, index) => index > at && other.startsWith(`${' '.repeat(indent)}}`));
    if (close - at + 1 > FUNCTION_LINES_MAX) long.push(`${source.path}:${at + 1} has ${close - at + 1} lines`);
  }
  return long;
}

/** The formatter breaks what is too wide, except comments, which are checked here, and text in quotes, which may stand. */
function isTooWide(line: string): boolean {
  return line.length > COLUMNS_MAX && (code(line) === '' || !/['"`]/.test(line));
}

function offences(sources: readonly Source[], isOffence: (line: string) => boolean): string[] {
  return sources.flatMap(({ path, lines }) => lines.flatMap((line, at) => (isOffence(line) ? [`${path}:${at + 1} ${line.trim()}`] : [])));
}

t.test('rooms import only rooms to their right', async (t) => {
  const wrong = SOURCES.flatMap((source) =>
    importsOf(source)
      .filter(({ specifier }) => specifier.startsWith('.'))
      .map(({ specifier, where }) => ({ where, room: relative('src', join(dirname(source.path), specifier)).split('/')[0] as string }))
      .filter(({ room }) => !(ALLOWED.get(source.room) ?? []).includes(room))
      .map(({ where, room }) => `${where}: ${source.room} imports ${room}`),
  );
  t.same(wrong, []);
  t.same(
    [...new Set(SOURCES.map((source) => source.room))].filter((room) => !ALLOWED.has(room)),
    [],
    'there are no other rooms',
  );
});

t.test('only disk and attach load the native binding', async (t) => {
  const others = SOURCES.filter((source) => !BINDING_ROOMS.includes(source.room));
  t.same(
    offences(others, (line) => /createRequire|dlopen|\.node['"`]|native\/build/.test(code(line))),
    [],
  );
});

t.test('core is pure: no Node modules, clock, timer, chance, process or promise', async (t) => {
  const core = SOURCES.filter((source) => source.room === 'core');
  t.ok(core.length > 0);
  t.same(
    offences(core, (line) => CLOCKS.test(code(line)) || IMPURE.test(code(line))),
    [],
  );
  t.same(
    core.flatMap((source) => importsOf(source).filter(({ specifier }) => !specifier.startsWith('.'))),
    [],
  );
});

t.test('no file and no function is too long, no line too wide', async (t) => {
  t.same(
    EVERYTHING.filter(({ lines }) => lines.length > FILE_LINES_MAX).map(({ path, lines }) => `${path} has ${lines.length} lines`),
    [],
  );
  t.same(EVERYTHING.flatMap(longFunctions), []);
  t.same(offences(EVERYTHING, isTooWide), []);
});

t.test('every source opens with a comment that says its job, and nothing is left unfinished', async (t) => {
  const opening = ({ lines }: Source): string => (lines[0]?.startsWith('#!') ? lines[1] : lines[0]) ?? '';
  t.same(
    SOURCES.filter((source) => !opening(source).startsWith('//')).map(({ path }) => path),
    [],
  );
  const readers = ['test/helpers/tap-output.ts'];
  t.same(
    offences(
      EVERYTHING.filter(({ path }) => !readers.includes(path)),
      (line) => UNFINISHED.test(line),
    ),
    [],
  );
});

t.test('no test is switched off', async (t) => {
  const isSwitchedOff = (line: string): boolean => /\b(skip|todo): true\b|\.(skip|todo|only)\(/.test(code(line));
  t.same(offences(sourcesBelow('test'), isSwitchedOff), []);
});

t.test('every directory of tests is one the runner knows', async (t) => {
  const runner = readFileSync(join(ROOT, 'test/run.ts'), 'utf8');
  const directories = readdirSync(join(ROOT, 'test'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const unknown = directories
    .map((entry) => entry.name)
    .filter((name) => !['bench', 'fixtures', 'scenarios'].includes(name) && !runner.includes(`'${name}'`));
  t.same(unknown, []);
});

t.test('only what belongs there stands at the top level', async (t) => {
  const ignored = readFileSync(join(ROOT, '.gitignore'), 'utf8')
    .split('\n')
    .map((line) => line.replace(/\/$/, ''));
  t.same(
    readdirSync(ROOT).filter((name) => !name.startsWith('.') && !TOP_LEVEL.has(name) && !ignored.includes(name)),
    [],
  );
});

t.test('every dependency has a line in docs/dependencies.md', async (t) => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const names = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)];
  const page = readFileSync(join(ROOT, 'docs/dependencies.md'), 'utf8');
  t.same(
    names.filter((name) => !page.includes(`| ${name} |`)),
    [],
    'missing from the page',
  );
  const listed = [...page.matchAll(/^\| ([@a-z][\w@/.-]*) \|/gm)].map((match) => match[1] as string);
  t.same(
    listed.filter((name) => !names.includes(name)),
    [],
    'on the page but not used',
  );
});

t.test('every planted bug is named in docs/reliability.md', async (t) => {
  const bugs = [...readFileSync(join(ROOT, 'src/core/planted.ts'), 'utf8').matchAll(/^ {2}\| '([a-z-]+)'/gm)].map(
    (found) => found[1] as string,
  );
  const words = new Set(readFileSync(join(ROOT, 'docs/reliability.md'), 'utf8').match(/[a-z]+(-[a-z]+)+/g));
  t.ok(bugs.length > 40);
  t.same(
    bugs.filter((bug) => !words.has(bug)),
    [],
  );
});

t.test('CHANGELOG.md lists releases, newest first, in the sections Safety, Features and Internals', async (t) => {
  const lines = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').trimEnd().split('\n');
  t.equal(lines[0], '# Changelog');
  const headings = lines.filter((line) => line.startsWith('## '));
  t.ok(headings.length > 0);
  for (const heading of headings) t.match(heading, /^## (Unreleased|\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\))$/);
  for (const section of lines.filter((line) => line.startsWith('### '))) t.match(section, /^### (Safety|Features|Internals)$/);
});

t.test('the generated wire code is what wire.proto gives', { timeout: 60_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'lvr-proto-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  execFileSync('make', ['--silent', 'proto', `WIRE_DIRECTORY=${directory}`], { cwd: ROOT, stdio: 'pipe' });
  for (const name of ['wire.gen.js', 'wire.gen.d.ts']) {
    t.equal(readFileSync(join(directory, name), 'utf8'), readFileSync(join(ROOT, 'src/format', name), 'utf8'), `${name}: run make proto`);
  }
});
