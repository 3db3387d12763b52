// What an operator may do to one site of a running group: pause and resume it or its resync, ask for a resync now, change its settings.
// Nothing here outlives the process; who wants that keeps it (agent/pauses.ts) or writes it into the configuration.

import { LvrError } from '../core/errors.js';
import type { SiteSettings } from '../core/site-settings.js';
import type { SiteLink } from '../link/link.js';
import type { Group } from './group.js';
import type { SiteProgress } from './sites.js';

export class SiteVerbs {
  readonly #group: Group;

  constructor(group: Group) {
    this.#group = group;
  }

  /** Names of all sites of the group. */
  get names(): string[] {
    return this.#group.config.sites.map(({ name }) => name);
  }

  get isPrimary(): boolean {
    return this.#group.role === 'primary';
  }

  /** Throws NOT_FOUND unless there is such a site. */
  check(name: string): void {
    this.#link(name);
  }

  /** No session until resume(); the log goes on growing and limits go on acting. True when it was not paused. */
  pause(name: string): boolean {
    return this.#link(name).setPaused(true);
  }

  resume(name: string): boolean {
    return this.#link(name).setPaused(false);
  }

  /** Nothing is copied to the site until resumeSync(), also in later sessions; its bitmap goes on. */
  pauseSync(name: string): boolean {
    return this.#setSyncPaused(name, true);
  }

  resumeSync(name: string): boolean {
    return this.#setSyncPaused(name, false);
  }

  #setSyncPaused(name: string, isPaused: boolean): boolean {
    this.#link(name);
    const { paused, progress } = this.#group.resyncs;
    if (paused.has(name) === isPaused) return false;
    if (isPaused) paused.add(name);
    else paused.delete(name);
    progress.sourceOf(name)?.turn.setPaused(isPaused);
    // A full log may not be kept for a copy that stands still.
    this.#group.siteChanged();
    return true;
  }

  /** Begins the resync of a site that its bitmap says is needed, if it is not under way. True when there was something to do. */
  startSync(name: string): boolean {
    const site = this.#primarySite(name);
    const { resyncs } = this.#group;
    const link = this.#link(name);
    const { session, replication, code, reason } = link.state();
    if (site.bitmap?.isDetached === true || code === 'NEEDS_SEED') {
      // It may have got one.
      if (session !== 'connected') link.retry();
      throw new LvrError(
        'NEEDS_SEED',
        `site ${name} of group ${this.#group.name} cannot be brought back by a resync: ${reason || 'it needs a seed'}`,
      );
    }
    if (site.bitmap === undefined) {
      throw new LvrError('ROLE', `site ${name} of group ${this.#group.name} needs no resync: the log holds all that it lacks`);
    }
    if (replication === 'paused') {
      throw new LvrError('ROLE', `site ${name} of group ${this.#group.name} is paused`, {
        hint: `lvr site resume ${this.#group.name} ${name}`,
      });
    }
    const wasPaused = resyncs.paused.has(name) && this.resumeSync(name);
    if (session !== 'connected') link.retry();
    return wasPaused || session !== 'connected';
  }

  /** As the site is configured now. */
  settings(name: string): SiteSettings {
    const site = this.#primarySite(name);
    const { mode, onDisconnect, logFull } = site.config;
    return { mode, onDisconnect, logFull, limits: this.#group.resyncs.limits.limitsOf(site), pace: site.pace ?? this.#group.config.resync };
  }

  /** Changes what is different. True when something was. A new mode is agreed on in a new session. */
  set(name: string, settings: SiteSettings): boolean {
    const before = this.settings(name);
    if (JSON.stringify(before) === JSON.stringify(settings)) return false;
    const site = this.#primarySite(name);
    const { resyncs } = this.#group;
    const { mode, onDisconnect, logFull, limits, pace } = settings;
    site.config = { ...site.config, mode, onDisconnect, logFull };
    if (logFull !== 'fail') this.#group.writePath?.endRefusalFor(name);
    site.pace = pace;
    resyncs.progress.sourceOf(name)?.setPace(pace);
    resyncs.limits.set(site, limits);
    if (mode !== before.mode) {
      // What the site has answered in the old mode says nothing about when it will: it counts again when it has caught up.
      site.streaming = false;
      const link = this.#link(name);
      link.setMode(mode);
      link.meetAgain(`the mode of site ${name} is ${mode} now`);
    }
    this.#group.siteChanged();
    return true;
  }

  #link(name: string): SiteLink {
    const link = this.#group.links.get(name);
    if (link !== undefined) return link;
    throw new LvrError('NOT_FOUND', `group ${this.#group.name} has no site ${name}`, { details: { sites: this.names } });
  }

  #primarySite(name: string): SiteProgress {
    this.#link(name);
    const site = this.#group.sites.find(name);
    if (site !== undefined && this.#group.role === 'primary') return site;
    throw new LvrError('ROLE', `group ${this.#group.name} is secondary here: ask its primary`);
  }
}
