// Changes of a log's size, all of a family: what stands in the log (nothing, one lap, two, full), the new size, and a power cut after every
// device operation. Afterwards every durable record is there, and the log goes round and round in its new size. For two tests, that of
// resizing and that of planted bugs.

import { LvrError } from '../../src/core/errors.js';
import { MIB } from '../../src/core/limits.js';
import { resizeLog } from '../../src/disk/log-resize.js';
import { RING_START, SUPERBLOCK_BYTES } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { Random } from '../../src/sim/random.js';
import { SimLog, SimMemory } from '../helpers/sim-log.js';

/** Of the disk that the log is on: the largest size it can have. */
export const DISK_BYTES = 40 * MIB;
const BEFORE_BYTES = 20 * MIB;
/** Bytes of the one record of a batch: some end in the middle of a lap's last MiB. */
const RECORD_BYTES = [700 * 1024, 512, MIB, 60 * 1024, 300 * 1024] as const;
const POINTS_MAX = 40;

type Filled = { readonly site: SimLog; readonly writer: { epoch: number; incarnation: number } };

/** Appends until so many bytes of the ring are used, or nothing fits any more. */
async function fillTo({ site, writer }: Filled, usedBytes: number): Promise<void> {
  for (let i = 0; site.log.usedBytes < usedBytes; i++) {
    const bytes = RECORD_BYTES[i % RECORD_BYTES.length] as number;
    if (!site.log.hasRoom(bytes)) break;
    site.append(writer, [{ bytes }]);
    if (site.log.undurable > 4) await site.settle();
  }
  await site.settle();
}

/** Forgets the oldest records until at most so many bytes are used. */
async function trimTo(site: SimLog, usedBytes: number): Promise<void> {
  while (site.log.usedBytes > usedBytes && site.log.trimmedLsn < site.log.durableLsn) await site.trim(site.log.trimmedLsn + 1);
}

/** What stands in the log when its size is changed. */
export const LAYOUTS: Readonly<Record<string, (filled: Filled) => Promise<void>>> = {
  'nothing, from the start': async () => undefined,
  'nothing, in the middle': async (filled) => {
    await fillTo(filled, 9 * MIB);
    await trimTo(filled.site, 0);
  },
  'one lap': (filled) => fillTo(filled, 9 * MIB),
  'the end of a lap': async (filled) => {
    await fillTo(filled, 19 * MIB);
    await trimTo(filled.site, 3 * MIB);
  },
  'two laps': async (filled) => {
    await fillTo(filled, 15 * MIB);
    await trimTo(filled.site, 3 * MIB);
    await fillTo(filled, 10 * MIB);
  },
  'full, one lap': (filled) => fillTo(filled, BEFORE_BYTES),
  'full, two laps': async (filled) => {
    await fillTo(filled, 12 * MIB);
    await trimTo(filled.site, 5 * MIB);
    await fillTo(filled, BEFORE_BYTES);
  },
};

export const SIZES: readonly number[] = [16 * MIB, 18 * MIB, BEFORE_BYTES + 4096, 27 * MIB, DISK_BYTES];

/** What the worlds came to. `violation`: undefined when all was well. */
export type ResizeFigures = { worlds: number; refused: number; crashed: number; violation: string | undefined };

class World {
  readonly #memory = new SimMemory();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  async prepared(fill: (filled: Filled) => Promise<void>): Promise<SimDisk> {
    const disk = new SimDisk('log', DISK_BYTES, 4096);
    const site = await SimLog.open(disk, this.#memory);
    await driven(
      site,
      resizeLog(site.log, BEFORE_BYTES, () => undefined),
    );
    await fill({ site, writer: await site.lead() });
    this.#memory.recycle();
    return disk;
  }

  async #open(disk: SimDisk): Promise<Filled> {
    this.#memory.recycle();
    const site = await SimLog.open(disk, this.#memory, 'primary', false);
    return { site, writer: await site.lead() };
  }

  /** One change of size, cut off after `point` operations if that comes before its end. Throws when something is not as it must be. */
  async run(disk: SimDisk, sizeBytes: number, point: number): Promise<'done' | 'refused' | 'crashed'> {
    const { site, writer } = await this.#open(disk);
    const { log } = site;
    // Writes are under way when it begins.
    for (let i = 0; i < 3 && log.hasRoom(512); i++) site.append(writer, [{ bytes: 512 }]);
    const durable = log.durableLsn;
    const trimmed = log.trimmedLsn;
    const fits = log.usedBytes <= sizeBytes - RING_START;
    const outcome = await steps(
      site,
      resizeLog(log, sizeBytes, () => undefined),
      point,
    );
    if (outcome !== 'crashed') {
      if ((outcome === 'refused') === fits) throw new Error(`${outcome} although ${log.usedBytes} bytes are used`);
      if (outcome === 'done' && log.ring.bytes !== sizeBytes - RING_START) throw new Error('it has not the new size');
      if (outcome === 'refused' && log.ring.bytes !== BEFORE_BYTES - RING_START) throw new Error('it has not the old size');
      await site.settle();
      // In the new layout at once; the other of the two superblocks must do as well.
      await fillTo({ site, writer }, log.usedBytes + 2 * MIB);
      await this.#eitherSuperblock(disk, trimmed, log.appendedLsn);
    }
    const kept = outcome === 'crashed' ? durable : log.appendedLsn;
    disk.crash('power', this.#random);
    await this.#goesRound(disk, trimmed, kept, outcome === 'crashed' ? 2 : 4);
    return outcome;
  }

  async #eitherSuperblock(disk: SimDisk, trimmed: number, last: number): Promise<void> {
    for (const slot of [0, 1]) {
      const copy = disk.clone();
      copy.corrupt(slot * SUPERBLOCK_BYTES + 300, 3);
      const { site } = await this.#open(copy);
      if (site.log.appendedLsn !== last)
        throw new Error(`with slot ${slot} damaged the log ends at LSN ${site.log.appendedLsn} of ${last}`);
      if (site.log.trimmedLsn < trimmed) throw new Error('it goes back');
      copy.discard();
    }
  }

  /** Everything up to `kept` is there; then it is filled some times more, with starts in between. */
  async #goesRound(disk: SimDisk, trimmed: number, kept: number, laps: number): Promise<void> {
    let filled = await this.#open(disk);
    if (filled.site.log.appendedLsn < kept) throw new Error(`the log ends at LSN ${filled.site.log.appendedLsn}, ${kept} was durable`);
    if (filled.site.log.trimmedLsn !== trimmed) throw new Error('the log begins elsewhere');
    for (let lap = 0; lap < laps; lap++) {
      const { site } = filled;
      const records = await site.records();
      const { trimmedLsn, appendedLsn } = site.log;
      if (records.length !== appendedLsn - trimmedLsn)
        throw new Error(`${records.length} of ${appendedLsn - trimmedLsn} records are there`);
      await fillTo(filled, site.log.ring.bytes);
      const last = site.log.appendedLsn;
      if (lap % 2 === 1) {
        disk.crash('power', this.#random);
        filled = await this.#open(disk);
        if (filled.site.log.appendedLsn !== last) throw new Error(`lap ${lap}: the log ends at ${filled.site.log.appendedLsn} of ${last}`);
      }
      await trimTo(filled.site, filled.site.log.ring.bytes / 3);
    }
    const { log } = filled.site;
    if (laps > 2 && !log.ring.isSettled(log.freePosition)) throw new Error('the old layout is never left');
  }
}

/** Drives the device until `work` has ended; an LvrError is an end as well. */
async function driven(site: SimLog, work: Promise<unknown>): Promise<void> {
  if ((await steps(site, work, Number.POSITIVE_INFINITY)) !== 'done') throw new Error('the log cannot be prepared');
}

async function steps(site: SimLog, work: Promise<unknown>, point: number): Promise<'done' | 'refused' | 'crashed'> {
  let outcome: 'done' | 'refused' | undefined;
  const end = work.then(
    () => {
      outcome = 'done';
    },
    (error: unknown) => {
      if (!(error instanceof LvrError) || error.code !== 'LOG_SIZE') throw error;
      outcome = 'refused';
    },
  );
  for (let done = 0; ; ) {
    await new Promise((resolve) => setImmediate(resolve));
    if (outcome !== undefined) break;
    if (done === point) return 'crashed';
    if (site.device.step()) done++;
  }
  await end;
  return outcome;
}

/** Runs the worlds of the layouts and sizes named, all unless they are given. */
export async function resizeWorlds(seed: number, layouts = Object.keys(LAYOUTS), sizes = SIZES): Promise<ResizeFigures> {
  const random = new Random(seed);
  const figures: ResizeFigures = { worlds: 0, refused: 0, crashed: 0, violation: undefined };
  for (const name of layouts) {
    const world = new World(random);
    const prepared = await world.prepared(LAYOUTS[name] as (filled: Filled) => Promise<void>);
    for (const size of sizes) {
      for (let point = 0; point < POINTS_MAX; point++) {
        const disk = prepared.clone();
        figures.worlds++;
        try {
          const outcome = await world.run(disk, size, point);
          if (outcome === 'refused') figures.refused++;
          if (outcome === 'crashed') figures.crashed++;
          disk.discard();
          if (outcome !== 'crashed') break;
        } catch (error) {
          figures.violation = `${name}, to ${size} bytes, power cut after ${point} operations: ${String(error)}`;
          return figures;
        }
      }
    }
    prepared.discard();
  }
  return figures;
}
