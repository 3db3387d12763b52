// on_log_error = "passthrough": a primary whose log fails goes on without it. Writes go to the volumes as soon as the bitmap of every site
// durably says where, a flush is answered when the volumes are flushed, and no site receives anything until the group was opened again with
// a log that works. What a crash leaves meanwhile is what it leaves of any disk: everything flushed, and some of the rest in any order.
//
// Order of durability, from the failure on, while writes of records wait (disk/log-device.ts):
//   1. Every site is tracked by a bitmap that has all it may lack up to the last record in memory, durably; the superblock goes to the
//      spare device from here on, and does not count yet.
//   2. Every record that the log has durably is on the volumes, which are flushed: what is promised needs no log any more.
//   3. The mark. Records are answered, and applied, only behind it: a start that still replayed the log would undo them.
// If any of that fails the group fails as with "fail".

import { LvrError, messageOf } from '../core/errors.js';
import { PLANTED } from '../core/planted.js';
import type { SiteHistory } from '../core/reconnect.js';
import type { LogBatch } from '../disk/log-batch.js';
import { LogDevice, type LogDeviceOwner } from '../disk/log-device.js';
import { markGivenUp } from '../disk/passthrough-state.js';
import { deviceError } from '../disk/promises.js';
import type { Refusal } from '../link/ports.js';
import type { Group } from './group.js';

export class Passthrough implements LogDeviceOwner {
  readonly #group: Group;
  readonly #device: LogDevice | undefined;
  #entering: Promise<void> | undefined;
  #why = '';
  #flushing = false;

  constructor(group: Group) {
    this.#group = group;
    this.#device = group.log.device instanceof LogDevice ? group.log.device : undefined;
    if (this.#device?.isGivenUp === true) this.#why = 'it could not be used when the group was opened';
    this.#device?.setOwner(this);
  }

  /** Nothing relies on the log any more, or soon. */
  get isActive(): boolean {
    return this.#entering !== undefined || this.#device?.isGivenUp === true;
  }

  /** For status; empty while the log is in use. */
  get reason(): string {
    if (!this.isActive) return '';
    const failed = `log ${this.#group.log.device.path} has failed (${this.#why})`;
    return `${failed}: writes go to the volumes alone, and sites receive nothing until it is repaired and the agent restarted`;
  }

  /** Records up to here survive a power cut. */
  get durableLsn(): number {
    const { log } = this.#group;
    return this.isActive && PLANTED !== 'passthrough-flush-early' ? log.store.current.appliedLsn : log.durableLsn;
  }

  /** Why a site is not met. A primary hears all the same from one that knows of a newer one. */
  refuses({ epoch, blank }: SiteHistory): Refusal | undefined {
    const { name, site, role, log } = this.#group;
    if (!this.isActive || (role === 'primary' && !blank && epoch > log.store.current.epoch)) return undefined;
    return { code: 'LOG_FAILED', reason: `group ${name} at site ${site}: ${this.reason}` };
  }

  /** Throws where something needs the log. */
  assertWhole(): void {
    if (!this.isActive) return;
    throw new LvrError('LOG_FAILED', `group ${this.#group.name}: ${this.reason}`, {
      hint: 'repair the log device, then restart the agent',
    });
  }

  /** This site has become secondary: it has no log to follow its primary with. */
  replaced(): void {
    if (!this.isActive) return;
    const { name, log } = this.#group;
    const message = `group ${name} has a newer primary, and log ${log.device.path}, which it would follow it with, has failed`;
    this.#group.applyFailed(new LvrError('LOG_FAILED', message, { hint: 'repair the log device, then restart the agent' }));
  }

  deviceFailing(errno: number): boolean {
    const { config, role, changing, failure, open, writePath, log } = this.#group;
    const device = this.#device;
    const isServing = role === 'primary' && open && !changing && failure === undefined && writePath !== undefined;
    if (config.onLogError !== 'passthrough' || !isServing || log.failed !== undefined || log.isHeld || device === undefined) return false;
    this.#why = deviceError('write log', log.device.path, errno).message;
    // In a turn of its own: whoever is asked counts it as under way already.
    this.#entering = Promise.resolve().then(() => this.#enter(device, errno));
    return true;
  }

  /** Resolves when no log is being given up. */
  async settled(): Promise<void> {
    await this.#entering;
  }

  async #enter(device: LogDevice, errno: number): Promise<void> {
    const { env, name, log } = this.#group;
    try {
      await this.#prepare(device, errno);
      device.resume();
      this.#entering = undefined;
      this.settleFlushes();
    } catch (error) {
      this.#entering = undefined;
      env.log.error('log-needed', `group ${name} cannot go on without its log: ${messageOf(error)}`, { group: name });
      device.giveUp(errno);
      // Nothing may have waited, and what the spare device has been told is not known to a start.
      log.fail(deviceError('write log', log.device.path, errno));
    }
  }

  async #prepare(device: LogDevice, errno: number): Promise<void> {
    const group = this.#group;
    const { log, applier, resyncs, checkpointer, env, name } = group;
    env.log.error('log-given-up', `group ${name}: ${this.reason}`, { group: name, errno });
    for (const link of group.links.values()) link.meetAgain('the log of its primary has failed');
    const { durableLsn } = log;
    if (PLANTED !== 'passthrough-before-bitmaps') {
      await this.trackSites();
      applier.forEach((batch) => {
        resyncs.bitmaps.applied(batch);
      });
    }
    if (PLANTED !== 'passthrough-before-applied') await applier.reached(durableLsn);
    // The one under way may be of before all that.
    await checkpointer.settled();
    await checkpointer.run();
    if (group.failure !== undefined) throw group.failure;
    if (PLANTED === 'passthrough-not-recorded') return;
    await markGivenUp(device.spare, env.memory, { logUuid: log.store.current.logUuid, lsn: log.appendedLsn });
  }

  /** The log keeps nothing for any site. */
  async trackSites(): Promise<void> {
    const { sites, resyncs, role } = this.#group;
    if (!this.isActive || role !== 'primary') return;
    for (const site of sites.all) await resyncs.bitmaps.track(site, 'the log has failed');
  }

  /** A batch gets its place in the log, and its records may be applied soon. */
  sealed(batch: LogBatch): void {
    if (this.isActive && PLANTED !== 'passthrough-not-marked') this.#group.resyncs.bitmaps.applied(batch);
  }

  gate(): Promise<void> {
    return PLANTED === 'passthrough-marks-not-flushed' ? Promise.resolve() : this.#group.resyncs.bitmaps.flush();
  }

  /** Somebody waits for a flush: the volumes are flushed until nobody does whose records are on them. */
  settleFlushes(): void {
    const { log, applier, checkpointer, writePath, failure, changing } = this.#group;
    if (this.#device?.isGivenUp !== true || this.#flushing || failure !== undefined || changing || writePath === undefined) return;
    // A checkpoint that somebody else asked for may have covered it.
    writePath.release();
    if (writePath.replies.waiting === 0 || applier.appliedLsn <= log.store.current.appliedLsn) return;
    this.#flushing = true;
    void checkpointer
      .settled()
      .then(() => checkpointer.run())
      .then(() => {
        this.#flushing = false;
        this.#group.writePath?.release();
        this.settleFlushes();
      });
  }
}
