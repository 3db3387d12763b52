// What is attached on this machine by this agent, and what is to be attached again after a restart. Owner of state_dir/attachments.json,
// which is replaced (never edited) after every change, so that a killed agent finds what it left behind.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LvrError, messageOf } from '../core/errors.js';
import type { Log } from '../core/ports.js';
import { findHolders } from './holders.js';
import { hasKernelNbd } from './kernel-nbd.js';
import { makeLinks, removeLinks } from './links.js';
import type { Attacher, Attachment, AttachRequest } from './ports.js';

/** Programs that look at a new device for a moment (udev, blkid) are no holders: looked at again this many times. */
const HOLDER_LOOKS = 4;
const HOLDER_WAIT_MS = 100;

/** What the file says: attachments, and whether each works now or waits for the next start. */
type Entry = { readonly attachment: Attachment; live: boolean; dead: boolean };

/** One per agent. Calls are made one at a time. */
export class Attachments {
  readonly #stateDir: string;
  readonly #attacher: Attacher;
  readonly #replaceFile: (path: string, text: string) => void;
  readonly #log: Log;
  readonly #entries = new Map<string, Entry>();

  constructor(stateDir: string, attacher: Attacher, replaceFile: (path: string, text: string) => void, log: Log) {
    this.#stateDir = stateDir;
    this.#attacher = attacher;
    this.#replaceFile = replaceFile;
    this.#log = log;
  }

  /** Attaches a volume and remembers it. Throws ATTACH or DEVICE_BUSY with nothing left behind. */
  async attach(request: AttachRequest): Promise<Attachment> {
    const probe = await this.#attacher.probe();
    if (!probe.usable) throw new LvrError('ATTACH', `${request.target} cannot be attached: ${probe.missing}`, { hint: probe.hint });
    const how = (await hasKernelNbd())
      ? 'nbdfuse and a loop device; this version does not use the nbd of the kernel yet'
      : 'nbdfuse and a loop device; this kernel has no nbd';
    const made = await this.#attacher.attach(request, how, (reason) => this.#lost(request.target, reason));
    const attachment = { ...made, link: makeLinks(this.#stateDir, made.target, made.device) };
    this.#entries.set(made.target, { attachment, live: true, dead: false });
    this.#save();
    this.#log.info('attached', `${made.target} is ${made.device}`, { volume: made.target, device: made.device });
    return attachment;
  }

  /** By `group/volume`, by device or by a stable name of the device. */
  find(target: string): Attachment | undefined {
    return this.list().find((a) => a.target === target || a.device === target || a.link === target);
  }

  list(): readonly Attachment[] {
    return [...this.#entries.values()].filter((entry) => entry.live).map((entry) => entry.attachment);
  }

  isDead(attachment: Attachment): boolean {
    return this.#entries.get(attachment.target)?.dead === true;
  }

  /** Who mounts or holds the device, in words; empty when it is free. */
  async holdersOf(attachment: Attachment): Promise<string[]> {
    let holders = findHolders(attachment.device, [attachment.pid]);
    for (let look = 1; look < HOLDER_LOOKS && holders.length > 0; look++) {
      await sleep(HOLDER_WAIT_MS);
      holders = findHolders(attachment.device, [attachment.pid]);
    }
    return holders;
  }

  /** Removes the device; `remember`: attach it again at the next start. Throws IN_USE naming who holds it. */
  async detach(attachment: Attachment, remember: boolean): Promise<void> {
    const { target, device } = attachment;
    const holders = await this.holdersOf(attachment);
    if (holders.length > 0) {
      throw new LvrError('IN_USE', `${target} cannot be detached: ${device} is in use`, {
        hint: `umount it, then lvr detach ${target}`,
        details: { holders },
      });
    }
    const entry = this.#entries.get(target);
    if (entry) entry.live = false;
    try {
      await this.#attacher.detach(attachment);
    } catch (error) {
      if (entry) entry.live = true;
      throw error;
    }
    removeLinks(this.#stateDir, target, device);
    if (!remember) this.#entries.delete(target);
    this.#save();
    this.#log.info('detached', `${target} is no longer ${device}`, { volume: target, device });
  }

  /** At start: removes what a killed agent left, and answers what is to be attached again. What is still in use stays and is reported. */
  async restore(): Promise<AttachRequest[]> {
    const again: AttachRequest[] = [];
    for (const attachment of this.#load()) {
      const { target, device } = attachment;
      const entry = { attachment, live: false, dead: false };
      this.#entries.set(target, entry);
      const holders = findHolders(device, []);
      const ours = this.#attacher.serves(attachment);
      if (ours && holders.length > 0) {
        // Its I/O fails for good: it was cut off when the agent died. Only its users can let go of it.
        entry.live = true;
        entry.dead = true;
        this.#log.error('device-lost', `${device} of ${target} lost its agent and is still in use: umount it, then lvr detach ${target}`, {
          volume: target,
          holders,
        });
        continue;
      }
      try {
        await this.#attacher.detach(attachment);
      } catch (error) {
        if (!(error instanceof LvrError)) throw error;
        this.#log.error('device-left', error.message, { volume: target });
        continue;
      }
      removeLinks(this.#stateDir, target, device);
      const { readOnly, blockBytes } = attachment;
      again.push({ target, socketPath: '', sizeBytes: 0, blockBytes, readOnly, device: undefined });
    }
    return again;
  }

  #lost(target: string, reason: string): void {
    const entry = this.#entries.get(target);
    if (!entry?.live) return;
    entry.dead = true;
    this.#log.error('device-lost', `${entry.attachment.device} of ${target} no longer works: ${reason}`, { volume: target });
  }

  #save(): void {
    const attachments = [...this.#entries.values()].map((entry) => entry.attachment);
    this.#replaceFile(join(this.#stateDir, 'attachments.json'), `${JSON.stringify({ attachments }, undefined, 1)}\n`);
  }

  /** A damaged file is no reason not to start: nothing is attached again then. */
  #load(): Attachment[] {
    const path = join(this.#stateDir, 'attachments.json');
    try {
      const { attachments } = JSON.parse(readFileSync(path, 'utf8')) as { attachments?: Attachment[] };
      return Array.isArray(attachments) ? attachments.filter((a) => typeof a.target === 'string' && typeof a.mountPoint === 'string') : [];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#log.warn('attachments-unreadable', `${path}: ${messageOf(error)}`);
      return [];
    }
  }
}
