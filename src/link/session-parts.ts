// What a session is made of beside its code: phases, what it is given, who is told, and what comes before a plan.

import type { SiteMode } from '../core/group-config.js';
import type { Clock } from '../core/ports.js';
import type { FrameType } from '../format/frame.js';
import type { StreamPlan } from './handshake.js';
import type { LinkGroup, ReceiveSink, ShipSource } from './ports.js';
import type { Session } from './session.js';

/** Why sites that met a moment ago meet again. */
export const HISTORY_CHANGED = 'the history of a site changed while the sites met';

/** Where a session stands; see the picture in session.ts. */
export type Phase = 'hello' | 'chain' | 'ready' | 'plan' | 'prepare' | 'stepDown' | 'running' | 'ended';

/** In which phases a frame may come; others in any behind the hello, and a refusal in any. */
const EXPECTED: Readonly<Partial<Record<FrameType, readonly Phase[]>>> = {
  hello: ['hello'],
  plan: ['plan'],
  ready: ['ready', 'running'],
  regionsDone: ['running'],
  compared: ['running'],
  resyncEnd: ['running'],
  ack: ['running'],
  durable: ['running'],
  read: ['running'],
  readRefused: ['running'],
  records: ['running'],
  region: ['running'],
  compare: ['running'],
  content: ['running'],
};

/** A frame of this type may come in this phase. */
export function isExpected(type: FrameType, phase: Phase): boolean {
  return EXPECTED[type]?.includes(phase) ?? (phase !== 'hello' || type === 'refused');
}

/** How a session ended. lost: the stream broke or a deadline passed. stepDown, bye: orderly, try again soon. */
export type SessionEnd = { readonly kind: 'lost' | 'refused' | 'stepDown' | 'bye'; readonly code: string; readonly reason: string };

/** Told about a session; never after the end. */
export interface SessionOwner {
  /** Phase, rule or catching up changed. */
  sessionChanged(session: Session): void;
  /** Called once, as the last. */
  sessionEnded(session: Session, end: SessionEnd): void;
}

/** What every session of a link has in common. */
export type SessionContext = {
  readonly group: ShipSource & ReceiveSink;
  readonly site: string;
  /** What this site waits for at the other one, as long as it is primary. */
  readonly mode: SiteMode;
  readonly clock: Clock;
  readonly owner: SessionOwner;
  /** Resolves when work of earlier sessions for the group has ended: two plans are never carried out at once. */
  readonly before: Promise<void>;
};

/**
 * The chain value of record plan.from - 1, for a plan that goes on from the log. A bitmap takes over where the log no longer reaches: there
 * is nothing to compare (0). But the other site is about to apply all that both have, so the sender makes sure that it will not lose it.
 */
export async function chainBefore(group: LinkGroup, plan: StreamPlan, isSender: boolean): Promise<number> {
  if (plan.action === 'stream') return plan.from === 1 ? 0 : group.chainAt(plan.from - 1);
  if (isSender) await group.reached(plan.from - 1);
  return 0;
}
