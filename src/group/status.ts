// The status of a group, from its parts. Nothing here is remembered: a status is never older, and never better, than the truth it is made
// from.

import { type FallBehindAction, limitKey } from '../core/fall-behind.js';
import type { GroupStatus, SiteStatus } from '../core/status.js';
import { UUID_NONE } from '../format/bytes.js';
import type { Group } from './group.js';
import type { SiteProgress } from './sites.js';

/** What is done about a site that is too far behind. */
const ACTIONS: Record<FallBehindAction, string> = {
  alert: 'writers do not wait for it',
  throttle: 'writers wait for it',
  sync: 'every write waits for it',
  degrade: 'a bitmap tracks it',
  fail: 'writes fail',
};

/** Snapshot of `group`. */
export function groupStatus(group: Group): GroupStatus {
  const { log } = group;
  const sites = group.sites.all.map((site) => siteStatus(group, site));
  const appended = group.writePath?.lastLsn ?? log.appendedLsn;
  const { health, reason } = healthOf(group, sites);
  return {
    group: group.name,
    role: group.role,
    health,
    reason,
    image: imageOf(group),
    epoch: String(log.store.current.epoch),
    log: {
      sizeBytes: log.ring.bytes,
      usedBytes: log.usedBytes,
      appendedLsn: String(appended),
      durableLsn: String(group.passthrough.durableLsn),
      appliedLsn: String(group.applier.appliedLsn),
      trimmedLsn: String(log.trimmedLsn),
    },
    writeBytesPerSecond: Math.round(group.resyncs.progress.writeRate),
    logFullEtaSeconds: sites.reduce<number | null>(
      (least, { logFullEtaSeconds: eta }) => (least === null ? eta : Math.min(least, eta ?? least)),
      null,
    ),
    throttledSeconds: group.resyncs.limits.throttledSeconds,
    volumes: group.config.volumes.map((volume, i) => ({
      volume: volume.name,
      sizeBytes: group.devices[i]?.sizeBytes ?? 0,
      export: `${group.name}/${volume.name}`,
      attached: '',
      isLost: false,
      remoteReads: group.deviceErrors.servedReads(volume.name),
    })),
    sites,
  };
}

function imageOf(group: Group): GroupStatus['image'] {
  if (group.failure !== undefined) return 'failed';
  if (group.resyncs.target.isActive) return 'inconsistent';
  if (group.role === 'primary') return 'upToDate';
  return group.log.store.current.groupUuid === UUID_NONE ? 'inconsistent' : 'consistent';
}

function healthOf(group: Group, sites: readonly SiteStatus[]): Pick<GroupStatus, 'health' | 'reason'> {
  if (group.failure !== undefined) {
    const isHeld = group.role === 'primary' && group.failure.code === 'LOG_FAILED' && group.config.onLogError === 'suspend';
    const held = isHeld ? '; requests are held until the agent is restarted (on_log_error = "suspend")' : '';
    return { health: 'failed', reason: group.failure.message + held };
  }
  if (group.passthrough.isActive) return { health: 'degraded', reason: group.passthrough.reason };
  const refusedFor = group.writePath?.refusedFor;
  if (refusedFor !== undefined) {
    return { health: 'degraded', reason: `the log is full of what site ${refusedFor} lacks, and writes fail (log_full = "fail")` };
  }
  if (group.logFullSince > 0) {
    const behind = sites.filter((s) => s.session !== 'connected' && s.tracking === 'log').map((s) => s.site);
    const who = behind.length > 0 ? `site ${behind.join(', ')} is away and still needs it` : 'volumes or sites are slower than the writers';
    return { health: 'degraded', reason: `the log is full and writers wait: ${who}` };
  }
  if (group.resyncs.target.isActive) {
    return { health: 'degraded', reason: 'a resync overwrites the volumes here: until it ends, they are no image of any moment' };
  }
  const slow = sites.find((s) => s.limits.crossed.length > 0 && s.session === 'connected');
  if (slow !== undefined) {
    const what = slow.limits.action === '' ? '' : ` (${ACTIONS[slow.limits.action]})`;
    return { health: 'degraded', reason: `site ${slow.site} is ${slow.reason}${what}` };
  }
  const errors = group.deviceErrors.reason;
  if (errors !== '') return { health: 'degraded', reason: errors };
  const away = awayOf(group, sites);
  const detached = sites.find((s) => s.tracking === 'none');
  if (away === undefined && detached !== undefined) return { health: 'degraded', reason: `site ${detached.site}: ${detached.reason}` };
  if (away === undefined) {
    const isPrimary = group.role === 'primary';
    const less = isPrimary ? sites.find((s) => s.effectiveMode !== s.mode) : undefined;
    if (less !== undefined)
      return { health: 'degraded', reason: `site ${less.site} is ${less.replication}: until it has caught up, writes do not wait for it` };
    const copied = isPrimary ? sites.find((s) => s.tracking === 'bitmap') : undefined;
    if (copied === undefined && imageOf(group) === 'inconsistent')
      return { health: 'degraded', reason: 'no primary was met yet: the volumes are no image of any moment' };
    if (copied === undefined) return { health: 'healthy', reason: '' };
    return {
      health: 'degraded',
      reason: `site ${copied.site} is ${copied.replication}: until its resync ends, it is no image of any moment`,
    };
  }
  if (group.role === 'secondary' && away.session === 'offline' && away.reason === '') {
    return { health: 'degraded', reason: `no primary is connected; if there is none: lvr promote ${group.name}` };
  }
  return {
    health: 'degraded',
    reason: `site ${away.site} is ${away.session}${away.reason === '' ? '' : `: ${away.reason}`}${heldBy(group, away)}`,
  };
}

/** The site whose absence matters most. Secondaries do not connect to each other: one of them needs its primary, and no more. */
function awayOf({ role }: Group, sites: readonly SiteStatus[]): SiteStatus | undefined {
  if (role === 'primary') return sites.find((s) => s.session !== 'connected');
  const refused = sites.find((s) => s.session === 'refused');
  if (refused !== undefined || sites.some((s) => s.session === 'connected')) return refused;
  return sites.find((s) => s.reason !== '') ?? sites[0];
}

/** What the absence of a site does to writers, where it does something. */
function heldBy(group: Group, { site, effectiveMode }: SiteStatus): string {
  const how = group.sites.find(site)?.config.onDisconnect;
  if (group.role !== 'primary' || effectiveMode === 'async' || how === undefined || how === 'continue') return '';
  return `; ${how === 'block' ? 'writers wait for it' : 'writes fail'} (on_disconnect = "${how}")`;
}

function detachedReason(reason: string): string {
  const why = 'the log was full and moved on without it (log_full = "detach"): it needs a seed';
  return reason === '' ? why : `${reason}; ${why}`;
}

function siteStatus(group: Group, site: SiteProgress): SiteStatus {
  const link = group.links.get(site.config.name);
  const state = link?.state();
  const { log, role, writePath } = group;
  const isPrimary = role === 'primary';
  const needsSeed = isPrimary && state?.code === 'NEEDS_SEED';
  const isDetached = site.bitmap?.isDetached === true || needsSeed;
  const isForgotten = isPrimary && site.bitmap === undefined && site.durable < log.trimmedLsn;
  const isUnknown = isDetached || isForgotten || isBehind(site);
  const appended = writePath?.lastLsn ?? log.appendedLsn;
  const lagIos = isPrimary ? Math.max(0, appended - site.durable) : 0;
  const { progress } = group.resyncs;
  const resync = progress.resyncOf(site.config.name) ?? null;
  const resynced = progress.resynced(site.config.name);
  const limit = group.resyncs.limits.statusOf(site);
  // What a bitmap tracks the log has forgotten: the bitmap counts it, and the time was noted.
  const retainedUs = log.index.timeOf(Math.max(site.durable, log.trimmedLsn) + 1);
  const knownUs = isUnknown ? Math.min(group.resyncs.openedUs, retainedUs || Number.POSITIVE_INFINITY) : retainedUs;
  const oldestUs = site.missingSinceUs || knownUs;
  const wholeBytes = group.devices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const dirtyBytes = group.resyncs.bitmaps.dirtyBytes(site.config.name);
  const inLog = lagIos === 0 ? 0 : log.index.payloadAfter(site.durable) + (writePath?.unsealedBytes ?? 0);
  // What was written, not only what it changed: the log has forgotten part of it.
  const unknown = isUnknown ? wholeBytes : 0;
  const since = site.writtenAtDurable === undefined ? unknown : group.writtenBytes - site.writtenAtDurable;
  const lagBytes = lagIos === 0 ? 0 : Math.max(inLog, since);
  return {
    site: site.config.name,
    mode: site.mode,
    effectiveMode: site.effectiveMode,
    session: state?.session ?? 'offline',
    replication: resync?.state === 'paused' ? 'paused' : (state?.replication ?? 'stopped'),
    tracking: trackingOf(site, needsSeed || isForgotten),
    ackedLsn: String(isPrimary ? site.durable : 0),
    appliedLsn: String(isPrimary ? site.applied : 0),
    lagBytes: isPrimary ? Math.max(lagBytes, dirtyBytes, needsSeed ? wholeBytes : 0) : 0,
    lagIos,
    lagSeconds: lagIos === 0 || oldestUs === 0 ? 0 : Math.max(0, group.env.clock.wallMs() / 1000 - oldestUs / 1e6),
    dirtyBytes: isUnknown ? wholeBytes : dirtyBytes,
    resync,
    resyncedBytes: resynced.copiedBytes,
    resyncComparedBytes: resynced.comparedBytes,
    resyncSameBytes: resynced.sameBytes,
    logFullEtaSeconds: isDetached ? null : (progress.logFullEta(site) ?? null),
    limits: { crossed: limit.crossed.map(limitKey), action: limit.effect ?? '', seconds: limit.seconds },
    reason: [
      site.bitmap?.isDetached === true ? detachedReason(state?.reason ?? '') : (state?.reason ?? ''),
      resync?.reason ?? '',
      limit.reason,
    ]
      .filter((words) => words !== '')
      .join('; '),
    rule: state?.rule ?? '',
    insecure: state?.insecure ?? false,
  };
}

/** Its bitmap begins behind what it is known to have. */
function isBehind({ bitmap, durable }: SiteProgress): boolean {
  return bitmap?.base !== undefined && !bitmap.isKept && durable < bitmap.base;
}

function trackingOf({ bitmap }: SiteProgress, isForgotten: boolean): SiteStatus['tracking'] {
  if (isForgotten) return 'none';
  if (bitmap?.isDetached === true) return bitmap.isKept ? 'log' : 'none';
  return bitmap === undefined ? 'log' : 'bitmap';
}
