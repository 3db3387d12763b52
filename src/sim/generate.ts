// Random runs: the lines of a script, drawn from a seed. Chaos only; the end (heal and converge) is the same for every run.

import { withOverflows } from './generate-overflow.js';
import { withReadErrors } from './generate-reads.js';
import { drawKnobs, type Knobs } from './knobs.js';
import { Random } from './random.js';
import { VOLUMES } from './site.js';
import { FAULT_KINDS, type FaultKind, SITES, UNMASKABLE } from './world.js';

/** Kinds of trouble a run may be made of; each run has some of them, so that each is also seen without the others. */
type Troubles = { network: boolean; crashes: boolean; roles: boolean; errors: boolean; lies: boolean; disks: boolean; time: boolean };

/** A run as a seed decides it. */
export function generate(seed: number): { knobs: Knobs; lines: string[] } {
  const knobs = drawKnobs(seed);
  const random = new Random(seed);
  const troubles: Troubles = {
    network: random.chance(70),
    crashes: random.chance(80),
    roles: random.chance(60),
    errors: random.chance(25),
    lies: random.chance(15),
    disks: random.chance(15),
    time: random.chance(30),
  };
  const heavy = random.chance(10);
  const lines: string[] = [];
  const count = 12 + random.below(50);
  const names = SITES.slice(0, knobs.sites);
  const victim = random.pick(names);
  for (let i = 0; i < count; i++) {
    const what = random.below(100);
    if (what < 38) {
      const site = random.chance(50) ? 'a' : random.pick(names);
      lines.push(`load ${site} ${heavy ? 200 : 1 + random.below(70)} ${random.below(1e9)}${heavy ? ' big' : ''}`);
    } else if (what < 55) lines.push(`wait ${waitMs(random)}`);
    else lines.push(...trouble(random, troubles, names, victim));
  }
  const whole = knobs.ringBytes === 0 ? lines : withOverflows(seed, lines, names);
  return { knobs, lines: [...withReadErrors(seed, whole, names)] };
}

function waitMs(random: Random): number {
  return random.pick([1, 5, 20, 100, 500, 2500, 2500, 10_000, 20_000, 60_000]);
}

/** Lines of one random trouble of the kinds this run has; none when the draw fell on another kind. */
function trouble(random: Random, troubles: Troubles, names: readonly string[], victim: string): string[] {
  const site = random.pick(names);
  const other = random.pick(names.filter((name) => name !== site));
  switch (random.below(8)) {
    case 0:
    case 1:
      return troubles.network ? networkTrouble(random, site, other) : [];
    case 2:
    case 3:
      return troubles.crashes ? crash(random, site) : [];
    case 4:
      return troubles.roles ? roleChange(random, site, other) : [];
    case 5:
      if (troubles.lies && random.chance(50)) return lie(random, victim);
      return troubles.errors ? [fault(random, site, random.pick(FAULT_KINDS.filter((kind) => !UNMASKABLE.includes(kind))))] : [];
    case 6:
      return troubles.disks ? disks(random, victim, site) : [];
    default:
      return troubles.time
        ? [random.chance(60) ? `pause ${site} ${waitMs(random)}` : `jump ${site} ${(random.below(3) - 1) * 86_400_000}`]
        : [];
  }
}

function networkTrouble(random: Random, a: string, b: string): string[] {
  switch (random.below(9)) {
    case 0:
      return [`cut ${a} ${b}`];
    case 1:
      return [`cut ${a} ${b}`, `cut ${b} ${a}`];
    case 2:
    case 3:
      return [`heal ${a} ${b}`, `heal ${b} ${a}`];
    case 4:
      return ['heal'];
    case 5:
      return [`stall ${a} ${b} ${waitMs(random)}`];
    case 6:
      return [`flip ${a} ${b} ${random.below(3000)}`];
    case 7:
      return [`reset ${a} ${b}`, `wait ${waitMs(random)}`];
    default:
      return [`reset ${a} ${b}`];
  }
}

/** A site goes down and comes back, perhaps to be crashed again while it recovers. */
function crash(random: Random, site: string): string[] {
  const lines: string[] = [];
  for (let more = 1 + (random.chance(30) ? random.below(3) : 0); more > 0; more--) {
    const kind = random.chance(30) ? 'process' : 'power';
    lines.push(`crash ${site} ${kind}${kind === 'power' && random.chance(40) ? ' silent' : ''}`);
    if (random.chance(50)) lines.push(`wait ${waitMs(random)}`);
    if (random.chance(90)) lines.push(`start ${site}`);
    if (more > 1 || random.chance(30)) lines.push(`wait ${random.pick([0.1, 0.5, 1, 2, 5, 20, 3000])}`);
  }
  return lines;
}

function roleChange(random: Random, site: string, other: string): string[] {
  const third = random.pick(SITES.slice(0, 3).filter((name) => name !== site && name !== other)) ?? site;
  switch (random.below(8)) {
    case 5:
    case 6:
      return lateSite(random, site, other, third);
    case 7:
      // The new primary goes down while it takes over; the old one, whose log was slower, comes back first.
      return [
        `load ${site} 30 ${random.below(1e9)}`,
        `crash ${site} power`,
        `wait 16000`,
        `promote ${other}`,
        `crash ${other} power`,
      ].concat([`start ${site}`, `wait 5000`, `start ${other}`, `wait 5000`]);
    case 0:
      return [`demote ${site}`, `wait ${waitMs(random)}`, `promote ${other}`, `load ${other} 20 ${random.below(1e9)}`];
    case 1:
      return [`crash ${site} power`, `wait 20000`, `promote ${other}`, `wait ${waitMs(random)}`, `load ${other} 20 ${random.below(1e9)}`];
    case 2:
      return [`cut ${site} ${other}`, `cut ${other} ${site}`, `wait 20000`, `promote ${other}`, `load ${other} 20 ${random.below(1e9)}`];
    case 3:
      return [`promote ${site}${random.chance(10) ? ' force' : ''}`];
    default:
      return [`demote ${site}`];
  }
}

/** One site lags behind and becomes primary; the others have more. */
function lateSite(random: Random, site: string, late: string, third: string): string[] {
  const load = (name: string): string => `load ${name} ${10 + random.below(30)} ${random.below(1e9)}`;
  const lines = [`cut ${site} ${late}`, `cut ${late} ${site}`, load(site), `wait ${random.pick([500, 3000, 20_000])}`];
  if (random.chance(50)) lines.push(`demote ${site}`, 'wait 1000');
  else if (random.chance(60)) lines.push(`crash ${site} power`);
  if (random.chance(50)) lines.push(`crash ${third} power`, `start ${third}`, 'wait 100');
  lines.push('wait 16000', `promote ${late}`, load(late), 'wait 500', `heal ${site} ${late}`, `heal ${late} ${site}`, `start ${site}`);
  return [...lines, `wait ${waitMs(random)}`];
}

function fault(random: Random, site: string, kind: FaultKind): string {
  return `fault ${site} ${random.pick(['log', 'log', ...VOLUMES])} ${kind} ${random.below(60)} ${1 + random.below(10)}`;
}

/** A disk that damages or loses data without an error: one site of a run only, so that whatever else is lost is a defect. */
function lie(random: Random, victim: string): string[] {
  const kind = random.pick(UNMASKABLE);
  if (kind !== 'rot') return [fault(random, victim, kind)];
  const disk = random.pick(['log', 'data']);
  // The front of a log is where its records and superblocks are.
  return [`rot ${victim} ${disk} ${random.below(disk === 'log' ? 700 : 500)} ${random.below(4096)}`];
}

function disks(random: Random, victim: string, site: string): string[] {
  if (random.chance(40)) return [`crash ${victim} power`, `snapshot ${victim}`, `start ${victim}`];
  const how = random.pick(['blank', 'blank-log', 'rollback', 'foreign']);
  const down = how === 'foreign' ? [`crash ${site} power`] : [];
  return [...down, `crash ${victim} power`, `wait ${waitMs(random)}`, `disks ${victim} ${how}`, `start ${victim}`, `start ${site}`];
}
