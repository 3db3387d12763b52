// Groups on simulated disks, joined by a network in memory, all on one clock. A site can be crashed at any moment: its process hears and
// says nothing any more, its disks keep what survived.

import { assert } from '../../src/core/assert.js';
import type { GroupConfig, OnDisconnect, SiteMode } from '../../src/core/group-config.js';
import type { Clock, Log } from '../../src/core/ports.js';
import { openLog } from '../../src/disk/log-open.js';
import type { Group, GroupEnv } from '../../src/group/group.js';
import { assembleGroup } from '../../src/group/open.js';
import { Listener } from '../../src/link/listener.js';
import type { ByteStream, Network } from '../../src/link/ports.js';
import { FakeClock, MemoryNetwork, type MemoryStream } from '../link/memory-network.js';
import type { Random } from './random.js';
import { type CrashKind, type SimDevice, SimDisk } from './sim-device.js';
import { SimMemory } from './sim-log.js';

export const VOLUME_BYTES = 256 * 1024;
const VOLUMES = ['data', 'wal'];
const ROUNDS_MAX = 100_000;

export type SimSiteOptions = {
  readonly role?: 'primary' | 'secondary';
  readonly writeCache?: boolean;
  /** Names of the other sites, and how writes wait for them. */
  readonly sites?: readonly string[];
  readonly mode?: SiteMode;
  readonly onDisconnect?: OnDisconnect;
  readonly logBytes?: number;
  readonly volumeBytes?: number;
};

/** The clock of one process: silent after its end. */
class ProcessClock implements Clock {
  readonly #clock: Clock;
  isDead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  after(ms: number, fn: () => void): { cancel(): void } {
    return this.#clock.after(ms, () => {
      if (!this.isDead) fn();
    });
  }

  soon(fn: () => void): void {
    this.#clock.soon(() => {
      if (!this.isDead) fn();
    });
  }
}

/** The streams of one process, cut at its end. */
class ProcessNetwork implements Network {
  readonly #network: MemoryNetwork;
  readonly #streams: MemoryStream[] = [];
  readonly #listening: { close(): Promise<void> }[] = [];
  isDead = false;

  readonly #isBlocked: (port: number) => boolean;

  constructor(network: MemoryNetwork, isBlocked: (port: number) => boolean) {
    this.#network = network;
    this.#isBlocked = isBlocked;
  }

  async connect(host: string, port: number, timeoutMs: number): Promise<ByteStream> {
    if (this.isDead) return new Promise(() => {});
    if (this.#isBlocked(port)) throw Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' });
    const stream = (await this.#network.connect(host, port, timeoutMs)) as MemoryStream;
    this.#streams.push(stream);
    return stream;
  }

  async listen(host: string, port: number, accepted: (stream: ByteStream) => void): Promise<{ port: number; close(): Promise<void> }> {
    const listening = await this.#network.listen(host, port, (stream) => {
      this.#streams.push(stream as MemoryStream);
      accepted(stream);
    });
    this.#listening.push(listening);
    return listening;
  }

  end(): void {
    this.isDead = true;
    for (const listening of this.#listening) void listening.close();
    for (const stream of this.#streams) {
      stream.onClose(() => {});
      stream.cut();
    }
  }
}

export class SimWorld {
  readonly clock = new FakeClock();
  readonly network = new MemoryNetwork();
  readonly sites: SimSite[] = [];
  /** Connections that cannot be made: `site port`. */
  readonly blocked = new Set<string>();
  readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** Adds a site and starts it. */
  async add(name: string, options: SimSiteOptions = {}): Promise<SimSite> {
    const site = new SimSite(this, name, 7001 + this.sites.length, options);
    this.sites.push(site);
    await site.start();
    return site;
  }

  /** New connections between two sites fail from now on. */
  block(a: string, b: string): void {
    this.blocked.add(`${a} ${this.portOf(b)}`);
    this.blocked.add(`${b} ${this.portOf(a)}`);
  }

  portOf(name: string): number {
    return 7001 + ['a', 'b', 'c', 'd'].indexOf(name);
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    let idle = 0;
    for (let round = 0; idle < 3; round++) {
      assert(round < ROUNDS_MAX, 'the world comes to rest');
      let moved = this.network.step();
      for (const site of this.sites) moved = site.stepDevices() || moved;
      moved = this.clock.runSoon() || moved;
      idle = moved ? 0 : idle + 1;
      if (!moved || round % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Lets time pass, timer by timer. */
  async advance(ms: number): Promise<void> {
    const until = this.clock.nowMs() + ms;
    await this.settle();
    while (this.clock.nowMs() < until) {
      this.clock.moveTo(this.clock.nextMs(until));
      await this.settle();
    }
  }

  /** Lets time pass until `work` is done. */
  async drive<Value>(work: Promise<Value>, limitMs = 60_000): Promise<Value> {
    let done = false;
    const end = (): void => {
      done = true;
    };
    work.then(end, end);
    const until = this.clock.nowMs() + limitMs;
    await this.settle();
    while (!done && this.clock.nowMs() < until)
      await this.advance(Math.max(1, this.clock.nextMs(this.clock.nowMs() + 5) - this.clock.nowMs()));
    assert(done, 'the work ends in time');
    return work;
  }
}

export class SimSite {
  readonly name: string;
  readonly world: SimWorld;
  readonly config: GroupConfig;
  readonly log: SimDisk;
  readonly volumes: readonly SimDisk[];
  readonly lines: string[] = [];
  readonly #memory = new SimMemory();
  readonly #port: number;
  #devices: SimDevice[] = [];
  #clock: ProcessClock | undefined;
  #network: ProcessNetwork | undefined;
  #group: Group | undefined;

  constructor(world: SimWorld, name: string, port: number, options: SimSiteOptions) {
    this.world = world;
    this.name = name;
    this.#port = port;
    const volumeBytes = options.volumeBytes ?? VOLUME_BYTES;
    this.log = new SimDisk(`${name}.log`, options.logBytes ?? 16 << 20, 4096);
    this.volumes = VOLUMES.map((volume) => new SimDisk(`${name}.${volume}`, volumeBytes));
    this.config = {
      name: 'app',
      role: options.role ?? 'primary',
      writeCache: options.writeCache ?? true,
      log: { path: this.log.path, sizeBytes: this.log.sizeBytes },
      volumes: VOLUMES.map((volume) => ({ name: volume, device: volume, sizeBytes: volumeBytes, io: undefined })),
      sites: (options.sites ?? []).map((site) => ({
        name: site,
        host: 'host',
        port: world.portOf(site),
        mode: options.mode ?? 'async',
        onDisconnect: options.onDisconnect ?? 'continue',
      })),
    };
  }

  get group(): Group {
    assert(this.#group !== undefined, 'the site runs');
    return this.#group;
  }

  get logDevice(): SimDevice {
    return this.#devices[0] as SimDevice;
  }

  get volumeDevices(): readonly SimDevice[] {
    return this.#devices.slice(1);
  }

  stepDevices(): boolean {
    let moved = false;
    for (const device of this.#devices) moved = device.step() || moved;
    return moved;
  }

  /** Opens and recovers the group; links and volumes after that. Rejects as assembleGroup() does. */
  async start(beforeStart?: () => void, limitMs = 60_000): Promise<void> {
    const { world, name } = this;
    this.#devices = [this.log, ...this.volumes].map((disk) => disk.open());
    const [logDevice, ...volumes] = this.#devices as [SimDevice, ...SimDevice[]];
    const clock = new ProcessClock(world.clock);
    const network = new ProcessNetwork(world.network, (port) => world.blocked.has(`${name} ${port}`));
    this.#clock = clock;
    this.#network = network;
    const note = (event: string, message: string): void => void this.lines.push(`${event} ${message}`);
    const log: Log = { info: note, warn: note, error: note };
    const env: GroupEnv = {
      site: name,
      insecure: false,
      clock,
      network,
      memory: this.#memory,
      log,
      random: () => world.random.below(2 ** 30) / 2 ** 30,
    };
    beforeStart?.();
    const identity = {
      group: 'app',
      site: name,
      volumes: VOLUMES.map((volume) => ({ name: volume, sizeBytes: this.volumes[0]?.sizeBytes ?? 0, blockBytes: 512 })),
    };
    const opened = await world.drive(openLog(logDevice, identity, this.config.role, this.#memory, true), limitMs);
    const group = await world.drive(assembleGroup(this.config, env, opened, volumes), limitMs);
    this.#group = group;
    const listener = new Listener({
      network,
      clock,
      log,
      site: name,
      insecure: false,
      lookup: (wanted) => (wanted === 'app' ? group : undefined),
    });
    await listener.start('host', this.#port);
    await world.drive(group.start());
  }

  /** Ends the process; see SimDisk.crash(). */
  crash(kind: CrashKind = 'power'): void {
    if (this.#clock !== undefined) this.#clock.isDead = true;
    this.#network?.end();
    for (const disk of [this.log, ...this.volumes]) disk.crash(kind, this.world.random);
    this.#memory.recycle();
    this.#group = undefined;
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
