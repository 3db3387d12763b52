// What the kernel says about nbd devices in /sys: the only source that is believed. Reads are immediate; writes may wait for requests
// that this very process must answer, so they never run on this thread.

import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { within } from './run.js';

const SECTOR_BYTES = 512;
/** A request as long as the longest record of the log. */
const REQUEST_KIB = 1024;
const WRITE_MS = 5_000;

/** One device. `pid` is '' when nothing is connected; `backend` is '' for one that was connected without a name. */
export type NbdDevice = {
  readonly index: number;
  readonly pid: string;
  readonly backend: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
};

/** The device number of /dev/nbdN; undefined for any other path. */
export function indexOf(device: string): number | undefined {
  const found = /^\/dev\/nbd(\d{1,5})$/.exec(device);
  return found === null ? undefined : Number(found[1]);
}

/** Reads below `root`, which tests choose. */
export class NbdSysfs {
  readonly #root: string;

  constructor(root = '/sys') {
    this.#root = root;
  }

  /** The driver is there. */
  get isLoaded(): boolean {
    return this.#names().length > 0 || this.#text('module/nbd/parameters/nbds_max') !== '';
  }

  /** What is at this index; undefined when there is no such device. */
  device(index: number): NbdDevice | undefined {
    const size = this.#text(`block/nbd${index}/size`);
    if (size === '') return undefined;
    const pid = this.#text(`block/nbd${index}/pid`);
    const blockBytes = Number(this.#text(`block/nbd${index}/queue/logical_block_size`)) || SECTOR_BYTES;
    return { index, pid, backend: this.#text(`block/nbd${index}/backend`), sizeBytes: Number(size) * SECTOR_BYTES, blockBytes };
  }

  /** Connected devices. */
  connected(): NbdDevice[] {
    return this.#names()
      .map((name) => this.device(Number(name.slice(3))))
      .filter((device) => device !== undefined)
      .filter((device) => device.pid !== '');
  }

  /** No scheduler (the log orders) and requests as long as a record; returns what could not be set. */
  async tune(index: number): Promise<string[]> {
    const queue = `block/nbd${index}/queue`;
    const hardwareKib = Number(this.#text(`${queue}/max_hw_sectors_kb`)) || REQUEST_KIB;
    const wanted = [
      ['scheduler', 'none'],
      ['max_sectors_kb', String(Math.min(hardwareKib, REQUEST_KIB))],
    ] as const;
    const failed: string[] = [];
    for (const [name, value] of wanted) {
      const work = writeFile(join(this.#root, queue, name), value).then(
        () => true,
        () => false,
      );
      if ((await within(work, WRITE_MS)) !== true) failed.push(`${name} = ${value}`);
    }
    return failed;
  }

  #names(): string[] {
    try {
      return readdirSync(join(this.#root, 'block')).filter((name) => /^nbd\d+$/.test(name));
    } catch {
      return [];
    }
  }

  #text(path: string): string {
    try {
      return readFileSync(join(this.#root, path), 'utf8').trim();
    } catch (error) {
      // A process without descriptors knows nothing of a device, least of all that it is gone.
      if (['EMFILE', 'ENFILE'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      return '';
    }
  }
}
