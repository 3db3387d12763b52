// The status document: what every group says about itself, with what only the agent knows (attachments, groups that could not be opened).
// Made anew for every question; the command line and the metrics read the same snapshot.

import { messageOf } from '../core/errors.js';
import type { GroupConfig } from '../core/group-config.js';
import type { GroupStatus } from '../core/status.js';
import type { StatusDocument } from './control-protocol.js';

/** What the agent adds to the groups' own words. */
export type StatusFacts = { readonly site: string; readonly version: string; readonly insecure: boolean; readonly wallMs: number };

/** The whole document. */
export function statusDocument(facts: StatusFacts, items: GroupStatus[]): StatusDocument {
  const { site, version, insecure, wallMs } = facts;
  return { apiVersion: 'lvr/v1', kind: 'Status', time: new Date(wallMs).toISOString(), site, version, pid: process.pid, insecure, items };
}

/** How a volume is attached. */
export type AttachedAs = { readonly attached: string; readonly isLost: boolean };

/** The status of a running group with the device each volume is attached as, and with the failure that ended it, if any. */
export function groupStatus(status: GroupStatus, attachedAs: (target: string) => AttachedAs, failure: Error | undefined): GroupStatus {
  const volumes = status.volumes.map((volume) => ({ ...volume, ...attachedAs(volume.export) }));
  if (failure === undefined) return { ...status, volumes };
  // A group that knows itself that it has failed says more: what becomes of requests.
  return status.health === 'failed' ? { ...status, volumes } : { ...status, volumes, health: 'failed', reason: messageOf(failure) };
}

/** The status of a group that could not be opened: nothing is known of it but its configuration and the reason. */
export function unopenedStatus(config: GroupConfig, failure: Error, insecure: boolean): GroupStatus {
  const none = '0';
  return {
    group: config.name,
    role: 'unknown',
    health: 'failed',
    reason: messageOf(failure),
    image: 'failed',
    epoch: none,
    log: { sizeBytes: config.log.sizeBytes, usedBytes: 0, appendedLsn: none, durableLsn: none, appliedLsn: none, trimmedLsn: none },
    writeBytesPerSecond: 0,
    logFullEtaSeconds: null,
    throttledSeconds: 0,
    volumes: config.volumes.map((volume) => ({
      volume: volume.name,
      sizeBytes: volume.sizeBytes,
      export: `${config.name}/${volume.name}`,
      attached: '',
      isLost: false,
      remoteReads: 0,
    })),
    sites: config.sites.map((site) => ({
      site: site.name,
      mode: site.mode,
      effectiveMode: 'async',
      session: 'offline',
      replication: 'stopped',
      tracking: 'log',
      ackedLsn: none,
      appliedLsn: none,
      lagBytes: 0,
      lagIos: 0,
      lagSeconds: 0,
      dirtyBytes: 0,
      resync: null,
      resyncedBytes: 0,
      resyncComparedBytes: 0,
      resyncSameBytes: 0,
      logFullEtaSeconds: null,
      limits: { crossed: [], action: '', seconds: 0 },
      reason: 'the group is not open',
      rule: '',
      insecure,
    })),
  };
}
