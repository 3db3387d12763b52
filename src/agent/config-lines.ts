// Where a key stands in a TOML file: the parser gives values without positions, and a message without a line is hard to use. A scan of the
// few line forms that configuration files have (table headers and `key = value`); what it cannot see is found at its nearest parent.

const BARE_OR_QUOTED = String.raw`(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')`;
const DOTTED = String.raw`${BARE_OR_QUOTED}(?:\s*\.\s*${BARE_OR_QUOTED})*`;
const HEADER = new RegExp(String.raw`^\s*\[\[?\s*(${DOTTED})\s*\]`);
const ASSIGNMENT = new RegExp(String.raw`^\s*(${DOTTED})\s*=`);
const PART = new RegExp(BARE_OR_QUOTED, 'g');

/** No key of lvr stands deeper; what does is found at its parent. It bounds what a line of very many parts costs. */
const DEPTH_MAX = 8;

/** Line numbers (from 1) of the keys of a TOML text. */
export class ConfigLines {
  readonly #lines = new Map<string, number>();

  constructor(text: string) {
    let table: string[] = [];
    let insideText: string | undefined;
    let number = 0;
    for (const line of text.split('\n')) {
      number++;
      if (insideText !== undefined) {
        if (line.includes(insideText)) insideText = undefined;
        continue;
      }
      insideText = opensText(line);
      const header = HEADER.exec(line);
      const assignment = header ? undefined : ASSIGNMENT.exec(line);
      if (header) table = keyParts(header[1] ?? '');
      const path = header ? table : assignment ? [...table, ...keyParts(assignment[1] ?? '')] : undefined;
      if (path) this.#note(path, number);
    }
  }

  /** The line of a key path, of its nearest parent that has a line, or 1. */
  lineOf(path: readonly PropertyKey[]): number {
    for (let length = Math.min(path.length, DEPTH_MAX); length > 0; length--) {
      const line = this.#lines.get(JSON.stringify(path.slice(0, length).map(String)));
      if (line !== undefined) return line;
    }
    return 1;
  }

  /** The first line that names a path, or any parent of it, wins: `[groups.app.sites.b]` also shows where `groups.app` begins. */
  #note(path: string[], line: number): void {
    for (let length = 1; length <= Math.min(path.length, DEPTH_MAX); length++) {
      const key = JSON.stringify(path.slice(0, length));
      if (!this.#lines.has(key)) this.#lines.set(key, line);
    }
  }
}

function keyParts(dotted: string): string[] {
  return (dotted.match(PART) ?? []).map((part) => (/^["']/.test(part) ? part.slice(1, -1) : part));
}

/** The delimiter of a multi-line string that begins on this line and does not end on it. */
function opensText(line: string): string | undefined {
  for (const delimiter of ['"""', "'''"]) {
    const first = line.indexOf(delimiter);
    if (first >= 0 && line.indexOf(delimiter, first + 3) < 0) return delimiter;
  }
  return undefined;
}
