// The shape of the configuration file: which keys exist, of what type, with which defaults. Checks that look at several keys, or at the
// machine, are in config-checks.ts.

import { z } from 'zod';
import { isRegionBytes, REGION_BYTES_DEFAULT } from '../core/dirty-map.js';
import { FALL_BEHIND_ACTIONS } from '../core/fall-behind.js';
import { RESYNC_DEFAULTS } from '../core/group-config.js';
import { RESYNC_PARALLEL_DEFAULT } from '../core/resync-turns.js';
import { parseAddress, parseDuration, parseNbdListen, parseSize, SOCKET_PATH_BYTES_MAX } from './config-values.js';

/** Listeners an agent may have for NBD clients. */
const NBD_LISTENERS_MAX = 8;

/** Resyncs at a time; more than that only compete. */
const RESYNC_PARALLEL_MAX = 64;

/** A `params.expected` marks an issue whose message is "expected …, got …". */
function expects(expected: string): { params: { expected: string } } {
  return { params: { expected } };
}

const path = z.string().refine((value) => /^\/[^\0]*$/.test(value) && value.length < 4096, expects('an absolute path'));
const socketPath = path.refine(
  (value) => Buffer.byteLength(value) <= SOCKET_PATH_BYTES_MAX,
  expects(`a path of at most ${SOCKET_PATH_BYTES_MAX} bytes`),
);
const size = z
  .union([z.string(), z.number()])
  .refine((value) => parseSize(value) !== undefined, expects('a size such as "256MiB"'))
  .transform((value) => parseSize(value) as number);
const address = z
  .string()
  .refine((value) => parseAddress(value) !== undefined, expects('an address such as "10.0.0.2:7749"'))
  .transform((value) => parseAddress(value) as NonNullable<ReturnType<typeof parseAddress>>);
const listenAddress = z
  .string()
  .refine((value) => parseAddress(value, true) !== undefined, expects('an address such as "0.0.0.0:7749"'))
  .transform((value) => parseAddress(value, true) as NonNullable<ReturnType<typeof parseAddress>>);
const nbdListen = z
  .string()
  .refine((value) => {
    const listen = parseNbdListen(value);
    return listen !== undefined && (listen.kind === 'tcp' || Buffer.byteLength(listen.path) <= SOCKET_PATH_BYTES_MAX);
  }, expects('"unix:/path" (at most 107 bytes) or "tcp:host:port"'))
  .transform((value) => parseNbdListen(value) as NonNullable<ReturnType<typeof parseNbdListen>>);

const agent = z.strictObject({
  site: z.string(),
  state_dir: path.default('/var/lib/lvr'),
  control: socketPath.default('/run/lvr/agent.sock'),
  listen: listenAddress.optional(),
  nbd: z.array(nbdListen).min(1).max(NBD_LISTENERS_MAX).optional(),
  metrics: listenAddress.optional(),
  hooks: path.optional(),
  insecure: z.boolean().default(false),
  resync_parallel: z
    .number()
    .refine((value) => Number.isInteger(value) && value >= 1 && value <= RESYNC_PARALLEL_MAX, expects('a whole number from 1 to 64'))
    .default(RESYNC_PARALLEL_DEFAULT),
});

const volume = z.strictObject({ device: path, size: size.optional(), io: z.enum(['buffered', 'direct']).optional() });

const region = size.refine((bytes) => isRegionBytes(bytes), expects('a power of two from "4KiB" to "4MiB"'));

const resync = z.strictObject({
  max_rate: size.prefault(RESYNC_DEFAULTS.maxRate),
  min_rate: size.prefault(RESYNC_DEFAULTS.minRate),
  latency_target: z.number().min(0).default(RESYNC_DEFAULTS.latencyTargetMs),
  min_dwell: z
    .number()
    .min(0)
    .default(RESYNC_DEFAULTS.minDwellMs / 1000),
  checksum: z.enum(['auto', 'on', 'off']).default(RESYNC_DEFAULTS.checksum),
});

const count = z.number().refine((value) => Number.isSafeInteger(value) && value >= 0, expects('a whole number'));
const duration = z
  .union([z.string(), z.number()])
  .refine((value) => parseDuration(value) !== undefined, expects('a time such as "30s", or milliseconds'))
  .transform((value) => parseDuration(value) as number);
const action = z.enum(FALL_BEHIND_ACTIONS);

/** A limit is its high mark, or a table with both marks and what happens. */
function limit<Amount extends z.ZodType<number>>(amount: Amount) {
  const marks = z.strictObject({ high: amount, low: amount.optional(), action: action.optional() });
  return z.preprocess((value) => (typeof value === 'object' && value !== null ? value : { high: value }), marks);
}
const limits = z.strictObject({
  max_ios: limit(count).optional(),
  max_bytes: limit(size).optional(),
  max_age: limit(duration).optional(),
  action: action.default('throttle'),
});

const site = z.strictObject({
  address,
  mode: z.enum(['async', 'memory', 'logged', 'applied']).default('async'),
  on_disconnect: z.enum(['continue', 'block', 'fail']).default('continue'),
  log_full: z.enum(['bitmap', 'bitmap-if-disconnected', 'throttle', 'fail', 'detach']).default('bitmap'),
  limits: limits.optional(),
});

/** What can be set for a site while its group runs; limits as in the file. */
export const settingsSchema = z
  .strictObject({
    mode: site.shape.mode.removeDefault(),
    on_disconnect: site.shape.on_disconnect.removeDefault(),
    log_full: site.shape.log_full.removeDefault(),
    max_ios: limits.shape.max_ios,
    max_bytes: limits.shape.max_bytes,
    max_age: limits.shape.max_age,
    max_rate: size,
    min_rate: size,
    latency_target: z.number().min(0),
  })
  .partial();

const group = z.strictObject({
  role: z.enum(['primary', 'secondary']).default('secondary'),
  write_cache: z.boolean().default(true),
  region: region.default(REGION_BYTES_DEFAULT),
  undo: z.enum(['auto', 'required', 'off']).default('auto'),
  on_log_error: z.enum(['passthrough', 'fail', 'suspend']).default('passthrough'),
  on_io_error: z.enum(['retry-remote', 'pass_on', 'detach']).default('retry-remote'),
  resync: resync.prefault({}),
  log: z.strictObject({ path, size: size.optional() }),
  volumes: z.record(z.string(), volume),
  sites: z.record(z.string(), site).default({}),
});

/** The whole file. */
export const fileSchema = z.strictObject({ agent, groups: z.record(z.string(), group).default({}) });

/** The file after defaults and value grammars were applied; keys still spelled as in the file. */
export type ConfigFile = z.output<typeof fileSchema>;

/** Keys that are allowed at a path, for suggestions; empty where names are free. */
export function knownKeys(at: readonly PropertyKey[]): readonly string[] {
  if (at.length === 0) return ['agent', 'groups'];
  if (at[0] === 'agent') return Object.keys(agent.shape);
  if (at[0] !== 'groups') return [];
  if (at.length === 2) return Object.keys(group.shape);
  if (at.length === 3 && at[2] === 'log') return Object.keys(group.shape.log.shape);
  if (at.length === 3 && at[2] === 'resync') return Object.keys(resync.shape);
  if (at.length === 4 && at[2] === 'volumes') return Object.keys(volume.shape);
  if (at.length === 4 && at[2] === 'sites') return Object.keys(site.shape);
  if (at.length === 5 && at[4] === 'limits') return Object.keys(limits.shape);
  if (at.length === 6 && at[4] === 'limits') return ['high', 'low', 'action'];
  return [];
}
