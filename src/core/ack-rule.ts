// When a write and when a flush may be answered (decisions on acknowledgement): pure arithmetic over positions.

import type { OnDisconnect, SiteMode } from './group-config.js';
import { PLANTED } from './planted.js';

/** A site as the acknowledgement rule sees it. Positions are LSNs answered by the site; `streaming`: connected and caught up. */
export type SiteAcks = {
  readonly mode: SiteMode;
  readonly onDisconnect: OnDisconnect;
  readonly streaming: boolean;
  readonly received: number;
  readonly durable: number;
  readonly applied: number;
  /** It fell too far behind (fall-behind limit `sync`): writes wait until they are durable there, whatever its mode. */
  readonly enforced?: boolean;
  /** It fell too far behind, or is away while writes are to wait for it, and writes are to fail. */
  readonly refusing?: boolean;
};

/**
 * Writes up to `writeLsn` and flushes up to `flushLsn` may be answered. `failing`: answer EIO, because a site with on_disconnect = fail is
 * away, or a limit says so.
 */
export type AckLimits = { writeLsn: number; flushLsn: number; failing: boolean };

/** What writes really wait for at a site now. */
export function effectiveMode(site: Pick<SiteAcks, 'mode' | 'onDisconnect' | 'streaming' | 'enforced'>): SiteMode {
  if (site.enforced === true) return site.mode === 'applied' ? 'applied' : 'logged';
  return site.streaming || site.onDisconnect !== 'continue' ? site.mode : 'async';
}

/**
 * Computes the limits into `out`. `appended`: accepted in order; `durable`: durable in the local log. A write that needs a site's answer
 * also needs local durability in the modes logged and applied, so that no site is ahead of what this one would recover.
 */
export function ackLimits(appended: number, durable: number, writeCache: boolean, sites: readonly SiteAcks[], out: AckLimits): void {
  let write = writeCache ? appended : durable;
  let flush = durable;
  let failing = false;
  for (const site of sites) {
    if (site.refusing === true) failing = true;
    const mode = effectiveMode(site);
    if (mode === 'async') continue;
    if (!site.streaming && site.enforced !== true && site.onDisconnect === 'fail') failing = true;
    if (mode === 'memory') write = Math.min(write, site.received);
    else
      write = Math.min(
        write,
        durable,
        mode === 'logged' ? (PLANTED === 'acked-when-received' ? site.received : site.durable) : site.applied,
      );
    flush = Math.min(flush, PLANTED === 'acked-when-received' ? site.received : site.durable);
  }
  out.writeLsn = write;
  out.flushLsn = Math.min(flush, write);
  out.failing = failing;
}
