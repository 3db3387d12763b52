// Reads the TAP 14 text of one test file into leaf results.
//
// A leaf is a subtest that holds no further subtests (its assertions are parts of it), or an assertion that stands directly beside
// subtests or at the top of a file. So the figures count tests, not assertions, and nothing is counted twice.

/** How one leaf ended. `todo` counts as skipped: it proves nothing. */
type Outcome = 'passed' | 'failed' | 'skipped';

/** One leaf: titles from the outermost subtest inwards, why it was skipped, and the text below a failure. */
export interface Leaf {
  readonly title: string;
  readonly outcome: Outcome;
  readonly reason: string;
  readonly detail: string;
}

/** What a whole file said. `planned` is false when the final plan line is missing: the process ended too early. */
export interface TapReport {
  readonly leaves: Leaf[];
  readonly planned: boolean;
  readonly bailOut: string | undefined;
}

/** A subtest that is still open. `nested` is true once a further subtest was seen in it. */
interface Level {
  readonly titles: string[];
  readonly own: Leaf[];
  readonly deeper: Leaf[];
  nested: boolean;
  skipAll: string | undefined;
}

const POINT = /^( *)(not )?ok\b(?: \d+)?(?: - )?(.*?)(?: # time=\S+)?( \{)?$/;
const DIRECTIVE = / # (SKIP|TODO)\b *(.*)$/i;
const DETAIL_LINES_MAX = 80;

function openLevel(titles: string[]): Level {
  return { titles, own: [], deeper: [], nested: false, skipAll: undefined };
}

/** The diagnostic block that follows a test point, without its indentation. */
function detailAfter(lines: readonly string[], from: number, indent: number): string {
  const pad = ' '.repeat(indent + 2);
  if (lines[from] !== `${pad}---`) return '';
  const detail: string[] = [];
  for (let at = from + 1; at < lines.length && lines[at] !== `${pad}...` && detail.length < DETAIL_LINES_MAX; at++) {
    detail.push((lines[at] as string).slice(pad.length));
  }
  return detail.join('\n');
}

/** Leaves of a closed subtest whose own result line is `point`. */
function closeLevel(level: Level, point: Leaf): Leaf[] {
  if (level.nested) {
    const leaves = [...level.deeper, ...level.own];
    // A parent can fail for itself (a timeout, a wrong plan) with every part of it good.
    if (point.outcome === 'failed' && leaves.every((leaf) => leaf.outcome !== 'failed')) leaves.push(point);
    return leaves;
  }
  const failures = level.own.filter((leaf) => leaf.outcome === 'failed');
  const detail = [...failures.map((leaf) => `${leaf.title}\n${leaf.detail}`), failures.length === 0 ? point.detail : ''].join('\n').trim();
  if (point.outcome === 'passed' && level.skipAll !== undefined) return [{ ...point, outcome: 'skipped', reason: level.skipAll }];
  const skipped = level.own.filter((leaf) => leaf.outcome === 'skipped');
  return [{ ...point, detail }, ...(point.outcome === 'passed' ? skipped : [])];
}

function leafOf(titles: readonly string[], text: string, failed: boolean, detail: string): Leaf {
  const directive = DIRECTIVE.exec(text);
  const name = text.replace(DIRECTIVE, '').trim();
  const outcome: Outcome = directive !== null ? 'skipped' : failed ? 'failed' : 'passed';
  const reason = directive === null ? '' : directive[2] || `${directive[1]} without a reason`;
  return { title: [...titles, name].filter((part) => part !== '').join(' > '), outcome, reason, detail };
}

/** Parses the whole standard output of a test file. Lines that are not TAP are ignored. */
export function parseTap(text: string): TapReport {
  const lines = text.split('\n');
  const levels: Level[] = [openLevel([])];
  let planned = false;
  let bailOut: string | undefined;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] as string;
    const indent = line.length - line.trimStart().length;
    const rest = line.slice(indent);
    const depth = indent / 4;
    if (rest.startsWith('Bail out!')) bailOut = rest.slice('Bail out!'.length).trim();
    if (rest.startsWith('# Subtest: ') && depth === levels.length - 1) {
      const parent = levels[depth] as Level;
      parent.nested = true;
      levels.push(openLevel([...parent.titles, rest.slice('# Subtest: '.length)]));
      continue;
    }
    const plan = /^1\.\.(\d+)(?: # (.*))?$/.exec(rest);
    if (plan !== null) {
      const level = levels[depth];
      if (depth === 0) planned = true;
      if (level !== undefined && plan[1] === '0') level.skipAll = (plan[2] ?? 'no tests in it').replace(/^SKIP\s*/i, '');
      continue;
    }
    const point = POINT.exec(line);
    if (point === null || !Number.isInteger(depth) || depth > levels.length - 1) continue;
    const level = levels[depth] as Level;
    const leaf = leafOf(level.titles, point[3] as string, point[2] !== undefined, detailAfter(lines, at + 1, indent));
    const child = levels.length - 1 === depth + 1 ? levels.pop() : undefined;
    if (child === undefined) level.own.push(leaf);
    else level.deeper.push(...closeLevel(child, leaf));
  }
  const top = levels[0] as Level;
  const leaves = [...top.deeper, ...top.own];
  if (leaves.length === 0 && top.skipAll !== undefined) leaves.push({ title: '', outcome: 'skipped', reason: top.skipAll, detail: '' });
  return { leaves, planned, bailOut };
}
