// Lines of the control socket out of drawn data: valid ones of every verb, with values of other kinds put in, deep and long ones among
// them, and damage of the text.

import fc from 'fast-check';
import { anywhere, type Mutation, mutate, several } from './mutate.js';

/** Valid requests. */
const REQUESTS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['status', {}],
  ['status', { group: 'app' }],
  ['attach', { target: 'app/data', device: '/dev/nbd0' }],
  ['detach', { target: 'app/data' }],
  ['promote', { group: 'app', force: true }],
  ['demote', { group: 'app' }],
  ['site', { action: 'set', group: 'app', site: 'b', settings: ['mode=logged', 'max_ios=none'] }],
  ['sync', { action: 'start', group: 'app' }],
  ['agent-stop', {}],
  ['agent-restart', {}],
  ['version', {}],
];

/** Valid answers. */
const RESPONSES: readonly Readonly<Record<string, unknown>>[] = [
  { result: { changed: true, group: 'app' } },
  { error: { code: 'IN_USE', id: 'LVR-E1303', message: 'it is mounted', hint: 'umount', details: { holders: ['x'] }, exit: 12 } },
];

/** Values as JSON texts. */
const ODD_VALUES = [
  ...['null', 'true', 'false', '0', '-0', '1e999', '-1', '""', '"x"', '[]', '{}', '[[]]', '{"a":{"a":1}}', '"\\u0000"', '"\\ud800"'],
  ...['"__proto__"', '"constructor"', '"toString"', '"hasOwnProperty"', '"status\\n"', '{"length":1}', '["status"]'],
  ...[
    '['.repeat(30_000) + ']'.repeat(30_000),
    `${'{"a":'.repeat(8000)}1${'}'.repeat(8000)}`,
    `"${'x'.repeat(60_000)}"`,
    '['.repeat(50_000),
  ],
];
const ODD_KEYS = [
  'verb',
  'args',
  'group',
  'force',
  'target',
  '__proto__',
  'constructor',
  '',
  'x'.repeat(3000),
  'result',
  'error',
  'code',
  'details',
];

type Edit = { readonly kind: number; readonly key: number; readonly value: number; readonly isInner: boolean };

/** A line as drawn. */
export type DrawnLine = { readonly which: number; readonly edits: readonly Edit[]; readonly mutations: readonly Mutation[] };

export const arbitraryLine: fc.Arbitrary<DrawnLine> = fc.record({
  which: fc.nat(REQUESTS.length - 1),
  edits: fc.array(fc.record({ kind: fc.nat(2), key: fc.nat(20), value: fc.nat(40), isInner: fc.boolean() }), { maxLength: 2 }),
  mutations: fc.oneof({ weight: 2, arbitrary: fc.constant<Mutation[]>([]) }, several(anywhere, 2)),
});

/** Members of an object as [key, JSON text]. */
type Members = [string, string][];

function edited(members: Members, edits: readonly Edit[]): string {
  const changed = [...members];
  for (const { kind, key, value } of edits) {
    const place = changed.length === 0 ? 0 : key % changed.length;
    const text = ODD_VALUES[value % ODD_VALUES.length] as string;
    if (kind === 0) changed.splice(place, 1);
    else if (kind === 1 && changed.length > 0) (changed[place] as [string, string])[1] = text;
    else changed.push([ODD_KEYS[key % ODD_KEYS.length] as string, text]);
  }
  return `{${changed.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`;
}

function membersOf(value: object): Members {
  return Object.entries(value).map(([name, each]) => [name, JSON.stringify(each)]);
}

/** The line that was drawn, without its end. */
export function lineOf({ which, edits, mutations }: DrawnLine, isResponse: boolean): string {
  const inner = edits.filter(({ isInner }) => isInner);
  const outer = edits.filter(({ isInner }) => !isInner);
  const [verb, args] = REQUESTS[which] as (typeof REQUESTS)[number];
  const response = RESPONSES[which % RESPONSES.length] as Readonly<Record<string, unknown>>;
  const members: Members = isResponse
    ? Object.entries(response).map(([name, value]) => [name, edited(membersOf(value as object), inner)])
    : [
        ['verb', JSON.stringify(verb)],
        ['args', edited(membersOf(args), inner)],
      ];
  const line = edited(members, outer);
  return Buffer.from(mutate(Buffer.from(line), [], mutations)).toString('utf8');
}
