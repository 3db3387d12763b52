// Every planted bug (src/core/planted.ts) must be caught: by random runs, the small worlds, damaged logs, failing operations or a scenario.
// One process a bug; where it is known which of them sees a bug, that one comes first.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { VERSION } from '../../src/agent/version.js';
import { type Failure, failureText } from '../../src/sim/selftest.js';
import { type CommandResult, runCommand } from '../helpers/command.js';

t.setTimeout(890_000);

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.js');
const PROBE = join(import.meta.dirname, 'planted-probe.js');
const REGISTER = join(import.meta.dirname, 'planted-register.js');
const SOURCE = join(import.meta.dirname, '..', '..', '..', 'src', 'core', 'planted.ts');
const DEADLINE_MS = 300_000;
const BUGS_MIN = 25;
const LINES_MAX = 30;

/**
 * Ways to look, and the scenario for failing operations, the scenario file, or the first seed and the number of random runs. Others:
 * random runs from seed 1 on, then the small worlds.
 */
const LOOK: Readonly<Record<string, readonly string[]>> = {
  'ghosts-accepted': ['small'],
  'superblock-one-slot': ['small'],
  'open-without-flush': ['small'],
  'failed-volume-flush-ignored': ['nth', 'one site writes and flushes'],
  'cut-forgotten': ['nth', 'the end of the primary log is lost'],
  'tail-always-cut': ['damage'],
  'applied-before-primary-durable': ['runs', '28', '5'],
  'resize-in-one-slot': ['resize'],
  'high-water-ignored': ['high-water'],
  'high-water-of-one-slot': ['high-water'],
  'promotion-not-recorded': ['scenario', 'promotion-cut-off.txt'],
  'acked-not-clamped': ['scenario', 'acked-ahead.txt'],
  'leftovers-kept': ['scenario', 'void-for-ever.txt'],
  'log-dropped-before-bitmap': ['runs', '7026', '20'],
  'bit-cleared-on-send': ['runs', '7016', '60'],
  'regions-not-flushed': ['runs', '7016', '60'],
  'part-not-marked': ['runs', '7016', '60'],
  'resync-not-recorded': ['runs', '7005', '20'],
  'undo-not-saved': ['runs', '7016', '60'],
  'unread-log-clean': ['nth', 'writes in the last phase of a resync'],
  'undo-dropped-early': ['nth', 'a promotion in mid-resync'],
  'bad-bitmap-page-clean': ['runs', '7061', '120'],
  'resync-overwrites-newer-write': ['runs', '7139', '20'],
  'kept-log-not-marked': ['scenario', 'overflow-kept-demoted.txt'],
  'overwritten-not-marked': ['scenario', 'overflow-overwritten.txt'],
  'bitmap-base-too-old': ['scenario', 'overflow-promoted-base.txt'],
  'compared-always-same': ['runs', '7016', '60'],
  'unflushed-content-trusted': ['scenario', 'overflow-unflushed.txt'],
  'passthrough-flush-early': ['passthrough'],
  'passthrough-before-bitmaps': ['passthrough'],
  'passthrough-before-applied': ['passthrough'],
  'passthrough-not-marked': ['passthrough'],
  'passthrough-marks-not-flushed': ['passthrough'],
  'passthrough-not-recorded': ['passthrough'],
  'passthrough-start-not-flushed': ['passthrough', '1', '80'],
  'passthrough-cache-trusted': ['passthrough', '1', '80'],
  'end-mark-forgotten': ['runs', '7001', '30'],
  'remote-read-too-early': ['scenario', 'read-remote.txt'],
  'remote-read-over-newer': ['scenario', 'read-remote.txt'],
};

/** The bugs, as the source names them. */
const BUGS = [...readFileSync(SOURCE, 'utf8').matchAll(/^ {2}\| '([a-z-]+)'/gm)].map((match) => match[1] as string);

type Caught = { readonly by: string; readonly oracle: string; readonly message: string; readonly script: readonly string[] } | null;

function probe(bug: string, look: readonly string[], shrinks = false): Promise<Caught> {
  const env = { ...process.env, LVR_PLANTED: bug, LVR_SHRINK: shrinks ? '1' : '' };
  const [order = 'runs,small', ...more] = look;
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['--import', REGISTER, PROBE, order, ...more], { env, timeout: DEADLINE_MS }, (error, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout) as Caught);
      } catch {
        reject(new Error(`${bug}: ${error?.message ?? ''} ${stderr.slice(-1000)}`));
      }
    });
  });
}

/** The command line with a planted bug in it. */
function lvr(bug: string, words: readonly string[]): Promise<CommandResult> {
  const env = { LVR_PLANTED: bug };
  return runCommand(process.execPath, ['--import', REGISTER, MAIN, ...words], { env, timeoutMs: DEADLINE_MS });
}

let caughtCount = 0;

for (const bug of BUGS) {
  t.test(`planted bug ${bug} is caught`, { timeout: 890_000 }, async (t) => {
    const caught = await probe(bug, LOOK[bug] ?? []);
    t.ok(caught, 'an oracle objects');
    if (caught !== null) caughtCount++;
    t.comment(`figure planted bug ${bug}: ${caught?.oracle} (${caught?.by.split('|')[0]?.trim()})`);
  });
}

t.test(
  'there are enough planted bugs, none is in a build, and without one the same looks find nothing',
  { timeout: 890_000 },
  async (t) => {
    t.ok(BUGS.length >= BUGS_MIN);
    const { PLANTED } = await import('../../src/core/planted.js');
    t.equal(PLANTED, '');
    t.equal(await probe('', ['damage']), null);
    t.equal(await probe('', ['high-water']), null);
    t.equal(await probe('', ['runs', '1', '5']), null);
    for (const look of Object.values(LOOK).filter(([way]) => way === 'scenario')) t.equal(await probe('', look), null);
    t.comment(`figure simulator, planted bugs caught: ${caughtCount} of ${BUGS.length}`);
  },
);

/** Bugs that random runs catch in a few seconds, by different oracles, the first seed or a later one. */
const SHRUNK = ['trim-forgets-sites', 'error-becomes-success', 'flush-answered-early', 'overlay-misses-zeroes'];

for (const bug of SHRUNK) {
  const title = `${bug}: the run is shrunk to at most ${LINES_MAX} lines, and lvr selftest prints the same bytes again and again`;
  t.test(title, { timeout: 890_000 }, async (t) => {
    const caught = (await probe(bug, ['runs'], true)) as (Failure & { by: string }) | null;
    if (caught === null) return void t.fail('no oracle objects');
    const lines = caught.script.filter((line) => !line.startsWith('knob ') && !line.startsWith('#'));
    t.ok(lines.length > 0 && lines.length <= LINES_MAX, lines.join('; '));
    const again = `lvr selftest --seed ${caught.seed} --rounds 1`;
    for (let time = 0; time < 2; time++) {
      const { code, stdout } = await lvr(bug, again.split(' ').slice(1));
      t.equal(code, 1);
      t.equal(stdout, `lvr ${VERSION}: ${failureText(caught)}\n\nagain: ${again}\n`);
    }
    const file = join(t.testdir({ script: `${caught.script.join('\n')}\n` }), 'script');
    const script = await lvr(bug, ['selftest', '--script', file]);
    t.equal(script.code, 1);
    t.match(script.stdout, String(caught.script.at(-1)).replace('# ', ''), 'the shrunk script shows what its last line says');
    t.comment(`figure simulator, run that caught ${bug} shrunk to: ${lines.length} lines, trace ${caught.hash.toString(16)}`);
  });
}
