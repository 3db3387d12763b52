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
  });
  t.same(config.groups, [
    {
      name: 'app',
      role: 'primary',
      writeCache: true,
      regionBytes: 64 * 1024,
      undo: 'auto',
      onLogError: 'fail',
      onIoError: 'pass_on',
      resync: { maxRate: 0, minRate: 1024 ** 2, latencyTargetMs: 20, minDwellMs: 10_000 },
      log: { path: '/var/lib/lvr/app.log', sizeBytes: 1024 ** 3 },
      volumes: [{ name: 'data', device: '/nowhere/data', sizeBytes: 256 * 1024 ** 2, io: undefined }],
      sites: [{ name: 'b', host: '127.0.0.1', port: 7749, mode: 'logged', onDisconnect: 'continue', logFull: 'bitmap' }],
    },
  ]);
});

t.test('a group without a role begins as secondary', async (t) => {
  t.equal(parseConfig(GOOD.replace('role = "primary"\n', ''), 'x').groups[0]?.role, 'secondary');
});

t.test('wrong values are named with file, line, key and what was expected', async (t) => {
  const rows: [string, string, string][] = [
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
  ];
  for (const [from, to, message] of rows) {
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

t.test('a file that cannot be read is a configuration error', async (t) => {
  t.throws(() => loadConfig('/nowhere/lvr.toml'), { code: 'CONFIG_INVALID', message: /^\/nowhere\/lvr\.toml: cannot be read/ });
});
