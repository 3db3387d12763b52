// The decisions of a handshake, without I/O: what a hello says, whether another end's hello fits, and whether two ends came to the same
// plan. The dialer's history is always argument `a` of decideReconnect, so both ends compute with the same arguments.

import { LvrError } from '../core/errors.js';
import type { SiteMode } from '../core/group-config.js';
import { FRAME_BYTES_MAX } from '../core/limits.js';
import { decideReconnect, type ReconnectPlan, type Side, type SiteHistory } from '../core/reconnect.js';
import {
  FEATURE_COMPARE,
  FEATURE_READS,
  type Hello,
  historyDigest,
  type PlanMessage,
  PROTOCOL_VERSION,
  type Refused,
} from '../format/wire.js';
import type { LinkGroup, VolumeDescription } from './ports.js';

/** A plan of which records flow, at once or behind regions. */
export type StreamPlan = ReconnectPlan & { action: 'stream' | 'resync' };

/** The hello of this site to `toSite`. */
export function makeHello(group: LinkGroup, toSite: string, session: number, history: SiteHistory): Hello {
  return {
    protocol: PROTOCOL_VERSION,
    features: FEATURE_COMPARE | FEATURE_READS,
    group: group.name,
    fromSite: group.site,
    toSite,
    session,
    history,
    volumes: group.volumes(),
    frameBytesMax: FRAME_BYTES_MAX,
    logBytes: group.logBytes,
  };
}

/** Whether a hello of `site` belongs to this group and describes it as we do. Says nothing about histories. */
export function checkHello(hello: Hello, group: LinkGroup, site: string): Refused | undefined {
  if (hello.group !== group.name) return wrong(`group ${hello.group} was meant, not ${group.name}`);
  if (hello.toSite !== group.site) return wrong(`site ${hello.toSite} was meant, this is ${group.site}`);
  if (hello.fromSite !== site) return wrong(`site ${hello.fromSite} answered instead of ${site}`);
  const volumes = group.volumes();
  const differs = `sites ${group.site} and ${site} describe the volumes of group ${group.name} differently`;
  if (hello.volumes.length !== volumes.length) return wrong(`${differs}: ${volumes.length} and ${hello.volumes.length} of them`);
  for (const [index, ours] of volumes.entries()) {
    const theirs = hello.volumes[index] as VolumeDescription;
    const same = ours.name === theirs.name && ours.sizeBytes === theirs.sizeBytes && ours.blockBytes === theirs.blockBytes;
    if (!same) return wrong(`${differs}: volume ${index} is ${describe(ours)} and ${describe(theirs)}`);
  }
  return group.refuses?.(hello.history);
}

function describe(volume: VolumeDescription): string {
  return `${volume.name} (${volume.sizeBytes} bytes in blocks of ${volume.blockBytes})`;
}

function wrong(reason: string): Refused {
  return { code: 'WRONG_GROUP', reason };
}

/** What both ends of a session know once the hellos are exchanged. */
export type Meeting = {
  readonly dialer: SiteHistory;
  readonly acceptor: SiteHistory;
  readonly plan: ReconnectPlan;
  readonly ownSide: Side;
};

/** Decides the plan of a session. */
export function meet(own: SiteHistory, other: SiteHistory, dialed: boolean): Meeting {
  const dialer = dialed ? own : other;
  const acceptor = dialed ? other : own;
  return { dialer, acceptor, plan: decideReconnect(dialer, acceptor), ownSide: dialed ? 'a' : 'b' };
}

/** The Plan message of the sending site; `chain` is its chain value of record plan.from - 1, `mode` its setting for the other site. */
export function planMessage(meeting: Meeting, plan: StreamPlan, chain: number, mode: SiteMode): PlanMessage {
  return {
    action: plan.action,
    uuid: plan.action === 'resync' ? plan.uuid : '',
    rule: plan.rule,
    sender: (plan.sender === 'a' ? meeting.dialer : meeting.acceptor).site,
    from: plan.from,
    cut: plan.cut,
    adopt: plan.adopt,
    chain,
    dialerDigest: historyDigest(meeting.dialer),
    acceptorDigest: historyDigest(meeting.acceptor),
    mode,
  };
}

/** Whether the sender's Plan is the one we came to, its mode apart. `chain` is our own chain value of record plan.from - 1. */
export function checkPlan(message: PlanMessage, meeting: Meeting, plan: StreamPlan, chain: number): Refused | undefined {
  const ours = planMessage(meeting, plan, chain, message.mode);
  if (message.dialerDigest !== ours.dialerDigest || message.acceptorDigest !== ours.acceptorDigest) {
    return { code: 'PROTOCOL', reason: 'the sites decided from different histories' };
  }
  for (const key of ['action', 'uuid', 'rule', 'sender', 'from', 'cut', 'adopt'] as const) {
    if (message[key] === ours[key]) continue;
    return { code: 'PROTOCOL', reason: `the sites came to different plans: ${key} is ${ours[key]} and ${message[key]}` };
  }
  if (message.chain === chain) return undefined;
  return {
    code: 'DIVERGED',
    reason: `sites ${meeting.dialer.site} and ${meeting.acceptor.site} have different records up to LSN ${plan.from - 1}`,
  };
}

/** True when a plan that was decided from `before` would be decided from `now` as well. */
export function isStillPlan(meeting: Meeting, now: SiteHistory): boolean {
  const again = meeting.ownSide === 'a' ? decideReconnect(now, meeting.acceptor) : decideReconnect(meeting.dialer, now);
  return JSON.stringify(again) === JSON.stringify(meeting.plan);
}

/** True for an address of this machine: `host:port` or `[host]:port`. */
export function isLoopback(remote: string): boolean {
  const host = remote
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .replace(/^::ffff:/, '');
  return host === '::1' || host === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** The refusal of a connection beyond this machine without encryption. */
export function insecureRefusal(remote: string): Refused {
  return { code: 'INSECURE', reason: `plain TCP with ${remote}, beyond this machine, needs insecure = true in [agent]` };
}

/** An error as it is told to the other end. What is not an LvrError is a defect and thrown on. */
export function refusalOf(error: unknown): Refused {
  if (!(error instanceof LvrError)) throw error;
  return { code: error.code, reason: error.message };
}
