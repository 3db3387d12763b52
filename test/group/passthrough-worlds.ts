// A primary whose log fails at some moment under load and that goes on without it; then perhaps a power cut, and starts with a log that
// still fails or works again, until its sites have everything. Judged: what a flush was answered for is on the volumes, nothing stands
// there that was never written, and in the end all sites are alike. For two tests, that of passthrough and that of planted bugs.

import { LogDevice } from '../../src/disk/log-device.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimClient } from '../../src/sim/client.js';
import type { SimDevice } from '../../src/sim/disk.js';
import { History, idsOf } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, SimWorld, VOLUME_BYTES } from '../helpers/sim-group.js';

const EIO = 5;

/** What the worlds came to. `violation`: undefined when all was well. */
export type PassthroughFigures = {
  worlds: number;
  givenUp: number;
  cutInBetween: number;
  cuts: number;
  stops: number;
  flushes: number;
  failedFlushes: number;
  returns: number;
  violation: string | undefined;
};

/** Sectors of the images that hold neither what was promised nor anything written since. */
function wrongSectors(history: History, images: readonly Uint8Array[]): string[] {
  const promised = history.state(history.floor);
  const allowed = promised.map((ids) => [...ids].map((id) => new Set([id])));
  for (const { volume, first, end, id } of history.written.slice(history.floor)) {
    for (let sector = first; sector < end; sector++) allowed[volume]?.[sector]?.add(id);
  }
  return images.flatMap((image, volume) =>
    [...idsOf(image).entries()]
      .filter(([sector, id]) => allowed[volume]?.[sector]?.has(id) !== true)
      .map(([sector, id]) => `${volume}:${sector} is ${id}, promised is ${promised[volume]?.[sector]}`),
  );
}

class PassthroughWorld {
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #figures: PassthroughFigures;
  #a: SimSite | undefined;
  #others: SimSite[] = [];
  /** What a client has read, and flushed, since the last write. */
  #seen: readonly Uint8Array[] | undefined;

  constructor(seed: number, figures: PassthroughFigures) {
    this.#random = new Random(seed);
    this.#world = new SimWorld(this.#random);
    this.#figures = figures;
  }

  async run(): Promise<string | undefined> {
    const random = this.#random;
    const names = ['b', 'c'].slice(0, 1 + random.below(2));
    const options = { onLogError: 'passthrough', writeCache: random.below(4) > 0, resync: { minDwellMs: 1 } } as const;
    const a = await this.#world.add('a', { ...options, sites: names });
    this.#a = a;
    for (const name of names) this.#others.push(await this.#world.add(name, { sites: ['a'], role: 'secondary' }));
    await this.#world.advance(3000);
    const history = new History();
    const client = new SimClient(a, history);
    await this.#load(client, 10 + random.below(40));
    if (random.below(4) === 0) this.#world.block('a', 'b');
    // So that the log has what the volumes have not.
    const isSlow = random.below(3) === 0;
    if (isSlow) {
      for (const device of a.volumeDevices) device.intercept = ({ kind }) => (kind === 'write' || kind === 'zero' ? 'hang' : 0);
      await this.#load(client, 5 + random.below(30));
    }
    this.#fail(a);
    this.#failMore(a);
    if (random.below(3) === 0) await this.#steps(client, a, random.below(40));
    else await this.#load(client, random.below(60));
    if (isSlow && random.below(3) > 0) {
      for (const device of a.volumeDevices) device.intercept = undefined;
      if (random.below(2) === 0) await this.#load(client, random.below(20));
      else await this.#steps(client, a, random.below(20));
    }
    const entered = a.lines.some((line) => line.startsWith('log-given-up '));
    if (entered) this.#figures.givenUp++;
    const { device } = a.group.log;
    const isGivenUp = device instanceof LogDevice && device.isGivenUp;
    if (isGivenUp && random.below(4) === 0) {
      this.#failFlushes(a);
      await this.#load(client, random.below(20));
    }
    if (entered && !isGivenUp) this.#figures.cutInBetween++;
    this.#figures.flushes += history.floor > 0 ? 1 : 0;
    if (client.wrongReads.length > 0) return `a read saw ${client.wrongReads[0]}`;
    await this.#end(a, history, isSlow);
    return this.#comeBack(history, isGivenUp);
  }

  /** A power cut, the end of the process, or an orderly stop, which loses nothing that was answered. */
  async #end(site: SimSite, history: History, isSlow: boolean): Promise<void> {
    this.#figures.cuts++;
    const how = this.#random.below(isSlow ? 4 : 8);
    if (how < 2) return site.crash('power');
    if (how === 4) await this.#world.advance(20_000);
    else if (how > 5) {
      this.#figures.stops++;
      await this.#world.drive(site.group.stop({ quick: how === 6 }));
      if (site.group.failure === undefined) history.floor = Math.max(history.floor, history.answered);
    }
    site.crash('process');
  }

  /** The log fails from its next write, or one a little later, on: all of it, superblocks or records. */
  #fail(site: SimSite): void {
    const random = this.#random;
    let left = random.below(6);
    const readsToo = random.below(2) === 0;
    const what = random.below(4);
    site.logDevice.intercept = ({ kind, offset }) => {
      if (kind === 'read') return readsToo && left <= 0 ? EIO : 0;
      if ((what === 0 && offset >= RING_START) || (what === 1 && offset < RING_START)) return 0;
      return left-- <= 0 ? EIO : 0;
    };
  }

  /** What would stand in for the log fails too, now and then. */
  #failMore(site: SimSite): void {
    if (this.#random.below(6) > 0) return;
    let left = this.#random.below(8);
    const at = site.devices.length - 2 - this.#random.below(2);
    const device = site.devices[at] as SimDevice;
    device.intercept = ({ kind }) => (kind !== 'read' && left-- <= 0 ? EIO : 0);
  }

  /** Flushes of the volumes fail from now on, and what they should have written is lost at a power cut. */
  #failFlushes(site: SimSite): void {
    this.#figures.failedFlushes++;
    for (const device of site.volumeDevices) device.intercept = ({ kind }) => (kind === 'sync' ? EIO : 0);
  }

  async #load(client: SimClient, steps: number): Promise<void> {
    for (let step = 0; step < steps && !client.isRevoked; step++) {
      client.act(this.#random, 60);
      if (this.#random.below(3) === 0) client.commit();
      if (this.#random.below(3) > 0) await this.#world.advance(this.#random.below(4));
      else for (const site of this.#world.sites) if (site.isUp) site.stepDevices();
    }
    client.commit();
  }

  /** Little by little, so that what comes next may come in the middle of anything. */
  async #steps(client: SimClient, site: SimSite, steps: number): Promise<void> {
    client.write(0, 0, 4096, true);
    client.commit();
    await this.#world.advance(3);
    for (let step = 0; step < steps; step++) {
      if (this.#random.below(8) === 0) client.act(this.#random, 60);
      for (const device of site.devices) if (this.#random.below(2) === 0) device.step();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Starts, the first ones perhaps with a log that still fails, until the sites are alike. */
  async #comeBack(history: History, mayLackLog: boolean): Promise<string | undefined> {
    const a = this.#a as SimSite;
    this.#world.blocked.clear();
    for (let tries = mayLackLog ? this.#random.below(3) : 0; tries > 0; tries--) {
      const failing = (): void => {
        this.#fail(a);
        if (this.#random.below(4) === 0) this.#failFlushes(a);
      };
      await a.start(failing).catch(() => undefined);
      if (a.isUp) {
        const wrong = await this.#judge(history);
        if (wrong !== undefined) return `started without log: ${wrong}`;
        await this.#world.advance(this.#random.below(3000));
      }
      a.crash(this.#random.below(2) === 0 ? 'power' : 'process');
    }
    await a.start();
    if (a.group.passthrough.isActive) return `the log works again and is not used: ${a.lines.at(-1)}`;
    this.#figures.returns++;
    for (let cuts = this.#random.below(3); cuts > 0; cuts--) {
      const wrong = await this.#judge(history);
      if (wrong !== undefined) return `after the start: ${wrong}`;
      await this.#world.advance(this.#random.below(20_000));
      a.crash('power');
      await a.start();
    }
    const wrong = await this.#judge(history);
    if (wrong !== undefined) return `after the last start: ${wrong}`;
    for (let waited = 0; waited < 120 && !this.#isWhole(a); waited++) await this.#world.advance(1000);
    if (!this.#isWhole(a)) return `a site does not come back: ${JSON.stringify(a.group.status().sites)}`;
    await this.#world.advance(20_000);
    const image = a.image();
    for (const site of this.#others) {
      const [data, wal] = site.image();
      const isSame =
        Buffer.compare(image[0] as Uint8Array, data as Uint8Array) === 0 && Buffer.compare(image[1] as Uint8Array, wal as Uint8Array) === 0;
      if (!isSame) return `site ${site.name} differs from its primary`;
    }
    return undefined;
  }

  #isWhole(site: SimSite): boolean {
    return site.group
      .status()
      .sites.every(({ session, tracking, lagIos }) => session === 'connected' && tracking === 'log' && lagIos === 0);
  }

  /** What a client reads is what was promised, or newer; and when its flush was answered, that stays. */
  async #judge(history: History): Promise<string | undefined> {
    const site = this.#a as SimSite;
    const client = new SimClient(site, new History());
    const reads = [0, 1].map((volume) => client.read(volume, 0, VOLUME_BYTES));
    client.commit();
    await this.#world.advance(100);
    const flush = client.flush();
    client.commit();
    await this.#world.advance(100);
    client.disconnect();
    const images = reads.map(({ result }) => result as Uint8Array);
    const wrong =
      this.#seen === undefined
        ? wrongSectors(history, images)
        : images.flatMap((image, i) =>
            Buffer.compare(image, this.#seen?.[i] as Uint8Array) === 0 ? [] : [`volume ${i} is not what it was`],
          );
    if (flush.errno === 0) this.#seen = images;
    return wrong.length === 0 ? undefined : `${wrong[0]} and ${wrong.length - 1} more`;
  }
}

/** Worlds with the seeds from `first` on, until one is wrong. */
export async function passthroughWorlds(first = 1, count = 60): Promise<PassthroughFigures> {
  const figures: PassthroughFigures = {
    worlds: 0,
    givenUp: 0,
    cutInBetween: 0,
    cuts: 0,
    stops: 0,
    flushes: 0,
    failedFlushes: 0,
    returns: 0,
    violation: undefined,
  };
  for (let seed = first; seed < first + count && figures.violation === undefined; seed++) {
    figures.worlds++;
    const violation = await new PassthroughWorld(seed, figures).run().catch((error: Error) => error.stack ?? String(error));
    if (violation !== undefined) figures.violation = `seed ${seed}: ${violation}`;
  }
  return figures;
}
