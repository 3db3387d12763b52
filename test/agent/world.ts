// The made-up world of the agent's tests: groups, attachments and listeners in memory, which note what is done with them.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, type AgentProcess } from '../../src/agent/agent.js';
import { parseConfig } from '../../src/agent/config.js';
import { Pauses } from '../../src/agent/pauses.js';
import type { AgentGroup, AgentParts, AttachService, SiteActions } from '../../src/agent/ports.js';
import type { Restored } from '../../src/attach/attachments.js';
import type { Attachment } from '../../src/attach/ports.js';
import { LvrError } from '../../src/core/errors.js';
import { type GroupConfig, RESYNC_DEFAULTS } from '../../src/core/group-config.js';
import type { GroupStatus } from '../../src/core/status.js';
import { systemClock } from '../helpers/clock.js';
import { MemoryBackend } from '../helpers/memory-backend.js';

/** A group in RAM that notes what is done with it. */
export class FakeGroup implements AgentGroup {
  readonly name: string;
  readonly uuid = '0123456789abcdef0123456789abcdef';
  readonly end = { logUuid: 'f'.repeat(32), lsn: 12 };
  readonly backends = new Map<string, MemoryBackend>();
  role: 'primary' | 'secondary';
  /** What a promotion waits for. */
  gate: Promise<void> | undefined;
  failsToStop = false;
  readonly #config: GroupConfig;
  readonly #events: string[];

  constructor(config: GroupConfig, events: string[]) {
    this.name = config.name;
    this.role = config.role;
    this.#config = config;
    this.#events = events;
    for (const { name } of config.volumes) {
      const secondary = config.role === 'secondary' ? { unavailable: 'it is secondary' } : {};
      this.backends.set(name, new MemoryBackend({ exportName: `${config.name}/${name}`, sizeBytes: 1024 * 1024, ...secondary }));
    }
  }

  async start(): Promise<void> {
    this.#events.push(`start ${this.name}`);
  }

  async settle(): Promise<void> {
    this.#events.push(`settle ${this.name}`);
  }

  async stop({ quick }: { quick: boolean }): Promise<void> {
    if (quick) this.#events.push('quick');
    this.#events.push(`stop ${this.name}`);
    if (this.failsToStop) throw new Error(`${this.name} cannot be closed`);
  }

  async promote({ force }: { force: boolean }): Promise<{ changed: boolean; epoch: string }> {
    const changed = this.role === 'secondary';
    await this.gate;
    if (this.gate !== undefined) this.#events.push(`promoted ${this.name}`);
    if (changed && !force) throw new LvrError('PRIMARY_CONNECTED', 'the primary is connected');
    this.role = 'primary';
    return { changed, epoch: '4' };
  }

  async demote(): Promise<{ changed: boolean; behind: string[] }> {
    const changed = this.role === 'primary';
    this.role = 'secondary';
    return { changed, behind: changed ? ['c'] : [] };
  }

  async resizeLog(sizeBytes: number): Promise<{ changed: boolean }> {
    this.#events.push(`resize ${this.name} ${sizeBytes}`);
    return { changed: sizeBytes !== 1000 };
  }

  status(): GroupStatus {
    return {
      group: this.name,
      role: this.role,
      health: 'healthy',
      reason: '',
      image: 'upToDate',
      epoch: '3',
      log: { sizeBytes: 1000, usedBytes: 10, appendedLsn: '12', durableLsn: '11', appliedLsn: '10', trimmedLsn: '9' },
      writeBytesPerSecond: 0,
      logFullEtaSeconds: null,
      throttledSeconds: 1.5,
      volumes: this.#config.volumes.map(({ name }) => ({
        ...{ volume: name, sizeBytes: 1024, export: `${this.name}/${name}` },
        ...{ attached: '', isLost: false, remoteReads: 0 },
      })),
      sites: this.#config.sites.map(({ name, mode }) => ({
        site: name,
        mode,
        effectiveMode: mode,
        session: 'connected',
        replication: 'streaming',
        tracking: 'log',
        ackedLsn: '8',
        appliedLsn: '7',
        lagBytes: 4096,
        lagIos: 4,
        lagSeconds: 0.5,
        dirtyBytes: 0,
        resync: null,
        resyncedBytes: 0,
        resyncComparedBytes: 0,
        resyncSameBytes: 0,
        logFullEtaSeconds: null,
        limits: { crossed: [], action: '', seconds: 0 },
        reason: '',
        rule: 'C14',
        insecure: false,
      })),
    };
  }
}

export type World = {
  agent: Agent;
  control: string;
  events: string[];
  holders: string[];
  attached: Map<string, Attachment>;
  again: Restored[];
  dead: Set<string>;
  groups: Map<string, FakeGroup>;
};

/** A device of the kernel's client. */
const device: Attachment = {
  target: '',
  device: '/dev/nbd3',
  way: 'nbd',
  how: 'how',
  link: '/l',
  pid: 1,
  pidStart: '1',
  mountPoint: '',
  readOnly: false,
  blockBytes: 512,
  identity: 'lvr:x',
};

/** Attachments in memory. */
function fakeAttach({ attached, again, dead, holders, events }: Omit<World, 'agent' | 'control' | 'groups'>): AttachService {
  return {
    attach: async ({ target, blockBytes, readOnly, identity }) => {
      if (dead.delete(target)) events.push(`attach ${target} anew`);
      const made: Attachment = {
        target,
        device: '/dev/loop7',
        way: 'fuse',
        how: 'how',
        link: '/l',
        pid: 1,
        pidStart: '1',
        mountPoint: '/m',
        readOnly,
        blockBytes,
        identity,
      };
      attached.set(target, made);
      return made;
    },
    find: (target) => [...attached.values()].find((each) => each.target === target || each.device === target),
    list: () => [...attached.values()],
    isDead: ({ target }) => dead.has(target),
    detach: async ({ target }, remember) => {
      if (holders.length > 0) throw new LvrError('IN_USE', `${target} is in use`);
      events.push(`detach ${target} ${remember}`);
      attached.delete(target);
    },
    holdersOf: async () => holders,
    restore: async () => again,
    resume: async ({ target }) => {
      const resumed = { ...device, target };
      events.push(`resume ${target}`);
      attached.set(target, resumed);
      return resumed;
    },
    restored: () => void events.push('restored'),
    outlives: ({ way }) => way === 'nbd',
    leave: ({ target }) => void events.push(`leave ${target}`),
  };
}

/** Site b of a group, in memory. */
function fakeSites(events: string[]): SiteActions {
  const note = (what: string, isChange = true): boolean => {
    events.push(what);
    return isChange;
  };
  return {
    names: ['b'],
    isPrimary: true,
    check: (site) => {
      if (site !== 'b') throw new LvrError('NOT_FOUND', `there is no site ${site}`);
    },
    pause: (site) => note(`pause ${site}`),
    resume: (site) => note(`resume ${site}`),
    pauseSync: (site) => note(`pause sync ${site}`),
    resumeSync: (site) => note(`resume sync ${site}`, false),
    startSync: () => {
      throw new LvrError('ROLE', 'site b needs no resync');
    },
    settings: () => ({ mode: 'async', onDisconnect: 'continue', logFull: 'bitmap', limits: {}, pace: RESYNC_DEFAULTS }),
    set: (site, { mode, limits }) => note(`set ${site} ${mode} ${JSON.stringify(limits)}`),
  };
}

const noSuccessor: AgentProcess['startSuccessor'] = () => Promise.reject(new LvrError('FAILED', 'there is none'));

/** An agent over fake parts, with its files below `dir`; group `bad` cannot be opened. */
export function makeWorld(dir: string, name: string, stopAsked = (): void => undefined, startSuccessor = noSuccessor): World {
  const control = join(dir, name, 'agent.sock');
  const group = (
    each: string,
    role: string,
  ): string => `[groups.${each}]\nrole = "${role}"\nlog = { path = "/nowhere/${each}.log", size = "16MiB" }
[groups.${each}.volumes.data]\ndevice = "/nowhere/${each}"\nsize = "1MiB"\n[groups.${each}.sites.b]\naddress = "127.0.0.1:1"\nmode = "logged"\n`;
  const text = `[agent]\nsite = "a"\nstate_dir = "${dir}/${name}"\ncontrol = "${control}"\nlisten = "127.0.0.1:0"\nmetrics = "127.0.0.1:0"
${group('app', 'primary')}${group('bad', 'primary')}${group('sec', 'secondary')}`;
  const events: string[] = [];
  const holders: string[] = [];
  const again: Restored[] = [];
  const attached = new Map<string, Attachment>();
  const dead = new Set<string>();
  const groups = new Map<string, FakeGroup>();
  const stateDir = join(dir, name);
  mkdirSync(stateDir, { recursive: true });
  const note = (event: string): void => void events.push(`log ${event}`);
  const parts: AgentParts = {
    clock: systemClock,
    agentUuid: 'fedcba9876543210fedcba9876543210',
    log: { info: () => undefined, warn: note, error: note },
    openGroup: async (config) => {
      if (config.name === 'bad') throw new LvrError('LOG_FOREIGN', 'the log of bad belongs to group other');
      events.push(`open ${config.name}`);
      const made = new FakeGroup(config, events);
      groups.set(config.name, made);
      return made;
    },
    startNbd: async (listen) => {
      events.push(`nbd ${listen[0]?.kind}`);
      const counters = [{ op: 'write', completed: 5, failed: 1, bytes: 20_480 }];
      return {
        addresses: [],
        counters: (id) => (id === 'app/data' ? counters : []),
        connections: 2,
        handOver: async () => [],
        stop: async () => void events.push('nbd stops'),
      };
    },
    startLinks: async () => {
      events.push('links');
      return { address: '', stop: async () => void events.push('links stop') };
    },
    siteVerbs: () => fakeSites(events),
    pauses: new Pauses(stateDir),
    shipCounters: (of, site) => (of.name === 'app' && site === 'b' ? { bytes: 99, records: 3 } : undefined),
    attach: fakeAttach({ attached, again, dead, holders, events }),
  };
  return {
    agent: new Agent(parseConfig(text, 'x'), parts, {
      stop: stopAsked,
      startSuccessor,
      giveWay: () => undefined,
      takesOver: false,
    }),
    control,
    events,
    holders,
    attached,
    again,
    dead,
    groups,
  };
}
