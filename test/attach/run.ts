// Waiting with a deadline: what it comes to when the work fails, cannot be started, or never ends.

import { closeSync, copyFileSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { flushFailure, runTool, within } from '../../src/attach/run.js';

const never = (): Promise<never> => new Promise(() => undefined);

t.test('within: the result, the rejection, or undefined in the end', async (t) => {
  t.equal(await within(Promise.resolve(5), 1000), 5);
  await t.rejects(within(Promise.reject(new Error('no')), 1000), { message: 'no' });
  t.equal(await within(never(), 10), undefined);
});

t.test('a flush that fails says why, once and as a word: whoever removes a device goes on', async (t) => {
  t.equal(await flushFailure({ sync: async () => undefined }, 1000), '');
  t.match(await flushFailure({ sync: () => Promise.reject(new Error('EIO: i/o error, fsync')) }, 1000), 'EIO: i/o error, fsync');
  t.equal(await flushFailure({ sync: never }, 10), '', 'one that hangs keeps nobody');
});

t.test('a tool that cannot be started has failed, whatever the reason', async (t) => {
  t.match(await runTool('/bin/no-such-tool', []), { code: 1, missing: true });
  t.match(await runTool('sh', ['-c', 'echo said; exit 3']), { code: 3, stdout: 'said', missing: false });
  const directory = mkdtempSync(join(tmpdir(), 'lvr-run-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const tool = join(directory, 'tool');
  copyFileSync('/bin/true', tool);
  const written = openSync(tool, 'r+');
  t.teardown(() => closeSync(written));
  t.match(await runTool(tool, []), { code: 1, stderr: /ETXTBSY/, missing: false }, 'somebody writes it');
});
