// Reads that a volume's device answered with an error: what `on_io_error` makes of them, and what status says of them until the agent is
// restarted. Writes are not decided here: a record that cannot be written stays in the log, and the group fails.

import type { LvrError } from '../core/errors.js';
import type { GroupConfig } from '../core/group-config.js';
import type { Device } from '../core/ports.js';
import { deviceError } from '../disk/promises.js';
import type { GroupEnv } from './env.js';

/** What this needs of its group. */
export interface FaultyGroup {
  readonly name: string;
  readonly config: GroupConfig;
  readonly env: GroupEnv;
  readonly devices: readonly Device[];
  /** The group cannot go on with its devices. */
  applyFailed(error: LvrError): void;
}

export class DeviceErrors {
  readonly #group: FaultyGroup;
  /** Failed reads by volume. */
  readonly #reads = new Map<string, number>();

  constructor(group: FaultyGroup) {
    this.#group = group;
  }

  /** Called before the read is answered: with `detach` its client must not hear of an error that another site would not give. */
  readFailed(volume: number, errno: number): void {
    const { name, config, env, devices } = this.#group;
    const path = (devices[volume] as Device).path;
    const of = config.volumes[volume]?.name ?? path;
    const count = this.#reads.get(of) ?? 0;
    this.#reads.set(of, count + 1);
    const error = deviceError(`read volume ${of}`, path, errno);
    if (config.onIoError === 'detach') return this.#group.applyFailed(error);
    if (count > 0) return;
    const message = `group ${name}: ${error.message}; such reads are answered with an error (on_io_error = "pass_on")`;
    env.log.error('read-failed', message, { group: name, volume: of, errno });
  }

  /** In words; empty when there were none. */
  get reason(): string {
    const parts = [...this.#reads].map(([volume, count]) => `${count} reads of volume ${volume} failed since the agent was started`);
    return parts.join('; ');
  }
}
