// What the command line and the agent say to each other over the control socket: one JSON object a line, `{verb, args}` one way,
// `{result}` or `{error}` the other, in order. Types, bounds and the status document; imported by cli/, so it loads nothing heavy.

import { ERRORS, type ErrorCode, LvrError } from '../core/errors.js';
import type { GroupStatus } from '../core/status.js';

/** Longest request line. */
export const REQUEST_BYTES_MAX = 64 * 1024;
/** Longest response line: status of every group with every volume and site stays far below. */
export const RESPONSE_BYTES_MAX = 16 * 1024 * 1024;
/** Longest time a verb may take before the agent answers TIMEOUT (it goes on). */
export const VERB_MS = 120_000;

/** `lvr status -o json`; fields may be added, never renamed. */
export type StatusDocument = {
  readonly apiVersion: 'lvr/v1';
  readonly kind: 'Status';
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly site: string;
  readonly version: string;
  readonly pid: number;
  /** Plain TCP between sites is allowed. */
  readonly insecure: boolean;
  readonly items: readonly GroupStatus[];
};

/** Arguments and result of every verb. `changed` is false when nothing had to be done. */
export type Verbs = {
  status: { args: { group?: string }; result: StatusDocument };
  attach: {
    args: { target: string; device?: string };
    /** `how` says in words which way was taken, `link` is a stable name of the device. */
    result: { changed: boolean; target: string; device: string; how: string; link: string };
  };
  detach: { args: { target: string }; result: { changed: boolean; target: string; device: string } };
  promote: { args: { group: string; force: boolean }; result: { changed: boolean; group: string; epoch: string; warnings: string[] } };
  demote: { args: { group: string }; result: { changed: boolean; group: string } };
  'log-resize': { args: { group: string; size: string }; result: { changed: boolean; group: string; sizeBytes: number } };
  'agent-stop': { args: Record<string, never>; result: { pid: number } };
  /** The switch comes after the answer: `pid` ends, and `successor` answers. */
  'agent-restart': { args: Record<string, never>; result: { pid: number; successor: number } };
  version: { args: Record<string, never>; result: { version: string; node: string; pid: number; site: string } };
};

export type Verb = keyof Verbs;

/** Arguments each verb takes: name to type; a `?` marks an optional one. The gateway of agent/control.ts checks against it. */
export const VERB_ARGS: { readonly [V in Verb]: Readonly<Record<string, 'string' | 'boolean' | 'string?'>> } = {
  status: { group: 'string?' },
  attach: { target: 'string', device: 'string?' },
  detach: { target: 'string' },
  promote: { group: 'string', force: 'boolean' },
  demote: { group: 'string' },
  'log-resize': { group: 'string', size: 'string' },
  'agent-stop': {},
  'agent-restart': {},
  version: {},
};

/** Verbs that change something; the caller's uid is logged with them. */
export const MUTATING_VERBS: ReadonlySet<Verb> = new Set<Verb>([
  'attach',
  'detach',
  'promote',
  'demote',
  'log-resize',
  'agent-stop',
  'agent-restart',
]);

/** An LvrError on the wire, and on stderr of `lvr … -o json`. */
export type ErrorDocument = {
  readonly code: ErrorCode;
  readonly id: string;
  readonly message: string;
  readonly hint?: string;
  readonly details: Readonly<Record<string, string | number | string[]>>;
  readonly exit: number;
};

/** One line of the agent. */
export type Response<V extends Verb> = { readonly result: Verbs[V]['result'] } | { readonly error: ErrorDocument };

/** An expected error as it travels. */
export function toErrorDocument(error: LvrError): ErrorDocument {
  const { code, id, message, hint, details, exit } = error;
  return { code, id, message, ...(hint === undefined ? {} : { hint }), details, exit };
}

/** The error at the other end; a code this version does not know becomes FAILED. */
export function fromErrorDocument(document: ErrorDocument): LvrError {
  const code: ErrorCode = document.code in ERRORS ? document.code : 'FAILED';
  return new LvrError(code, document.message, {
    details: document.details,
    ...(document.hint === undefined ? {} : { hint: document.hint }),
  });
}
