// Two sites on the disks of images, with the product's own start, links and group code, in virtual time and over a network in memory. A
// meeting is one run of both processes; the next one begins with new processes on the same disks.

import type { GroupConfig, SiteMode } from '../../src/core/group-config.js';
import type { Backend, BackendClient, IoRequest } from '../../src/core/ports.js';
import { openLog } from '../../src/disk/log-open.js';
import type { GroupEnv } from '../../src/group/env.js';
import type { Group } from '../../src/group/group.js';
import { assembleGroup, makeStores } from '../../src/group/open.js';
import type { GroupStores } from '../../src/group/resyncs.js';
import { Listener } from '../../src/link/listener.js';
import { MemoryNetwork, type MemoryStream } from '../../src/sim/network.js';
import { positionsProblem } from '../../src/sim/positions.js';
import { Scheduler } from '../../src/sim/scheduler.js';
import { BLOCK_BYTES, fillBlock } from '../helpers/history.js';
import type { Random } from '../helpers/random.js';
import { type ImageDisk, Power } from './image-disk.js';
import { emptyStores, groupConfig, identityOf, Memory } from './recovery.js';
import { VOLUME_BLOCKS, VOLUMES } from './workload.js';

const PORTS = { a: 7001, b: 7002 } as const;
/** Virtual time granted to one step, such as a start or coming together. */
const STEP_MS = 120_000;
const DISK_MS_MAX = 2;
const NETWORK_MS_MAX = 2;
/** In one meeting of so many the disks end operations inside the call that submits them, as the engine does with what is complete. */
const INSTANT_EVERY = 4;
/** Content of writes after an image: above every sequence number of a load. */
const LATER_SEQUENCE = 2 ** 40;

/** A promise was not kept; the message says which. */
export class Broken extends Error {
  override name = 'Broken';
}

/** One process of a meeting. */
export class ImageSite {
  readonly name: 'a' | 'b';
  readonly volumes: readonly ImageDisk[];
  readonly #log: ImageDisk;
  /** Of its bitmaps and its undo store, if they are part of the image. */
  readonly #stores: readonly ImageDisk[];
  readonly #memory: Memory;
  readonly #mode: SiteMode;
  #group: Group | undefined;
  #listener: Listener | undefined;
  /** What it told its operator. */
  readonly lines: string[] = [];

  constructor(name: 'a' | 'b', disks: readonly ImageDisk[], mode: SiteMode) {
    const [log, ...others] = disks as [ImageDisk, ...ImageDisk[]];
    this.name = name;
    this.volumes = others.slice(0, VOLUMES.length);
    this.#stores = others.slice(VOLUMES.length);
    this.#log = log;
    this.#mode = mode;
    this.#memory = new Memory(name);
  }

  get group(): Group {
    if (this.#group === undefined) throw new Broken(`site ${this.name} has no group`);
    return this.#group;
  }

  get disks(): readonly ImageDisk[] {
    return [this.#log, ...this.volumes, ...this.#stores];
  }

  get other(): 'a' | 'b' {
    return this.name === 'a' ? 'b' : 'a';
  }

  /** State of its link to the other site. */
  get link() {
    return (this.group.linkFor(this.other) as NonNullable<ReturnType<Group['linkFor']>>).state();
  }

  /** Recovery alone: nothing is heard of the other site yet. Rejects with the LvrError of a refusal. */
  async open(meeting: Meeting, mayCreate: boolean): Promise<void> {
    const { clock, network } = meeting;
    this.lines.length = 0;
    const note = (event: string, message: string): void => void this.lines.push(`${event} ${message}`);
    const log = { info: note, warn: note, error: note };
    const random = (): number => meeting.random.fraction();
    const env: GroupEnv = { site: this.name, insecure: false, clock, network, memory: this.#memory, log, random };
    const role = this.name === 'a' ? 'primary' : 'secondary';
    const address = { host: 'host', port: PORTS[this.other] };
    const there = { name: this.other, ...address, mode: this.#mode, onDisconnect: 'continue', logFull: 'bitmap' } as const;
    const config = { ...groupConfig('image', role, [there]), undo: this.#stores.length > 0 ? 'auto' : 'off' } as const;
    const opened = await openLog(this.#log, identityOf(this.name), role, this.#memory, mayCreate);
    const group = await assembleGroup(config, env, opened, this.volumes, this.#makeStores(config));
    this.#group = group;
    this.#listener = new Listener({ network, clock, log, site: this.name, insecure: false, lookup: () => group });
  }

  #makeStores(config: GroupConfig): GroupStores {
    const [bitmaps, undo] = this.#stores;
    if (bitmaps === undefined) return emptyStores(config, this.#memory);
    const sizes = this.volumes.map(({ sizeBytes }) => sizeBytes);
    return makeStores(config, bitmaps, undo, this.#memory, sizes);
  }

  /** Links, then volumes. */
  async serve(): Promise<void> {
    await this.#listener?.start('host', PORTS[this.name]);
    await this.group.start();
  }

  /** After the meeting: the memory may be used again. */
  end(): void {
    this.#group = undefined;
    this.#listener = undefined;
    this.#memory.recycle();
  }
}

export class Meeting {
  readonly random: Random;
  readonly clock = new Scheduler();
  readonly network = new MemoryNetwork();
  readonly sites: readonly ImageSite[];
  readonly #scheduled = new Set<MemoryStream>();
  readonly #power = new Power();
  /** The power went off. */
  isOver = false;

  /** `operations`: the power of both sites goes off after so many of their device operations. */
  constructor(random: Random, sites: readonly ImageSite[], operations = Number.POSITIVE_INFINITY) {
    this.random = random;
    this.sites = sites;
    this.network.pieceBytes = () => 1 + random.below(random.below(4) === 0 ? 4096 : 1 << 20);
    this.network.onActivity = (stream) => this.#pump(stream);
    this.#power.left = operations;
    this.#power.onOff = () => {
      this.isOver = true;
    };
    const isInstant = random.below(INSTANT_EVERY) === 0;
    for (const disk of sites.flatMap((site) => site.disks)) {
      disk.restart(this.#power);
      if (isInstant) continue;
      disk.schedule = (end) =>
        void this.clock.after(random.fraction() * DISK_MS_MAX, () => {
          this.clock.isBusy = true;
          if (!this.isOver) end();
        });
    }
  }

  /** Lets time pass until `work` has ended; its error is thrown. False: the power went off before. */
  async until(what: string, work: Promise<unknown>): Promise<boolean> {
    let end: { error: unknown } | undefined;
    work.then(
      () => {
        end = { error: undefined };
      },
      (error: unknown) => {
        end = { error };
      },
    );
    if (!(await this.reach(what, () => end !== undefined))) return false;
    if (end?.error !== undefined) throw end.error;
    return true;
  }

  /** Lets time pass until `holds`; throws when it does not in time. False: the power went off before. */
  async reach(what: string, holds: () => boolean): Promise<boolean> {
    let reached = false;
    await this.clock.run(this.clock.nowMs() + STEP_MS, () => {
      reached = !this.isOver && holds();
      return reached || this.isOver;
    });
    if (reached || this.isOver) return reached;
    throw new Broken(`not within ${STEP_MS / 1000} s: ${what}; ${this.story()}`);
  }

  /** Opens a site by itself. */
  open(site: ImageSite, mayCreate: boolean): Promise<boolean> {
    return this.until(`site ${site.name} starts`, site.open(this, mayCreate));
  }

  /** Both sites hold the same records, on their volumes too, and stream. `to`: the secondary. */
  isInSync(from: ImageSite, to: ImageSite): boolean {
    if (from.group.role !== 'primary' || to.group.role !== 'secondary') return false;
    const lsn = from.group.log.appendedLsn;
    const positions = [from.group.log.durableLsn, from.group.applier.appliedLsn, to.group.log.durableLsn, to.group.applier.appliedLsn];
    return from.link.replication === 'streaming' && to.link.session === 'connected' && positions.every((position) => position === lsn);
  }

  /** A write of one block and a flush at a primary, answered; false: the power went off before. */
  async write(site: ImageSite, volume: number, number: number): Promise<boolean> {
    const backend = site.group.backends.get(VOLUMES[volume] as string) as Backend;
    if (!(await this.reach(`${site.name} serves clients`, () => backend.unavailable === undefined))) return false;
    const block = this.random.below(VOLUME_BLOCKS);
    const words = new Float64Array(BLOCK_BYTES / 8);
    fillBlock(words, 0, LATER_SEQUENCE + number, volume, block);
    const answers: number[] = [];
    const owner: BackendClient = { completed: (_request, errno) => void answers.push(errno), roomAvailable() {} };
    const epoch = backend.connect(() => {});
    const request = { op: 'write', offset: block * BLOCK_BYTES, length: BLOCK_BYTES, fua: false, noHole: false, epoch, slabs: [], owner };
    if (!backend.write(request as IoRequest, new Uint8Array(words.buffer), 0)) throw new Broken(`site ${site.name} has no room`);
    backend.flush({ ...request, op: 'flush', offset: 0, length: 0 });
    backend.commit();
    if (!(await this.reach(`${site.name} answers a write and a flush`, () => answers.length === 2))) return false;
    backend.disconnect(epoch, owner);
    if (answers.some((errno) => errno !== 0)) throw new Broken(`site ${site.name} answers ${answers}; ${this.story()}`);
    return true;
  }

  /** Throws when positions of a site contradict each other or its group has failed. */
  check(site: ImageSite): void {
    const { failure, log, applier } = site.group;
    if (failure !== undefined) throw new Broken(`the group of site ${site.name} failed: ${failure.message}`);
    const problem = positionsProblem(log, applier);
    if (problem !== undefined) throw new Broken(`site ${site.name} has ${problem}`);
  }

  /** What the sites said last. */
  story(): string {
    return this.sites.map((site) => `${site.name} said: ${site.lines.slice(-4).join('; ')}`).join(' / ');
  }

  /** Both processes are gone: what they still had to do in this turn has come to nothing when it resolves. */
  async end(): Promise<void> {
    this.isOver = true;
    this.#power.left = 0;
    await new Promise((resolve) => setImmediate(resolve));
    for (const site of this.sites) {
      site.end();
      for (const disk of site.disks) {
        disk.restart(new Power());
        disk.schedule = undefined;
      }
    }
  }

  #pump(stream: MemoryStream): void {
    if (this.#scheduled.has(stream)) return;
    this.#scheduled.add(stream);
    this.clock.after(this.random.fraction() * NETWORK_MS_MAX, () => {
      this.#scheduled.delete(stream);
      if (stream.step()) this.#pump(stream);
    });
  }
}
