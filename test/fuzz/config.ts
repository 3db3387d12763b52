// Configuration files: what is valid is understood as it was meant; anything else is refused with CONFIG_INVALID (or INSECURE), naming
// file and line, whatever stands in the file.

import fc from 'fast-check';
import t from 'tap';
import { type AgentConfig, parseConfig } from '../../src/agent/config.js';
import { LvrError } from '../../src/core/errors.js';
import { RESYNC_DEFAULTS } from '../../src/core/group-config.js';
import { fuzz, judge } from './harness.js';
import { anywhere, type Mutation, mutate, several } from './mutate.js';

const FILE = '/nowhere/lvrd.toml';

/** A value that is put somewhere, as it is written in TOML. */
const ODD_VALUES = [
  ...['""', '"x"', '"/x"', '"unix:/x"', '"tcp:[::1]:0"', '"[::1]:99999"', '"1.2.3.4:1"', '"00000000000000001"', '"9007199254740992"'],
  ...['"16777216TiB"', '"1 MiB"', '"١MiB"', '0', '-1', '1', '511', '9007199254740991', '9007199254740992', '0x7f', '1_000', '+5'],
  ...['1e400', 'nan', '-inf', '0.5', 'true', 'false', '[]', '{}', '[[]]', '[1, "a"]', '{ a = 1 }', '1979-05-27T07:32:00Z', '25:61:00'],
  ...['07:32:00', '1979-05-27', '2024-02-31', '"\\u0000"', '"\\uD800"', "'''\nx\n'''", '"""\n[agent]\n"""', '"a\u0007"', '"\u202e"'],
  ...[`"${'x'.repeat(5000)}"`, `"/${'x'.repeat(107)}"`, '"LOGGED"', '"logged"', '"secondary"', '"direct"', '"block"', 'secondary', '='],
];
/** Keys that are put somewhere. */
const ODD_KEYS = [
  'sit',
  'size',
  'mode',
  '__proto__',
  'constructor',
  'toString',
  '""',
  "'a b'",
  '"\\n"',
  'a.b',
  'x'.repeat(300),
  '1',
  '-',
  'é',
];
/** Text that is put between two lines. */
const ODD_LINES = [
  ...['[agent]', '[[agent]]', '[groups]', '[groups.app]', '[groups.__proto__]', '[groups."App X"]', '[groups.app.volumes]', '[a.b.c]'],
  ...[
    `x = ${'['.repeat(5000)}`,
    `x = ${'{a='.repeat(3000)}`,
    `${'a.'.repeat(5000)}a = 1`,
    `[${'a.'.repeat(3000)}a]`,
    '"""',
    "x = '''",
    '\0',
  ],
  ...[
    `x = [${'1,'.repeat(5000)}]`,
    '# \u0001',
    '\r',
    'x = "\\',
    `${' '.repeat(20_000)}=`,
    `"${'\\"'.repeat(5000)}`,
    '\ufeff',
    '[groups.app.sites.c]',
  ],
];

/** A configuration as drawn. */
type Drawn = {
  readonly groups: number;
  readonly volumes: number;
  readonly sites: number;
  readonly numbers: readonly number[];
  readonly flags: number;
};

const arbitraryConfig: fc.Arbitrary<Drawn> = fc.record({
  groups: fc.nat(3),
  volumes: fc.integer({ min: 1, max: 3 }),
  sites: fc.nat(3),
  numbers: fc.array(fc.nat(10_000), { minLength: 1, maxLength: 6 }),
  flags: fc.nat(255),
});

const MODES = ['async', 'memory', 'logged', 'applied'] as const;

/** The lines of a valid file, and what it must be understood as. */
function configOf(drawn: Drawn): { lines: string[]; meant: unknown } {
  let at = 0;
  const number = (): number => drawn.numbers[at++ % drawn.numbers.length] as number;
  const flag = (bit: number): boolean => ((drawn.flags >> bit) & 1) === 1;
  const lines = ['[agent]', 'site = "a"', 'state_dir = "/nowhere/state"', 'control = "/nowhere/agent.sock"', `insecure = ${flag(0)}`];
  if (flag(1)) lines.push('listen = "127.0.0.1:7749"');
  if (flag(2)) lines.push('metrics = "[::1]:9749"', 'nbd = ["unix:/nowhere/nbd.sock", "tcp:127.0.0.1:10809"]');
  const groups: unknown[] = [];
  for (let g = 0; g < drawn.groups; g++) {
    const size = 16 + number();
    const role = flag(g) ? 'primary' : 'secondary';
    lines.push(`[groups.g${g}]`, `role = "${role}"`, `log = { path = "/nowhere/${g}.log", size = "${size}MiB" }`);
    const volumes = Array.from({ length: drawn.volumes }, (_, v) => {
      const blocks = 1 + number();
      lines.push(`[groups.g${g}.volumes.v${v}]`, `device = "/nowhere/${g}-${v}"`, `size = ${blocks * 4096}`);
      return { name: `v${v}`, device: `/nowhere/${g}-${v}`, sizeBytes: blocks * 4096, io: undefined };
    });
    const sites = Array.from({ length: drawn.sites }, (_, s) => {
      const mode = MODES[number() & 3] as (typeof MODES)[number];
      lines.push(`[groups.g${g}.sites.s${s}]`, `address = "127.0.0.1:${8000 + s}"`, `mode = '${mode}' # comment`, '');
      return { name: `s${s}`, host: '127.0.0.1', port: 8000 + s, mode, onDisconnect: 'continue', logFull: 'bitmap' };
    });
    const log = { path: `/nowhere/${g}.log`, sizeBytes: size * 1024 * 1024 };
    const defaults = {
      writeCache: true,
      regionBytes: 65_536,
      undo: 'auto',
      onLogError: 'passthrough',
      onIoError: 'retry-remote',
      resync: RESYNC_DEFAULTS,
    };
    groups.push({ name: `g${g}`, role, ...defaults, log, volumes, sites });
  }
  return { lines, meant: groups };
}

type Edit = { readonly kind: number; readonly at: number; readonly pick: number };

function edited(lines: readonly string[], edits: readonly Edit[]): string[] {
  const changed = [...lines];
  for (const { kind, at, pick } of edits) {
    const place = at % changed.length;
    const line = changed[place] as string;
    const value = ODD_VALUES[pick % ODD_VALUES.length] as string;
    const key = ODD_KEYS[pick % ODD_KEYS.length] as string;
    if (kind === 0) changed.splice(place, 1);
    else if (kind === 1) changed.splice(place, 0, line);
    else if (kind === 2) changed[place] = line.replace(/=.*/s, () => `= ${value}`);
    else if (kind === 3) changed[place] = line.replace(/[a-z_]+(?=[ \]])/, () => key);
    else if (kind === 4) changed.splice(place, 0, `${key} = ${value}`);
    else if (kind === 5) changed.splice(place, 0, ODD_LINES[pick % ODD_LINES.length] as string);
    else changed.splice(place, 0, changed[pick % changed.length] as string);
    if (changed.length === 0) changed.push('');
  }
  return changed;
}

function read(text: string): AgentConfig | LvrError {
  try {
    return parseConfig(text, FILE);
  } catch (error) {
    if (error instanceof LvrError) return error;
    throw error;
  }
}

fuzz(t, {
  name: 'config',
  draw: fc.record({
    config: arbitraryConfig,
    edits: fc.array(fc.record({ kind: fc.nat(6), at: fc.nat(60), pick: fc.nat(60) }), { maxLength: 3 }),
    mutations: fc.oneof({ weight: 2, arbitrary: fc.constant<Mutation[]>([]) }, several(anywhere, 3)),
  }),
  limitBytes: 8 << 20,
  expected: ['as meant', 'taken', 'CONFIG_INVALID'],
  probe: ({ config, edits, mutations }, count) => {
    const { lines, meant } = configOf(config);
    const text = Buffer.from(mutate(Buffer.from(edited(lines, edits).join('\n')), [], mutations)).toString('utf8');
    const got = read(text);
    if (got instanceof LvrError) {
      judge(got.code === 'CONFIG_INVALID' || got.code === 'INSECURE', `refused as ${got.code}`);
      for (const line of got.message.split('\n')) judge(line.startsWith(`${FILE}:`) || line.startsWith('and '), `without a place: ${line}`);
      const places = [...got.message.matchAll(/^\/nowhere\/lvrd\.toml:(\d+)/gm)].map(([, number]) => Number(number));
      judge(
        places.every((place) => place >= 1 && place <= text.split('\n').length + 1),
        'the line that is named is in the file',
      );
      judge(got.message.length < 100_000, `a message of ${got.message.length} characters`);
      judge(edits.length + mutations.length > 0, `a valid file is refused: ${got.message}`);
      return count(got.code);
    }
    const isUntouched = edits.length + mutations.length === 0;
    if (isUntouched) judge(JSON.stringify(got.groups) === JSON.stringify(meant), 'a valid file is understood as it was meant');
    judge(
      got.agent.nbd.some(({ kind }) => kind === 'unix'),
      'there is always a unix socket',
    );
    for (const group of got.groups) {
      judge(
        group.volumes.every(({ sizeBytes }) => Number.isSafeInteger(sizeBytes) && sizeBytes % 4096 === 0),
        'sizes are whole blocks',
      );
      judge(
        group.sites.every(({ port, host }) => port > 0 && port < 65_536 && host !== ''),
        'addresses are complete',
      );
      judge(/^[a-z0-9][a-z0-9._-]{0,62}$/.test(group.name), `a group called ${group.name}`);
    }
    count(isUntouched ? 'as meant' : 'taken');
  },
});
