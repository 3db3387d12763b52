// agent/agent.ts with made-up groups: order of start and stop, groups that fail, verbs, status and metrics.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Agent } from '../../src/agent/agent.js';
import { parseConfig } from '../../src/agent/config.js';
import type { AgentGroup, AgentParts, AttachService } from '../../src/agent/ports.js';
import type { Restored } from '../../src/attach/attachments.js';
import type { Attachment } from '../../src/attach/ports.js';
import { askAgent } from '../../src/cli/client.js';
import { LvrError } from '../../src/core/errors.js';
import type { GroupConfig } from '../../src/core/group-config.js';
import type { GroupStatus } from '../../src/core/status.js';
import { systemClock } from '../helpers/clock.js';
import { MemoryBackend } from '../helpers/memory-backend.js';

const dir = mkdtempSync(join(tmpdir(), 'lvr-agent-'));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));

/** A group in RAM that notes what is done with it. */
class FakeGroup implements AgentGroup {
  readonly name: string;
  readonly uuid = '0123456789abcdef0123456789abcdef';
  readonly end = { logUuid: 'f'.repeat(32), lsn: 12 };
  readonly backends = new Map<string, MemoryBackend>();
  role: 'primary' | 'secondary';
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
  }

  async promote({ force }: { force: boolean }): Promise<{ changed: boolean; epoch: string }> {
    const changed = this.role === 'secondary';
    if (changed && !force) throw new LvrError('PRIMARY_CONNECTED', 'the primary is connected');
    this.role = 'primary';
    return { changed, epoch: '4' };
  }

  async demote(): Promise<{ changed: boolean }> {
    const changed = this.role === 'primary';
    this.role = 'secondary';
    return { changed };
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
      volumes: this.#config.volumes.map(({ name }) => ({ volume: name, sizeBytes: 1024, export: `${this.name}/${name}`, attached: '' })),
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
        reason: '',
        rule: 'C14',
        insecure: false,
      })),
    };
  }
}

type World = {
  agent: Agent;
  control: string;
  events: string[];
  holders: string[];
  attached: Map<string, Attachment>;
  again: Restored[];
  dead: Set<string>;
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
function fakeAttach({ attached, again, dead, holders, events }: Omit<World, 'agent' | 'control'>): AttachService {
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

/** An agent over fake parts; group `bad` cannot be opened. */
function makeWorld(name: string, stopAsked = (): void => undefined): World {
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
  const note = (event: string): void => void events.push(`log ${event}`);
  const parts: AgentParts = {
    clock: systemClock,
    agentUuid: 'fedcba9876543210fedcba9876543210',
    log: { info: () => undefined, warn: note, error: note },
    openGroup: async (config) => {
      if (config.name === 'bad') throw new LvrError('LOG_FOREIGN', 'the log of bad belongs to group other');
      events.push(`open ${config.name}`);
      return new FakeGroup(config, events);
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
    shipCounters: (of, site) => (of.name === 'app' && site === 'b' ? { bytes: 99, records: 3 } : undefined),
    attach: fakeAttach({ attached, again, dead, holders, events }),
  };
  return {
    agent: new Agent(parseConfig(text, 'x'), parts, {
      stop: stopAsked,
      startSuccessor: () => Promise.reject(new LvrError('FAILED', 'there is none')),
      giveWay: () => undefined,
      takesOver: false,
    }),
    control,
    events,
    holders,
    attached,
    again,
    dead,
  };
}

t.test('things start and stop in order, and a group that cannot be opened keeps nobody from working', async (t) => {
  const { agent, control, events } = makeWorld('order');
  await agent.start();
  const { items } = agent.status();
  t.same(
    items.map(({ group, health }) => `${group} ${health}`),
    ['app healthy', 'bad failed', 'sec healthy'],
  );
  t.match(items[1], {
    reason: 'the log of bad belongs to group other',
    image: 'failed',
    volumes: [{ export: 'bad/data' }],
    sites: [{ session: 'offline' }],
  });
  await t.rejects(askAgent(control, 'promote', { group: 'bad', force: false }), { code: 'LOG_FOREIGN' });
  await agent.stop();
  t.same(events, [
    'open app',
    'open sec',
    'log group-not-opened',
    'links',
    'nbd unix',
    'start app',
    'start sec',
    'restored',
    'nbd stops',
    'links stop',
    'stop app',
    'stop sec',
  ]);
  await t.rejects(askAgent(control, 'version', {}), { code: 'AGENT_UNREACHABLE' });
});

t.test('the status document has its fixed head, and one group can be asked for', async (t) => {
  const { agent, control } = makeWorld('status');
  await agent.start();
  t.teardown(() => agent.stop());
  const document = await askAgent(control, 'status', { group: 'app' });
  t.match(document, { apiVersion: 'lvr/v1', kind: 'Status', time: /^\d{4}-.*Z$/, site: 'a', items: [{ group: 'app', epoch: '3' }] });
  t.equal(document.items.length, 1);
  await t.rejects(askAgent(control, 'status', { group: 'apq' }), { code: 'NOT_FOUND', exit: 3, message: /did you mean "app"/ });
});

t.test('attach and detach are idempotent, and say which volume does not exist', async (t) => {
  const { agent, control, events, dead } = makeWorld('attach');
  await agent.start();
  t.teardown(() => agent.stop());
  t.match(await askAgent(control, 'attach', { target: 'app/data' }), { changed: true, device: '/dev/loop7', how: 'how', link: '/l' });
  t.match(await askAgent(control, 'attach', { target: 'app/data' }), { changed: false, device: '/dev/loop7' });
  await t.rejects(askAgent(control, 'attach', { target: 'app/data', device: '/dev/loop1' }), { code: 'IN_USE' });
  t.equal((await askAgent(control, 'status', { group: 'app' })).items[0]?.volumes[0]?.attached, '/dev/loop7');
  t.match(await askAgent(control, 'detach', { target: '/dev/loop7' }), { changed: true, target: 'app/data' });
  t.match(await askAgent(control, 'detach', { target: 'app/data' }), { changed: false });
  await askAgent(control, 'attach', { target: 'app/data' });
  dead.add('app/data');
  t.match(await askAgent(control, 'attach', { target: 'app/data' }), { changed: true }, 'a device that no longer works is made anew');
  t.ok(events.includes('attach app/data anew'));
  await t.rejects(askAgent(control, 'attach', { target: 'app/dato' }), { code: 'NOT_FOUND', message: /did you mean "data"/ });
  await t.rejects(askAgent(control, 'attach', { target: 'app' }), { code: 'USAGE' });
  await t.rejects(askAgent(control, 'attach', { target: 'sec/data' }), { code: 'ROLE', exit: 4, message: /it is secondary/ });
  await t.rejects(askAgent(control, 'detach', { target: '/dev/loop8' }), { code: 'NOT_FOUND' });
});

t.test('demote is refused while a volume is attached; promote warns when forced', async (t) => {
  const { agent, control, holders } = makeWorld('roles');
  await agent.start();
  t.teardown(() => agent.stop());
  await askAgent(control, 'attach', { target: 'app/data' });
  holders.push('mounted on /srv');
  await t.rejects(askAgent(control, 'demote', { group: 'app' }), { code: 'IN_USE', exit: 12, details: { holders: ['mounted on /srv'] } });
  await t.rejects(askAgent(control, 'agent-stop', {}), { code: 'IN_USE', details: { holders: ['mounted on /srv'] } });
  holders.length = 0;
  await askAgent(control, 'detach', { target: 'app/data' });
  t.match(await askAgent(control, 'demote', { group: 'app' }), { changed: true });
  await t.rejects(askAgent(control, 'promote', { group: 'sec', force: false }), { code: 'PRIMARY_CONNECTED' });
  t.match(await askAgent(control, 'promote', { group: 'sec', force: true }), {
    changed: true,
    epoch: '4',
    warnings: [/after LSN 12 are not here/],
  });
  t.match(await askAgent(control, 'promote', { group: 'sec', force: true }), { changed: false, warnings: [] });
});

t.test('agent stop is answered, then the stop is asked for', async (t) => {
  let asked = 0;
  const { agent, control } = makeWorld('stop', () => void asked++);
  await agent.start();
  t.same(await askAgent(control, 'agent-stop', {}), { pid: process.pid });
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(asked, 1);
  await agent.stop();
});

t.test('what was attached is attached again at start, and remembered at stop', async (t) => {
  const { agent, events, again, attached } = makeWorld('again');
  for (const target of ['app/data', 'sec/data', 'gone/data']) again.push({ target, resumes: false });
  await agent.start();
  t.same([...attached.keys()], ['app/data'], 'the secondary and the unknown one are left out');
  t.equal(events.filter((event) => event === 'log not-attached-again').length, 2, 'and reported');
  await agent.stop();
  t.ok(events.includes('detach app/data true'));
});

t.test('a device that waits is served again at start, and left to the next agent while it is in use', async (t) => {
  const { agent, events, again, attached, holders } = makeWorld('waits');
  again.push({ target: 'app/data', resumes: true }, { target: 'sec/data', resumes: true });
  await agent.start();
  t.same([...attached.keys()], ['app/data'], 'that of a secondary goes on waiting');
  t.ok(events.includes('log device-waits'), 'and that is reported');
  holders.push('mounted on /srv');
  await agent.stop();
  t.ok(events.includes('leave app/data'));
  t.notOk(
    events.some((event) => event.startsWith('detach')),
    'nothing is taken from its users',
  );
});

t.test('a device that nobody uses is removed at stop, whatever it is', async (t) => {
  const { agent, events, again } = makeWorld('free');
  again.push({ target: 'app/data', resumes: true });
  await agent.start();
  await agent.stop();
  t.ok(events.includes('detach app/data true'));
});

t.test(
  'an agent that gives way settles first, leaves devices, gives sockets away before it stops, and says where the logs end',
  async (t) => {
    const { agent, events, again } = makeWorld('way');
    again.push({ target: 'app/data', resumes: true });
    await agent.start();
    events.length = 0;
    let ends: object = {};
    await agent.giveWay({
      give: async (sockets) => void events.push(`give ${sockets.length}`),
      go: async (given) => {
        ends = given;
      },
    });
    t.same(events, [
      'settle app',
      'settle sec',
      'leave app/data',
      'give 0',
      'nbd stops',
      'links stop',
      'quick',
      'stop app',
      'quick',
      'stop sec',
    ]);
    t.same(Object.keys(ends), ['app', 'sec']);
  },
);

t.test('a restart is refused for a device that would not live through it, not for one of the kernel', async (t) => {
  const { agent, control, events, holders } = makeWorld('mortal');
  await agent.start();
  t.teardown(() => agent.stop());
  await askAgent(control, 'attach', { target: 'app/data' });
  holders.push('mounted on /srv');
  await t.rejects(askAgent(control, 'agent-restart', {}), { code: 'IN_USE', message: /cannot restart: app\/data is in use/ });
  holders.length = 0;
  await t.rejects(askAgent(control, 'agent-restart', {}), { code: 'FAILED', message: 'there is none' }, 'a successor is started');
  await agent.giveWay({ give: async () => undefined, go: async () => undefined });
  t.ok(events.includes('detach app/data true'), 'a free one is removed and remembered');
  const other = makeWorld('immortal');
  other.again.push({ target: 'app/data', resumes: true });
  await other.agent.start();
  t.teardown(() => other.agent.stop());
  other.holders.push('mounted on /srv');
  await t.rejects(askAgent(other.control, 'agent-restart', {}), { code: 'FAILED' });
  await t.rejects(askAgent(other.control, 'agent-stop', {}), { code: 'IN_USE', hint: /lvr agent restart/ });
});
