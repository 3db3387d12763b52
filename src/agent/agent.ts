// The agent: every group of the configuration, the listeners in front of them, and the verbs of the command line. Owns the order in which
// things start (logs, listeners, control, links and exports, attachments) and stop (the reverse). A group that cannot be opened is shown
// as failed and keeps nobody else from working.

import { expectedError, LvrError, messageOf } from '../core/errors.js';
import type { Timer } from '../core/ports.js';
import type { GroupStatus } from '../core/status.js';
import { AttachedVolumes } from './attached.js';
import type { AgentConfig } from './config.js';
import { parseSize } from './config-values.js';
import { ControlServer, type VerbHandlers } from './control.js';
import type { StatusDocument, Verbs } from './control-protocol.js';
import type { MetricsServer } from './metrics.js';
import type { AgentGroup, AgentParts, LinkService, NbdService } from './ports.js';
import { SiteControl } from './site-control.js';
import { type Slot, Slots } from './slots.js';
import { groupStatus, statusDocument, unopenedStatus } from './status.js';
import type { Successor } from './succession.js';
import { VERSION } from './version.js';

/** Running NBD requests have this long to end when the agent stops, and when a successor waits. */
const NBD_DRAIN_MS = 10_000;
const QUICK_DRAIN_MS = 200;
/** How long a stop waits for a change that is under way, such as a promotion. */
const CHANGE_MS = 10_000;

/** The process around an agent. */
export type AgentProcess = {
  /** `lvr agent stop` was accepted. */
  stop(): void;
  /** Starts the process that is to go on instead of this one. Throws LvrError. */
  startSuccessor(): Promise<Successor>;
  /** The successor is ready: it is its turn. */
  giveWay(successor: Successor): void;
  /** This agent goes on where another has just stopped. */
  readonly takesOver: boolean;
};

/** One agent; start() once, stop() or giveWay() once. */
export class Agent {
  readonly #config: AgentConfig;
  readonly #parts: AgentParts;
  readonly #slots: Slots;
  readonly #attached: AttachedVolumes;
  readonly #process: AgentProcess;
  readonly #sites: SiteControl;
  #nbd: NbdService | undefined;
  #links: LinkService | undefined;
  #metrics: MetricsServer | undefined;
  #control: ControlServer | undefined;
  /** Ends when the verbs that change something, run one at a time, have ended. */
  #changes: Promise<unknown> = Promise.resolve();
  /** It stops, or a successor goes on: nothing is changed any more, and no second successor is started. */
  #isEnding = false;

  constructor(config: AgentConfig, parts: AgentParts, around: AgentProcess) {
    this.#config = config;
    this.#parts = parts;
    this.#slots = new Slots(config.groups);
    this.#attached = new AttachedVolumes(config.agent, parts, this.#slots);
    this.#process = around;
    this.#sites = new SiteControl(this.#slots, (group) => parts.siteVerbs(group), parts.pauses, parts.log);
  }

  /** Opens and starts everything. Throws LvrError when a listener cannot be opened; what was started is stopped again. */
  async start(): Promise<void> {
    try {
      await Promise.all([...this.#slots.all()].map((slot) => this.#open(slot)));
      const { agent } = this.#config;
      const groups = (): Iterable<AgentGroup> => this.#slots.groups();
      if (agent.listen) this.#links = await this.#parts.startLinks(agent.listen, groups, (name) => this.#slots.hasFailed(name));
      this.#nbd = await this.#parts.startNbd(agent.nbd, groups);
      const { takesOver } = this.#process;
      // Users of devices wait for a successor: they come first.
      if (takesOver) await this.#serve();
      if (agent.metrics) this.#metrics = await this.#startMetrics(agent.metrics);
      this.#control = new ControlServer(agent.control, this.#handlers(), this.#parts.log);
      await this.#control.listen();
      if (!takesOver) await this.#serve();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /**
   * Starting a group may take seconds (a primary asks its sites whether it was replaced): the status can be asked for meanwhile, what
   * changes something waits.
   */
  #serve(): Promise<void> {
    return this.#exclusively(async () => {
      await Promise.all([...this.#slots.all()].map((slot) => this.#startGroup(slot)));
      await this.#attached.attachAgain();
    });
  }

  /** Stops in order; devices in use are left to the next agent, or given a moment if they cannot wait for it. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    await this.#changed();
    await this.#attached.release();
    await this.#nbd?.stop(NBD_DRAIN_MS);
    await this.#links?.stop();
    // One that cannot be stopped in order keeps no other from it.
    const failures: unknown[] = [];
    const stop = (group: AgentGroup): Promise<void> =>
      group.stop({ quick: false }).catch((error: unknown) => {
        this.#parts.log.error('group-not-stopped', messageOf(error), { group: group.name });
        failures.push(error);
      });
    await Promise.all([...this.#slots.groups()].map(stop));
    await this.#metrics?.close();
    await this.#control?.close();
    if (failures.length > 0) throw failures[0];
  }

  /** What is being changed comes to its end, or has had its time: a promotion must not lose its devices while it rolls a copy back. */
  async #changed(): Promise<void> {
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = this.#parts.clock.after(CHANGE_MS, resolve);
    });
    await Promise.race([this.#changes, late]);
    timer?.cancel();
  }

  /**
   * Stops for a successor, as fast as can be: first everything is brought up to date while clients are served, then the kernel's
   * connections come to rest and `successor` gets their sockets. What is not applied yet, it replays.
   */
  async giveWay(successor: Pick<Successor, 'give' | 'go'>): Promise<void> {
    this.#isEnding = true;
    await Promise.all([...this.#slots.groups()].map((group) => group.settle()));
    await this.#attached.leave();
    await successor.give((await this.#nbd?.handOver()) ?? []);
    await Promise.all([this.#nbd?.stop(QUICK_DRAIN_MS), this.#links?.stop(), this.#metrics?.close(), this.#control?.close()]);
    await Promise.all([...this.#slots.groups()].map((group) => group.stop({ quick: true })));
    const ends = [...this.#slots.groups()].flatMap(({ name, end }) => (end === undefined ? [] : [[name, end] as const]));
    await successor.go(Object.fromEntries(ends));
  }

  /** The status of one group or of all. Throws NOT_FOUND. */
  status(group?: string): StatusDocument {
    const slots = group === undefined ? [...this.#slots.all()] : [this.#slots.slot(group)];
    const { site, insecure } = this.#config.agent;
    const facts = { site, insecure, version: VERSION, wallMs: this.#parts.clock.wallMs() };
    return statusDocument(
      facts,
      slots.map((slot) => this.#statusOf(slot)),
    );
  }

  /** One line for the service manager. */
  summary(): string {
    const items = this.status().items;
    const failed = items.filter((item) => item.health === 'failed').map((item) => item.group);
    return failed.length === 0 ? `groups: ${items.length}` : `groups: ${items.length}, failed: ${failed.join(' ')}`;
  }

  #statusOf(slot: Slot): GroupStatus {
    if (slot.group) {
      return groupStatus(slot.group.status(), (target) => this.#attached.stateOf(target), slot.failure);
    }
    return unopenedStatus(slot.config, slot.failure ?? new Error('opening'), this.#config.agent.insecure);
  }

  async #open(slot: Slot): Promise<void> {
    const failed = (error: Error): void => {
      slot.failure ??= error;
    };
    try {
      slot.group = await this.#parts.openGroup(slot.config, failed);
      this.#sites.opened(slot.group);
    } catch (error) {
      const failure = expectedError(error);
      if (failure === undefined) throw error;
      slot.failure = failure;
      this.#parts.log.error('group-not-opened', failure.message, { group: slot.config.name, code: failure.id });
    }
  }

  async #startGroup(slot: Slot): Promise<void> {
    try {
      await slot.group?.start({ takesOver: this.#process.takesOver });
    } catch (error) {
      const failure = expectedError(error);
      if (failure === undefined) throw error;
      slot.failure = failure;
      this.#parts.log.error('group-not-started', failure.message, { group: slot.config.name, code: failure.id });
    }
  }

  async #startMetrics(address: NonNullable<AgentConfig['agent']['metrics']>): Promise<MetricsServer> {
    // The client library is a quarter of all files that a start reads, and most agents do not need it.
    const { MetricsServer } = await import('./metrics.js');
    const metrics = new MetricsServer({
      status: () => this.status(),
      nbdCounters: (exportName) => this.#nbd?.counters(exportName) ?? [],
      nbdConnections: () => this.#nbd?.connections ?? 0,
      shipCounters: (name, site) => {
        const { group } = this.#slots.slot(name);
        return group && this.#parts.shipCounters(group, site);
      },
    });
    await metrics.listen(address);
    return metrics;
  }

  #handlers(): VerbHandlers {
    return {
      status: async ({ group }) => this.status(group),
      attach: (args) => this.#exclusively(() => this.#attached.attach(args)),
      detach: (args) => this.#exclusively(() => this.#attached.detach(args)),
      promote: (args) => this.#exclusively(() => this.#promote(args)),
      demote: (args) => this.#exclusively(() => this.#demote(args)),
      site: (args) => this.#exclusively(async () => this.#sites.site(args)),
      sync: (args) => this.#exclusively(async () => this.#sites.sync(args)),
      'log-resize': (args) => this.#exclusively(() => this.#logResize(args)),
      'agent-stop': () => this.#exclusively(() => this.#agentStop()),
      'agent-restart': () => this.#exclusively(() => this.#agentRestart()),
      version: async () => ({ version: VERSION, node: process.version, pid: process.pid, site: this.#config.agent.site }),
    };
  }

  /** Verbs that change something run one after the other; the number waiting is bounded by the connections of the control socket. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#changes.then(() => {
      this.#refuseIfEnding();
      return work();
    });
    this.#changes = result.catch(() => undefined);
    return result;
  }

  #refuseIfEnding(): void {
    if (!this.#isEnding) return;
    throw new LvrError('IN_USE', 'the agent is ending: nothing is changed any more', {
      hint: 'ask again when it, or the next one, is ready',
    });
  }

  async #promote({ group: name, force }: Verbs['promote']['args']): Promise<Verbs['promote']['result']> {
    const group = this.#slots.group(name);
    const before = group.status();
    const { changed, epoch } = await group.promote({ force });
    const warnings =
      changed && force
        ? [`writes that the old primary took after LSN ${before.log.appendedLsn} are not here; this site goes on without them`]
        : [];
    return { changed, group: name, epoch, warnings };
  }

  async #demote({ group: name }: Verbs['demote']['args']): Promise<Verbs['demote']['result']> {
    const group = this.#slots.group(name);
    await this.#attached.refuseAttached(name);
    const { changed, behind } = await group.demote();
    const warnings = behind.map((site) => `site ${site} lacks writes of this one: promote it only after both were connected again`);
    return { changed, group: name, warnings };
  }

  async #logResize({ group: name, size }: Verbs['log-resize']['args']): Promise<Verbs['log-resize']['result']> {
    const sizeBytes = parseSize(size);
    if (sizeBytes === undefined) throw new LvrError('USAGE', `expected a size such as "2GiB", got ${JSON.stringify(size.slice(0, 80))}`);
    const { changed } = await this.#slots.group(name).resizeLog(sizeBytes);
    return { changed, group: name, sizeBytes };
  }

  /** Refuses while a device is mounted or held: its users would get I/O errors, or wait for an agent that does not come. */
  async #agentStop(): Promise<Verbs['agent-stop']['result']> {
    await this.#attached.refuseHeld('stop');
    this.#refuseIfEnding();
    this.#isEnding = true;
    this.#parts.clock.after(0, () => this.#process.stop());
    return { pid: process.pid };
  }

  /** Devices of the kernel stay, in use or not: the successor goes on with them. */
  async #agentRestart(): Promise<Verbs['agent-restart']['result']> {
    await this.#attached.refuseHeld('restart');
    const successor = await this.#process.startSuccessor();
    if (this.#isEnding) successor.abandon();
    this.#refuseIfEnding();
    this.#isEnding = true;
    this.#parts.clock.after(0, () => this.#process.giveWay(successor));
    return { pid: process.pid, successor: successor.pid };
  }
}
