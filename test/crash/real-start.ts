// Recovers an image once more as lvrd does, from real files with real I/O, to show that recovery on disks in memory is the same thing.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createEngines, type Engines } from '../../src/disk/engine.js';
import { crc32c, crc32cSpans, createArena } from '../../src/disk/memory.js';
import { decodeSuperblock, SUPERBLOCK_BYTES } from '../../src/format/superblock.js';
import { openGroup } from '../../src/group/open.js';
import { systemClock } from '../helpers/clock.js';
import { groupConfig, network, silent } from './recovery.js';
import { VOLUMES } from './workload.js';

/** The files of one image, log first. */
export type ImageFiles = readonly Uint8Array[];

export class RealStart {
  readonly #directory: string;
  readonly #engines: Engines = createEngines();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Starts and stops the group; returns what its volumes hold then. `logUuid`: the log it had before, if any. Rejects with LvrError. */
  async run(files: ImageFiles, logUuid: string | undefined): Promise<Uint8Array[]> {
    const directory = this.#directory;
    const paths = ['app.log', ...VOLUMES.map((name) => `${name}.img`)].map((name) => `${directory}/${name}`);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(`${directory}/groups`, { recursive: true });
    for (const [i, path] of paths.entries()) writeFileSync(path, files[i] as Uint8Array);
    const known = logUuid ?? uuidOfHistory(files[0] as Uint8Array);
    if (known !== undefined) writeFileSync(`${directory}/groups/app.log`, `log ${known}\n`);
    const memory = { createArena, crc32c, crc32cSpans, newUuid: () => 'e'.repeat(32) };
    const env = { site: 'a', insecure: false, clock: systemClock, network, memory, log: silent, random: () => 0.5 };
    const group = await openGroup(groupConfig(directory, 'primary'), { ...env, stateDir: directory, engines: this.#engines });
    await group.stop();
    return paths.slice(1).map((path) => readFileSync(path));
  }

  close(): void {
    this.#engines.close();
  }
}

/** A start that is cut off may have given the log a history, and then what state_dir knows of the log is durable (group/open.ts). */
function uuidOfHistory(log: Uint8Array): string | undefined {
  for (const at of [0, SUPERBLOCK_BYTES]) {
    const slot = decodeSuperblock(log.subarray(at, at + SUPERBLOCK_BYTES));
    if (slot.kind !== 'valid') continue;
    const { epoch, incarnation, bornZero, logUuid } = slot.superblock;
    if (epoch > 0 || incarnation > 0 || bornZero) return logUuid;
  }
  return undefined;
}
