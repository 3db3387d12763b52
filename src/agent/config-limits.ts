// The fall-behind limits of a site, from the words of the configuration to those of core/fall-behind.ts, and what is wrong with them.

import { defaultLow, type FallBehindLimit, type FallBehindLimits, type LimitName, whyNoLimit } from '../core/fall-behind.js';
import type { SiteMode } from '../core/group-config.js';
import type { ConfigFile } from './config-schema.js';

type LimitsFile = NonNullable<ConfigFile['groups'][string]['sites'][string]['limits']>;

/** Configuration key of each limit. */
export const LIMIT_KEYS = { max_ios: 'ios', max_bytes: 'bytes', max_age: 'ageMs' } as const satisfies Record<string, LimitName>;
export type LimitKey = keyof typeof LIMIT_KEYS;

/** With defaults: low is 90 % of high, and the action that of the table. */
export function toLimits(file: LimitsFile): FallBehindLimits {
  const limits: { [Name in LimitName]?: FallBehindLimit } = {};
  for (const key of Object.keys(LIMIT_KEYS) as LimitKey[]) {
    const marks = file[key];
    if (marks === undefined) continue;
    const { high, low = defaultLow(high), action = file.action } = marks;
    limits[LIMIT_KEYS[key]] = { high, low, action };
  }
  return limits;
}

/** Why the limits of a site in this mode make no sense, by key; `key` is empty when it is about all of them. */
export function limitProblems(limits: FallBehindLimits, mode: SiteMode): { key: LimitKey | ''; message: string }[] {
  const problems: { key: LimitKey | ''; message: string }[] = [];
  for (const key of Object.keys(LIMIT_KEYS) as LimitKey[]) {
    const limit = limits[LIMIT_KEYS[key]];
    if (limit === undefined) continue;
    const why = whyNoLimit(LIMIT_KEYS[key], limit)?.replace(`${key}: `, '');
    if (why !== undefined) problems.push({ key, message: why });
    else if ((mode === 'logged' || mode === 'applied') && (limit.action === 'throttle' || limit.action === 'sync')) {
      const message = `action ${limit.action} contradicts mode ${mode}, in which every write waits for the site anyway`;
      problems.push({ key, message: `${message}: use degrade, fail or alert, or mode async or memory` });
    }
  }
  if (Object.keys(limits).length === 0) problems.push({ key: '', message: 'expected max_ios, max_bytes or max_age' });
  return problems;
}
