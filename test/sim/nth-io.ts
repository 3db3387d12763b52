// One device operation of a scenario goes wrong: the first, the second, and so on to the last, in each of several ways. Whatever it is, the
// fault is loud where it can be, nothing promised is lost, and the sites come together afterwards.

import type { SimOp } from '../../src/sim/disk.js';
import { type Knobs, plainKnobs } from '../../src/sim/knobs.js';
import { type Outcome, runLines } from '../../src/sim/run.js';
import { concerns } from '../../src/sim/world.js';

/** A scenario: knobs that differ from the plain ones, and its lines. */
type Scenario = { readonly name: string; readonly knobs: Partial<Knobs>; readonly lines: readonly string[] };

const LOGGED: Knobs['modes'] = ['logged', 'logged', 'logged'];
const SMALL = 64 * 1024;

/** The ways in which an operation goes wrong. torn: the power of the site goes while it is under way. */
export const WAYS = ['eio', 'torn', 'hang', 'enospc', 'short', 'lost', 'phantom', 'misdirect'] as const;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'one site writes and flushes',
    knobs: { sites: 1 },
    lines: ['load a 40 1', 'flush a', 'wait 3000', 'crash a power', 'start a', 'wait 3000', 'load a 30 2', 'flush a'],
  },
  { name: 'one site without a write cache', knobs: { sites: 1, writeCache: false }, lines: ['load a 60 3', 'wait 3000', 'load a 20 4'] },
  {
    name: 'volumes are slower than the log',
    knobs: { sites: 1, volumeMs: 20 },
    lines: ['load a 60 5', 'wait 100', 'load a 40 6', 'flush a'],
  },
  {
    name: 'restarts, one after another',
    knobs: { sites: 1 },
    lines: ['load a 30 7', 'crash a power', 'start a', 'wait 3000', 'load a 20 8', 'crash a process', 'start a', 'wait 3000', 'flush a'],
  },
  { name: 'large requests', knobs: { sites: 1, longSectors: 120 }, lines: ['load a 40 9 big', 'flush a', 'wait 3000', 'load a 20 10 big'] },
  { name: 'two sites, asynchronous', knobs: { sites: 2 }, lines: ['load a 40 11', 'wait 500', 'load a 30 12', 'wait 3000'] },
  { name: 'two sites, logged', knobs: { sites: 2, modes: LOGGED }, lines: ['load a 40 13', 'flush a', 'wait 500', 'load a 30 14'] },
  {
    name: 'two sites, applied, no write cache',
    knobs: { sites: 2, modes: ['applied', 'applied'], writeCache: false },
    lines: ['load a 50 15', 'wait 500', 'flush a'],
  },
  {
    name: 'a failover',
    knobs: { sites: 2, modes: LOGGED },
    lines: ['load a 30 16', 'wait 500', 'crash a power', 'wait 16000', 'promote b', 'wait 100', 'load b 30 17', 'start a', 'wait 3000'],
  },
  {
    name: 'roles change hands',
    knobs: { sites: 2 },
    lines: ['load a 30 18', 'wait 500', 'demote a', 'wait 1000', 'promote b', 'wait 1000', 'load b 30 19', 'wait 1000'],
  },
  {
    name: 'a site catches up from the log',
    knobs: { sites: 2 },
    lines: ['crash b power', 'load a 60 20', 'wait 3000', 'start b', 'wait 5000', 'load a 20 21'],
  },
  {
    name: 'the end of the primary log is lost',
    knobs: { sites: 2, logMs: [5, 0.1] },
    lines: ['load a 40 22', 'crash a power', 'wait 3000', 'start a', 'wait 20000', 'crash b power', 'start b', 'wait 3000', 'load a 20 23'],
  },
  {
    name: 'three sites',
    knobs: { sites: 3, modes: LOGGED },
    lines: ['load a 30 24', 'flush a', 'wait 300', 'crash b power', 'load a 20 25', 'start b', 'wait 3000'],
  },
];

/** A log that a few writes fill, and the times of a resync in milliseconds. */
const OVERFLOWS: Partial<Knobs> = { sites: 2, ringBytes: 512 * 1024, regionBytes: 4096, dwellMs: 500, netMs: 1, pieceBytes: 2000 };
const OVERFLOW = ['cut a b', 'cut b a', 'load a 100 25 big', 'wait 300', 'load a 60 26 big', 'wait 300', 'heal a b', 'heal b a'];

const PROMOTION = ['crash a power', 'wait 100', 'promote b', 'wait 100', 'load b 10 30', 'wait 100'];

/** What happens when a log overflows. */
export const OVERFLOW_SCENARIOS: readonly Scenario[] = [
  {
    name: 'a site is brought back by its bitmap',
    knobs: OVERFLOWS,
    lines: [...OVERFLOW, 'until b copying 70000', 'load a 20 27', 'until b log 70000', 'load a 10 28', 'wait 100'],
  },
  {
    name: 'writes in the last phase of a resync',
    knobs: { ...OVERFLOWS, dwellMs: 2000, maxRate: 65536, volumeBytes: 2 * SMALL },
    lines: [...OVERFLOW, 'until b kept 70000', 'load a 4 29', 'until b ending 70000', ...Array(8).fill('wait 2'), 'wait 500'],
  },
  {
    name: 'a promotion in mid-resync',
    knobs: { ...OVERFLOWS, dwellMs: 5000, volumeBytes: 2 * SMALL },
    lines: [...OVERFLOW, 'until b copying 70000', 'wait 500', 'reset a b', 'wait 2500', 'load a 20 31', 'wait 300', ...PROMOTION],
  },
];

/** What came of a part of the runs. */
export type NthFigures = { runs: number; operations: number; violation: Outcome | undefined; what: string };

/** Runs every `step`-th operation from `from` on, of the scenarios named or all. */
export async function nthIo(from: number, step: number, names?: readonly string[]): Promise<NthFigures> {
  const figures: NthFigures = { runs: 0, operations: 0, violation: undefined, what: '' };
  for (const [i, { name, knobs, lines }] of [...SCENARIOS, ...OVERFLOW_SCENARIOS].entries()) {
    if (names !== undefined && !names.includes(name)) continue;
    const all = { ...plainKnobs(100 + i), volumeBytes: SMALL, longSectors: 20, ...knobs };
    const seen: SimOp[] = [];
    const whole = await runLines(all, lines, { idleMs: 0, seen });
    figures.operations += whole.operations;
    if (whole.oracle !== '') return { ...figures, violation: whole, what: name };
    for (let at = 1 + from; at <= whole.operations; at += step) {
      for (const kind of WAYS) {
        if (kind !== 'torn' && !concerns(kind, seen[at - 1] as SimOp)) continue;
        figures.runs++;
        const outcome = await runLines(all, lines, { idleMs: 0, nth: { at, kind } });
        if (outcome.oracle !== '') return { ...figures, violation: outcome, what: `${name}: operation ${at} ${kind}` };
      }
    }
  }
  return figures;
}
