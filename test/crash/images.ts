// Walks a trace and makes images of what a power cut can leave at each instant: everything before a completed flush of its disk, and of the
// rest all, nothing, or any part, torn in sectors of 512 bytes or blocks of 4 KiB. The product recovers each, the oracle judges it.

import { RING_START } from '../../src/format/superblock.js';
import type { Random } from '../helpers/random.js';
import { ImageDisk } from './image-disk.js';
import { Oracle } from './oracle.js';
import type { ImageFiles, RealStart } from './real-start.js';
import { imagesOf, Recovery } from './recovery.js';
import { Survivors } from './survivors.js';
import { type Entry, LOG_DISK, type WriteEntry } from './trace.js';
import { LOG_BYTES, type Phase, type Recording, RING_BYTES, VOLUME_BYTES, VOLUMES } from './workload.js';

const PROBLEMS_MAX = 10;
/** Windows with up to this many log writes are tried in every combination of them. */
const ALL_SUBSETS_MAX = 3;
const SUPERBLOCK_TEARS = 6;
/** One image in so many is recovered from real files as well, and every one from before the first start had come to its end. */
const REAL_EVERY = 250;

/** About so many images an entry are made by default: the prefix, log windows, cut superblocks, a subset and a torn one now and then. */
const IMAGES_PER_ENTRY = 2;
const PAIRS_PER_ENTRY = 0.2;

/** How many images, roughly; by default two for each entry. Fewer are spread over the trace, more are random subsets and torn ones. */
export interface ImageOptions {
  readonly imagesWanted: number | undefined;
}

/** What the generator reached, and what was found wrong. */
export class Figures {
  images = 0;
  /** Everything written by then survives. */
  prefixes = 0;
  /** Parts of what no flush covers survive. */
  subsets = 0;
  /** At least one write is torn. */
  torn = 0;
  tornTails = 0;
  superblockCuts = 0;
  /** The log had records that the volumes lacked: recovery changed a volume. */
  replayed = 0;
  /** The power went off again during recovery. */
  twice = 0;
  /** Cut before the group could serve clients for the first time. */
  creation = 0;
  /** Recovered from real files as well, with the same result. */
  real = 0;
  violations = 0;
  laps = 0;
  writes = 0;
  logFlushes = 0;
  volumeFlushes = 0;
  readonly problems: string[] = [];

  line(): string {
    const { images, prefixes, subsets, torn, tornTails, superblockCuts, replayed, twice, creation, real, laps } = this;
    const { writes, logFlushes, volumeFlushes, violations } = this;
    return (
      `${writes} writes, ${logFlushes} flushes of the log, ${volumeFlushes} of volumes, log wrapped ${laps} times; ` +
      `${images} images: ${prefixes} prefixes, ${subsets} subsets, ${torn} torn (${tornTails} log tails, ${superblockCuts} superblocks), ` +
      `${replayed} cut between log and volumes, ${twice} cut again in recovery, ${creation} during creation, ` +
      `${real} also from real files; ${violations} violations`
    );
  }
}

export class Images {
  readonly figures = new Figures();
  readonly #recording: Recording;
  readonly #random: Random;
  /** Chance that images are made at an entry, and random pairs (a subset and a torn image) made there. */
  readonly #share: number;
  readonly #pairs: number;
  /** Where the first image that fails is kept. */
  readonly #keepIn: string | undefined;
  readonly #realStart: RealStart | undefined;
  readonly #disks: readonly ImageDisk[];
  readonly #oracles: readonly Oracle[];
  readonly #recovery: Recovery;
  readonly #survivors: Survivors;
  #logUuid: string | undefined;
  #operations = 1;

  constructor(recording: Recording, random: Random, options: ImageOptions, keepIn?: string, realStart?: RealStart) {
    this.#recording = recording;
    this.#random = random;
    const byDefault = recording.entries.length * IMAGES_PER_ENTRY;
    const wanted = options.imagesWanted ?? byDefault;
    this.#share = Math.min(1, wanted / byDefault);
    this.#pairs = PAIRS_PER_ENTRY + Math.max(0, wanted - byDefault) / (2 * recording.entries.length);
    this.#keepIn = keepIn;
    this.#realStart = realStart;
    this.#recovery = new Recovery(recording.role);
    this.#disks = ['log', ...VOLUMES].map((name) => new ImageDisk(name, name === 'log' ? LOG_BYTES : VOLUME_BYTES));
    this.#survivors = new Survivors(random, this.#disks, this.#disks.slice(0, 1));
    this.#oracles = recording.phases.map(({ writes, base }) => new Oracle(writes, base));
    this.figures.laps = Math.floor(recording.ringBytes / RING_BYTES);
  }

  /** Makes and judges all images, in the order of the trace. */
  async run(): Promise<Figures> {
    const { entries } = this.#recording;
    for (const [at, entry] of entries.entries()) {
      if (entry.kind === 'write') this.figures.writes++;
      else if (entry.disk === LOG_DISK) this.figures.logFlushes++;
      else this.figures.volumeFlushes++;
      const disk = this.#disks[entry.disk] as ImageDisk;
      if (entry.kind === 'write') disk.written(at, entry);
      else disk.flushed(entry.covers);
      if (this.#chance(this.#share)) await this.#imagesAt(at, entry);
    }
    return this.figures;
  }

  async #imagesAt(at: number, entry: Entry): Promise<void> {
    if (entry.kind === 'write') {
      for (const disk of this.#disks) for (const { write } of disk.pending) this.#survivors.keep(disk, write);
      this.figures.prefixes++;
      await this.#judge(at, 'prefix');
      if (entry.disk === LOG_DISK && entry.offset < RING_START) await this.#superblockCuts(at, entry);
    }
    const next = this.#recording.entries[at + 1];
    if (next?.kind === 'flush' && next.disk === LOG_DISK) await this.#logWindow(at);
    for (let pairs = this.#pairs; pairs > 0; pairs--) {
      if (!this.#chance(pairs)) break;
      for (const tears of [false, true]) {
        this.#survivors.chooseAll(this.#disks, this.#survivors.eighths(), tears);
        if (!tears) this.figures.subsets++;
        await this.#judge(at, tears ? 'torn' : 'subset');
      }
    }
  }

  #chance(share: number): boolean {
    return this.#random.below(1_000_000) < share * 1_000_000;
  }

  /** The last write is a superblock, and the power goes off in the middle of it. */
  async #superblockCuts(at: number, superblock: WriteEntry): Promise<void> {
    for (let tear = 0; tear < SUPERBLOCK_TEARS; tear++) {
      const kept = this.#survivors.eighths();
      for (const disk of this.#disks) {
        for (const { write } of disk.pending) if (write !== superblock) this.#survivors.choose(disk, write, kept, false);
      }
      this.#survivors.tear(this.#disks[LOG_DISK] as ImageDisk, superblock);
      await this.#judge(at, 'cut superblock');
    }
  }

  /** A flush of the log is about to end: all combinations of the log writes it covers and of those behind it, if they are few. */
  async #logWindow(at: number): Promise<void> {
    const [log, ...volumes] = this.#disks as [ImageDisk, ...ImageDisk[]];
    const count = Math.min(log.pending.length, ALL_SUBSETS_MAX);
    for (let set = 0; set < 2 ** count; set++) {
      const kept = this.#survivors.eighths();
      for (const [i, { write }] of log.pending.entries()) {
        const isKept = i < count ? ((set >> i) & 1) === 1 : this.#random.below(2) === 0;
        if (isKept) this.#survivors.keep(log, write);
      }
      this.#survivors.chooseAll(volumes, kept, false);
      this.figures.subsets++;
      await this.#judge(at, `subset ${set} of ${count} log writes`);
    }
  }

  /** Recovers the image that was made, judges it, and takes it back. */
  async #judge(at: number, what: string): Promise<void> {
    const { figures } = this;
    const number = ++figures.images;
    const { torn } = this.#survivors;
    if (torn.size > 0) figures.torn++;
    if (torn.has('ring')) figures.tornTails++;
    if (torn.has('superblock')) figures.superblockCuts++;
    const isTwice = this.#random.below(12) === 0;
    const problem = await this.#recover(at, isTwice).catch((error: unknown) => String(error));
    if (isTwice) figures.twice++;
    if (problem !== undefined) {
      figures.violations++;
      if (figures.violations === 1) this.#keepImage();
      if (figures.problems.length < PROBLEMS_MAX) {
        figures.problems.push(`image ${number}, after entry ${at} (${what}${isTwice ? ', recovery cut once' : ''}): ${problem}`);
      }
    }
    this.#survivors.clear();
  }

  /** Undefined, or what is wrong. Rejects when the start is refused or a block is torn. */
  async #recover(at: number, isTwice: boolean): Promise<string | undefined> {
    const { phases, createdAt, entries } = this.#recording;
    const mayCreate = at < createdAt;
    const isReal = this.#realStart !== undefined && (mayCreate || this.#random.below(REAL_EVERY) === 0);
    const files: ImageFiles = isReal ? this.#disks.map((disk) => disk.bytes.slice()) : [];
    if (isTwice) await this.#recovery.runInPart(this.#disks, mayCreate, 1 + this.#random.below(this.#operations));
    const { logUuid, bornZero, asSecondary } = await this.#recovery.run(this.#disks, mayCreate);
    const [, ...volumes] = this.#disks as [ImageDisk, ...ImageDisk[]];
    this.#operations = this.#disks.reduce((sum, disk) => sum + disk.operations, 0);
    if (mayCreate) this.figures.creation++;
    if (volumes.some((disk) => disk.changed)) this.figures.replayed++;
    if (!mayCreate) this.#logUuid ??= logUuid;
    if (!mayCreate && logUuid !== this.#logUuid) return `the log is another one: ${logUuid}`;
    if (!bornZero) return 'it is no longer known that the volumes began as zeroes';
    if (isReal) {
      const real = await (this.#realStart as RealStart).run(files, mayCreate ? undefined : logUuid);
      this.figures.real++;
      if (real.some((bytes, i) => Buffer.compare(bytes, (volumes[i] as ImageDisk).bytes) !== 0)) return 'real files gave another result';
    }
    const number = phases.findIndex((phase) => at < phase.to);
    const phase = phases[number] as Phase;
    const oracle = this.#oracles[number] as Oracle;
    const before =
      asSecondary &&
      oracle.judge(
        asSecondary,
        VOLUMES.map(() => 0),
      );
    if (before !== undefined) return `before the promotion: ${before}`;
    const promised = at + 1 < phase.to ? (entries[at + 1] as Entry).promised : phase.promised;
    return oracle.judge(imagesOf(volumes), promised);
  }

  #keepImage(): void {
    if (this.#keepIn === undefined) return;
    this.#survivors.save(this.#keepIn);
    this.figures.problems.push(`the first image that failed was kept in ${this.#keepIn}`);
  }
}
