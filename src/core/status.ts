// The status of a group as `lvr status -o json` prints it (apiVersion lvr/v1). Fields may be added, never renamed. LSNs and epochs are
// strings because they are 64-bit numbers. One snapshot feeds the command line, the metrics and the events.

import type { SiteMode } from './group-config.js';

export type Session = 'offline' | 'connecting' | 'handshaking' | 'connected' | 'refused';
export type Replication = 'stopped' | 'streaming' | 'catchingUp' | 'resyncing' | 'seeding' | 'verifying' | 'paused';

export type SiteStatus = {
  site: string;
  mode: SiteMode;
  /** What writes really wait for now: async while the site is away or catching up, with on_disconnect = continue. */
  effectiveMode: SiteMode;
  session: Session;
  replication: Replication;
  /** none: the log moved on without it, and nothing says what it lacks. */
  tracking: 'log' | 'bitmap' | 'none';
  /** Durable at the site, as far as this agent knows. */
  ackedLsn: string;
  appliedLsn: string;
  /** What would be lost if this site had to take over now; upper bounds. */
  lagBytes: number;
  lagIos: number;
  lagSeconds: number;
  dirtyBytes: number;
  /** Why the session is refused or offline, in words; empty otherwise. */
  reason: string;
  /** Rule of the reconnection table that applied last. */
  rule: string;
  insecure: boolean;
};

export type VolumeStatus = {
  volume: string;
  sizeBytes: number;
  export: string;
  /** Device node it is attached as, or empty. */
  attached: string;
};

export type GroupStatus = {
  group: string;
  role: 'primary' | 'secondary';
  health: 'healthy' | 'degraded' | 'failed';
  /** Why not healthy; empty when healthy. */
  reason: string;
  image: 'upToDate' | 'consistent' | 'outdated' | 'inconsistent' | 'failed';
  epoch: string;
  log: { sizeBytes: number; usedBytes: number; appendedLsn: string; durableLsn: string; appliedLsn: string; trimmedLsn: string };
  volumes: VolumeStatus[];
  sites: SiteStatus[];
};
