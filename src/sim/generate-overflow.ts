// Lines about logs that overflow: a site is away or slow for longer than the log lasts, comes back, is copied to, and something happens in
// each phase of that. Runs of this kind have a small log (knobs.ts), so that a few loads fill it.

import { Random } from './random.js';

/** States of a resync in which something may happen, see `until` in script.ts. */
const PHASES = ['bitmap', 'copying', 'copying', 'kept', 'ending', 'streaming'];

/** `lines` with one to three overflows among them. */
export function withOverflows(seed: number, lines: readonly string[], names: readonly string[]): string[] {
  const random = new Random(seed ^ 0x0ffe);
  const result = [...lines];
  for (let more = random.pick([1, 1, 2, 3]); more > 0; more--) {
    const primary = random.chance(75) ? 'a' : random.pick(names);
    const site = random.pick(names.filter((name) => name !== primary));
    result.splice(random.below(result.length + 1), 0, ...overflow(random, primary, site));
  }
  return result;
}

function overflow(random: Random, primary: string, site: string): string[] {
  const lines = [...away(random, primary, site)];
  for (let more = 2 + random.below(5); more > 0; more--) lines.push(load(random, primary, true), `wait ${random.pick([20, 500, 2500])}`);
  lines.push(`until ${site} bitmap 3000`);
  if (random.chance(25)) lines.push(...crash(random, primary));
  lines.push(`heal ${primary} ${site}`, `heal ${site} ${primary}`, `start ${site}`);
  for (let more = 1 + random.below(4); more > 0; more--) {
    lines.push(`until ${site} ${random.pick(PHASES)} ${random.pick([2000, 70_000])}`);
    if (random.chance(50)) lines.push(`wait ${random.pick([0.1, 0.5, 1, 3, 10, 100, 1000])}`);
    lines.push(...event(random, primary, site));
  }
  if (random.chance(50)) lines.push(`until ${site} log 70000`);
  return lines;
}

function away(random: Random, primary: string, site: string): string[] {
  switch (random.below(4)) {
    case 0:
      return [`crash ${site} ${random.chance(30) ? 'process' : 'power'}`];
    case 1:
      return [`stall ${primary} ${site} 60000`];
    case 2:
      return [`pause ${site} ${random.pick([5000, 30_000])}`];
    default:
      return [`cut ${primary} ${site}`, `cut ${site} ${primary}`];
  }
}

function load(random: Random, site: string, isBig: boolean): string {
  return `load ${site} ${isBig ? 100 + random.below(100) : 1 + random.below(40)} ${random.below(1e9)}${isBig ? ' big' : ''}`;
}

function crash(random: Random, site: string): string[] {
  return [`crash ${site} ${random.chance(30) ? 'process' : 'power'}`, `wait ${random.pick([1, 100, 3000])}`, `start ${site}`];
}

/** What happens in a phase of a resync. */
function event(random: Random, primary: string, site: string): string[] {
  switch (random.below(12)) {
    case 0:
    case 1:
      return crash(random, primary);
    case 2:
    case 3:
      return crash(random, site);
    case 4:
      return [`reset ${primary} ${site}`];
    case 5:
      return [load(random, primary, false)];
    case 6:
      // The log fills up again behind the bitmap.
      return [`cut ${primary} ${site}`, ...Array.from({ length: 4 }, () => load(random, primary, true)), `heal ${primary} ${site}`];
    case 7:
      return [load(random, primary, true), load(random, primary, true)];
    case 8:
      return promotion(random, primary, site);
    case 9:
      return [`demote ${primary}`, `wait ${random.pick([1, 500, 12_000])}`, `promote ${primary}`, load(random, primary, false)];
    case 10:
      return [`crash ${primary} power`, ...rots(random, primary), `start ${primary}`];
    default:
      return ['wait 1000'];
  }
}

/** The site that is being copied to takes over, which takes it back to what it was before; perhaps it goes down on the way. */
function promotion(random: Random, primary: string, site: string): string[] {
  const lines = [`crash ${primary} power`, `wait ${random.pick([100, 16_000])}`, `promote ${site}`];
  if (random.chance(40)) lines.push(`wait ${random.pick([0.1, 1, 5, 20])}`, ...crash(random, site));
  lines.push(`wait ${random.pick([10, 500, 3000])}`);
  const isUsed = random.chance(50);
  if (isUsed) lines.push(load(random, site, false));
  else if (random.chance(50)) lines.push(`demote ${site}`, 'wait 500');
  lines.push(`start ${primary}`);
  if (random.chance(30)) lines.push('wait 3000', `demote ${site}`, 'wait 500', `promote ${primary}`);
  return lines;
}

/** Pages of bitmaps are damaged, in one copy or in both. */
function rots(random: Random, site: string): string[] {
  return Array.from({ length: 1 + random.below(3) }, () => `rot ${site} bitmaps ${random.below(8)} ${random.below(4096)}`);
}
