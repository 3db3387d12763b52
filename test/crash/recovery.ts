// Runs the product's own start of a group on the disks of an image: superblock, scan, recovery table, replay, new incarnation.

import { type GroupConfig, RESYNC_DEFAULTS } from '../../src/core/group-config.js';
import type { Arena, Clock } from '../../src/core/ports.js';
import { BitmapStore } from '../../src/disk/bitmap-store.js';
import { type LogIdentity, type LogMemory, openLog } from '../../src/disk/log-open.js';
import { crc32c, crc32cSpans } from '../../src/disk/memory.js';
import type { GroupEnv } from '../../src/group/env.js';
import type { Group } from '../../src/group/group.js';
import { assembleGroup, makeStores } from '../../src/group/open.js';
import type { GroupStores } from '../../src/group/resyncs.js';
import { SimDisk } from '../../src/sim/disk.js';
import { readBlocks } from '../helpers/history.js';
import { type ImageDisk, Power } from './image-disk.js';
import { LOG_BYTES, VOLUME_BLOCKS, VOLUME_BYTES, VOLUMES } from './workload.js';

/** Nothing waits for time here: without links, replay is driven by the disks alone. */
const clock: Clock = {
  nowMs: () => 0,
  wallMs: () => 0,
  after: () => ({ cancel: () => {} }),
  soon: (fn) => void setImmediate(fn),
};
export const network = { connect: () => Promise.reject(new Error('none')), listen: () => Promise.reject(new Error('none')) };
export const silent = { info: () => {}, warn: () => {}, error: () => {} };

/** Stores without anything in them: no recording here fills its log. */
export function emptyStores(config: GroupConfig, memory: LogMemory): GroupStores {
  const sizes = VOLUMES.map(() => VOLUME_BYTES);
  const bitmaps = new SimDisk('bitmaps', BitmapStore.sizeBytes(sizes, config.regionBytes)).open();
  return makeStores(config, bitmaps, undefined, memory, sizes);
}

/** The group of the workload, with its log and volumes in `directory`. */
export function groupConfig(directory: string, role: GroupConfig['role'], sites: GroupConfig['sites'] = []): GroupConfig {
  return {
    name: 'app',
    role,
    writeCache: true,
    regionBytes: 65536,
    undo: 'off',
    onLogError: 'fail',
    onIoError: 'pass_on',
    resync: RESYNC_DEFAULTS,
    log: { path: `${directory}/app.log`, sizeBytes: LOG_BYTES },
    volumes: VOLUMES.map((name) => ({ name, device: `${directory}/${name}.img`, sizeBytes: VOLUME_BYTES, io: undefined })),
    sites,
  };
}

/** Whose log it is. */
export function identityOf(site: string): LogIdentity {
  return { group: 'app', site, volumes: VOLUMES.map((name) => ({ name, sizeBytes: VOLUME_BYTES, blockBytes: 512 })) };
}

/** Memory of one start after the other: arenas are used again when the start before is over. */
export class Memory implements LogMemory {
  readonly crc32c = crc32c;
  readonly crc32cSpans = crc32cSpans;
  readonly #free: Arena[] = [];
  readonly #used: Arena[] = [];
  readonly #digit: string;
  #uuids = 0;

  /** UUIDs begin with this digit. */
  constructor(digit = 'f') {
    this.#digit = digit;
  }

  readonly createArena = (lengthBytes: number): Arena => {
    const at = this.#free.findIndex((arena) => arena.bytes.length === lengthBytes);
    const arena = this.#free.splice(at, at < 0 ? 0 : 1)[0] ?? { bytes: new Uint8Array(lengthBytes), address: 0 };
    this.#used.push(arena);
    return arena;
  };

  readonly newUuid = (): string => (++this.#uuids).toString(16).padStart(32, this.#digit);

  recycle(): void {
    this.#free.push(...this.#used.splice(0));
  }
}

/** What a start found and did. */
export interface Recovered {
  readonly logUuid: string;
  /** The volumes are known to have been zero at birth. */
  readonly bornZero: boolean;
  /** What a secondary had on its volumes before it was promoted: what it knew to be durable at its primary. */
  readonly asSecondary: readonly Float64Array[] | undefined;
}

export class Recovery {
  readonly #memory = new Memory();
  readonly #config: GroupConfig;
  readonly #env: GroupEnv;

  /** Site `a` is the primary of the workload, `b` its secondary. */
  constructor(role: GroupConfig['role']) {
    const site = role === 'primary' ? 'a' : 'b';
    this.#config = groupConfig('image', role);
    this.#env = { site, insecure: false, clock, network, memory: this.#memory, log: silent, random: () => 0.5 };
  }

  /** Starts the group, and promotes it when it is a secondary. Rejects with the LvrError of a refusal. */
  async run(disks: readonly ImageDisk[], mayCreate: boolean): Promise<Recovered> {
    const [log, ...volumes] = disks as [ImageDisk, ...ImageDisk[]];
    try {
      const opened = await openLog(log, identityOf(this.#env.site), this.#config.role, this.#memory, mayCreate);
      const group = await assembleGroup(this.#config, this.#env, opened, volumes, emptyStores(this.#config, this.#memory));
      const asSecondary = group.role === 'secondary' ? await promoted(group, volumes) : undefined;
      const { logUuid, bornZero } = group.log.store.current;
      return { logUuid, bornZero, asSecondary };
    } finally {
      this.#memory.recycle();
    }
  }

  /** The same, but the power goes off after some of its operations. Resolves in any case. */
  async runInPart(disks: readonly ImageDisk[], mayCreate: boolean, operations: number): Promise<void> {
    const power = new Power();
    power.left = operations;
    const off = new Promise<void>((resolve) => {
      power.onOff = resolve;
    });
    for (const disk of disks) disk.power = power;
    const run = this.run(disks, mayCreate).then(
      () => undefined,
      () => undefined,
    );
    await Promise.race([off, run]);
    // What it still had to do in this turn comes to nothing, and must have when the disks have power again.
    power.left = 0;
    await new Promise((resolve) => setImmediate(resolve));
    this.#memory.recycle();
    for (const disk of disks) disk.restart(new Power());
  }
}

/** Promotes a secondary; returns what was on its volumes before, when everything it may apply was applied. */
async function promoted(group: Group, volumes: readonly ImageDisk[]): Promise<Float64Array[]> {
  await group.applier.reached(Math.min(group.log.durableLsn, group.log.recordedPrimaryDurableLsn));
  const images = imagesOf(volumes);
  await group.promote({ force: true });
  return images;
}

/** Sequence numbers of the blocks of all volumes; throws when a block is torn or misplaced. */
export function imagesOf(volumes: readonly ImageDisk[]): Float64Array[] {
  return volumes.map((disk, volume) => {
    const image = new Float64Array(VOLUME_BLOCKS);
    readBlocks(new Float64Array(disk.bytes.buffer), volume, 0, image);
    return image;
  });
}
