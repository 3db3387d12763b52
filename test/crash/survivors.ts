// Chooses what of the writes that no flush covers survives in an image: whole ones, or some of their sectors (512 bytes) or blocks (4 KiB).
// Remembers what was chosen, so that the same image can be made again after the disks were reset.

import { mkdirSync, writeFileSync } from 'node:fs';
import { RING_START } from '../../src/format/superblock.js';
import type { Random } from '../helpers/random.js';
import type { ImageDisk } from './image-disk.js';
import type { WriteEntry } from './trace.js';

type Piece = { readonly disk: ImageDisk; readonly write: WriteEntry; readonly from: number; readonly to: number };

export class Survivors {
  /** Where a write of this image was torn. */
  readonly torn = new Set<'ring' | 'superblock' | 'volume'>();
  readonly #random: Random;
  readonly #disks: readonly ImageDisk[];
  readonly #logs: readonly ImageDisk[];
  #pieces: Piece[] = [];

  /** `logs`: those of the disks that hold a log. */
  constructor(random: Random, disks: readonly ImageDisk[], logs: readonly ImageDisk[]) {
    this.#random = random;
    this.#disks = disks;
    this.#logs = logs;
  }

  /** The share of writes that survives in an image, in 1/8. */
  eighths(): number {
    return this.#random.below(9);
  }

  /** By chance: all of a write, nothing, or with `tears` a part of it. */
  choose(disk: ImageDisk, write: WriteEntry, kept: number, tears: boolean): void {
    if (this.#random.below(8) >= kept) return;
    if (tears && (this.#logs.includes(disk) || this.#random.below(8) === 0)) this.tear(disk, write);
    else this.keep(disk, write);
  }

  /** The same for every uncertain write of `disks`. */
  chooseAll(disks: readonly ImageDisk[], kept: number, tears: boolean): void {
    for (const disk of disks) for (const { write } of disk.pending) this.choose(disk, write, kept, tears);
  }

  /** Keeps the first units of a write, or any of them. */
  tear(disk: ImageDisk, write: WriteEntry): void {
    const unit = this.#random.below(2) === 0 && write.length > 4096 ? 4096 : 512;
    const units = write.length / unit;
    if (units < 2) return this.keep(disk, write);
    const first = 1 + this.#random.below(units - 1);
    if (this.#random.below(2) === 0) this.keep(disk, write, 0, first * unit);
    else {
      const left = this.#random.below(units);
      for (let i = 0; i < units; i++) {
        if (i !== left && this.#random.below(units) < first) this.keep(disk, write, i * unit, (i + 1) * unit);
      }
    }
    this.torn.add(!this.#logs.includes(disk) ? 'volume' : write.offset < RING_START ? 'superblock' : 'ring');
  }

  keep(disk: ImageDisk, write: WriteEntry, from = 0, to = write.length): void {
    this.#pieces.push({ disk, write, from, to });
    disk.keep(write, from, to);
  }

  /** Makes the image again on the disks as they are now. */
  again(): void {
    for (const disk of this.#disks) disk.reset();
    for (const { disk, write, from, to } of this.#pieces) disk.keep(write, from, to);
  }

  /** Leaves the image in files, and the disks reset. */
  save(directory: string): void {
    mkdirSync(directory, { recursive: true });
    this.again();
    for (const disk of this.#disks) {
      writeFileSync(`${directory}/${disk.path}.img`, disk.bytes);
      disk.reset();
    }
  }

  /** Begins the next image: the disks are reset. */
  clear(): void {
    for (const disk of this.#disks) disk.reset();
    this.#pieces = [];
    this.torn.clear();
  }
}
