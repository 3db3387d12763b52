// One site of a simulation: the product's own group, log, links and listener over simulated disks, clock and network. A site can be crashed
// at any moment: its process hears and says nothing any more, its disks keep what survived. It can also be paused, and go on later.

import { assert } from '../core/assert.js';
import { REGION_BYTES_DEFAULT } from '../core/dirty-map.js';
import type { FallBehindLimits } from '../core/fall-behind.js';
import {
  type GroupConfig,
  type LogFull,
  type OnDisconnect,
  RESYNC_DEFAULTS,
  type ResyncConfig,
  type SiteMode,
} from '../core/group-config.js';
import type { Arena, Clock, Log } from '../core/ports.js';
import type { ResyncTurns } from '../core/resync-turns.js';
import { BitmapStore } from '../disk/bitmap-store.js';
import { type LogIdentity, type OpenedLog, openLog } from '../disk/log-open.js';
import { PASSTHROUGH_BYTES } from '../format/passthrough-mark.js';
import type { GroupEnv } from '../group/env.js';
import type { Group } from '../group/group.js';
import { assembleGroup, makeStores, undoBytes } from '../group/open.js';
import { openGroupLog } from '../group/open-log.js';
import { Listener } from '../link/listener.js';
import { type CrashKind, type SimDevice, SimDisk } from './disk.js';
import { SimMemory } from './memory.js';
import type { MemoryStream } from './network.js';
import { ProcessClock, ProcessNetwork, type ProcessWorld } from './process.js';
import type { Random } from './random.js';

/** Size of a volume unless a site says otherwise. */
export const VOLUME_BYTES = 256 * 1024;
/** Volumes of the one group of a simulation. */
export const VOLUMES = ['data', 'wal'];

/** How a site is set up. */
export type SimSiteOptions = {
  readonly role?: 'primary' | 'secondary';
  readonly writeCache?: boolean;
  /** Names of the other sites, and how writes wait for them. */
  readonly sites?: readonly string[];
  readonly mode?: SiteMode;
  /** The same for each site by its name. */
  readonly modeOf?: (site: string) => SiteMode;
  readonly onDisconnect?: OnDisconnect;
  readonly logBytes?: number;
  /** Size of the ring of the log, when that is not all of it. */
  readonly ringBytes?: number;
  readonly volumeBytes?: number;
  readonly logFull?: LogFull;
  readonly limits?: FallBehindLimits;
  readonly resyncTurns?: ResyncTurns;
  readonly regionBytes?: number;
  readonly undo?: GroupConfig['undo'];
  readonly onLogError?: GroupConfig['onLogError'];
  readonly onIoError?: GroupConfig['onIoError'];
  readonly resync?: Partial<ResyncConfig>;
  /** Size of the undo store; enough for everything unless it is given. */
  readonly undoBytes?: number;
  /** See GroupEnv. */
  readonly payloadBytes?: number;
};

/** The world around sites. */
export interface SiteWorld extends ProcessWorld {
  readonly random: Random;
  readonly clock: Clock;
  /** Arenas shared by all sites; undefined: each site has its own. */
  readonly arenas?: Map<number, Arena[]>;
  portOf(name: string): number;
  /** Runs the world until `work` is done. */
  drive<Value>(work: Promise<Value>, limitMs?: number): Promise<Value>;
  /** A process was started: its devices and clock may be given properties. */
  started(site: SimSite): void;
  /** The group of a process was opened; its links and volumes are not. */
  opened?(site: SimSite): void;
  /** A process said something to its operator. */
  reported?(site: SimSite, event: string): void;
}

export class SimSite {
  readonly name: string;
  readonly world: SiteWorld;
  readonly config: GroupConfig;
  log: SimDisk;
  volumes: readonly SimDisk[];
  /** Bitmaps of other sites, and what a resync has overwritten. */
  stores: readonly SimDisk[];
  /** What says whether the log counts, where a group can go on without it. */
  spares: readonly SimDisk[];
  readonly lines: string[] = [];
  readonly #ringBytes: number | undefined;
  readonly #memory: SimMemory;
  readonly #port: number;
  readonly #shared: Pick<GroupEnv, 'resyncTurns' | 'payloadBytes'>;
  #devices: SimDevice[] = [];
  #clock: ProcessClock | undefined;
  #network: ProcessNetwork | undefined;
  #group: Group | undefined;
  #halfOpen: readonly MemoryStream[] = [];
  /** Processes started so far. */
  boots = 0;
  /** The group had a log before: a blank one is not accepted in its place. */
  hadLog = false;

  constructor(world: SiteWorld, name: string, options: SimSiteOptions) {
    this.world = world;
    this.name = name;
    this.#port = world.portOf(name);
    const { resyncTurns, payloadBytes } = options;
    this.#shared = { ...(resyncTurns && { resyncTurns }), ...(payloadBytes && { payloadBytes }) };
    this.#memory = new SimMemory(world.arenas, name);
    this.#ringBytes = options.ringBytes;
    const volumeBytes = options.volumeBytes ?? VOLUME_BYTES;
    this.log = new SimDisk(`${name}.log`, options.logBytes ?? 16 << 20, 4096);
    this.volumes = VOLUMES.map((volume) => new SimDisk(`${name}.${volume}`, volumeBytes));
    const sizes = this.#volumeSizes();
    const regionBytes = options.regionBytes ?? REGION_BYTES_DEFAULT;
    this.stores = [
      new SimDisk(`${name}.bitmaps`, BitmapStore.sizeBytes(sizes, regionBytes)),
      new SimDisk(`${name}.undo`, options.undoBytes ?? undoBytes(sizes)),
    ];
    this.spares = options.onLogError === 'passthrough' ? [new SimDisk(`${name}.passthrough`, PASSTHROUGH_BYTES, 4096)] : [];
    this.config = {
      name: 'app',
      role: options.role ?? 'primary',
      writeCache: options.writeCache ?? true,
      regionBytes,
      undo: options.undo ?? 'auto',
      onLogError: options.onLogError ?? 'fail',
      onIoError: options.onIoError ?? 'retry-remote',
      resync: { ...RESYNC_DEFAULTS, ...options.resync },
      log: { path: this.log.path, sizeBytes: this.log.sizeBytes },
      volumes: VOLUMES.map((volume) => ({ name: volume, device: volume, sizeBytes: volumeBytes, io: undefined })),
      sites: (options.sites ?? []).map((site) => ({
        name: site,
        host: 'host',
        port: world.portOf(site),
        mode: options.modeOf?.(site) ?? options.mode ?? 'async',
        onDisconnect: options.onDisconnect ?? 'continue',
        logFull: options.logFull ?? 'bitmap',
        ...(options.limits === undefined ? {} : { limits: options.limits }),
      })),
    };
  }

  /** All disks: log, volumes, what may stand in for the log, bitmaps, undo store. */
  get disks(): readonly SimDisk[] {
    return [this.log, ...this.volumes, ...this.spares, ...this.stores];
  }

  /** Puts other disks in, in the order of `disks`. */
  setDisks(disks: readonly SimDisk[]): void {
    this.log = disks[0] as SimDisk;
    this.volumes = disks.slice(1, 1 + VOLUMES.length);
    this.spares = disks.slice(1 + VOLUMES.length, -2);
    this.stores = disks.slice(-2);
  }

  #volumeSizes(): number[] {
    return this.volumes.map((disk) => disk.sizeBytes);
  }

  get group(): Group {
    assert(this.#group !== undefined, 'the site runs');
    return this.#group;
  }

  /** The group was opened and its process has not ended. */
  get isUp(): boolean {
    return this.#group !== undefined;
  }

  /** The clock of the running process. */
  get clock(): ProcessClock {
    assert(this.#clock !== undefined, 'the site was started');
    return this.#clock;
  }

  get logDevice(): SimDevice {
    return this.#devices[0] as SimDevice;
  }

  get volumeDevices(): readonly SimDevice[] {
    return this.#devices.slice(1, 1 + VOLUMES.length);
  }

  get devices(): readonly SimDevice[] {
    return this.#devices;
  }

  stepDevices(): boolean {
    let moved = false;
    for (const device of this.#devices) moved = device.step() || moved;
    return moved;
  }

  /** Opens and recovers the group; links and volumes after that. Rejects as assembleGroup() does. */
  async start(beforeStart?: () => void, limitMs = 60_000): Promise<void> {
    const { world } = this;
    this.boots++;
    this.#devices = this.disks.map((disk) => disk.open());
    const { logDevice, volumeDevices } = this;
    const clock = new ProcessClock(world.clock);
    const network = new ProcessNetwork(world, this.name, clock);
    this.#clock = clock;
    this.#network = network;
    for (const stream of this.#halfOpen) stream.cut();
    this.#halfOpen = [];
    world.started(this);
    beforeStart?.();
    const env = this.#env(clock, network);
    const identity = {
      group: 'app',
      site: this.name,
      volumes: VOLUMES.map((volume) => ({ name: volume, sizeBytes: this.volumes[0]?.sizeBytes ?? 0, blockBytes: 512 })),
      ...(this.#ringBytes === undefined ? {} : { ringBytes: this.#ringBytes }),
    };
    const opened = await world.drive(this.#openLog(logDevice, identity, env), limitMs);
    const [bitmaps, undo] = this.#devices.slice(-2) as [SimDevice, SimDevice];
    const stores = makeStores(this.config, bitmaps, undo, this.#memory, this.#volumeSizes());
    const group = await world.drive(assembleGroup(this.config, env, opened, volumeDevices, stores), limitMs);
    if (clock.isDead) return;
    this.hadLog = true;
    this.#group = group;
    world.opened?.(this);
    const lookup = (wanted: string) => (wanted === 'app' ? group : undefined);
    const listener = new Listener({ network, clock, log: env.log, site: this.name, insecure: false, lookup });
    await listener.start('host', this.#port);
    await world.drive(group.start());
  }

  #openLog(device: SimDevice, identity: LogIdentity, env: GroupEnv): Promise<OpenedLog> {
    const isFirst = !this.hadLog;
    const { role, onLogError } = this.config;
    const spare = this.#devices[1 + VOLUMES.length] as SimDevice;
    if (onLogError !== 'passthrough') return openLog(device, identity, role, this.#memory, isFirst);
    return openGroupLog({
      identity,
      role,
      memory: this.#memory,
      reporter: env.log,
      path: device.path,
      openDevice: async () => device,
      spare,
      isFirst,
      passesThrough: true,
      volumes: this.volumeDevices,
      renamed: async () => undefined,
    });
  }

  #env(clock: ProcessClock, network: ProcessNetwork): GroupEnv {
    const note = (event: string, message: string): void => {
      this.lines.push(`${event} ${message}`);
      this.world.reported?.(this, event);
    };
    const log: Log = { info: note, warn: note, error: note };
    const random = (): number => this.world.random.fraction();
    return { site: this.name, insecure: false, clock, network, memory: this.#memory, log, random, ...this.#shared };
  }

  /** Ends the process; see SimDisk.crash(). `halfOpen`: the other ends of its connections notice nothing until it is back. */
  crash(kind: CrashKind = 'power', halfOpen = false): void {
    if (this.#clock !== undefined) this.#clock.isDead = true;
    this.#halfOpen = [...this.#halfOpen, ...(this.#network?.end(halfOpen) ?? [])];
    for (const disk of this.disks) disk.crash(kind, this.world.random);
    this.#memory.recycle();
    this.#group = undefined;
  }

  /** Stops the process for a while, as SIGSTOP does. */
  pause(): void {
    this.clock.isPaused = true;
    this.#network?.freeze();
  }

  resume(): void {
    this.#clock?.resume();
    this.#network?.thaw();
  }

  async restart(kind: CrashKind = 'power'): Promise<void> {
    this.crash(kind);
    await this.start();
  }

  /** Content of both volumes as a start with nothing left to replay shows it. */
  image(): Uint8Array[] {
    return this.volumes.map((disk) => disk.view.slice());
  }
}
