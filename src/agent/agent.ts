// The agent: every group of the configuration, the listeners in front of them, and the verbs of the command line. Owns the order in which
// things start (logs, listeners, control, links and exports, attachments) and stop (the reverse). A group that cannot be opened is shown
// as failed and keeps nobody else from working.

import type { AttachRequest } from '../attach/ports.js';
import { LvrError, messageOf } from '../core/errors.js';
import type { GroupStatus } from '../core/status.js';
import type { AgentConfig } from './config.js';
import { ControlServer, type VerbHandlers } from './control.js';
import type { StatusDocument, Verbs } from './control-protocol.js';
import { MetricsServer } from './metrics.js';
import type { AgentGroup, AgentParts, LinkService, NbdService } from './ports.js';
import { type Slot, Slots } from './slots.js';
import { groupStatus, statusDocument, unopenedStatus } from './status.js';
import { VERSION } from './version.js';

/** How long a stop waits for the holders of attached devices to leave before it goes on without them. */
const ATTACHED_GRACE_MS = 5_000;
const ATTACHED_POLL_MS = 200;

/** One agent; start() once, stop() once. */
export class Agent {
  readonly #config: AgentConfig;
  readonly #parts: AgentParts;
  readonly #slots: Slots;
  readonly #stopAsked: () => void;
  #nbd: NbdService | undefined;
  #links: LinkService | undefined;
  #metrics: MetricsServer | undefined;
  #control: ControlServer | undefined;
  /** Ends when the verbs that change something, run one at a time, have ended. */
  #changes: Promise<unknown> = Promise.resolve();

  /** `stopAsked` runs when `lvr agent stop` was accepted. */
  constructor(config: AgentConfig, parts: AgentParts, stopAsked: () => void) {
    this.#config = config;
    this.#parts = parts;
    this.#slots = new Slots(config.groups);
    this.#stopAsked = stopAsked;
  }

  /** Opens and starts everything. Throws LvrError when a listener cannot be opened; what was started is stopped again. */
  async start(): Promise<void> {
    try {
      await Promise.all([...this.#slots.all()].map((slot) => this.#open(slot)));
      const { agent } = this.#config;
      const groups = (): Iterable<AgentGroup> => this.#slots.groups();
      if (agent.listen) this.#links = await this.#parts.startLinks(agent.listen, groups);
      this.#nbd = await this.#parts.startNbd(agent.nbd, groups);
      if (agent.metrics) this.#metrics = await this.#startMetrics(agent.metrics);
      this.#control = new ControlServer(agent.control, this.#handlers(), this.#parts.log);
      await this.#control.listen();
      // Starting a group may take seconds (a primary asks its sites whether it was replaced); the status can be asked for meanwhile,
      // whatever changes something waits.
      await this.#exclusively(async () => {
        await Promise.all([...this.#slots.all()].map((slot) => this.#startGroup(slot)));
        await this.#attachAgain();
      });
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops in order; waits a little for holders of attached devices, then goes on without them. */
  async stop(): Promise<void> {
    await this.#releaseAttachments();
    await this.#nbd?.stop();
    await this.#links?.stop();
    await Promise.all([...this.#slots.groups()].map((group) => group.stop()));
    await this.#metrics?.close();
    await this.#control?.close();
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
      return groupStatus(slot.group.status(), (target) => this.#parts.attach.find(target)?.device ?? '', slot.failure);
    }
    return unopenedStatus(slot.config, slot.failure ?? new Error('opening'), this.#config.agent.insecure);
  }

  async #open(slot: Slot): Promise<void> {
    const failed = (error: Error): void => {
      slot.failure ??= error;
      this.#parts.log.error('group-failed', messageOf(error), { group: slot.config.name });
    };
    try {
      slot.group = await this.#parts.openGroup(slot.config, failed);
    } catch (error) {
      if (!(error instanceof LvrError)) throw error;
      slot.failure = error;
      this.#parts.log.error('group-not-opened', error.message, { group: slot.config.name, code: error.id });
    }
  }

  async #startGroup(slot: Slot): Promise<void> {
    try {
      await slot.group?.start();
    } catch (error) {
      if (!(error instanceof LvrError)) throw error;
      slot.failure = error;
      this.#parts.log.error('group-not-started', error.message, { group: slot.config.name, code: error.id });
    }
  }

  async #startMetrics(address: NonNullable<AgentConfig['agent']['metrics']>): Promise<MetricsServer> {
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
      attach: (args) => this.#exclusively(() => this.#attach(args)),
      detach: (args) => this.#exclusively(() => this.#detach(args)),
      promote: (args) => this.#exclusively(() => this.#promote(args)),
      demote: (args) => this.#exclusively(() => this.#demote(args)),
      'agent-stop': () => this.#exclusively(() => this.#agentStop()),
      version: async () => ({ version: VERSION, node: process.version, pid: process.pid, site: this.#config.agent.site }),
    };
  }

  /** Verbs that change something run one after the other; the number waiting is bounded by the connections of the control socket. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#changes.then(work);
    this.#changes = result.catch(() => undefined);
    return result;
  }

  async #attach({ target, device }: Verbs['attach']['args']): Promise<Verbs['attach']['result']> {
    const found = this.#parts.attach.find(target);
    const isDead = found !== undefined && this.#parts.attach.isDead(found);
    if (isDead) await this.#parts.attach.detach(found, false);
    const existing = isDead ? undefined : found;
    if (existing) {
      if (device !== undefined && device !== existing.device) {
        throw new LvrError('IN_USE', `${target} is already attached as ${existing.device}`, { hint: `lvr detach ${target}` });
      }
      return { changed: false, target, device: existing.device, how: existing.how, link: existing.link };
    }
    const made = await this.#parts.attach.attach(this.#attachRequest(target, device));
    return { changed: true, target, device: made.device, how: made.how, link: made.link };
  }

  #attachRequest(target: string, device: string | undefined): AttachRequest {
    const { group, backend } = this.#slots.backend(target);
    if (backend.unavailable !== undefined) {
      const hint = group.status().role === 'secondary' ? `attach on the primary, or lvr promote ${group.name}` : `lvr status ${group.name}`;
      throw new LvrError('ROLE', `${target} cannot be attached: ${backend.unavailable}`, { hint });
    }
    const listen = this.#config.agent.nbd.find((entry) => entry.kind === 'unix');
    const { sizeBytes, blockBytes, readOnly } = backend;
    return { target, socketPath: listen?.kind === 'unix' ? listen.path : '', sizeBytes, blockBytes, readOnly, device };
  }

  async #detach({ target }: Verbs['detach']['args']): Promise<Verbs['detach']['result']> {
    const found = this.#parts.attach.find(target);
    if (!found) {
      if (target.startsWith('/'))
        throw new LvrError('NOT_FOUND', `${target} is not a device of this agent`, { hint: 'lvr status shows what is attached' });
      this.#slots.backend(target);
      return { changed: false, target, device: '' };
    }
    await this.#parts.attach.detach(found, false);
    return { changed: true, target: found.target, device: found.device };
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
    for (const attachment of this.#parts.attach.list()) {
      if (attachment.target.split('/')[0] !== name) continue;
      const holders = await this.#parts.attach.holdersOf(attachment);
      throw new LvrError('IN_USE', `group ${name} cannot be demoted: ${attachment.target} is attached as ${attachment.device}`, {
        hint: `lvr detach ${attachment.target}, then lvr demote ${name}`,
        details: { holders },
      });
    }
    const { changed } = await group.demote();
    return { changed, group: name };
  }

  /** Refuses while a device is mounted or held: its users would get I/O errors. */
  async #agentStop(): Promise<Verbs['agent-stop']['result']> {
    for (const attachment of this.#parts.attach.list()) {
      const holders = await this.#parts.attach.holdersOf(attachment);
      if (holders.length === 0) continue;
      throw new LvrError('IN_USE', `the agent cannot stop: ${attachment.target} is in use as ${attachment.device}`, {
        hint: 'umount it, then lvr agent stop',
        details: { holders },
      });
    }
    this.#parts.clock.after(0, this.#stopAsked);
    return { pid: process.pid };
  }

  /** What was attached before the restart is attached again; what cannot be is left out, with a warning. */
  async #attachAgain(): Promise<void> {
    for (const request of await this.#parts.attach.restore()) {
      try {
        const made = await this.#parts.attach.attach(this.#attachRequest(request.target, request.device));
        this.#parts.log.info('attached-again', `${made.target} is ${made.device} again`, { volume: made.target, device: made.device });
      } catch (error) {
        if (!(error instanceof LvrError)) throw error;
        this.#parts.log.warn('not-attached-again', error.message, { volume: request.target });
      }
    }
  }

  async #releaseAttachments(): Promise<void> {
    const deadlineMs = this.#parts.clock.nowMs() + ATTACHED_GRACE_MS;
    let warned = false;
    for (const attachment of this.#parts.attach.list()) {
      let holders = await this.#parts.attach.holdersOf(attachment);
      while (holders.length > 0 && this.#parts.clock.nowMs() < deadlineMs) {
        if (!warned)
          this.#parts.log.warn('device-in-use', `waiting for the users of ${attachment.device}`, { volume: attachment.target, holders });
        warned = true;
        await new Promise<void>((resolve) => this.#parts.clock.after(ATTACHED_POLL_MS, resolve));
        holders = await this.#parts.attach.holdersOf(attachment);
      }
      try {
        await this.#parts.attach.detach(attachment, true);
      } catch (error) {
        if (!(error instanceof LvrError)) throw error;
        this.#parts.log.error('device-left', `${error.message}; its users will get I/O errors`, { volume: attachment.target, holders });
      }
    }
  }
}
