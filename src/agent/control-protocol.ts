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
  demote: { args: { group: string }; result: { changed: boolean; group: string; warnings: string[] } };
  /** `action`: pause, resume or set; `settings`: KEY=VALUE, for set. */
  site: {
    args: { group: string; site: string; action: string; settings?: readonly string[] };
    result: { changed: boolean; group: string; site: string };
  };
  /** `action`: start, pause or resume; `sites` of the result: those it changed something for. */
  sync: { args: { group: string; site?: string; action: string }; result: { changed: boolean; group: string; sites: string[] } };
  'log-resize': { args: { group: string; size: string }; result: { changed: boolean; group: string; sizeBytes: number } };
  'agent-stop': { args: Record<string, never>; result: { pid: number } };
  /** The switch comes after the answer: `pid` ends, and `successor` answers. */
  'agent-restart': { args: Record<string, never>; result: { pid: number; successor: number } };
  version: { args: Record<string, never>; result: { version: string; node: string; pid: number; site: string } };
};

export type Verb = keyof Verbs;

/** Types of arguments; a `?` marks an optional one. */
export type ArgType = 'string' | 'boolean' | 'string?' | 'strings?';

/** Arguments each verb takes: name to type. The gateway of agent/control.ts checks against it. */
export const VERB_ARGS: { readonly [V in Verb]: Readonly<Record<string, ArgType>> } = {
  status: { group: 'string?' },
  attach: { target: 'string', device: 'string?' },
  detach: { target: 'string' },
  promote: { group: 'string', force: 'boolean' },
  demote: { group: 'string' },
  site: { group: 'string', site: 'string', action: 'string', settings: 'strings?' },
  sync: { group: 'string', site: 'string?', action: 'string' },
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
  'site',
  'sync',
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

/** An expected error as it travels. */
export function toErrorDocument(error: LvrError): ErrorDocument {
  const { code, id, message, hint, details, exit } = error;
  return { code, id, message, ...(hint === undefined ? {} : { hint }), details, exit };
}

/** Reads a line of the agent. Throws what it reports, or PROTOCOL when it is no answer; the form of a result is the agent's word. */
export function parseResponse<V extends Verb>(line: string, path: string): Verbs[V]['result'] {
  let response: { result?: Verbs[V]['result']; error?: Partial<ErrorDocument> } | null | undefined;
  try {
    response = JSON.parse(line) as typeof response;
  } catch {
    response = undefined;
  }
  const { result, error } = response ?? {};
  if (typeof error?.message === 'string') throw fromErrorDocument(error as ErrorDocument);
  if (typeof result !== 'object' || result === null) throw new LvrError('PROTOCOL', `what answers on ${path} is not an lvr agent`);
  return result;
}

/** The error at the other end; a code this version does not know becomes FAILED. */
export function fromErrorDocument(document: ErrorDocument): LvrError {
  const { message, hint, details } = document;
  // Nothing in it is what its type says until it was looked at: it came over a socket.
  const code: ErrorCode = typeof document.code === 'string' && Object.hasOwn(ERRORS, document.code) ? document.code : 'FAILED';
  return new LvrError(code, message, {
    ...(typeof details === 'object' && details !== null ? { details } : {}),
    ...(typeof hint === 'string' ? { hint } : {}),
  });
}
