// A world of simulated sites for unit tests that goes on step by step: nothing completes and no time passes unless the test says so. The
// simulator's own world (src/sim/world.ts) runs by virtual time instead.

import { assert } from '../../src/core/assert.js';
import { RING_START } from '../../src/format/superblock.js';
import type { CrashKind } from '../../src/sim/disk.js';
import type { Random } from '../../src/sim/random.js';
import { SimSite, type SimSiteOptions, type SiteWorld } from '../../src/sim/site.js';
import { FakeClock, MemoryNetwork } from '../link/memory-network.js';

export { type SimSite, type SimSiteOptions, VOLUME_BYTES } from '../../src/sim/site.js';

const ROUNDS_MAX = 100_000;
const NAMES = ['a', 'b', 'c', 'd'];

export class SimWorld implements SiteWorld {
  readonly clock = new FakeClock();
  readonly network = new MemoryNetwork();
  readonly sites: SimSite[] = [];
  /** Connections that cannot be made: `site site`. */
  readonly blocked = new Set<string>();
  readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** Adds a site and starts it. */
  async add(name: string, options: SimSiteOptions = {}): Promise<SimSite> {
    const site = new SimSite(this, name, options);
    this.sites.push(site);
    await site.start();
    return site;
  }

  /** New connections between two sites fail from now on. */
  block(a: string, b: string): void {
    this.blocked.add(`${a} ${b}`);
    this.blocked.add(`${b} ${a}`);
  }

  portOf(name: string): number {
    return 7001 + NAMES.indexOf(name);
  }

  nameOf(port: number): string {
    return NAMES[port - 7001] ?? '';
  }

  async route(from: string, to: string): Promise<void> {
    if (this.blocked.has(`${from} ${to}`)) throw Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' });
  }

  started(_site: SimSite): void {}

  /** A crash at which `below` decides what gets to the disks (SimDisk.crash); unless it is given, all but the operations under way. */
  crash(site: SimSite, kind: CrashKind = 'power', below: (n: number) => number = () => 0): void {
    const before = this.random.below;
    this.random.below = below;
    site.crash(kind);
    this.random.below = before;
  }

  /** Cuts a primary off from a site for good and has that site tracked by a bitmap. */
  fold(primary: SimSite, site: string): void {
    this.block(primary.name, site);
    primary.group.links.get(site)?.meetAgain('the test says so');
    primary.group.resyncs.bitmaps.degrade(site, 'the test says so');
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

/** Records of a site do not get to its log until its device is left alone again. */
export function hangRecords({ logDevice }: SimSite): void {
  logDevice.intercept = (op) => (op.kind === 'write' && op.offset >= RING_START ? 'hang' : 0);
}

/** What a site has received goes to its log now, although nobody waits for it. */
export async function writeReceived(world: SimWorld, { group }: SimSite): Promise<void> {
  group.log.submit();
  await world.settle();
}
