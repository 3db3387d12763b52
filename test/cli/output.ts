// cli/: tables, units, the form of errors and of the status for people, and the words for every rule.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { statusDocument, unopenedStatus } from '../../src/agent/status.js';
import { formatStatus } from '../../src/cli/commands/status.js';
import { formatError } from '../../src/cli/output.js';
import { bar, progressLine } from '../../src/cli/progress.js';
import { RULES } from '../../src/cli/rules.js';
import { formatBytes, formatSeconds, table } from '../../src/cli/table.js';
import { LvrError } from '../../src/core/errors.js';
import { GROUP_SETTINGS } from '../helpers/group-config.js';

const CONFIG = {
  name: 'app',
  role: 'primary',
  ...GROUP_SETTINGS,
  log: { path: '/l', sizeBytes: 1024 ** 3 },
  volumes: [{ name: 'data', device: '/d', sizeBytes: 4096, io: undefined }],
  sites: [{ name: 'b', host: 'h', port: 1, mode: 'logged', onDisconnect: 'continue', logFull: 'bitmap' }],
} as const;

t.test('columns are as wide as their widest cell', async (t) => {
  t.equal(
    table(
      ['A', 'LONG'],
      [
        ['value', '1'],
        ['x', ''],
      ],
      1,
    ),
    ' A      LONG\n value  1\n x',
  );
});

t.test('bytes and seconds are shown in fitting units', async (t) => {
  t.same([0, 1023, 1024, 1536, 256 * 1024 ** 2, 5 * 1024 ** 5].map(formatBytes), ['0 B', '1023 B', '1 KiB', '1.5 KiB', '256 MiB', '5 PiB']);
  t.same([0, 0.44, 9.99, 12.3, 185, 7800].map(formatSeconds), ['0 s', '0.4 s', '10 s', '12 s', '3 min 5 s', '2 h 10 min']);
});

t.test('an error names code, facts, fix and where to read more', async (t) => {
  const error = new LvrError('IN_USE', 'volume app/db is mounted', {
    hint: 'umount /srv',
    details: { holders: ['/srv', 'pid 8'], empty: [] },
  });
  t.equal(
    formatError(error),
    'error[LVR-E1303]: volume app/db is mounted\n  holders: /srv, pid 8\n  try: umount /srv\n  see: lvr explain LVR-E1303\n',
  );
});

t.test('a device that no longer works is said to be one', async (t) => {
  const item = unopenedStatus(CONFIG, new Error('x'), true);
  const volumes = item.volumes.map((volume) => ({ ...volume, attached: '/dev/loop3', isLost: true }));
  const text = formatStatus(statusDocument({ site: 'a', version: '1', insecure: true, wallMs: 0 }, [{ ...item, volumes }]));
  t.match(text, /\/dev\/loop3 \(no longer works\)/);
});

t.test('the status for people names role, health, reason, devices, lag and a mode that is not in force', async (t) => {
  const item = unopenedStatus(CONFIG, new Error('the log is foreign'), true);
  const text = formatStatus(statusDocument({ site: 'a', version: '1', insecure: true, wallMs: 0 }, [item]));
  for (const part of [
    /plain TCP/,
    /GROUP app {2}role unknown on a {2}FAILED/,
    /reason: the log is foreign/,
    /data {4}4 KiB {2}-/,
    /b {5}logged \(now async\) {2}offline {2}stopped {6}-/,
  ]) {
    t.match(text, part);
  }
});

t.test('a resync is a bar with share, bytes, rate and time, or the reason why it does not run', async (t) => {
  const status = unopenedStatus({ ...CONFIG, sites: [{ ...CONFIG.sites[0], name: 'b' }] }, new Error('x'), false).sites[0];
  if (status === undefined) throw new Error('there is a site');
  t.equal(progressLine(status), 'b: nothing to copy');
  const tracked = { ...status, tracking: 'bitmap', dirtyBytes: 2048, reason: '' } as const;
  t.equal(progressLine(tracked), 'b: 2 KiB to copy, not under way (offline)');
  t.equal(progressLine({ ...tracked, reason: 'paused' }), 'b: 2 KiB to copy, not under way (paused)');
  const resync = {
    state: 'running',
    reason: '',
    percent: 62.4,
    copiedBytes: 624 * 1024,
    comparedBytes: 0,
    sameBytes: 0,
    remainingBytes: 400 * 1024,
    bytesPerSecond: 2048,
    etaSeconds: 200,
    seconds: 12,
  } as const;
  t.equal(progressLine({ ...tracked, resync }), 'b: [############--------]  62.4 %  624 KiB of 1 MiB  2 KiB/s  done in about 3 min 20 s');
  t.notMatch(progressLine({ ...tracked, resync: { ...resync, etaSeconds: null } }), /about/);
  t.match(progressLine({ ...tracked, resync: { ...resync, sameBytes: 512 * 1024 } }), / of 1 MiB {2}512 KiB were the same {2}2 KiB\/s/);
  t.match(
    progressLine({ ...tracked, resync: { ...resync, state: 'paused', reason: 'the resync is paused' } }),
    /1 MiB {2}the resync is paused$/,
  );
  t.same(
    [-5, 0, 4.9, 5, 99.9, 100, 200].map((percent) => bar(percent).replaceAll('-', '').length - 2),
    [0, 0, 0, 1, 19, 20, 20],
  );
  const text = formatStatus(
    statusDocument({ site: 'a', version: '1', insecure: false, wallMs: 0 }, [
      { ...unopenedStatus(CONFIG, new Error('x'), false), logFullEtaSeconds: 90, sites: [{ ...tracked, resync }] },
    ]),
  );
  t.match(text, /full in about 1 min 30 s/);
  t.match(text, /resync b: \[#+-+\] {2}62\.4 %/);
});

t.test('every rule of the two decision tables has words, and no words are left over', async (t) => {
  const core = join(import.meta.dirname, '../../../src/core');
  const code = ['reconnect.ts', 'recovery.ts'].map((name) => readFileSync(join(core, name), 'utf8')).join('\n');
  const labels = new Set([...code.matchAll(/'([CL]\d+)'/g)].map((match) => match[1]));
  t.ok(labels.size > 15, 'labels were found');
  t.same(Object.keys(RULES).sort(), [...labels].sort());
});
