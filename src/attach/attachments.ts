// What is attached on this machine by this agent, and what is to be attached again after a restart. Owner of state_dir/attachments.json,
// which is replaced (never edited) after every change, so that a killed agent finds what it left behind.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { assert } from '../core/assert.js';
import { expectedError, LvrError, messageOf } from '../core/errors.js';
import type { Log } from '../core/ports.js';
import { findHolders } from './holders.js';
import { makeLinks, removeLinks } from './links.js';
import type { Attacher, Attachment, AttachRequest } from './ports.js';

/** Programs that look at a new device for a moment (udev, blkid) are no holders: looked at again this many times. */
const HOLDER_LOOKS = 4;
const HOLDER_WAIT_MS = 100;

/** What the file says: attachments, and whether each works now or waits for the next start. */
type Entry = { attachment: Attachment; live: boolean; dead: boolean };

/** What is to be attached after a start. `resumes`: the device is still there and waits to be served. */
export type Restored = { readonly target: string; readonly resumes: boolean };

/** One per agent. Calls are made one at a time. */
export class Attachments {
  readonly #stateDir: string;
  readonly #attachers: readonly Attacher[];
  readonly #replaceFile: (path: string, text: string) => void;
  readonly #log: Log;
  readonly #entries = new Map<string, Entry>();

  /** The first of `attachers` that this machine can use is taken. */
  constructor(stateDir: string, attachers: readonly Attacher[], replaceFile: (path: string, text: string) => void, log: Log) {
    this.#stateDir = stateDir;
    this.#attachers = attachers;
    this.#replaceFile = replaceFile;
    this.#log = log;
  }

  /**
   * Attaches a volume and remembers it; goes on with a device that waits to be served, and replaces one that does not work any more.
   * Throws ATTACH or DEVICE_BUSY with nothing left behind.
   */
  async attach(request: AttachRequest): Promise<Attachment> {
    const { target } = request;
    const entry = this.#entries.get(target);
    if (entry?.dead === true && this.#waits(entry.attachment)) return this.resume(request);
    if (entry?.live === true) await this.#clear(entry.attachment);
    const { attacher, how } = await this.#choose(request);
    const made = await attacher.attach(request, how, (reason) => this.#lost(target, reason));
    try {
      return this.#remember(made, 'attached');
    } catch (error) {
      // A device that the next agent would know nothing of is none.
      if (entry === undefined) this.#entries.delete(target);
      else this.#entries.set(target, { ...entry, live: false });
      this.#unlink(target, made.device);
      await attacher.detach(made).catch((failure: unknown) => {
        this.#log.error('device-left', messageOf(failure), { volume: target });
      });
      throw expectedError(error) ?? error;
    }
  }

  /** Removes a device that does not work any more, to make another one. */
  async #clear(attachment: Attachment): Promise<void> {
    const { target, device } = attachment;
    try {
      await this.detach(attachment, false);
    } catch (error) {
      if (!(error instanceof LvrError) || error.code !== 'IN_USE') throw error;
      throw new LvrError('IN_USE', `${target} cannot be attached again: ${device}, which no longer works, is still in use`, {
        hint: `umount it, then lvr attach ${target}`,
        details: error.details,
      });
    }
  }

  /** Goes on serving a device that waits. Throws LvrError, and leaves it waiting, when it cannot be served. */
  async resume(request: AttachRequest): Promise<Attachment> {
    const { target } = request;
    const entry = this.#entries.get(target);
    assert(entry !== undefined, 'only what is remembered is resumed');
    const { attachment } = entry;
    if (request.device !== undefined && request.device !== attachment.device) {
      throw new LvrError('IN_USE', `${target} is already attached as ${attachment.device}`, { hint: `lvr detach ${target}` });
    }
    const attacher = this.#attacherOf(attachment);
    return this.#remember(await attacher.resume(attachment, request, (reason) => this.#lost(target, reason)), 'resumed');
  }

  #remember(made: Attachment, event: 'attached' | 'resumed'): Attachment {
    const attachment = { ...made, link: this.#linksTo(made) };
    this.#entries.set(made.target, { attachment, live: true, dead: false });
    this.#save();
    const text = event === 'attached' ? 'is' : 'is served again as';
    this.#log.info(event, `${made.target} ${text} ${made.device}`, { volume: made.target, device: made.device });
    return attachment;
  }

  #linksTo({ target, device }: Attachment): string {
    try {
      return makeLinks(this.#stateDir, target, device);
    } catch (error) {
      throw expectedError(error) ?? error;
    }
  }

  /** The best usable way, with the reasons against better ones. */
  async #choose({ target, device }: AttachRequest): Promise<{ attacher: Attacher; how: string }> {
    const against: string[] = [];
    const hints: string[] = [];
    for (const attacher of this.#attachers) {
      if (device !== undefined && !attacher.makes(device)) continue;
      const probe = await attacher.probe();
      if (probe.usable) return { attacher, how: [attacher.words, ...against].join('; ') };
      against.push(probe.missing);
      hints.push(probe.hint);
    }
    const where = device === undefined ? '' : ` as ${device}`;
    if (against.length > 0) {
      const reasons = [...new Set(against)].join('; ');
      throw new LvrError('ATTACH', `${target} cannot be attached${where}: ${reasons}`, { hint: [...new Set(hints)].join('; or: ') });
    }
    throw new LvrError('ATTACH', `${target} cannot be attached${where}: expected /dev/nbdN or /dev/loopN`, {
      hint: `lvr attach ${target}`,
    });
  }

  #attacherOf(attachment: Attachment): Attacher {
    const found = this.#attachers.find((attacher) => attacher.way === attachment.way);
    assert(found !== undefined, 'an attachment was made in a way that exists');
    return found;
  }

  /** The device is there and only needs to be served. */
  #waits(attachment: Attachment): boolean {
    const attacher = this.#attacherOf(attachment);
    return attacher.outlives && attacher.serves(attachment);
  }

  /** Users of the device lose nothing while no agent serves it. */
  outlives(attachment: Attachment): boolean {
    return this.#attacherOf(attachment).outlives;
  }

  /** Leaves the device to the next agent, as it is. */
  leave(attachment: Attachment): void {
    this.#attacherOf(attachment).leave(attachment);
    const entry = this.#entries.get(attachment.target);
    if (entry) entry.live = false;
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
      await this.#attacherOf(attachment).detach(attachment);
    } catch (error) {
      if (entry) entry.live = true;
      throw error;
    }
    this.#unlink(target, device);
    if (!remember) this.#entries.delete(target);
    try {
      this.#save();
    } catch (error) {
      throw new LvrError('FAILED', `${target} is no longer ${device}, but the next start attaches it again: ${messageOf(error)}`, {
        hint: 'make room in state_dir, then lvr attach and lvr detach it once more',
        cause: error,
      });
    }
    this.#log.info('detached', `${target} is no longer ${device}`, { volume: target, device });
  }

  /** At start: removes what a killed agent left, and answers what is to be attached again. What is still in use stays and is reported. */
  async restore(): Promise<Restored[]> {
    const again: Restored[] = [];
    for (const attachment of this.#load()) {
      const { target } = attachment;
      const entry = { attachment, live: false, dead: false };
      this.#entries.set(target, entry);
      if (this.#waits(attachment)) {
        entry.live = true;
        entry.dead = true;
        again.push({ target, resumes: true });
      } else if (await this.#isCleared(entry)) {
        again.push({ target, resumes: false });
      }
    }
    return again;
  }

  /** Nothing further is resumed: what a predecessor handed over for other devices is let go. */
  restored(): void {
    for (const attacher of this.#attachers) attacher.restored();
  }

  /** Removes what is left of an attachment that does not work any more, unless somebody holds it. */
  async #isCleared(entry: Entry): Promise<boolean> {
    const { attachment } = entry;
    const { target, device } = attachment;
    const attacher = this.#attacherOf(attachment);
    const isOurs = attacher.serves(attachment);
    const holders = isOurs ? findHolders(device, []) : [];
    if (holders.length > 0) {
      // Its I/O fails for good: it was cut off when the agent died. Only its users can let go of it.
      entry.live = true;
      entry.dead = true;
      const text = `${device} of ${target} lost its agent and is still in use: umount it, then lvr detach ${target}`;
      this.#log.error('device-lost', text, { volume: target, holders });
      return false;
    }
    if (!isOurs && attacher.outlives) {
      this.#log.warn('device-gone', `${device} is no longer connected to ${target}; whatever it is now is left alone`, { volume: target });
    }
    try {
      await attacher.detach(attachment);
    } catch (error) {
      const expected = expectedError(error);
      if (expected === undefined) throw error;
      this.#log.error('device-left', expected.message, { volume: target });
      return false;
    }
    this.#unlink(target, device);
    return true;
  }

  /** A name that stays behind (state_dir became read-only) is replaced by the next attach. */
  #unlink(target: string, device: string): void {
    try {
      removeLinks(this.#stateDir, target, device);
    } catch (error) {
      this.#log.warn('link-left', messageOf(error), { volume: target, device });
    }
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
      const isKnown = (a: Attachment): boolean => typeof a.target === 'string' && this.#attachers.some(({ way }) => way === a.way);
      return Array.isArray(attachments) ? attachments.filter(isKnown) : [];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#log.warn('attachments-unreadable', `${path}: ${messageOf(error)}`);
      return [];
    }
  }
}
