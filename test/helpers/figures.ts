// What tests measured, said in comments `figure NAME: VALUE`, and what a whole run must reach at least. Printed as one table at the end of
// `make test`. Figures of one kind, from as many files as there are, are added up by the number that their values begin with.

/** One thing a test measured. */
export type Figure = { readonly name: string; readonly value: string };

type Minimum = { readonly what: string; readonly figures: RegExp; readonly least: number };

/** What a whole run must reach; `figures` says which ones count. A new kind of test joins with one line. */
const MINIMUMS: readonly Minimum[] = [
  { what: 'seeds of three and more sites', figures: /^simulator, seeds\b/, least: 2000 },
  { what: 'virtual hours', figures: /^simulator, virtual hours\b/, least: 300 },
  { what: 'exhaustive crash states', figures: /^simulator, exhaustive crash states$/, least: 50_000 },
  { what: 'fail-Nth-I/O runs', figures: /^simulator, fail-Nth-I\/O runs$/, least: 10_000 },
  { what: 'crash images of the real process', figures: /^crash images, of one site$/, least: 5000 },
  { what: 'pairs of crash images', figures: /^crash images, of both sites$/, least: 500 },
  { what: 'pairs of crash images of an overflow', figures: /^crash images, of an overflow$/, least: 200 },
  { what: 'fuzz inputs', figures: /^fuzz, /, least: 500_000 },
  { what: 'planted bugs caught', figures: /^simulator, planted bugs caught$/, least: 25 },
];

/** The figures in the output of a test file. */
export function figuresIn(stdout: string): Figure[] {
  return [...stdout.matchAll(/^ *# figure (.+?): (.+)$/gm)].map((match) => ({ name: match[1] as string, value: match[2] as string }));
}

/** The table, and what is below its minimum; for a run of a part of the tests nothing is. */
export function tableOf(figures: readonly Figure[], isWhole: boolean): { lines: string[]; missed: string[] } {
  const rows = figures.map(({ name, value }) => [name, value, ''] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  const missed: string[] = [];
  const sums = MINIMUMS.flatMap(({ what, figures: kind, least }) => {
    const counted = figures.filter(({ name }) => kind.test(name));
    if (counted.length === 0 && !isWhole) return [];
    const sum = counted.reduce((total, { value }) => total + (Number.parseFloat(value) || 0), 0);
    if (isWhole && sum < least) missed.push(`${what}: ${sum}, at least ${least} are required`);
    return [[what, String(Math.floor(sum)), String(least)] as const];
  });
  if (rows.length === 0 && sums.length === 0) return { lines: [], missed };
  const table = sums.length === 0 ? rows : [...rows, ['in all', 'reached', 'at least'] as const, ...sums];
  const width = Math.max(...table.map(([name]) => name.length));
  return {
    lines: table.map(([name, value, least]) => `  ${name.padEnd(width)}  ${least === '' ? value : value.padEnd(10) + least}`),
    missed,
  };
}
