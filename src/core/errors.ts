// One registry of everything that can be refused or go wrong in an expected way. Broken invariants are not here: they are assertions.

/** Process exit codes of `lvr` (and of `lvrd` where they apply). Stable. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  unhealthy: 5,
  timeout: 6,
  agentUnreachable: 7,
  siteUnreachable: 8,
  permission: 9,
  configInvalid: 10,
  confirmationNeeded: 11,
  busy: 12,
  interrupted: 130,
} as const;

type Entry = { readonly id: string; readonly exit: number; readonly summary: string };

/** Every error lvr reports: stable id (shown as error[LVR-E…]), exit code, and what it means in one sentence. */
export const ERRORS = {
  FAILED: { id: 'LVR-E1000', exit: EXIT.failed, summary: 'The operation failed for the reason given in the message.' },
  USAGE: { id: 'LVR-E1001', exit: EXIT.usage, summary: 'The command line is not understood.' },
  NOT_FOUND: { id: 'LVR-E1002', exit: EXIT.notFound, summary: 'No such group, volume, site or file.' },
  PERMISSION: { id: 'LVR-E1003', exit: EXIT.permission, summary: 'The caller may not do this.' },
  TIMEOUT: { id: 'LVR-E1004', exit: EXIT.timeout, summary: 'The operation did not end within its deadline; it may still be going on.' },
  AGENT_UNREACHABLE: { id: 'LVR-E1005', exit: EXIT.agentUnreachable, summary: 'No agent answers on the control socket.' },
  CONFIG_INVALID: {
    id: 'LVR-E1100',
    exit: EXIT.configInvalid,
    summary: 'The configuration file is wrong; the message names file, line and key.',
  },
  DEVICE_UNUSABLE: {
    id: 'LVR-E1110',
    exit: EXIT.failed,
    summary: 'A volume device cannot be used: missing, too small, or of the wrong kind.',
  },
  DEVICE_BUSY: { id: 'LVR-E1111', exit: EXIT.busy, summary: 'A device is mounted or held by another process.' },
  DEVICE_CHANGED: {
    id: 'LVR-E1112',
    exit: EXIT.refused,
    summary: 'A device is not the one this history was written for, or its size changed.',
  },
  DISK_FULL: { id: 'LVR-E1113', exit: EXIT.failed, summary: 'There is no space left where lvr must write.' },
  DEVICE_FAILED: { id: 'LVR-E1114', exit: EXIT.failed, summary: 'A device answered an I/O error.' },
  LOG_SUPERBLOCK: { id: 'LVR-E1200', exit: EXIT.refused, summary: 'The log has no valid superblock although it is not blank.' },
  LOG_FOREIGN: { id: 'LVR-E1201', exit: EXIT.refused, summary: 'The log belongs to another group, site or set of volumes.' },
  LOG_VERSION: { id: 'LVR-E1202', exit: EXIT.refused, summary: 'The log was written by a newer version of lvr.' },
  LOG_CORRUPT: { id: 'LVR-E1203', exit: EXIT.refused, summary: 'A record that was durable is missing or damaged in the log.' },
  LOG_FAILED: {
    id: 'LVR-E1204',
    exit: EXIT.failed,
    summary: 'A write or flush of the log failed; nothing further is acknowledged until the agent is restarted.',
  },
  LOG_SIZE: { id: 'LVR-E1207', exit: EXIT.refused, summary: 'The log cannot have this size now: what is used of it would not fit.' },
  UNDO_CORRUPT: {
    id: 'LVR-E1205',
    exit: EXIT.refused,
    summary: 'Old content that a resync saved is missing or damaged; the copy cannot be taken back to what it was before.',
  },
  UNDO_FULL: { id: 'LVR-E1206', exit: EXIT.failed, summary: 'The undo store has no room for more old content.' },
  ROLE: { id: 'LVR-E1300', exit: EXIT.refused, summary: 'The group has the wrong role for this operation.' },
  PRIMARY_CONNECTED: {
    id: 'LVR-E1301',
    exit: EXIT.refused,
    summary: 'The group has a connected primary; promoting another would make two.',
  },
  NOT_CONSISTENT: { id: 'LVR-E1302', exit: EXIT.refused, summary: 'The local copy is not a consistent image of any moment.' },
  IN_USE: { id: 'LVR-E1303', exit: EXIT.busy, summary: 'The volume is attached, mounted or has clients.' },
  NEEDS_SEED: { id: 'LVR-E1310', exit: EXIT.refused, summary: 'The log does not reach back to what the site has; it needs a first copy.' },
  DIVERGED: {
    id: 'LVR-E1311',
    exit: EXIT.refused,
    summary: 'Both sites have writes the other does not have; nothing was changed on either.',
  },
  UNRELATED: { id: 'LVR-E1312', exit: EXIT.refused, summary: 'The sites hold histories that never had anything in common.' },
  PROTOCOL: { id: 'LVR-E1320', exit: EXIT.failed, summary: 'The other end does not speak this protocol or version.' },
  WRONG_GROUP: {
    id: 'LVR-E1321',
    exit: EXIT.refused,
    summary: 'The other end does not know this group, site or volume, or describes it differently.',
  },
  INSECURE: { id: 'LVR-E1322', exit: EXIT.refused, summary: 'Plain TCP beyond this machine needs insecure = true.' },
  ATTACH: { id: 'LVR-E1400', exit: EXIT.failed, summary: 'The volume could not be attached or detached.' },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof ERRORS;

/** What an LvrError can carry beside its message. */
export type ErrorInfo = {
  /** What the operator can do about it, as a command or a sentence. */
  hint?: string;
  /** Facts for machines and for the indented lines below the message (holders, paths, sizes). */
  details?: Record<string, string | number | string[]>;
  cause?: unknown;
};

/** An expected error: the message names the object and the cause. */
export class LvrError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Record<string, string | number | string[]>;

  constructor(code: ErrorCode, message: string, info: ErrorInfo = {}) {
    super(message, info.cause === undefined ? undefined : { cause: info.cause });
    this.name = 'LvrError';
    this.code = code;
    this.hint = info.hint;
    this.details = info.details ?? {};
  }

  get id(): string {
    return ERRORS[this.code].id;
  }

  get exit(): number {
    return ERRORS[this.code].exit;
  }
}

/** What is no defect: an LvrError, or what a system call threw as one. undefined: it must end the process. */
export function expectedError(error: unknown): LvrError | undefined {
  if (error instanceof LvrError) return error;
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return undefined;
  return new LvrError('FAILED', error.message, { cause: error });
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
