// Medians, the table, and the rows that are compared with targets. Only ratios of one run on one machine mean anything.

import type { Measurement, Workload } from './fio.js';

/** All measurements of a run, by target and workload. */
export class Results {
  readonly #samples = new Map<string, Measurement[]>();

  add(target: string, workload: string, measurement: Measurement): void {
    const key = `${target} ${workload}`;
    const samples = this.#samples.get(key);
    if (samples === undefined) this.#samples.set(key, [measurement]);
    else samples.push(measurement);
  }

  /** Median of one figure; undefined when the pair was not measured. */
  median(target: string, workload: string, figure: keyof Measurement): number | undefined {
    const values = this.#samples.get(`${target} ${workload}`)?.map((sample) => sample[figure]);
    if (values === undefined) return undefined;
    values.sort((x, y) => x - y);
    const middle = values.length >> 1;
    return values.length % 2 === 1 ? values[middle] : ((values[middle - 1] as number) + (values[middle] as number)) / 2;
  }
}

/** A line of bench.json. `atMost`: smaller is better, the ratio must not exceed the target. */
export interface Row {
  readonly id: string;
  readonly what: string;
  readonly lvr: number;
  readonly peer: number;
  readonly ratio: number;
  readonly target: number;
  readonly atMost: boolean;
  readonly holds: boolean;
  /** Medians of the generator's own processor use in percent, ours and the peer's; absent where none was used. */
  readonly generatorPercent?: { readonly lvr: number; readonly peer: number };
}

/** What a row compares: a figure of an lvr target with the same figure of a peer. */
interface Comparison {
  readonly id: string;
  readonly lvr: string;
  readonly peer: string;
  readonly workload: string;
  readonly figure: keyof Measurement;
  readonly target: number;
  readonly atMost?: boolean;
}

/**
 * Ids ending in `q` compare with the quorum that writes through, in `w` with the one that writes back, in `c` with a ceiling: a server
 * without data, or a disk that has two logs to write. Reads are compared by the lean generator, and in `f` by fio's, which is the limit
 * there. S: this stage, B: final goals.
 */
const COMPARISONS: readonly Comparison[] = [
  { id: 'S1', lvr: 'async', peer: 'nbdkit', workload: 'write4k-d32', figure: 'iops', target: 0.8 },
  { id: 'S1n', lvr: 'lvr', peer: 'nbdkit', workload: 'write4k-d32', figure: 'iops', target: 0.8 },
  { id: 'S2', lvr: 'lvr', peer: 'nbdkit', workload: 'lean-read4k-d32', figure: 'iops', target: 1.5 },
  { id: 'S2f', lvr: 'lvr', peer: 'nbdkit', workload: 'read4k-d32', figure: 'iops', target: 1.5 },
  { id: 'S2c', lvr: 'lvr', peer: 'null', workload: 'read4k-d32', figure: 'iops', target: 1 },
  { id: 'S3q', lvr: 'logged', peer: 'quorum', workload: 'write4k-d32', figure: 'iops', target: 3 },
  { id: 'S3w', lvr: 'logged', peer: 'quorum-wb', workload: 'write4k-d32', figure: 'iops', target: 3 },
  { id: 'S4', lvr: 'async', peer: 'nbdkit', workload: 'write1m-d8', figure: 'mibPerSecond', target: 0.4 },
  { id: 'B1', lvr: 'async', peer: 'nbdkit', workload: 'write4k-d32', figure: 'iops', target: 1.25 },
  { id: 'B2', lvr: 'memory', peer: 'nbdkit', workload: 'write4k-d32', figure: 'iops', target: 0.8 },
  { id: 'B2q', lvr: 'memory', peer: 'quorum', workload: 'write4k-d32', figure: 'iops', target: 8 },
  { id: 'B3', lvr: 'logged', peer: 'nbdkit', workload: 'write4k-d32', figure: 'iops', target: 0.5 },
  { id: 'B3q', lvr: 'logged', peer: 'quorum', workload: 'write4k-d32', figure: 'iops', target: 5 },
  { id: 'B4', lvr: 'async', peer: 'nbdkit', workload: 'lean-read4k-d32', figure: 'iops', target: 2 },
  { id: 'B4f', lvr: 'async', peer: 'nbdkit', workload: 'read4k-d32', figure: 'iops', target: 2 },
  { id: 'B5', lvr: 'async', peer: 'nbdkit', workload: 'write1m-d8', figure: 'mibPerSecond', target: 0.6 },
  { id: 'B5q', lvr: 'async', peer: 'quorum', workload: 'write1m-d8', figure: 'mibPerSecond', target: 4 },
  { id: 'B6', lvr: 'async', peer: 'nbdkit', workload: 'flush4k-d1', figure: 'iops', target: 1 },
  { id: 'B6l', lvr: 'logged', peer: 'nbdkit', workload: 'flush4k-d1', figure: 'iops', target: 0.6 },
  { id: 'B7', lvr: 'async', peer: 'nbdkit', workload: 'write4k-d32', figure: 'p99Us', target: 1, atMost: true },
];

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** One row; `holds` compares the unrounded ratio. */
export function makeRow(id: string, what: string, lvr: number, peer: number, target: number, atMost: boolean): Row {
  const ratio = lvr / peer;
  const holds = atMost ? ratio <= target : ratio >= target;
  return { id, what, lvr: rounded(lvr), peer: rounded(peer), ratio: rounded(ratio), target, atMost, holds };
}

/** Rows of everything that was measured on both sides. */
export function comparisonRows(results: Results): Row[] {
  const rows: Row[] = [];
  for (const { id, lvr, peer, workload, figure, target, atMost = false } of COMPARISONS) {
    const ours = results.median(lvr, workload, figure);
    const theirs = results.median(peer, workload, figure);
    if (ours === undefined || theirs === undefined) continue;
    const row = makeRow(id, `${lvr} ${workload} ${figure} against ${peer}`, ours, theirs, target, atMost);
    const busy = (name: string): number => rounded(results.median(name, workload, 'generatorPercent') ?? 0);
    rows.push({ ...row, generatorPercent: { lvr: busy(lvr), peer: busy(peer) } });
  }
  return rows;
}

/** Targets and workloads that the named rows need; undefined when no name is a row. */
export function neededBy(ids: readonly string[]): { targets: Set<string>; workloads: Set<string> } | undefined {
  const wanted = COMPARISONS.filter(({ id }) => ids.some((name) => id === name || id.replace(/[a-z]$/, '') === name));
  if (wanted.length === 0) return undefined;
  return { targets: new Set(wanted.flatMap((row) => [row.lvr, row.peer])), workloads: new Set(wanted.map((row) => row.workload)) };
}

/** The table of medians: a line per workload, a column per target; throughput with its p99 latency. */
export function table(results: Results, targets: readonly string[], workloads: readonly Workload[]): string {
  const cells = [['', ...targets]];
  for (const { name, blockBytes } of workloads) {
    const large = blockBytes >= 1048576;
    const line = [`${name} ${large ? 'MiB/s' : 'op/s'}`];
    const tail = ['  p99 us'];
    const generator = ['  generator %'];
    for (const target of targets) {
      line.push(results.median(target, name, large ? 'mibPerSecond' : 'iops')?.toFixed(0) ?? '-');
      tail.push(results.median(target, name, 'p99Us')?.toFixed(0) ?? '-');
      generator.push(results.median(target, name, 'generatorPercent')?.toFixed(0) ?? '-');
    }
    cells.push(line, tail, generator);
  }
  const widths = (cells[0] as string[]).map((_, column) => Math.max(...cells.map((line) => (line[column] as string).length)));
  return cells
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] as number) : cell.padStart((widths[column] as number) + 2)))
        .join(''),
    )
    .join('\n');
}

/** The rows as text. */
export function rowLines(rows: readonly Row[]): string {
  return rows
    .map((row) => {
      const goal = `${row.atMost ? '<=' : '>='} ${row.target}`;
      const verdict = (row.holds ? 'holds' : 'MISSED').padEnd(7);
      return `${verdict} ${row.id.padEnd(10)} ${String(row.ratio).padStart(8)} ${goal.padEnd(8)} ${row.what} (${row.lvr} / ${row.peer})`;
    })
    .join('\n');
}
