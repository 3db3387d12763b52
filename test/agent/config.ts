// agent/config.ts: every way a configuration file can be wrong is refused with file, line and key.

import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { loadConfig, parseConfig } from '../../src/agent/config.js';
import { LvrError } from '../../src/core/errors.js';

const GOOD = `[agent]
site = "a"
state_dir = "/var/lib/lvr"
listen = "0.0.0.0:7749"

[groups.app]
role = "primary"
log = { path = "/var/lib/lvr/app.log", size = "1GiB" }
[groups.app.volumes.data]
device = "/nowhere/data"
size = "256MiB"
[groups.app.sites.b]
address = "127.0.0.1:7749"
mode = "logged"
`;

/** The error of a file made from GOOD by replacing `from` (which must be there). */
function errorOf(from: string, to: string): LvrError {
  if (!GOOD.includes(from)) throw new Error(`${from} is not in the file`);
  return errorOfText(GOOD.replace(from, to));
}

function errorOfText(text: string): LvrError {
  try {
    parseConfig(text, 'lvr.toml');
  } catch (error) {
    if (error instanceof LvrError) return error;
    throw error;
  }
  throw new Error('the file was accepted');
}

t.test('a good file gives typed settings with defaults', async (t) => {
  const config = parseConfig(GOOD, 'lvr.toml');
  t.same(config.agent, {
    site: 'a',
    stateDir: '/var/lib/lvr',
    control: '/run/lvr/agent.sock',
    listen: { host: '0.0.0.0', port: 7749 },
    nbd: [{ kind: 'unix', path: '/var/lib/lvr/nbd.sock' }],
    metrics: undefined,
    insecure: false,
    resyncParallel: 2,
  });
  t.same(config.groups, [
    {
      name: 'app',
      role: 'primary',
      writeCache: true,
      regionBytes: 64 * 1024,
      undo: 'auto',
      onLogError: 'passthrough',
      onIoError: 'retry-remote',
      resync: { maxRate: 0, minRate: 1024 ** 2, latencyTargetMs: 20, minDwellMs: 10_000, checksum: 'auto' },
      log: { path: '/var/lib/lvr/app.log', sizeBytes: 1024 ** 3 },
      volumes: [{ name: 'data', device: '/nowhere/data', sizeBytes: 256 * 1024 ** 2, io: undefined }],
      sites: [{ name: 'b', host: '127.0.0.1', port: 7749, mode: 'logged', onDisconnect: 'continue', logFull: 'bitmap' }],
    },
  ]);
});

t.test('a group without a role begins as secondary', async (t) => {
  t.equal(parseConfig(GOOD.replace('role = "primary"\n', ''), 'x').groups[0]?.role, 'secondary');
});

/** What is replaced in GOOD, by what, and how the message begins. */
const WRONG: [string, string, string][] = [
  [
    '"logged"',
    '"asynch"',
    'lvr.toml:14 groups.app.sites.b.mode: expected "async"|"memory"|"logged"|"applied", got "asynch" (did you mean "async"?)',
  ],
  [
    '[groups.app]',
    '[groups.app]\nregion = "96KiB"',
    'lvr.toml:7 groups.app.region: expected a power of two from "4KiB" to "4MiB", got "96KiB"',
  ],
  ['[groups.app]', '[groups.app]\non_io_error = "x"', 'lvr.toml:7 groups.app.on_io_error: expected "retry-remote"|"pass_on"|'],
  ['role =', 'rolle =', 'lvr.toml:7 groups.app.rolle: unknown key (did you mean "role"?)'],
  ['[groups.app]', '[groups.app]\nwrite_cache = "yes"', 'lvr.toml:7 groups.app.write_cache: expected a boolean, got "yes"'],
  [
    'size = "256MiB"',
    'size = "256 apples"',
    'lvr.toml:11 groups.app.volumes.data.size: expected a size such as "256MiB", got "256 apples"',
  ],
  ['size = "256MiB"', 'size = true', 'lvr.toml:11 groups.app.volumes.data.size: expected a size such as "256MiB", got true'],
  ['size = "256MiB"', 'size = 5000', 'lvr.toml:11 groups.app.volumes.data.size: expected a multiple of 4096 bytes, got 5000'],
  ['"1GiB"', '"15MiB"', 'lvr.toml:8 groups.app.log.size: expected at least 16MiB, got 15728640 bytes'],
  [', size = "1GiB"', '', 'lvr.toml:8 groups.app.log.size: missing: a log in a file needs a size'],
  ['site = "a"\n', '', 'lvr.toml:1 agent.site: missing'],
  ['site = "a"', 'site = "A b"', 'lvr.toml:2 agent.site: expected 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit, got "A b"'],
  ['sites.b]', 'sites.a]', 'lvr.toml:12 groups.app.sites.a: this is the name of this agent (agent.site); list only the others'],
  ['"127.0.0.1:7749"', '"here"', 'lvr.toml:13 groups.app.sites.b.address: expected an address such as "10.0.0.2:7749", got "here"'],
  ['"127.0.0.1:7749"', '"h:77490"', 'lvr.toml:13 groups.app.sites.b.address: expected an address such as "10.0.0.2:7749", got "h:77490"'],
  ['"/nowhere/data"', '"nowhere"', 'lvr.toml:10 groups.app.volumes.data.device: expected an absolute path, got "nowhere"'],
  [
    'mode = "logged"',
    'on_disconnect = "blok"',
    'lvr.toml:14 groups.app.sites.b.on_disconnect: expected "continue"|"block"|"fail", got "blok" (did you mean "block"?)',
  ],
  [
    '[groups.app.volumes.data]\ndevice = "/nowhere/data"\nsize = "256MiB"',
    'volumes = {}',
    'lvr.toml:9 groups.app.volumes: expected at least one volume',
  ],
  [
    'listen =',
    'nbd = ["unix:relative"]\nlisten =',
    'lvr.toml:4 agent.nbd.0: expected "unix:/path" (at most 107 bytes) or "tcp:host:port", got "unix:relative"',
  ],
  ['listen =', `control = "/${'x'.repeat(107)}"\nlisten =`, 'lvr.toml:4 agent.control: expected a path of at most 107 bytes, got'],
  ['listen =', 'metrics = "0.0.0.0:7749"\nlisten =', 'lvr.toml:4 agent.metrics: 0.0.0.0:7749 is already used by agent.listen'],
  ['role = "primary"', 'role = primary', 'lvr.toml:7 not TOML'],
  ['path = "', 'path = "/tmp\\u0000', 'lvr.toml:8 groups.app.log.path: expected an absolute path'],
  ['listen =', 'resync_parallel = 0\nlisten =', 'lvr.toml:4 agent.resync_parallel: expected a whole number from 1 to 64, got 0'],
  [
    'size = "256MiB"',
    'size = "16TiB"\n[groups.app.resync]\nmin_rate = "2MiB"\nmax_rate = "1MiB"',
    'lvr.toml:13 groups.app.resync.min_rate: min_rate',
  ],
  [
    'size = "256MiB"',
    'size = "256MiB"\n[groups.app.resync]\nchecksum = "yes"',
    'lvr.toml:13 groups.app.resync.checksum: expected "auto"|"on"|"off", got "yes"',
  ],
  [
    'role = "primary"\n',
    'role = "primary"\nregion = "4KiB"\nvolumes.big = { device = "/nowhere/big", size = "8TiB" }\n',
    'lvr.toml:8 groups.app.region: volume big would have 2147483648 regions, at most 2147483647 are possible: use a larger one',
  ],
];

t.test('wrong values are named with file, line, key and what was expected', async (t) => {
  for (const [from, to, message] of WRONG) {
    const error = errorOf(from, to);
    t.equal(error.code, 'CONFIG_INVALID', message);
    t.equal(error.exit, 10, 'exit code');
    t.ok(error.message.startsWith(message), error.message);
  }
});

t.test('all problems are reported at once, in the order of the file', async (t) => {
  const error = errorOfText(GOOD.replace('"primary"', '"boss"').replace('"logged"', '"no"').replace('site = "a"', 'site = 1'));
  t.same(
    error.message.split('\n').map((line) => line.split(' ')[1]),
    ['agent.site:', 'groups.app.role:', 'groups.app.sites.b.mode:'],
  );
});

t.test('a key that is no bare key is named in quotes, and a long one is cut', async (t) => {
  t.equal(errorOf('site = "a"', 'site = "a"\n"x\\ny" = 1').message, 'lvr.toml:1 agent."x\\ny": unknown key');
  t.equal(errorOf('site = "a"', 'site = "a"\n"a.b" = 1').message, 'lvr.toml:3 agent."a.b": unknown key');
  t.ok(errorOf('site = "a"', `site = "a"\n${'k'.repeat(5000)} = 1`).message.length < 200);
});

t.test('a line of very many parts costs no more than its length', async (t) => {
  const startMs = performance.now();
  t.match(errorOf('site = "a"', `site = "a"\n${'a.'.repeat(20_000)}a = 1`).message, /^lvr\.toml:3 agent\.a: unknown key/);
  t.ok(performance.now() - startMs < 10_000);
});

t.test('two sites with one address are refused', async (t) => {
  const error = errorOfText(`${GOOD}[groups.app.sites.c]\naddress = "127.0.0.1:7749"\n`);
  t.equal(error.message, 'lvr.toml:16 groups.app.sites.c.address: 127.0.0.1:7749 is already the address of site b');
});

t.test('a site beyond this machine needs insecure = true', async (t) => {
  const error = errorOf('127.0.0.1:7749', '10.0.0.2:7749');
  t.equal(error.code, 'INSECURE');
  t.match(error.message, /^lvr\.toml:13 groups\.app\.sites\.b\.address: 10\.0\.0\.2:7749 .*insecure = true/);
  const allowed = parseConfig(GOOD.replace('127.0.0.1:7749', '10.0.0.2:7749').replace('listen', 'insecure = true\nlisten'), 'x');
  t.equal(allowed.groups[0]?.sites[0]?.host, '10.0.0.2');
});

t.test('one piece of storage cannot serve twice, however it is spelled', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'lvr-config-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, 'data'), 'x');
  linkSync(join(dir, 'data'), join(dir, 'hard'));
  symlinkSync(join(dir, 'data'), join(dir, 'soft'));
  mkdirSync(join(dir, 'real'));
  symlinkSync(join(dir, 'real'), join(dir, 'alias'));
  const file = (first: string, second: string, log: string): string => `[agent]
site = "a"
[groups.g]
log = { path = "${join(dir, log)}", size = "16MiB" }
[groups.g.volumes.one]
device = "${join(dir, first)}"
[groups.h]
log = { path = "/nowhere/log", size = "16MiB" }
[groups.h.volumes.two]
device = "${join(dir, second)}"
`;
  t.ok(parseConfig(file('data', 'other', 'log'), 'x'), 'different storage is fine');
  for (const second of ['data', 'hard', 'soft']) {
    t.match(
      errorOfText(file('data', second, 'log')).message,
      /:10 groups\.h\.volumes\.two\.device: .* is already used by volume g\/one/,
      second,
    );
  }
  t.match(errorOfText(file('real/new', 'alias/new', 'log')).message, /already used by volume g\/one/, 'not there yet');
  t.match(
    errorOfText(file('data', 'other', 'hard')).message,
    /:4 groups\.g\.log\.path: .* is already used by volume g\/one/,
    'log on its volume',
  );
  t.match(
    errorOfText(file('data', 'other', 'log').replace('/nowhere/log', join(dir, 'log'))).message,
    /already used by the log of g/,
    'log used twice',
  );
});

t.test('limits of a site have defaults, and what makes no sense is named', async (t) => {
  const withLimits = (lines: string, mode = 'async'): string =>
    `${GOOD.replace('"logged"', `"${mode}"`)}[groups.app.sites.b.limits]\n${lines}\n`;
  const limitsOf = (lines: string, mode?: string) => parseConfig(withLimits(lines, mode), 'x').groups[0]?.sites[0]?.limits;
  t.same(limitsOf('max_ios = 1000\nmax_bytes = "1MiB"\nmax_age = "30s"'), {
    ios: { high: 1000, low: 900, action: 'throttle' },
    bytes: { high: 1048576, low: 943718, action: 'throttle' },
    ageMs: { high: 30_000, low: 27_000, action: 'throttle' },
  });
  t.same(limitsOf('action = "sync"\nmax_ios = { high = 10, low = 2 }\nmax_age = { high = 500, action = "alert" }'), {
    ios: { high: 10, low: 2, action: 'sync' },
    ageMs: { high: 500, low: 450, action: 'alert' },
  });
  t.same(limitsOf('max_age = { high = "2h", action = "degrade" }', 'logged')?.ageMs?.high, 7_200_000);
  const rows: [string, string, string?][] = [
    ['max_ios = 0', '16 groups.app.sites.b.limits.max_ios: the high mark is a whole number of at least 1'],
    ['max_ios = 1.5', '16 groups.app.sites.b.limits.max_ios: expected a whole number, got 1.5'],
    ['max_ios = { high = "x" }', '16 groups.app.sites.b.limits.max_ios.high: expected a number, got "x"'],
    ['max_bytes = { high = 10, low = 20 }', '16 groups.app.sites.b.limits.max_bytes: the low mark 20 is not below the high mark 10'],
    ['max_bytes = { low = 20 }', '16 groups.app.sites.b.limits.max_bytes.high: missing'],
    ['max_age = "soon"', '16 groups.app.sites.b.limits.max_age: expected a time such as "30s", or milliseconds, got "soon"'],
    ['max_age = -1', '16 groups.app.sites.b.limits.max_age: expected a time such as "30s", or milliseconds, got -1'],
    ['max_iops = 5', '16 groups.app.sites.b.limits.max_iops: unknown key (did you mean "max_ios"?)'],
    ['max_ios = { heigh = 5, high = 5 }', '16 groups.app.sites.b.limits.max_ios.heigh: unknown key (did you mean "high"?)'],
    ['max_ios = { high = 5, action = "stop" }', '16 groups.app.sites.b.limits.max_ios.action: expected "alert"|"throttle"|"sync"'],
    ['action = "alert"', '15 groups.app.sites.b.limits: expected max_ios, max_bytes or max_age'],
    ['max_ios = 5', '16 groups.app.sites.b.limits.max_ios: action throttle contradicts mode logged, in which every write waits', 'logged'],
    ['max_ios = { high = 5, action = "sync" }', '16 groups.app.sites.b.limits.max_ios: action sync contradicts mode applied', 'applied'],
  ];
  for (const [lines, message, mode] of rows) {
    const error = errorOfText(withLimits(lines, mode));
    t.equal(error.code, 'CONFIG_INVALID');
    t.ok(error.message.startsWith(`lvr.toml:${message}`), error.message);
  }
});

t.test('a file that cannot be read is a configuration error', async (t) => {
  t.throws(() => loadConfig('/nowhere/lvr.toml'), { code: 'CONFIG_INVALID', message: /^\/nowhere\/lvr\.toml: cannot be read/ });
});
