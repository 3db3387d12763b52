// A simulated primary that copies to its site b, slowly, after that was away: for what happens in the last phase of a resync, in which the
// log is kept for what is written besides.

import type { Test } from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from './random.js';
import { type SimSite, type SimSiteOptions, SimWorld } from './sim-group.js';

/** Bytes of a write, and of a region. */
export const PIECE = 65536;
/** Of a volume. */
export const PIECES = 16;
const VOLUME_BYTES = PIECES * PIECE;

type Tap = Pick<Test, 'comment' | 'same' | 'match'>;

export class SlowCopy {
  readonly world: SimWorld;
  readonly history = new History(VOLUME_BYTES);
  readonly a: SimSite;
  readonly b: SimSite;
  client: SimClient;

  private constructor(world: SimWorld, a: SimSite, b: SimSite) {
    this.world = world;
    this.a = a;
    this.b = b;
    this.client = new SimClient(a, this.history);
  }

  static async begin(t: Tap, options: SimSiteOptions = {}): Promise<SlowCopy> {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const world = new SimWorld(random);
    const resync = { minDwellMs: 1, maxRate: PIECE };
    const a = await world.add('a', { sites: ['b'], volumeBytes: VOLUME_BYTES, resync, ...options });
    const b = await world.add('b', { sites: ['a'], volumeBytes: VOLUME_BYTES, role: 'secondary' });
    await world.advance(5000);
    return new SlowCopy(world, a, b);
  }

  async write(volume: number, piece: number) {
    const write = this.client.write(volume, piece * PIECE, PIECE, false, 1);
    this.client.commit();
    await this.world.advance(30);
    return write;
  }

  /** A write without time for the copy; false: it has to wait. */
  async burst(i: number): Promise<boolean> {
    const write = this.client.write(i % 2, ((i >> 1) % PIECES) * PIECE, PIECE, false, 1);
    this.client.commit();
    await this.world.settle();
    if (write === undefined) this.a.group.backends.get('data')?.waitForRoom({ roomAvailable: () => undefined });
    return write !== undefined;
  }

  /** Half of both volumes is copied, until the log is kept for what is written besides. */
  async untilLogKept(): Promise<void> {
    await this.write(0, 0);
    await this.world.advance(3000);
    this.world.fold(this.a, 'b');
    await this.world.advance(1000);
    for (let piece = 0; piece < PIECES; piece += 2) for (const volume of [0, 1]) await this.write(volume, piece);
    await this.world.advance(3000);
    this.world.blocked.clear();
    for (let i = 0; i < 4000 && !this.isLogKept; i++) await this.world.advance(20);
    await this.world.advance(500);
  }

  get isLogKept(): boolean {
    return this.a.group.sites.find('b')?.bitmap?.isKept === true;
  }

  lose(): void {
    this.world.block('a', 'b');
    this.a.group.links.get('b')?.meetAgain('the test says so');
  }

  /** Both sites have everything that was written, and all is well. */
  alike(t: Tap): void {
    const { a, b, history } = this;
    for (const site of [a, b])
      t.same(differences(history, history.written.length, site.image()).slice(0, 3), [], `content of ${site.name}`);
    t.match(a.group.status(), { health: 'healthy', sites: [{ session: 'connected', replication: 'streaming', tracking: 'log' }] });
  }
}
