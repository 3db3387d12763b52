// The status of a group as `lvr status -o json` prints it (apiVersion lvr/v1). Fields may be added, never renamed. LSNs and epochs are
// strings because they are 64-bit numbers. One snapshot feeds the command line, the metrics and the events.

import type { FallBehindAction } from './fall-behind.js';
import type { SiteMode } from './group-config.js';
import type { TurnState } from './resync-turns.js';

export type Session = 'offline' | 'connecting' | 'handshaking' | 'connected' | 'refused';
export type Replication = 'stopped' | 'streaming' | 'catchingUp' | 'resyncing' | 'seeding' | 'verifying' | 'paused';

/** A copy of what a site lacks that the log does not hold. */
export type ResyncStatus = {
  state: TurnState;
  /** Why it does not run; empty when it does. */
  reason: string;
  /** Of what was dirty in this session or became so since. */
  percent: number;
  /** With what the site turned out to have already. */
  copiedBytes: number;
  /** What the site was asked about and has answered, and of that what it had: did not have to be sent. */
  comparedBytes: number;
  sameBytes: number;
  remainingBytes: number;
  bytesPerSecond: number;
  /** null: no estimate yet, or it does not end at this rate. */
  etaSeconds: number | null;
  seconds: number;
};

export type SiteStatus = {
  site: string;
  mode: SiteMode;
  /** What writes wait for at this moment: async while the site is away or catching up, with on_disconnect = continue. */
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
  /** null: none is under way from here. */
  resync: ResyncStatus | null;
  /** Copied to it in resyncs since the agent started. */
  resyncedBytes: number;
  /** Of that, what it was asked about first, and what it had already. */
  resyncComparedBytes: number;
  resyncSameBytes: number;
  /** Until the log is full of what the site lacks, or a bitmap takes over, at the rate of now; null: not in sight. */
  logFullEtaSeconds: number | null;
  /**
   * Fall-behind limits that are crossed (configuration keys), for how long the oldest of them, and what is done about it now: '' also when
   * one is crossed but the site is away, and writers do not wait for it.
   */
  limits: { crossed: string[]; action: FallBehindAction | ''; seconds: number };
  /** Why the session is refused or offline, and which limits are crossed, in words; empty otherwise. */
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
  /** That device no longer works: its I/O fails until it is detached, or attached again. */
  isLost: boolean;
  /** Pieces of it that another site was read for, because the device could not be read, since the agent started. */
  remoteReads: number;
};

export type GroupStatus = {
  group: string;
  /** unknown: the group could not be opened, and only its history says. */
  role: 'primary' | 'secondary' | 'unknown';
  health: 'healthy' | 'degraded' | 'failed';
  /** Why not healthy; empty when healthy. */
  reason: string;
  image: 'upToDate' | 'consistent' | 'outdated' | 'inconsistent' | 'failed';
  epoch: string;
  log: { sizeBytes: number; usedBytes: number; appendedLsn: string; durableLsn: string; appliedLsn: string; trimmedLsn: string };
  /** Payload that clients write, bytes a second. */
  writeBytesPerSecond: number;
  /** The soonest logFullEtaSeconds of its sites. */
  logFullEtaSeconds: number | null;
  /** For how long writers have waited for sites that were too far behind, since the agent started. */
  throttledSeconds: number;
  volumes: VolumeStatus[];
  sites: SiteStatus[];
};
