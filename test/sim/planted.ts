// Every planted bug (src/core/planted.ts) must be caught: by random runs, by the small worlds, by damaged logs or by failing operations.
// One process a bug; where it is known which of them sees a bug, that one comes first.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

t.setTimeout(890_000);

const PROBE = join(import.meta.dirname, 'planted-probe.js');
const REGISTER = join(import.meta.dirname, 'planted-register.js');
const SOURCE = join(import.meta.dirname, '..', '..', '..', 'src', 'core', 'planted.ts');
const DEADLINE_MS = 300_000;
const BUGS_MIN = 25;
const LINES_MAX = 30;

/**
 * Ways to look, and the scenario for failing operations or the first seed and the number of random runs. Others: random runs from seed 1
 * on, then the small worlds.
 */
const LOOK: Readonly<Record<string, readonly string[]>> = {
  'ghosts-accepted': ['small'],
  'superblock-one-slot': ['small'],
  'open-without-flush': ['small'],
  'failed-volume-flush-ignored': ['nth', 'one site writes and flushes'],
  'cut-forgotten': ['nth', 'the end of the primary log is lost'],
  'tail-always-cut': ['damage'],
  'promotion-not-recorded': ['runs', '75', '100'],
  'log-dropped-before-bitmap': ['runs', '7026', '20'],
  'bit-cleared-on-send': ['runs', '7016', '60'],
  'regions-not-flushed': ['runs', '7016', '60'],
  'resync-not-recorded': ['runs', '7005', '20'],
  'undo-not-saved': ['runs', '7016', '60'],
  'undo-dropped-early': ['nth', 'a promotion in mid-resync'],
  'bad-bitmap-page-clean': ['runs', '7061', '120'],
  'resync-overwrites-newer-write': ['runs', '7138', '60'],
  'kept-log-not-marked': ['scenario', 'overflow-kept-demoted.txt'],
  'overwritten-not-marked': ['scenario', 'overflow-overwritten.txt'],
  'bitmap-base-too-old': ['scenario', 'overflow-promoted-base.txt'],
  'end-mark-forgotten': ['scenario', 'overflow-three-times.txt'],
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
    t.equal(await probe('', ['runs', '1', '5']), null);
    t.comment(`figure simulator, planted bugs caught: ${caughtCount} of ${BUGS.length}`);
  },
);

t.test(
  `the run that catches a planted bug is shrunk to at most ${LINES_MAX} lines that still catch it`,
  { timeout: 890_000 },
  async (t) => {
    const caught = await probe('trim-forgets-sites', ['runs'], true);
    const lines = (caught?.script ?? []).filter((line) => !line.startsWith('knob ') && !line.startsWith('#'));
    t.ok(lines.length > 0 && lines.length <= LINES_MAX, lines.join('; '));
    t.comment(`figure simulator, a planted bug's run shrunk to: ${lines.length} lines`);
  },
);
