// Role changes of a group: promote, demote, step down, stop. Each closes the doors first (`changing`), then makes the change durable, and
// only then shows it. Nothing here is on the data path.

import { LvrError } from '../core/errors.js';
import { PLANTED } from '../core/planted.js';
import { UUID_NONE } from '../format/bytes.js';
import type { Group } from './group.js';

/** How long demote and stop wait for connected sites to have everything. */
const DRAIN_MS = 10_000;
const STOP_DRAIN_MS = 2_000;
/** Random part of an incarnation: two sites that are forced to promote at the same epoch never make the same writer. */
const SALT = 2 ** 20;

/** The next incarnation: a counter above random low bits, so that it grows and is unique across sites. */
export function nextIncarnation(previous: number, random: () => number): number {
  return (Math.floor(previous / SALT) + 1) * SALT + Math.floor(random() * SALT);
}

export class Roles {
  readonly #group: Group;
  /** Last LSN this site told another about itself: a step-down decided on that is void if it grew since. */
  shownLsn = 0;

  constructor(group: Group) {
    this.#group = group;
  }

  /** Takes over as primary. Refuses while a primary is connected, and without --force when this site never joined. */
  async promote(force: boolean): Promise<{ changed: boolean; epoch: string }> {
    const group = this.#group;
    const { log } = group;
    if (group.role === 'primary') return { changed: false, epoch: String(log.store.current.epoch) };
    this.#assertUsable('promote');
    for (const [site, link] of group.links) {
      const state = link.state();
      if (state.session === 'connected' && state.remoteRole === 'primary') {
        throw new LvrError('PRIMARY_CONNECTED', `group ${group.name} cannot be promoted: its primary ${site} is connected`, {
          hint: `demote it there first: lvr demote ${group.name}`,
        });
      }
    }
    const { groupUuid, resync } = log.store.current;
    const isBlank = groupUuid === UUID_NONE;
    if ((isBlank || resync?.fromLsn === 0) && !force) {
      const why = isBlank ? 'never received anything from a primary' : 'is in the middle of its first copy and had nothing before';
      throw new LvrError('NOT_CONSISTENT', `group ${group.name} ${why}`, {
        hint: `lvr promote ${group.name} --force starts a new history with the volumes as they ${isBlank ? 'are' : 'were'}`,
      });
    }
    await this.#exclusive(async () => {
      await log.quiet();
      await group.resyncs.target.rollBack();
      // Records that the old primary may have lost are about to touch the volumes: a crash from here on must not forget that.
      if (PLANTED !== 'promotion-not-recorded') {
        log.setPrimaryDurable(log.durableLsn);
        await log.recordPrimaryDurable();
      }
      await this.#applyAll();
      await this.lead(log.store.current.epoch + 1, isBlank ? group.env.memory.newUuid() : undefined);
    });
    group.env.log.info('promoted', `group ${group.name} is primary`, { group: group.name, epoch: log.store.current.epoch });
    return { changed: true, epoch: String(log.store.current.epoch) };
  }

  /** Makes this site the writer of `epoch` in a new incarnation, durably, and opens the write path. Everything is applied. */
  async lead(epoch: number, groupUuid: string | undefined): Promise<void> {
    const group = this.#group;
    // An older superblock counts when the newest is damaged; the records know writers that it does not.
    const last = group.log.lineage.at(-1) ?? { epoch: 0, incarnation: 0 };
    const next = nextIncarnation(Math.max(group.log.store.current.incarnation, last.incarnation), group.env.random);
    const incarnation = PLANTED === 'writer-used-twice' && last.incarnation > 0 ? last.incarnation : next;
    const writer = { epoch: Math.max(epoch, last.epoch), incarnation };
    await group.log.beginWriting(writer, { role: 'primary', ...(groupUuid === undefined ? {} : { groupUuid }) });
    group.role = 'primary';
    group.openWritePath(writer);
  }

  /** Gives the role up in order: no clients, everything durable at every connected site. `behind`: sites that lack something. */
  async demote(): Promise<{ changed: boolean; behind: string[] }> {
    const group = this.#group;
    if (group.role === 'secondary') return { changed: false, behind: [] };
    this.#assertUsable('demote');
    if (group.connections > 0) {
      throw new LvrError('IN_USE', `group ${group.name} cannot be demoted: ${group.connections} client connections are open`, {
        hint: 'unmount and detach its volumes, or stop the clients',
      });
    }
    let behind: string[] = [];
    await this.#exclusive(async () => {
      await this.#drain(DRAIN_MS, true);
      behind = group.sites.all.filter((site) => site.durable < group.log.appendedLsn).map((site) => site.config.name);
      await this.#retire();
    });
    group.env.log.info('demoted', `group ${group.name} is secondary`, { group: group.name, behind: behind.join(', ') });
    return { changed: true, behind };
  }

  /** A newer primary exists and has everything that this one ever showed: become its secondary. */
  async stepDown(reason: string): Promise<void> {
    const group = this.#group;
    if (group.role === 'secondary') return;
    const shown = this.shownLsn;
    await this.#exclusive(async () => {
      // Checked before anything changes, and without a pause before the clients are gone: nothing comes in between.
      group.writePath?.sealAll();
      if (group.log.appendedLsn !== shown) {
        throw new LvrError('DIVERGED', `group ${group.name}: writes were taken while the sites compared their histories`);
      }
      group.revoke();
      await group.log.quiet();
      // What is being given up is recorded with the role, or the group has failed.
      await group.passthrough.settled();
      if (group.failure !== undefined) throw group.failure;
      await this.#retire();
      group.passthrough.replaced();
    });
    group.env.log.warn('stepped-down', `group ${group.name} became secondary: ${reason}`, { group: group.name });
  }

  /** Orderly end of the group in this process; `quick`: what is durable in the log is left to the next start. */
  async stop(quick: boolean): Promise<void> {
    const group = this.#group;
    group.changing = true;
    group.open = false;
    group.revoke();
    if (quick) group.writePath?.sealAll();
    else if (group.failure === undefined && group.role === 'primary') await this.#drain(STOP_DRAIN_MS, false).catch(() => undefined);
    await Promise.all([...group.links.values()].map((link) => link.stop()));
    await group.resyncs.target.stop();
    group.checkpointer.stop();
    if (group.failure !== undefined) return;
    await group.passthrough.settled();
    await group.log.quiet().catch(() => undefined);
    const { isActive } = group.passthrough;
    if (quick && !isActive) return;
    const applied = group.applier.reached(this.#applicableLsn()).catch(() => undefined);
    // What a slow device has not taken by then stands in the log, and the next start replays it: unless the log was given up.
    const timeout = new Promise<void>((resolve) => void group.env.clock.after(STOP_DRAIN_MS, resolve));
    await (isActive ? applied : Promise.race([applied, timeout]));
    // One that is under way may be of before all that.
    await group.checkpointer.settled();
    if (group.failure === undefined) await group.checkpointer.run();
  }

  /** Role secondary, durably, with everything applied. */
  async #retire(): Promise<void> {
    const group = this.#group;
    await this.#applyAll();
    await group.resyncs.bitmaps.retire();
    group.writePath?.replies.failAll(5);
    await group.checkpointer.run({ role: 'secondary', primaryDurableLsn: group.log.durableLsn });
    if (group.failure !== undefined) throw group.failure;
    group.role = 'secondary';
    group.writePath = undefined;
    group.shipCache.releaseTo(Number.POSITIVE_INFINITY);
  }

  async #applyAll(): Promise<void> {
    const { log, applier } = this.#group;
    applier.allow(log.durableLsn);
    await applier.reached(log.durableLsn);
  }

  #applicableLsn(): number {
    const { log, role } = this.#group;
    return role === 'primary' ? log.durableLsn : Math.min(log.durableLsn, log.recordedPrimaryDurableLsn);
  }

  /** Waits until connected sites have everything; `strict`: rejects with TIMEOUT when one does not get there. */
  async #drain(timeoutMs: number, strict: boolean): Promise<void> {
    const { log, sites, env, name } = this.#group;
    this.#group.writePath?.sealAll();
    await log.quiet();
    const deadline = env.clock.nowMs() + timeoutMs;
    const behind = (): string[] => sites.all.filter((s) => s.connected && s.durable < log.appendedLsn).map((s) => s.config.name);
    for (let left = behind(); left.length > 0; left = behind()) {
      if (env.clock.nowMs() > deadline) {
        if (!strict) return;
        throw new LvrError(
          'TIMEOUT',
          `group ${name}: ${left.join(', ')} did not catch up within ${timeoutMs / 1000} s; the role is unchanged`,
        );
      }
      await new Promise<void>((resolve) => void env.clock.after(5, resolve));
    }
  }

  #assertUsable(verb: string): void {
    const group = this.#group;
    if (group.failure !== undefined) throw group.failure;
    group.passthrough.assertWhole();
    if (group.changing) throw new LvrError('ROLE', `cannot ${verb} group ${group.name}: another role change is under way`);
  }

  async #exclusive(change: () => Promise<void>): Promise<void> {
    const group = this.#group;
    if (group.changing) throw new LvrError('ROLE', `group ${group.name}: another role change is under way`);
    if (group.joining) throw new LvrError('ROLE', `group ${group.name}: it is being joined to a primary`, { hint: 'try again' });
    group.changing = true;
    try {
      await change();
    } finally {
      group.changing = false;
      group.rolesChanged();
    }
  }
}
