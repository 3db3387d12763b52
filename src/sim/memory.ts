// Memory for simulated sites. Arenas come back when the process that used them is gone, because fresh memory of this size costs more than
// everything else in a short run.

import type { Arena } from '../core/ports.js';
import type { LogMemory } from '../disk/log-open.js';
import { crc32c, crc32cSpans } from '../disk/memory.js';

/** The memory of one site over all its processes. */
export class SimMemory implements LogMemory {
  readonly crc32c = crc32c;
  readonly crc32cSpans = crc32cSpans;
  readonly #free: Map<number, Arena[]>;
  readonly #used: Arena[] = [];
  readonly #uuidsOf: string;
  #uuids = 0;

  /** `free`: arenas that several memories share, by size; `owner`: no two owners make the same UUID. */
  constructor(free = new Map<number, Arena[]>(), owner = 'a') {
    this.#free = free;
    this.#uuidsOf = owner.charCodeAt(0).toString(16);
  }

  readonly createArena = (lengthBytes: number): Arena => {
    const arena = this.#free.get(lengthBytes)?.pop() ?? { bytes: new Uint8Array(lengthBytes), address: 0 };
    this.#used.push(arena);
    return arena;
  };

  readonly newUuid = (): string => (++this.#uuids).toString(16).padStart(32, this.#uuidsOf);

  /** The process has ended: nothing uses its arenas any more. */
  recycle(): void {
    for (const arena of this.#used.splice(0)) {
      const free = this.#free.get(arena.bytes.length);
      if (free === undefined) this.#free.set(arena.bytes.length, [arena]);
      else free.push(arena);
    }
  }
}
