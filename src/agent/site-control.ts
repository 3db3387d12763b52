// The verbs that concern one site of a group: lvr site pause, resume and set, lvr sync start, pause and resume. Joins what the group does
// with what is kept across restarts; pauses are kept before they are obeyed, and obeyed before they are forgotten.

import { LvrError } from '../core/errors.js';
import type { Log } from '../core/ports.js';
import type { Verbs } from './control-protocol.js';
import type { PauseKind, Pauses } from './pauses.js';
import type { AgentGroup, SiteActions } from './ports.js';
import { changedSettings } from './site-settings.js';
import type { Slots } from './slots.js';

export class SiteControl {
  readonly #slots: Slots;
  readonly #verbsOf: (group: AgentGroup) => SiteActions;
  readonly #pauses: Pauses;
  readonly #log: Log;

  constructor(slots: Slots, verbsOf: (group: AgentGroup) => SiteActions, pauses: Pauses, log: Log) {
    this.#slots = slots;
    this.#verbsOf = verbsOf;
    this.#pauses = pauses;
    this.#log = log;
  }

  /** A group was opened: what was paused is paused again, before it starts. */
  opened(group: AgentGroup): void {
    const verbs = this.#verbsOf(group);
    for (const site of verbs.names) {
      if (this.#pauses.has('site', group.name, site)) verbs.pause(site);
      if (this.#pauses.has('sync', group.name, site)) verbs.pauseSync(site);
    }
  }

  site({ group, site, action, settings = [] }: Verbs['site']['args']): Verbs['site']['result'] {
    const verbs = this.#verbsOf(this.#slots.group(group));
    switch (action) {
      case 'pause':
      case 'resume':
        if (settings.length > 0) throw new LvrError('USAGE', `site ${action} takes no settings`);
        return { changed: this.#pause('site', group, site, action === 'pause'), group, site };
      case 'set': {
        const changed = verbs.set(site, changedSettings(verbs.settings(site), settings));
        if (changed) this.#log.info('site-set', `group ${group}: site ${site}: ${settings.join(' ')}`, { group, site });
        return { changed, group, site };
      }
      default:
        throw new LvrError('USAGE', `unknown action ${action}: pause, resume or set`);
    }
  }

  /** Of one site, or of every site of the group that it makes sense for. */
  sync({ group, site, action }: Verbs['sync']['args']): Verbs['sync']['result'] {
    const verbs = this.#verbsOf(this.#slots.group(group));
    const changed: string[] = [];
    for (const name of site === undefined ? verbs.names : [site]) {
      if (this.#sync(verbs, group, name, action, site === undefined)) changed.push(name);
    }
    return { changed: changed.length > 0, group, sites: changed };
  }

  #sync(verbs: SiteActions, group: string, site: string, action: string, isOneOfAll: boolean): boolean {
    switch (action) {
      case 'pause':
      case 'resume':
        return this.#pause('sync', group, site, action === 'pause');
      case 'start':
        try {
          const changed = verbs.startSync(site);
          this.#pauses.set('sync', group, site, false);
          return changed;
        } catch (error) {
          if (isOneOfAll && error instanceof LvrError && verbs.isPrimary) return false;
          throw error;
        }
      default:
        throw new LvrError('USAGE', `unknown action ${action}: start, pause or resume`);
    }
  }

  #pause(kind: PauseKind, group: string, site: string, isPaused: boolean): boolean {
    const verbs = this.#verbsOf(this.#slots.group(group));
    verbs.check(site);
    if (kind === 'sync' && !verbs.isPrimary) throw new LvrError('ROLE', `group ${group} is secondary here: ask its primary`);
    if (isPaused) this.#pauses.set(kind, group, site, true);
    const changed =
      kind === 'site' ? (isPaused ? verbs.pause(site) : verbs.resume(site)) : isPaused ? verbs.pauseSync(site) : verbs.resumeSync(site);
    if (!isPaused) this.#pauses.set(kind, group, site, false);
    if (changed) {
      const what = kind === 'site' ? 'site' : 'the resync of site';
      const event = `${kind}-${isPaused ? 'paused' : 'resumed'}`;
      this.#log.info(event, `group ${group}: ${what} ${site} is ${isPaused ? 'paused' : 'resumed'}`, { group, site });
    }
    return changed;
  }
}
