// The configuration file as the rest of lvr sees it. The only way in: text -> TOML -> schema -> checks across keys -> AgentConfig. Nothing
// is changed on the machine here; a wrong file throws LvrError CONFIG_INVALID naming file, line and key of every problem.

import { readFileSync, statSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import type { z } from 'zod';
import { LvrError, messageOf } from '../core/errors.js';
import type { GroupConfig } from '../core/group-config.js';
import { type ConfigProblem, checkConfig } from './config-checks.js';
import { toLimits } from './config-limits.js';
import { ConfigLines } from './config-lines.js';
import { type ConfigFile, fileSchema, knownKeys } from './config-schema.js';
import type { Address, NbdListen } from './config-values.js';
import { didYouMean } from './suggest.js';

/** `[agent]`, with defaults filled in. */
export type AgentSettings = {
  /** The name of this machine among the sites. */
  readonly site: string;
  readonly stateDir: string;
  /** Unix socket of the command line. */
  readonly control: string;
  /** Replication listener; undefined: none. */
  readonly listen: Address | undefined;
  /** At least one entry, and at least one unix socket (attach uses it). */
  readonly nbd: readonly NbdListen[];
  readonly metrics: Address | undefined;
  /** Directory with programs that are told of events; undefined: none. */
  readonly hooks: string | undefined;
  /** Plain TCP beyond this machine is allowed. */
  readonly insecure: boolean;
  /** Resyncs of all groups that run at a time. */
  readonly resyncParallel: number;
};

/** A whole configuration file. */
export type AgentConfig = { readonly file: string; readonly agent: AgentSettings; readonly groups: readonly GroupConfig[] };

const CONFIG_BYTES_MAX = 1024 * 1024;
const PROBLEMS_SHOWN_MAX = 20;

/** Reads and checks a file. Throws LvrError: CONFIG_INVALID, or INSECURE for a site beyond this machine without insecure = true. */
export function loadConfig(file: string): AgentConfig {
  return parseConfig(readText(file), file);
}

/** As loadConfig, for text already read; `file` is for messages. Looks at the devices named in it to find one used twice. */
export function parseConfig(text: string, file: string): AgentConfig {
  const document = parseToml(text, file);
  const lines = new ConfigLines(text);
  const parsed = fileSchema.safeParse(document);
  if (!parsed.success)
    throw invalid(
      file,
      lines,
      parsed.error.issues.flatMap((issue) => explainIssue(issue, document)),
    );
  const problems = checkConfig(parsed.data);
  if (problems.wrong.length > 0) throw invalid(file, lines, problems.wrong);
  const insecure = problems.insecure[0];
  if (insecure) {
    throw new LvrError('INSECURE', located(file, lines, insecure), {
      hint: 'set insecure = true in [agent] on both sites if the network between them is trusted',
    });
  }
  return { file, agent: toSettings(parsed.data.agent), groups: Object.entries(parsed.data.groups).map(toGroup) };
}

function readText(file: string): string {
  try {
    if (statSync(file).size > CONFIG_BYTES_MAX) throw new Error(`larger than ${CONFIG_BYTES_MAX} bytes`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new LvrError('CONFIG_INVALID', `${file}: cannot be read: ${messageOf(error)}`, { hint: 'lvrd --config FILE', cause: error });
  }
}

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.replace(/^Invalid TOML document: /, '').split('\n')[0];
    throw new LvrError('CONFIG_INVALID', `${file}:${error.line} not TOML: ${reason} (column ${error.column})`, { cause: error });
  }
}

function located(file: string, lines: ConfigLines, problem: ConfigProblem): string {
  return `${file}:${lines.lineOf(problem.path)} ${problem.path.map(keyText).join('.')}: ${problem.message}`;
}

/** A key as TOML would have it, so that one with a line break or a dot in it cannot look like something else; cut when it is long. */
function keyText(key: PropertyKey): string {
  const text = String(key);
  return /^[A-Za-z0-9_-]{1,80}$/.test(text) ? text : shorten(text);
}

function invalid(file: string, lines: ConfigLines, problems: readonly ConfigProblem[]): LvrError {
  const ordered = [...problems].sort((a, b) => lines.lineOf(a.path) - lines.lineOf(b.path));
  const shown = ordered.slice(0, PROBLEMS_SHOWN_MAX).map((problem) => located(file, lines, problem));
  if (problems.length > shown.length) shown.push(`and ${problems.length - shown.length} more`);
  return new LvrError('CONFIG_INVALID', shown.join('\n'));
}

/** Rewrites an issue of the schema library in our words. */
export function explainIssue(issue: z.core.$ZodIssue, document: unknown): ConfigProblem[] {
  const path = writtenPath(issue.path, document);
  const got = valueAt(document, path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], message: `unknown key${didYouMean(key, knownKeys(path))}` }));
  }
  if (got === undefined) return [{ path, message: 'missing' }];
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String);
    const suggestion = typeof got === 'string' ? didYouMean(got, values) : '';
    return [{ path, message: `expected ${values.map((value) => JSON.stringify(value)).join('|')}, got ${shorten(got)}${suggestion}` }];
  }
  return [{ path, message: `expected ${expectedBy(issue)}, got ${shorten(got)}` }];
}

/** A limit may be written as its high mark alone: that is where the problem stands then. */
function writtenPath(path: readonly PropertyKey[], document: unknown): readonly PropertyKey[] {
  const parent = valueAt(document, path.slice(0, -1));
  return path.length > 0 && parent !== undefined && (typeof parent !== 'object' || parent === null) ? path.slice(0, -1) : path;
}

function expectedBy(issue: z.core.$ZodIssue): string {
  if (issue.code === 'custom' && typeof issue.params?.['expected'] === 'string') return issue.params['expected'];
  if (issue.code === 'invalid_type') return issue.expected === 'record' || issue.expected === 'object' ? 'a table' : `a ${issue.expected}`;
  if (issue.code === 'invalid_union') return 'a size such as "256MiB"';
  if (issue.code === 'too_small') return `at least ${issue.minimum} entries`;
  if (issue.code === 'too_big') return `at most ${issue.maximum} entries`;
  return issue.message;
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  let value = document;
  for (const key of path) value = typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  return value;
}

function shorten(value: unknown): string {
  const text = typeof value === 'bigint' || value instanceof Date ? String(value) : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

function toSettings(agent: ConfigFile['agent']): AgentSettings {
  const nbd: NbdListen[] = [...(agent.nbd ?? [])];
  if (!nbd.some((listen) => listen.kind === 'unix')) nbd.push({ kind: 'unix', path: `${agent.state_dir}/nbd.sock` });
  const { site, control, listen, metrics, hooks, insecure, resync_parallel: resyncParallel } = agent;
  return { site, stateDir: agent.state_dir, control, listen, nbd, metrics, hooks, insecure, resyncParallel };
}

function toGroup([name, group]: [string, ConfigFile['groups'][string]]): GroupConfig {
  return {
    name,
    role: group.role,
    writeCache: group.write_cache,
    regionBytes: group.region,
    undo: group.undo,
    onLogError: group.on_log_error,
    onIoError: group.on_io_error,
    resync: {
      maxRate: group.resync.max_rate,
      minRate: group.resync.min_rate,
      latencyTargetMs: group.resync.latency_target,
      minDwellMs: group.resync.min_dwell * 1000,
      checksum: group.resync.checksum,
    },
    log: { path: group.log.path, sizeBytes: group.log.size ?? 0 },
    volumes: Object.entries(group.volumes).map(([volume, v]) => ({ name: volume, device: v.device, sizeBytes: v.size ?? 0, io: v.io })),
    sites: Object.entries(group.sites).map(([site, s]) => ({
      name: site,
      host: s.address.host,
      port: s.address.port,
      mode: s.mode,
      onDisconnect: s.on_disconnect,
      logFull: s.log_full,
      ...(s.limits === undefined ? {} : { limits: toLimits(s.limits) }),
    })),
  };
}
