// Volumes as devices of this machine, from the agent's side: what the verbs attach and detach do, what is attached again after a start, and
// what becomes of devices when the agent ends. A device that outlives the agent is left to the next one while it is in use, so that its
// users only wait; any other has to be given back.

import { deviceIdentity } from '../attach/identity.js';
import type { Attachment, AttachRequest } from '../attach/ports.js';
import { expectedError, LvrError } from '../core/errors.js';
import type { AgentConfig } from './config.js';
import type { Verbs } from './control-protocol.js';
import type { AgentGroup, AgentParts } from './ports.js';
import type { Slots } from './slots.js';
import type { AttachedAs } from './status.js';

/** How long a stop waits for the holders of devices that would fail without the agent. */
const GRACE_MS = 5_000;
const POLL_MS = 200;

/** What a device of the volume is made of now. */
export function identityOf(group: AgentGroup, target: string, agentUuid: string): string {
  const volume = target.slice(target.indexOf('/') + 1);
  return deviceIdentity({ groupUuid: group.uuid, volume, agentUuid, epoch: group.status().epoch });
}

/** The agent's attachments. Calls are made one at a time. */
export class AttachedVolumes {
  readonly #config: AgentConfig['agent'];
  readonly #parts: AgentParts;
  readonly #slots: Slots;

  constructor(config: AgentConfig['agent'], parts: AgentParts, slots: Slots) {
    this.#config = config;
    this.#parts = parts;
    this.#slots = slots;
  }

  /** The device of a volume, and whether it works. */
  stateOf(target: string): AttachedAs {
    const attachment = this.#parts.attach.find(target);
    if (attachment === undefined) return { attached: '', isLost: false };
    return { attached: attachment.device, isLost: this.#parts.attach.isDead(attachment) };
  }

  async attach({ target, device }: Verbs['attach']['args']): Promise<Verbs['attach']['result']> {
    const { attach } = this.#parts;
    const existing = attach.find(target);
    if (existing !== undefined && !attach.isDead(existing)) {
      if (device !== undefined && device !== existing.device) {
        throw new LvrError('IN_USE', `${target} is already attached as ${existing.device}`, { hint: `lvr detach ${target}` });
      }
      return { changed: false, target, device: existing.device, how: existing.how, link: existing.link };
    }
    const made = await attach.attach(this.#request(target, device));
    return { changed: true, target, device: made.device, how: made.how, link: made.link };
  }

  async detach({ target }: Verbs['detach']['args']): Promise<Verbs['detach']['result']> {
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

  /** What was attached before the start is attached again, or served again; what cannot be is left out, with a warning. */
  async attachAgain(): Promise<void> {
    const { attach, log } = this.#parts;
    for (const { target, resumes } of await attach.restore()) {
      try {
        const request = this.#request(target, undefined);
        await (resumes ? attach.resume(request) : attach.attach(request));
      } catch (error) {
        const expected = expectedError(error);
        if (expected === undefined) throw error;
        if (resumes) log.error('device-waits', `${expected.message}; its users wait`, { volume: target });
        else log.warn('not-attached-again', expected.message, { volume: target });
      }
    }
    attach.restored();
  }

  /** Throws IN_USE while a volume of `group` is attached. */
  async refuseAttached(group: string): Promise<void> {
    for (const attachment of this.#parts.attach.list()) {
      if (attachment.target.split('/')[0] !== group) continue;
      const holders = await this.#parts.attach.holdersOf(attachment);
      throw new LvrError('IN_USE', `group ${group} cannot be demoted: ${attachment.target} is attached as ${attachment.device}`, {
        hint: `lvr detach ${attachment.target}, then lvr demote ${group}`,
        details: { holders },
      });
    }
  }

  /** Throws IN_USE while a device is mounted or held; for a restart only one that would not live through it. */
  async refuseHeld(verb: 'stop' | 'restart'): Promise<void> {
    const { attach } = this.#parts;
    for (const attachment of attach.list()) {
      if (verb === 'restart' && attach.outlives(attachment)) continue;
      const holders = await attach.holdersOf(attachment);
      if (holders.length === 0) continue;
      const others = verb === 'stop' && attach.outlives(attachment) ? '; or lvr agent restart' : '';
      throw new LvrError('IN_USE', `the agent cannot ${verb}: ${attachment.target} is in use as ${attachment.device}`, {
        hint: `umount it, then lvr agent ${verb}${others}`,
        details: { holders },
      });
    }
  }

  /** The agent ends, and another one goes on with every device that can wait for it; the others are removed and remembered. */
  async leave(): Promise<void> {
    for (const attachment of this.#parts.attach.list()) {
      if (this.#parts.attach.outlives(attachment)) this.#parts.attach.leave(attachment);
      else await this.#detachForNext(attachment, []);
    }
  }

  /** The agent ends: devices are removed and remembered; those in use are left if their users can wait, else given a moment. */
  async release(): Promise<void> {
    const deadlineMs = this.#parts.clock.nowMs() + GRACE_MS;
    for (const attachment of this.#parts.attach.list()) {
      const holders = await this.#holdersAfterGrace(attachment, deadlineMs);
      if (holders.length > 0 && this.#parts.attach.outlives(attachment)) {
        this.#parts.attach.leave(attachment);
        const text = `${attachment.device} of ${attachment.target} is in use: it waits for the next agent`;
        this.#parts.log.warn('device-waits', text, { volume: attachment.target, holders });
        continue;
      }
      await this.#detachForNext(attachment, holders);
    }
  }

  async #detachForNext(attachment: Attachment, holders: string[]): Promise<void> {
    try {
      await this.#parts.attach.detach(attachment, true);
    } catch (error) {
      const expected = expectedError(error);
      if (expected === undefined) throw error;
      this.#parts.log.error('device-left', expected.message, { volume: attachment.target, holders });
    }
  }

  async #holdersAfterGrace(attachment: Attachment, deadlineMs: number): Promise<string[]> {
    const { attach, clock, log } = this.#parts;
    let holders = await attach.holdersOf(attachment);
    if (holders.length === 0 || attach.outlives(attachment)) return holders;
    log.warn('device-in-use', `waiting for the users of ${attachment.device}`, { volume: attachment.target, holders });
    while (holders.length > 0 && clock.nowMs() < deadlineMs) {
      await new Promise<void>((resolve) => void clock.after(POLL_MS, resolve));
      holders = await attach.holdersOf(attachment);
    }
    return holders;
  }

  #request(target: string, device: string | undefined): AttachRequest {
    const { group, backend } = this.#slots.backend(target);
    if (backend.unavailable !== undefined) {
      const hint = group.status().role === 'secondary' ? `attach on the primary, or lvr promote ${group.name}` : `lvr status ${group.name}`;
      throw new LvrError('ROLE', `${target} cannot be attached: ${backend.unavailable}`, { hint });
    }
    const listen = this.#config.nbd.find((entry) => entry.kind === 'unix');
    const { sizeBytes, blockBytes, readOnly } = backend;
    const identity = identityOf(group, target, this.#parts.agentUuid);
    return { target, socketPath: listen?.kind === 'unix' ? listen.path : '', sizeBytes, blockBytes, readOnly, device, identity };
  }
}
