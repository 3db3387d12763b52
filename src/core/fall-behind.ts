// How far a site may fall behind, and what happens then (contract: any subset of three limits, each with a high and a low mark).
//
// A limit is crossed when what the site has not answered is above its high mark, and stays crossed until it is at or below its low mark.
// While several are crossed, the action of the most drastic one is taken. Pure: the caller measures, steps, and acts on what changed.

/** What can be limited: writes not answered, their bytes, and the age of the oldest of them. */
export const FALL_BEHIND_LIMITS = ['ios', 'bytes', 'ageMs'] as const;
export type LimitName = (typeof FALL_BEHIND_LIMITS)[number];

/**
 * What a crossed limit does, from mild to drastic: only tell; delay answers to writers just enough; let every write wait for this site;
 * stop sending and go to the bitmap; fail writes.
 */
export const FALL_BEHIND_ACTIONS = ['alert', 'throttle', 'sync', 'degrade', 'fail'] as const;
export type FallBehindAction = (typeof FALL_BEHIND_ACTIONS)[number];

/** One limit with its marks; low is below high. */
export type FallBehindLimit = { readonly high: number; readonly low: number; readonly action: FallBehindAction };

/** The limits of a site; one that is not there limits nothing. */
export type FallBehindLimits = { readonly [Name in LimitName]?: FallBehindLimit };

/** What a site has not answered yet. */
export type Backlog = { readonly [Name in LimitName]: number };

/** A limit that is crossed, and since when. */
export type CrossedLimit = { readonly name: LimitName; readonly sinceMs: number };

export type FallBehindState = {
  readonly crossed: readonly CrossedLimit[];
  /** undefined: the site keeps up, nothing is done. */
  readonly action: FallBehindAction | undefined;
  /** Since when this action is taken. */
  readonly sinceMs: number;
  /** For status and events; empty when the site keeps up. */
  readonly reason: string;
};

/** The state of a site that keeps up. */
export const KEEPS_UP: FallBehindState = { crossed: [], action: undefined, sinceMs: 0, reason: '' };

/** Configuration keys and words for the reason. */
const WORDS: { readonly [Name in LimitName]: { readonly key: string; readonly amount: (value: number) => string } } = {
  ios: { key: 'max_ios', amount: (value) => `${value} writes` },
  bytes: { key: 'max_bytes', amount: (value) => `${value} bytes` },
  ageMs: { key: 'max_age', amount: (value) => `${value} ms` },
};

/** The configuration key of a limit. */
export function limitKey(name: LimitName): string {
  return WORDS[name].key;
}

/** The low mark when none is given: 90 % of the high one. */
export function defaultLow(high: number): number {
  return Math.floor(high * 0.9);
}

/** Why a limit makes no sense; undefined when it does. */
export function whyNoLimit(name: LimitName, { high, low }: FallBehindLimit): string | undefined {
  const { key } = WORDS[name];
  if (!Number.isSafeInteger(high) || high < 1) return `${key}: the high mark is a whole number of at least 1`;
  if (!Number.isSafeInteger(low) || low < 0) return `${key}: the low mark is a whole number of at least 0`;
  return low < high ? undefined : `${key}: the low mark ${low} is not below the high mark ${high}`;
}

/** True when a step would find the same limits crossed as `state` says: allocates nothing, for who measures often. */
export function isSettled(state: FallBehindState, backlog: Backlog, limits: FallBehindLimits): boolean {
  for (let i = 0; i < FALL_BEHIND_LIMITS.length; i++) {
    const name = FALL_BEHIND_LIMITS[i] as LimitName;
    const limit = limits[name];
    if (limit === undefined) continue;
    const isCrossed = hasCrossed(state, name);
    if (backlog[name] > (isCrossed ? limit.low : limit.high) !== isCrossed) return false;
  }
  return true;
}

function hasCrossed(state: FallBehindState, name: LimitName): boolean {
  for (const crossed of state.crossed) if (crossed.name === name) return true;
  return false;
}

/** The next state. Returns `state` itself when nothing changed, so that the caller reports changes only. */
export function stepFallBehind(state: FallBehindState, backlog: Backlog, limits: FallBehindLimits, nowMs: number): FallBehindState {
  const crossed: CrossedLimit[] = [];
  let action: FallBehindAction | undefined;
  for (const name of FALL_BEHIND_LIMITS) {
    const limit = limits[name];
    if (limit === undefined) continue;
    const before = state.crossed.find((other) => other.name === name);
    if (backlog[name] <= (before === undefined ? limit.high : limit.low)) continue;
    crossed.push(before ?? { name, sinceMs: nowMs });
    if (action === undefined || FALL_BEHIND_ACTIONS.indexOf(limit.action) > FALL_BEHIND_ACTIONS.indexOf(action)) action = limit.action;
  }
  if (crossed.length === 0) return state.crossed.length === 0 ? state : KEEPS_UP;
  const reason = reasonOf(crossed, limits);
  const isSame = action === state.action && reason === state.reason && crossed.every((limit, i) => limit === state.crossed[i]);
  if (isSame && crossed.length === state.crossed.length) return state;
  return { crossed, action, sinceMs: action === state.action ? state.sinceMs : nowMs, reason };
}

/** Names the marks and not the amounts, so that it stays the same while the state does. */
function reasonOf(crossed: readonly CrossedLimit[], limits: FallBehindLimits): string {
  const parts = crossed.map(({ name }) => {
    const { high, low, action } = limits[name] as FallBehindLimit;
    const { key, amount } = WORDS[name];
    return `more than ${amount(high)} behind (${key}, ${action} until ${amount(low)})`;
  });
  return parts.join('; ');
}
