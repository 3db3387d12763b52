// `lvr site set GROUP SITE KEY=VALUE...`: keys and values as in the configuration. What makes no sense is refused with the reason, before
// anything is changed.
//
//   mode, on_disconnect, log_full     as in the table of the site
//   max_ios, max_bytes, max_age       HIGH[,low=LOW][,action=ACTION], or none
//   max_rate, min_rate, latency_target  of resyncs of this site

import { LvrError } from '../core/errors.js';
import type { FallBehindLimit, LimitName } from '../core/fall-behind.js';
import { whyNoPace } from '../core/resync-pace.js';
import type { SiteSettings } from '../core/site-settings.js';
import { explainIssue } from './config.js';
import { LIMIT_KEYS, type LimitKey, limitProblems, toLimits } from './config-limits.js';
import { settingsSchema } from './config-schema.js';
import { didYouMean } from './suggest.js';

const HINT = 'lvr site set GROUP SITE mode=async max_bytes=512MiB,low=128MiB,action=degrade max_age=none max_rate=50MiB';

/** The settings after the changes in `words`. Throws USAGE. */
export function changedSettings(current: SiteSettings, words: readonly string[]): SiteSettings {
  const { values, removed } = readWords(words);
  const parsed = settingsSchema.safeParse(values);
  if (!parsed.success) {
    const [problem] = parsed.error.issues.flatMap((issue) => explainIssue(issue, values));
    throw wrong(`${problem?.path.join('.')}: ${problem?.message}`);
  }
  const { mode, on_disconnect, log_full, max_rate, min_rate, latency_target, max_ios, max_bytes, max_age } = parsed.data;
  const limits: { [Name in LimitName]?: FallBehindLimit } = { ...current.limits };
  for (const key of removed) delete limits[LIMIT_KEYS[key]];
  Object.assign(limits, toLimits({ max_ios, max_bytes, max_age, action: 'throttle' }));
  const settings: SiteSettings = {
    mode: mode ?? current.mode,
    onDisconnect: on_disconnect ?? current.onDisconnect,
    logFull: log_full ?? current.logFull,
    limits,
    pace: {
      ...current.pace,
      ...(max_rate === undefined ? {} : { maxRate: max_rate }),
      ...(min_rate === undefined ? {} : { minRate: min_rate }),
      ...(latency_target === undefined ? {} : { latencyTargetMs: latency_target }),
    },
  };
  const problem = limitProblems(limits, settings.mode).find(({ key }) => key !== '');
  if (problem !== undefined) throw wrong(`${problem.key}: ${problem.message}`);
  const pace = whyNoPace(settings.pace);
  if (pace !== undefined) throw wrong(pace);
  return settings;
}

/** `key=value` words as the configuration would have them, and limits that are to go. */
function readWords(words: readonly string[]): { values: Record<string, unknown>; removed: LimitKey[] } {
  if (words.length === 0) throw wrong('nothing to set');
  const values: Record<string, unknown> = {};
  const removed: LimitKey[] = [];
  for (const word of words) {
    const at = word.indexOf('=');
    if (at < 1) throw wrong(`expected KEY=VALUE, got ${word}`);
    const key = word.slice(0, at);
    const value = word.slice(at + 1);
    const known = Object.keys(settingsSchema.shape);
    if (!known.includes(key)) throw wrong(`${key} cannot be set while the group runs${didYouMean(key, known)}`, known);
    if (Object.hasOwn(values, key) || removed.includes(key as LimitKey)) throw wrong(`${key} is given twice`);
    if (!Object.hasOwn(LIMIT_KEYS, key)) values[key] = key === 'latency_target' ? numberOr(value) : value;
    else if (value === 'none') removed.push(key as LimitKey);
    else values[key] = readLimit(key as LimitKey, value);
  }
  return { values, removed };
}

/** `HIGH[,low=LOW][,action=ACTION]`. */
function readLimit(key: LimitKey, text: string): Record<string, unknown> {
  const amount = (value: string): unknown => (key === 'max_ios' ? numberOr(value) : value);
  const [high = '', ...rest] = text.split(',');
  const marks: Record<string, unknown> = { high: amount(high) };
  for (const part of rest) {
    const [name, value, ...more] = part.split('=');
    if ((name !== 'low' && name !== 'action') || value === undefined || more.length > 0) {
      throw wrong(`${key}: expected HIGH[,low=LOW][,action=ACTION], got ${text}`);
    }
    marks[name] = name === 'low' ? amount(value) : value;
  }
  return marks;
}

function numberOr(text: string): number | string {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function wrong(message: string, keys: readonly string[] = []): LvrError {
  return new LvrError('USAGE', message, { hint: HINT, ...(keys.length === 0 ? {} : { details: { keys: [...keys] } }) });
}
