// What the agent is composed of, as interfaces: real parts come from agent/parts.ts, fakes from the tests.

import type { Restored } from '../attach/attachments.js';
import type { Attachment, AttachRequest, HandedSocket } from '../attach/ports.js';
import type { GroupConfig } from '../core/group-config.js';
import type { Backend, Clock, Log } from '../core/ports.js';
import type { SiteSettings } from '../core/site-settings.js';
import type { GroupStatus } from '../core/status.js';
import type { KnownEnd } from '../disk/log-open.js';
import type { Address, NbdListen } from './config-values.js';
import type { Pauses } from './pauses.js';

/** What an agent leaves to its successor: sockets of the kernel, and by group where the logs end. */
export type Legacy = { readonly sockets: readonly HandedSocket[]; readonly ends: Readonly<Record<string, KnownEnd>> };

/** A group as the agent drives it (group/group.ts implements it). */
export interface AgentGroup {
  readonly name: string;
  /** Identity of its history, 32 hexadecimal digits. */
  readonly uuid: string;
  /** By volume name, in the order of the configuration. */
  readonly backends: ReadonlyMap<string, Backend>;
  /** Starts links, then makes exports usable; sooner when it goes on where another process has just stopped. */
  start(options: { takesOver: boolean }): Promise<void>;
  status(): GroupStatus;
  promote(options: { force: boolean }): Promise<{ changed: boolean; epoch: string }>;
  demote(): Promise<{ changed: boolean; behind: string[] }>;
  /** Changes the size of its log. */
  resizeLog(sizeBytes: number): Promise<{ changed: boolean }>;
  /** After stop(): where its log ends, for the process that opens it next. */
  readonly end: KnownEnd | undefined;
  /** Leaves little to replay for the next start; clients are served meanwhile. */
  settle(): Promise<void>;
  /** Closes exports, ends links, flushes, checkpoints; `quick`: without what the next start can make up for. */
  stop(options: { quick: boolean }): Promise<void>;
}

/** What may be done to the sites of a group (group/site-verbs.ts implements it). What changes something says whether it did. */
export interface SiteActions {
  readonly names: readonly string[];
  readonly isPrimary: boolean;
  /** Throws NOT_FOUND unless there is such a site; so do the others. */
  check(site: string): void;
  pause(site: string): boolean;
  resume(site: string): boolean;
  pauseSync(site: string): boolean;
  resumeSync(site: string): boolean;
  /** Throws ROLE when the site needs no resync, or is paused. */
  startSync(site: string): boolean;
  settings(site: string): SiteSettings;
  set(site: string, settings: SiteSettings): boolean;
}

/** Bytes and records shipped to one site since the agent started. */
export type ShipCounters = { readonly bytes: number; readonly records: number };

/** Counters of one NBD command on one export. */
export type CommandCounters = { readonly op: string; readonly completed: number; readonly failed: number; readonly bytes: number };

/** The NBD server on all its listeners. */
export interface NbdService {
  /** Where it really listens, as in the configuration (port 0 resolved). */
  readonly addresses: readonly string[];
  /** Counters of one export (`group/volume`). */
  counters(exportName: string): readonly CommandCounters[];
  readonly connections: number;
  /** Stops the kernel's connections between two requests; their sockets stay open until stop(). */
  handOver(): Promise<readonly HandedSocket[]>;
  /** Stops accepting, lets running requests end, closes those that take longer than `deadlineMs`. */
  stop(deadlineMs: number): Promise<void>;
}

/** The replication listener. */
export interface LinkService {
  readonly address: string;
  stop(): Promise<void>;
}

/** Attachments of this agent's volumes as devices. */
export interface AttachService {
  attach(request: AttachRequest): Promise<Attachment>;
  /** Undefined when there is no such attachment. `target` is group/volume or a device. */
  find(target: string): Attachment | undefined;
  list(): readonly Attachment[];
  /** The device no longer works (its server died) and waits to be detached. */
  isDead(attachment: Attachment): boolean;
  /** Throws IN_USE, with holders, unless the device is free. */
  detach(attachment: Attachment, remember: boolean): Promise<void>;
  /** Who mounts or holds it, in words. */
  holdersOf(attachment: Attachment): Promise<string[]>;
  /** Removes what a killed agent left and answers what to attach again, or to resume. */
  restore(): Promise<readonly Restored[]>;
  /** Goes on serving a device that waits. */
  resume(request: AttachRequest): Promise<Attachment>;
  /** Nothing further is resumed. */
  restored(): void;
  /** Users of the device only wait while no agent serves it. */
  outlives(attachment: Attachment): boolean;
  /** Leaves the device to the next agent. */
  leave(attachment: Attachment): void;
}

/** Everything the agent needs from outside, made before it. */
export type AgentParts = {
  readonly clock: Clock;
  readonly log: Log;
  /** Identity of this agent's state directory. */
  readonly agentUuid: string;
  openGroup(config: GroupConfig, onFailed: (error: Error) => void): Promise<AgentGroup>;
  startNbd(listen: readonly NbdListen[], groups: () => Iterable<AgentGroup>): Promise<NbdService>;
  /** `hasFailed`: a group of the configuration is not open. */
  startLinks(listen: Address, groups: () => Iterable<AgentGroup>, hasFailed: (group: string) => boolean): Promise<LinkService>;
  /** Undefined when the site's link has not sent anything yet. */
  shipCounters(group: AgentGroup, site: string): ShipCounters | undefined;
  /** What an operator may do to sites of a group. */
  siteVerbs(group: AgentGroup): SiteActions;
  /** What is paused, across restarts. */
  readonly pauses: Pauses;
  readonly attach: AttachService;
};
