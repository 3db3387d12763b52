// Reads that a volume's device answered with an error: what `on_io_error` makes of them, and what status says of them until the agent is
// restarted. Writes are not decided here: a record that cannot be written stays in the log, and the group fails.

import type { LvrError } from '../core/errors.js';
import type { GroupConfig } from '../core/group-config.js';
import type { Device } from '../core/ports.js';
import { deviceError } from '../disk/promises.js';
import type { Refusal } from '../link/ports.js';
import type { GroupEnv } from './env.js';

/** Ranges that are remembered, by volume and site; what is beyond is served all the same. */
const RANGES_MAX = 64;

/** What becomes of a read that failed, for the operator. */
const CONSEQUENCES: Record<GroupConfig['onIoError'], string> = {
  'retry-remote': 'such reads are answered by other sites, where one can',
  pass_on: 'such reads are answered with an error',
  detach: 'the group does not go on',
};

/** What this needs of its group. */
export interface FaultyGroup {
  readonly name: string;
  readonly role: 'primary' | 'secondary';
  readonly config: GroupConfig;
  readonly env: GroupEnv;
  readonly devices: readonly Device[];
  /** The group cannot go on with its devices. */
  applyFailed(error: LvrError): void;
}

/** Bytes [start, end) of a volume. */
type Range = { start: number; end: number };

export class DeviceErrors {
  readonly #group: FaultyGroup;
  /** Volumes of which it was said that a read failed. */
  readonly #said = new Set<string>();
  /** Reads that nobody could answer, by volume. */
  readonly #unanswered = new Map<string, number>();
  /** What other sites have answered instead of the device: by volume and site, apart from each other, ascending. */
  readonly #served = new Map<string, { readonly volume: string; readonly site: string; readonly ranges: Range[] }>();
  /** Reads answered by other sites, by volume. */
  readonly #servedReads = new Map<string, number>();
  /** Volumes and sites of which it was said that the site cannot answer, and why. */
  readonly #refused = new Set<string>();

  constructor(group: FaultyGroup) {
    this.#group = group;
  }

  /** Called before the read is answered: with `detach` its client must not hear of an error that another site would not give. */
  readFailed(volume: number, errno: number): void {
    const { name, role, config, env, devices } = this.#group;
    const path = (devices[volume] as Device).path;
    const of = this.#nameOf(volume);
    const error = deviceError(`read volume ${of}`, path, errno);
    // A secondary reads for its primary, which has asked for no more than an answer.
    if (config.onIoError === 'detach' && role === 'primary') return this.#group.applyFailed(error);
    if (this.#said.has(of)) return;
    this.#said.add(of);
    const message = `group ${name}: ${error.message}; ${CONSEQUENCES[config.onIoError]} (on_io_error = "${config.onIoError}")`;
    env.log.error('read-failed', message, { group: name, volume: of, errno });
  }

  /** A read is answered with an error. */
  unanswered(volume: number): void {
    const of = this.#nameOf(volume);
    this.#unanswered.set(of, (this.#unanswered.get(of) ?? 0) + 1);
  }

  /** Another site has answered a read of [offset, offset + length) that the device failed. */
  served(volume: number, offset: number, length: number, site: string): void {
    const of = this.#nameOf(volume);
    this.#servedReads.set(of, this.servedReads(of) + 1);
    const key = `${of} ${site}`;
    const entry = this.#served.get(key) ?? { volume: of, site, ranges: [] };
    this.#served.set(key, entry);
    if (!addRange(entry.ranges, offset, offset + length)) return;
    const { name, env } = this.#group;
    const message = `group ${name}: ${length} bytes of volume ${of} at ${offset} are read from site ${site}: the device cannot read them`;
    env.log.warn('read-remote', message, { group: name, volume: of, site, offset, length });
  }

  /** A site that was asked for what the device cannot read did not answer. Said once for each reason. */
  refused(volume: number, site: string, { code, reason }: Refusal): void {
    const { name, env } = this.#group;
    const of = this.#nameOf(volume);
    const key = `${of} ${site} ${code}`;
    if (this.#refused.has(key)) return;
    this.#refused.add(key);
    const message = `group ${name}: site ${site} does not give what the device of volume ${of} cannot read: ${reason}`;
    env.log.warn('read-remote-refused', message, { group: name, volume: of, site, code });
  }

  /** Pieces of a volume that other sites have answered since the agent was started. */
  servedReads(volume: string): number {
    return this.#servedReads.get(volume) ?? 0;
  }

  /** In words; empty when there were none. */
  get reason(): string {
    const failed = [...this.#unanswered].map(([volume, count]) => `${count} reads of volume ${volume} failed since the agent was started`);
    const served = [...this.#served.values()].map(({ volume, site, ranges: { length } }) => {
      const ranges = length === 1 ? '1 range' : `${length}${length === RANGES_MAX ? ' or more' : ''} ranges`;
      return `${ranges} of volume ${volume} ${length === 1 ? 'is' : 'are'} served from site ${site}`;
    });
    return [...failed, ...served].join('; ');
  }

  #nameOf(volume: number): string {
    const { config, devices } = this.#group;
    return config.volumes[volume]?.name ?? (devices[volume] as Device).path;
  }
}

/** Adds [start, end) to ascending ranges; what touches it becomes one with it. False when it was there, or there is no room. */
function addRange(ranges: Range[], start: number, end: number): boolean {
  const at = ranges.findIndex((range) => range.end >= start);
  const first = at < 0 ? ranges.length : at;
  let last = first;
  while (last < ranges.length && (ranges[last] as Range).start <= end) last++;
  const touched = ranges.slice(first, last);
  if (touched.length === 0 && ranges.length === RANGES_MAX) return false;
  if (touched.length === 1 && (touched[0] as Range).start <= start && (touched[0] as Range).end >= end) return false;
  const whole = { start: Math.min(start, touched[0]?.start ?? start), end: Math.max(end, touched.at(-1)?.end ?? end) };
  ranges.splice(first, touched.length, whole);
  return true;
}
