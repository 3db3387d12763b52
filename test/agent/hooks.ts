// Hooks: the right program is told of the right event with the facts of it; slow, failing and missing ones disturb nobody.

import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { withHooks } from '../../src/agent/hooks.js';
import type { Log } from '../../src/core/ports.js';
import { until } from '../helpers/command.js';
import { Workspace } from '../helpers/workspace.js';

const workspace = new Workspace('hooks');
t.teardown(() => workspace.dispose());

function place(name: string): {
  directory: string;
  lines: string[];
  log: Log;
  hook: (event: string, script: string, mode?: number) => void;
} {
  const directory = join(workspace.directory(name), 'hooks');
  mkdirSync(directory);
  const lines: string[] = [];
  const note = (event: string, message: string): void => void lines.push(`${event} ${message}`);
  return {
    directory,
    lines,
    log: { info: note, warn: note, error: note },
    hook: (event, script, mode = 0o755) => {
      writeFileSync(join(directory, event), `#!/bin/sh\n${script}\n`);
      chmodSync(join(directory, event), mode);
    },
  };
}

const told = (path: string): Promise<string> =>
  until(`${path} is there`, 10_000, async () =>
    existsSync(path) && readFileSync(path, 'utf8').endsWith('end\n') ? readFileSync(path, 'utf8') : undefined,
  );

t.test('a hook is told of its event in variables, and of no other; the log has every event', async (t) => {
  const { directory, lines, log, hook } = place('told');
  const out = join(directory, 'out');
  hook('site-detached', `(env | grep ^LVR_ | sort; echo end) > ${out}`);
  hook('not-executable', `touch ${directory}/never`, 0o644);
  const hooked = withHooks(log, directory, 'a');
  hooked.warn('link-lost', 'site b is away', { site: 'b' });
  hooked.info('not-executable', 'nothing');
  hooked.error('site-detached', 'the log moves on; $(touch never)', { group: 'app', site: 'b', usedBytes: 5, list: ['x'], isBad: true });
  const text = await told(out);
  t.same(text.trim().split('\n'), [
    'LVR_AGENT=a',
    'LVR_EVENT=site-detached',
    'LVR_GROUP=app',
    'LVR_IS_BAD=true',
    'LVR_LEVEL=error',
    'LVR_MESSAGE=the log moves on; $(touch never)',
    'LVR_SITE=b',
    'LVR_USED_BYTES=5',
    'end',
  ]);
  t.notOk(existsSync(join(directory, 'never')));
  t.same(
    lines.map((line) => line.split(' ')[0]),
    ['link-lost', 'not-executable', 'site-detached'],
  );
});

t.test('hooks run one after the other; one that fails or does not end is reported and the next one runs', async (t) => {
  const { directory, lines, log, hook } = place('bad');
  const out = join(directory, 'out');
  hook('slow', 'exec sleep 600');
  hook('bad', 'echo no such pager >&2; exit 3');
  hook('good', `(env | grep LVR_EVENT; echo end) > ${out}`);
  const hooked = withHooks(log, directory, 'a', 300);
  const began = performance.now();
  for (const event of ['slow', 'bad', 'good']) hooked.error(event, 'x');
  t.ok(performance.now() - began < 200, 'nobody waits for them');
  t.match(await told(out), /LVR_EVENT=good/);
  t.match(
    lines.filter((line) => line.startsWith('hook-failed')),
    [/slow did not end within 0\.3 s/, /bad failed \(3\): no such pager/],
  );
});

t.test('a flood of events does not pile up: some are not handed on, and that is said once', async (t) => {
  const { directory, lines, log, hook } = place('flood');
  const out = join(directory, 'out');
  hook('last', `echo end > ${out}`);
  const hooked = withHooks(log, directory, 'a');
  for (let i = 0; i < 200; i++) hooked.info('many', 'x');
  await until('the flood is over', 10_000, async () => (lines.some((line) => line.startsWith('hooks-dropped')) ? true : undefined));
  hooked.info('last', 'x');
  await told(out);
  t.equal(lines.filter((line) => line.startsWith('hooks-dropped')).length, 1);
  t.equal(lines.filter((line) => line.startsWith('many')).length, 200, 'the log has all of them');
});

t.test('a hook that cannot be started, because it is being written just now, does not end the agent, and the next one runs', async (t) => {
  const { directory, lines, log, hook } = place('busy');
  const out = join(directory, 'out');
  hook('busy', 'exit 0');
  hook('good', `echo end > ${out}`);
  // ETXTBSY is thrown by the call that starts a process, not told.
  const fd = openSync(join(directory, 'busy'), 'r+');
  const defects: unknown[] = [];
  const note = (reason: unknown): void => void defects.push(reason);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  const hooked = withHooks(log, directory, 'a');
  hooked.error('busy', 'x');
  hooked.error('good', 'x');
  const isThere = until('the next hook runs', 5_000, async () => (existsSync(out) ? true : undefined)).catch(() => false);
  t.equal(await isThere, true);
  closeSync(fd);
  t.same(defects, [], 'in the agent this ends the process');
  t.match(
    lines.filter((line) => line.startsWith('hook-failed')),
    [/busy cannot be started: .*ETXTBSY/],
  );
});
