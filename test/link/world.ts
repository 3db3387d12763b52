// Sites with one fake group each, their links and listeners, on one memory network and one clock.

import type { SiteConfig, SiteMode } from '../../src/core/group-config.js';
import type { Log } from '../../src/core/ports.js';
import { SiteLink } from '../../src/link/link.js';
import { Listener } from '../../src/link/listener.js';
import { FakeGroup } from './fake-group.js';
import { advance, FakeClock, MemoryNetwork, settle } from './memory-network.js';

/** One site: its group, the link to the other site, its listener, log lines, and the states the link showed. */
export type Site = {
  readonly group: FakeGroup;
  readonly link: SiteLink;
  readonly listener: Listener;
  readonly lines: string[];
  readonly seen: string[];
};

const PORTS: Record<string, number> = { a: 7001, b: 7002 };

export class World {
  readonly network = new MemoryNetwork();
  readonly clock = new FakeClock();
  readonly a: Site;
  readonly b: Site;

  constructor(
    roleA: 'primary' | 'secondary' = 'primary',
    roleB: 'primary' | 'secondary' = 'secondary',
    insecure = false,
    mode: SiteMode = 'async',
  ) {
    this.a = this.#site('a', 'b', roleA, insecure, mode);
    this.b = this.#site('b', 'a', roleB, insecure, 'async');
  }

  #site(name: string, other: string, role: 'primary' | 'secondary', insecure: boolean, mode: SiteMode): Site {
    const group = new FakeGroup(name, role);
    const { network, clock } = this;
    const port = PORTS[other] as number;
    const config: SiteConfig = { name: other, host: 'host', port, mode, onDisconnect: 'continue', logFull: 'bitmap' };
    let seed = name.charCodeAt(0);
    const random = (): number => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed / 2147483648;
    };
    const lines: string[] = [];
    const write = (event: string, message: string): void => void lines.push(`${event} ${message}`);
    const log: Log = { info: write, warn: write, error: write };
    const seen: string[] = [];
    const onChange = (): void => void seen.push(`${link.state().session} ${link.state().replication}`);
    const link = new SiteLink({ group, config, network, clock, random, insecure, log, onChange });
    const lookup = (wanted: string) => (wanted === 'app' ? { linkFor: (site: string) => (site === other ? link : undefined) } : undefined);
    const listener = new Listener({ network, clock, log, site: name, insecure, lookup });
    const site: Site = { group, link, listener, lines, seen };
    group.onStepDown = () => link.roleChanged();
    return site;
  }

  /** Listeners and links of both sites run. */
  async start(): Promise<void> {
    await this.a.listener.start('host', PORTS['a'] as number);
    await this.b.listener.start('host', PORTS['b'] as number);
    this.a.link.start();
    this.b.link.start();
    await this.settle();
  }

  settle(): Promise<void> {
    return settle(this.network, this.clock);
  }

  advance(ms: number): Promise<void> {
    return advance(this.network, this.clock, ms);
  }

  /** Appends at a site and lets its link send. */
  append(site: Site, count: number, payloadBytes: number): void {
    site.group.append(count, payloadBytes);
    site.link.pump();
  }

  /** One line about both links. */
  toString(): string {
    return [this.a, this.b]
      .map(({ link }) => {
        const { session, replication, code } = link.state();
        return [session, replication, code].filter((word) => word !== '').join(' ');
      })
      .join(' | ');
  }

  async stop(): Promise<void> {
    const stopped = Promise.all([this.a.link.stop(), this.b.link.stop(), this.a.listener.close(), this.b.listener.close()]);
    await this.advance(2000);
    await stopped;
  }
}

/** b gets the same `count` records as a, as if an earlier session had brought them. */
export function share(world: World, count: number): void {
  const { a, b } = world;
  for (let i = 0; i < count; i++) a.group.append(1, 512);
  Object.assign(b.group, { blank: false, groupUuid: a.group.groupUuid, epoch: 1, loggedLsn: count, appliedLsn: count });
  b.group.records = [...a.group.records];
  b.group.lineage = a.group.lineage.map((entry) => ({ ...entry, own: false }));
}
