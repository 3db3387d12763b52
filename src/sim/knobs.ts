// What differs from run to run beside the events: number of sites, acknowledgement modes, sizes, latencies. Drawn from the seed, or set by
// `knob` lines of a script.

import type { Checksum } from '../core/compare-rule.js';
import { REGION_BYTES_DEFAULT } from '../core/dirty-map.js';
import { type GroupConfig, type LogFull, type OnDisconnect, RESYNC_DEFAULTS, type SiteMode } from '../core/group-config.js';
import { KIB, MIB } from '../core/limits.js';
import { Random } from './random.js';

/** `modes` and `driftPercent` go by site. A run is `disciplined` when nobody promotes a site that does not know the newest epoch. */
export type Knobs = {
  seed: number;
  sites: number;
  modes: SiteMode[];
  onDisconnect: OnDisconnect;
  writeCache: boolean;
  volumeBytes: number;
  logBytes: number;
  /** Sectors of the longest requests. */
  longSectors: number;
  /** Typical time of an operation on the log (by site), on a volume, and of a delivery. */
  logMs: number[];
  volumeMs: number;
  netMs: number;
  /** Longest piece that the network delivers; 0: whole writes. */
  pieceBytes: number;
  driftPercent: number[];
  disciplined: boolean;
  /** Size of the ring of a log when it is not all of it, so that little makes it overflow; 0: all. */
  ringBytes: number;
  regionBytes: number;
  logFull: LogFull;
  undo: GroupConfig['undo'];
  /** Places of the undo store; 0: as many as there can be use for. */
  undoEntries: number;
  /** Bytes per second of a resync; 0: as fast as it goes. */
  maxRate: number;
  /** A site goes between log and bitmap no more often. */
  dwellMs: number;
  /** Memory of a group for payloads, so that little uses it up; 0: as much as real ones have. */
  payloadBytes: number;
  /** Pieces of a resync are compared before they are sent. */
  checksum: Checksum;
};

const SITES_MAX = 5;

type OverflowKnobs = Pick<Knobs, 'ringBytes' | 'regionBytes' | 'logFull' | 'undo' | 'undoEntries' | 'maxRate' | 'dwellMs' | 'checksum'>;

const PLAIN_OVERFLOW: OverflowKnobs = {
  ringBytes: 0,
  regionBytes: REGION_BYTES_DEFAULT,
  logFull: 'bitmap',
  undo: 'auto',
  undoEntries: 0,
  maxRate: 0,
  dwellMs: RESYNC_DEFAULTS.minDwellMs,
  checksum: RESYNC_DEFAULTS.checksum,
};

/** Knobs of a plain run, as scripts begin with. */
export function plainKnobs(seed: number): Knobs {
  return {
    seed,
    sites: 3,
    modes: ['async', 'async', 'async', 'async', 'async'],
    onDisconnect: 'continue',
    writeCache: true,
    volumeBytes: 256 * KIB,
    logBytes: 16 * MIB,
    longSectors: 200,
    logMs: [0.2, 0.2, 0.2, 0.2, 0.2],
    volumeMs: 0.2,
    netMs: 0.3,
    pieceBytes: 0,
    driftPercent: [0, 0, 0, 0, 0],
    disciplined: true,
    payloadBytes: 0,
    ...PLAIN_OVERFLOW,
  };
}

/** Knobs drawn from a seed. */
export function drawKnobs(seed: number): Knobs {
  const random = new Random(seed ^ 0x5eed);
  const draw = random.below(100);
  const mode = random.pick<SiteMode>(['async', 'memory', 'logged', 'applied']);
  const isMixed = random.chance(40);
  const netMs = random.pick([0.05, 0.3, 0.3, 2, 40]);
  return {
    seed,
    sites: draw < 88 ? 3 : draw < 97 ? 4 : 5,
    modes: Array.from({ length: SITES_MAX }, () => (isMixed ? random.pick<SiteMode>(['async', 'memory', 'logged', 'applied']) : mode)),
    onDisconnect: random.chance(75) ? 'continue' : random.pick<OnDisconnect>(['block', 'fail']),
    writeCache: random.chance(75),
    volumeBytes: random.pick([128, 256, 256, 512]) * KIB,
    logBytes: 16 * MIB + random.below(4) * 64 * KIB,
    longSectors: random.pick([20, 200, 200, 240]),
    logMs: Array.from({ length: SITES_MAX }, () => random.pick([0.05, 0.2, 0.2, 1, 5, 20])),
    volumeMs: random.pick([0.05, 0.2, 0.2, 2, 20]),
    netMs,
    // Small pieces on a slow network would take hours.
    pieceBytes: netMs < 1 ? random.pick([0, 0, 2000, 5000]) : 0,
    driftPercent: Array.from({ length: SITES_MAX }, () => random.below(3) - 1),
    disciplined: random.chance(60),
    // Drawn apart, so that the others stay what they were.
    payloadBytes: new Random(seed ^ 0x51ab).chance(25) ? 4 * MIB : 0,
    ...drawOverflow(seed),
  };
}

/** Two runs in five are about logs that overflow. Drawn apart, so that the others stay what they were. */
function drawOverflow(seed: number): OverflowKnobs {
  const random = new Random(seed ^ 0x0f10);
  if (!random.chance(40)) return PLAIN_OVERFLOW;
  return {
    ringBytes: random.pick([1, 1.5, 2, 3]) * MIB,
    regionBytes: random.pick([4, 4, 8, 16, 64]) * KIB,
    logFull: random.chance(80) ? 'bitmap' : random.pick<LogFull>(['bitmap-if-disconnected', 'throttle']),
    undo: random.pick<GroupConfig['undo']>(['auto', 'auto', 'auto', 'required', 'off']),
    undoEntries: random.chance(70) ? 0 : 1 + random.below(4),
    maxRate: random.pick([0, 0, 64, 128, 500]) * KIB,
    dwellMs: random.pick([500, 1000, 3000, 10_000]),
    checksum: random.pick<Checksum>(['auto', 'auto', 'on', 'off']),
  };
}

/** Knobs as `name=value` words. */
export function printKnobs(knobs: Knobs): string[] {
  return Object.entries(knobs).map(([name, value]) => `knob ${name}=${Array.isArray(value) ? value.join(',') : value}`);
}

/** Sets one knob from a `name=value` word; undefined when it is good, else what is wrong with it. */
export function setKnob(knobs: Knobs, word: string): string | undefined {
  const [name = '', text = ''] = word.split('=');
  const before = (knobs as Record<string, unknown>)[name];
  if (before === undefined) return `there is no knob ${name}`;
  let value: unknown = text;
  if (Array.isArray(before)) value = text.split(',').map((part) => (typeof before[0] === 'number' ? Number(part) : part));
  else if (typeof before === 'number') value = Number(text);
  else if (typeof before === 'boolean') value = text === 'true';
  (knobs as Record<string, unknown>)[name] = value;
  return undefined;
}
