// lvr selftest as a user starts it: forms of output, exit codes, errors.

import { join } from 'node:path';
import t from 'tap';
import { type CommandResult, runCommand } from '../helpers/command.js';

const MAIN = join(import.meta.dirname, '../../src/cli/main.js');
const SCENARIO = join(import.meta.dirname, '../../../test/scenarios/failover.txt');

function selftest(...words: string[]): Promise<CommandResult> {
  return runCommand(process.execPath, [MAIN, 'selftest', ...words], { timeoutMs: 120_000 });
}

t.setTimeout(290_000);

t.test('a seed gives the same figures every time, in words and as JSON', { timeout: 160_000 }, async (t) => {
  const words = await selftest('--seed', '3', '--rounds', '2');
  t.equal(words.code, 0, words.stderr);
  t.match(words.stdout, /^2 seeds from 3, 0\.3 virtual hours, \d+ answers checked: no violation$/m);
  const [first, again] = [
    await selftest('--seed', '3', '--rounds', '2', '-o', 'json'),
    await selftest('--seed', '3', '--rounds', '2', '-o', 'json'),
  ];
  t.equal(first.stdout, again.stdout);
  t.match(JSON.parse(first.stdout), { seeds: 2, seed: 3, failure: null });
});

t.test('a scenario file is run, and a file or a seed that cannot be is a usage error', { timeout: 160_000 }, async (t) => {
  const good = await selftest('--script', SCENARIO);
  t.same([good.code, /as expected/.test(good.stdout)], [0, true]);
  for (const words of [
    ['--script', '/nonexistent'],
    ['--seed', '1.5'],
    ['--seed', '1', '--rounds', '0'],
  ]) {
    const bad = await selftest(...words);
    t.equal(bad.code, 2);
    t.match(bad.stderr, /^error\[LVR-E1001\]: /);
  }
});
