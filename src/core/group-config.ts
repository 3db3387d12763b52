// What the configuration says about a group, after it was checked: the gateway is agent/config.ts, everyone else may assume.

import type { Checksum } from './compare-rule.js';
import type { FallBehindLimits } from './fall-behind.js';
import { MIB } from './limits.js';
import { LATENCY_TARGET_MS_DEFAULT, MIN_DWELL_MS_DEFAULT, type PaceLimits } from './resync-pace.js';

/** When a write is answered beyond being accepted in order (site condition). */
export type SiteMode = 'async' | 'memory' | 'logged' | 'applied';

/** What happens to writes while a site with a mode other than async is away. */
export type OnDisconnect = 'continue' | 'block' | 'fail';

/**
 * What happens when the log is full of what a site lacks: it is tracked by a bitmap, writers wait for it, writes fail, or the site is given
 * up and needs a seed.
 */
export type LogFull = 'bitmap' | 'bitmap-if-disconnected' | 'throttle' | 'fail' | 'detach';

export type SiteConfig = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly mode: SiteMode;
  readonly onDisconnect: OnDisconnect;
  readonly logFull: LogFull;
  /** How far it may fall behind; absent: as far as the log lasts. */
  readonly limits?: FallBehindLimits;
};

export type VolumeConfig = {
  readonly name: string;
  readonly device: string;
  /** Files only: created with this size when missing; 0: must exist. */
  readonly sizeBytes: number;
  /** undefined: direct for block devices, buffered for files. */
  readonly io: 'buffered' | 'direct' | undefined;
};

/** Copying to sites that the log no longer covers: rates, how often a site may change between log and bitmap, what is compared first. */
export type ResyncConfig = PaceLimits & { readonly minDwellMs: number; readonly checksum: Checksum };

/** What holds unless it is configured. */
export const RESYNC_DEFAULTS: ResyncConfig = {
  maxRate: 0,
  minRate: MIB,
  latencyTargetMs: LATENCY_TARGET_MS_DEFAULT,
  minDwellMs: MIN_DWELL_MS_DEFAULT,
  checksum: 'auto',
};

export type GroupConfig = {
  readonly name: string;
  /** Only for a group without history; afterwards the superblock decides. */
  readonly role: 'primary' | 'secondary';
  readonly writeCache: boolean;
  /** Unit of the bitmaps of sites: a power of two from 4 KiB to 4 MiB. */
  readonly regionBytes: number;
  /** What a resync overwrites here is kept, so that it can be put back: as long as there is space, always, or never. */
  readonly undo: 'auto' | 'required' | 'off';
  /** A log write failed: the group goes on without log, or answers requests with errors, or none until the agent is restarted. */
  readonly onLogError: 'passthrough' | 'fail' | 'suspend';
  /**
   * The device of a volume failed to read: that read is answered with what another site has, or with an error, or the group no longer
   * serves its volumes.
   */
  readonly onIoError: 'retry-remote' | 'pass_on' | 'detach';
  readonly resync: ResyncConfig;
  readonly log: { readonly path: string; readonly sizeBytes: number };
  readonly volumes: readonly VolumeConfig[];
  readonly sites: readonly SiteConfig[];
};
