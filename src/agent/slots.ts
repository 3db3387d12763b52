// The groups of the configuration, each open or failed. A slot is never removed: a failed group stays visible until the agent is restarted.

import { LvrError } from '../core/errors.js';
import type { GroupConfig } from '../core/group-config.js';
import type { Backend } from '../core/ports.js';
import type { AgentGroup } from './ports.js';
import { didYouMean } from './suggest.js';

/** One group: `group` is undefined when it could not be opened; `failure` also when it ended later. */
export type Slot = { readonly config: GroupConfig; group: AgentGroup | undefined; failure: Error | undefined };

/** All slots, in the order of the configuration. */
export class Slots {
  readonly #byName = new Map<string, Slot>();

  constructor(configs: readonly GroupConfig[]) {
    for (const config of configs) this.#byName.set(config.name, { config, group: undefined, failure: undefined });
  }

  all(): Iterable<Slot> {
    return this.#byName.values();
  }

  /** Open groups. */
  *groups(): Iterable<AgentGroup> {
    for (const slot of this.#byName.values()) if (slot.group) yield slot.group;
  }

  /** A group of the configuration is not open. */
  hasFailed(name: string): boolean {
    const slot = this.#byName.get(name);
    return slot !== undefined && slot.group === undefined;
  }

  /** Throws NOT_FOUND. */
  slot(name: string): Slot {
    const slot = this.#byName.get(name);
    if (slot) return slot;
    const names = [...this.#byName.keys()];
    throw new LvrError('NOT_FOUND', `there is no group ${name}${didYouMean(name, names)}`, { details: { groups: names } });
  }

  /** An open group. Throws NOT_FOUND, or what it failed with. */
  group(name: string): AgentGroup {
    const { group, failure } = this.slot(name);
    if (failure) throw failure instanceof LvrError ? failure : new LvrError('FAILED', `group ${name} has failed: ${failure.message}`);
    if (!group) throw new LvrError('FAILED', `group ${name} is not open yet`);
    return group;
  }

  /** `group/volume` of an open group. Throws NOT_FOUND. */
  backend(target: string): { group: AgentGroup; backend: Backend } {
    const [groupName, volume, ...rest] = target.split('/');
    if (!groupName || !volume || rest.length > 0) throw new LvrError('USAGE', `expected GROUP/VOLUME, got ${target}`);
    const group = this.group(groupName);
    const backend = group.backends.get(volume);
    if (backend) return { group, backend };
    const volumes = [...group.backends.keys()];
    throw new LvrError('NOT_FOUND', `group ${groupName} has no volume ${volume}${didYouMean(volume, volumes)}`, { details: { volumes } });
  }
}
