// lvr site and lvr sync at the agent: what the words mean, what is refused before anything changes, and pauses that outlive a restart.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Pauses } from '../../src/agent/pauses.js';
import { changedSettings } from '../../src/agent/site-settings.js';
import { askAgent } from '../../src/cli/client.js';
import type { SiteSettings } from '../../src/core/site-settings.js';
import { makeWorld } from './world.js';

const dir = mkdtempSync(join(tmpdir(), 'lvr-sites-'));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));

const CURRENT: SiteSettings = {
  mode: 'async',
  onDisconnect: 'continue',
  logFull: 'bitmap',
  limits: { ios: { high: 10, low: 9, action: 'alert' } },
  pace: { maxRate: 0, minRate: 1048576, latencyTargetMs: 20 },
};

t.test('settings are read as in the configuration, and what is not named stays', async (t) => {
  t.same(changedSettings(CURRENT, ['mode=memory', 'log_full=throttle', 'on_disconnect=block']), {
    ...CURRENT,
    mode: 'memory',
    logFull: 'throttle',
    onDisconnect: 'block',
  });
  t.same(changedSettings(CURRENT, ['max_bytes=512MiB,low=128MiB,action=degrade', 'max_age=30s']).limits, {
    ...CURRENT.limits,
    bytes: { high: 2 ** 29, low: 2 ** 27, action: 'degrade' },
    ageMs: { high: 30_000, low: 27_000, action: 'throttle' },
  });
  t.same(changedSettings(CURRENT, ['max_ios=none']).limits, {});
  t.same(changedSettings(CURRENT, ['max_ios=100,low=50']).limits, { ios: { high: 100, low: 50, action: 'throttle' } });
  t.same(changedSettings(CURRENT, ['max_rate=50MiB', 'latency_target=5']).pace, {
    maxRate: 50 * 2 ** 20,
    minRate: 1048576,
    latencyTargetMs: 5,
  });
});

t.test('what makes no sense is refused with the reason', async (t) => {
  const rows: [string[], RegExp][] = [
    [[], /nothing to set/],
    [['mode'], /expected KEY=VALUE, got mode/],
    [['=1'], /expected KEY=VALUE/],
    [['mod=async'], /mod cannot be set while the group runs \(did you mean "mode"\?\)/],
    [['address=h:1'], /address cannot be set/],
    [['mode=sync'], /^mode: expected "async"\|"memory"\|"logged"\|"applied", got "sync"/],
    [['mode=async', 'mode=async'], /mode is given twice/],
    [['max_ios=0'], /max_ios: the high mark is a whole number of at least 1/],
    [['max_ios=5,low=5'], /max_ios: the low mark 5 is not below the high mark 5/],
    [['max_ios=5,high=5'], /max_ios: expected HIGH\[,low=LOW\]\[,action=ACTION\], got 5,high=5/],
    [['max_bytes=lots'], /^max_bytes\.high: expected a size such as "256MiB", got "lots"/],
    [['max_age=1s,action=stop'], /^max_age\.action: expected "alert"/],
    [['mode=logged', 'max_age=1s'], /max_age: action throttle contradicts mode logged/],
    [['max_rate=1KiB'], /min_rate 1048576 is above max_rate 1024/],
    [['latency_target=-1'], /^latency_target: expected/],
  ];
  for (const [words, message] of rows) t.throws(() => changedSettings(CURRENT, words), { code: 'USAGE', message }, words.join(' '));
});

t.test('the verbs reach the site, and say whether something changed', async (t) => {
  const { agent, control, events } = makeWorld(dir, 'verbs');
  await agent.start();
  t.teardown(() => agent.stop());
  events.length = 0;
  const site = (action: string, settings: string[] = [], name = 'b') =>
    askAgent(control, 'site', { action, group: 'app', site: name, settings });
  t.same(await site('pause'), { changed: true, group: 'app', site: 'b' });
  t.same(await site('resume'), { changed: true, group: 'app', site: 'b' });
  t.same(await site('set', ['mode=logged']), { changed: true, group: 'app', site: 'b' });
  t.same(await askAgent(control, 'sync', { action: 'pause', group: 'app' }), { changed: true, group: 'app', sites: ['b'] });
  t.same(await askAgent(control, 'sync', { action: 'resume', group: 'app', site: 'b' }), { changed: false, group: 'app', sites: [] });
  t.same(
    await askAgent(control, 'sync', { action: 'start', group: 'app' }),
    { changed: false, group: 'app', sites: [] },
    'of all: none needs it',
  );
  t.same(events, ['pause b', 'resume b', 'set b logged {}', 'pause sync b', 'resume sync b']);
  await t.rejects(askAgent(control, 'sync', { action: 'start', group: 'app', site: 'b' }), { code: 'ROLE', exit: 4 });
  await t.rejects(site('pause', [], 'x'), { code: 'NOT_FOUND', exit: 3 });
  await t.rejects(site('stop'), { code: 'USAGE', exit: 2 });
  await t.rejects(site('pause', ['mode=async']), { code: 'USAGE' });
  await t.rejects(askAgent(control, 'sync', { action: 'stop', group: 'app' }), { code: 'USAGE' });
  await t.rejects(askAgent(control, 'site', { action: 'pause', group: 'bad', site: 'b' }), { code: 'LOG_FOREIGN' });
  const wrong = { action: 'set', group: 'app', site: 'b', settings: [1] } as unknown as { action: string; group: string; site: string };
  await t.rejects(askAgent(control, 'site', wrong), { code: 'USAGE', message: /site needs settings/ });
});

t.test('a pause is there again after a restart, and before the group starts', async (t) => {
  const first = makeWorld(dir, 'again');
  await first.agent.start();
  await askAgent(first.control, 'site', { action: 'pause', group: 'app', site: 'b' });
  await askAgent(first.control, 'sync', { action: 'pause', group: 'sec', site: 'b' });
  await first.agent.stop();
  const second = makeWorld(dir, 'again');
  await second.agent.start();
  t.same(
    second.events.filter((event) => /pause|start/.test(event)),
    ['pause b', 'pause sync b', 'start app', 'start sec'],
  );
  await askAgent(second.control, 'site', { action: 'resume', group: 'app', site: 'b' });
  await second.agent.stop();
  t.equal(readFileSync(join(dir, 'again', 'paused.json'), 'utf8'), '["sync sec/b"]\n');
});

t.test('a damaged list of pauses is refused by name', async (t) => {
  for (const text of ['{', '{}', '[1]']) {
    writeFileSync(join(dir, 'paused.json'), text);
    t.throws(() => new Pauses(dir), { code: 'FAILED', message: /paused\.json is damaged/ }, text);
  }
});

t.test('a pause that cannot be kept is refused and not obeyed; the agent goes on', async (t) => {
  const { agent, control, events } = makeWorld(dir, 'full');
  await agent.start();
  t.teardown(() => agent.stop());
  // As on a full or read-only file system: the new list cannot be written.
  mkdirSync(join(dir, 'full', 'paused.json.new'));
  await t.rejects(askAgent(control, 'site', { action: 'pause', group: 'app', site: 'b' }), { code: 'FAILED', message: /paused\.json/ });
  t.notOk(events.includes('pause b'));
  rmSync(join(dir, 'full', 'paused.json.new'), { recursive: true });
  t.match(await askAgent(control, 'site', { action: 'pause', group: 'app', site: 'b' }), { changed: true });
});
