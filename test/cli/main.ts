// The lvr binary: exit codes, streams and forms of output that scripts rely on. Runs without an agent.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';

const MAIN = join(import.meta.dirname, '../../src/cli/main.js');
/** No agent listens here. */
const NOWHERE = '/nonexistent/agent.sock';

type Result = { code: number; stdout: string; stderr: string };

function lvr(...words: string[]): Promise<Result> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...words], { env: { ...process.env, LVR_AGENT: NOWHERE } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

t.test('a wrong command line exits 2 with the error form on stderr', async (t) => {
  const rows: [string[], RegExp][] = [
    [[], /which verb/],
    [['statsu'], /[Dd]id you mean status/],
    [['status', '--colour'], /Unknown argument: colour/],
    [['status', '-o', 'yaml'], /Invalid values/],
    [['promote'], /Not enough/],
    [['agent', 'start'], /Invalid values/],
    [['log', 'show'], /needs a GROUP, or --raw FILE/],
    [['log', 'show', 'app', '--raw', 'x'], /mutually exclusive/],
    [['log', 'show', '--raw'], /Not enough arguments following: raw/],
    [['status', '--agent'], /Not enough arguments following: agent/],
    [['status', '--agent', ''], /--agent names no socket/],
    [['status', '--agent', 'a', '--agent', 'b'], /--agent is given twice/],
    [['promote', 'app', '--force=yes'], /--force takes no value, got yes/],
    [['status', '--exit-code=maybe'], /--exit-code takes no value, got maybe/],
  ];
  for (const [words, message] of rows) {
    const { code, stdout, stderr } = await lvr(...words);
    t.equal(code, 2, `exit code of lvr ${words.join(' ')}`);
    t.match(stderr, /^error\[LVR-E1001\]: /);
    t.match(stderr, message);
    t.equal(stdout, '', 'nothing on stdout');
  }
});

t.test('without an agent every verb that needs one exits 7 and says what to do', async (t) => {
  for (const words of [
    ['status'],
    ['attach', 'a/b'],
    ['detach', 'a/b'],
    ['promote', 'a'],
    ['demote', 'a'],
    ['log', 'show', 'a'],
    ['log', 'resize', 'a', '1GiB'],
    ['agent', 'stop'],
  ]) {
    const { code, stderr } = await lvr(...words);
    t.equal(code, 7, words.join(' '));
    t.match(stderr, /error\[LVR-E1005\]: no agent answers on \/nonexistent\/agent\.sock.*\n {2}try: start lvrd/);
  }
});

t.test('with -o json errors are JSON on stderr, wherever the option stands', async (t) => {
  for (const words of [
    ['status', '-o', 'json'],
    ['--output=json', 'status'],
    ['-o', 'json', 'fly'],
  ]) {
    const { code, stderr, stdout } = await lvr(...words);
    const { error } = JSON.parse(stderr);
    t.equal(error.exit, code);
    t.match(error.id, /^LVR-E\d{4}$/);
    t.equal(stdout, '');
  }
});

t.test('version and explain work without an agent', async (t) => {
  const version = await lvr('version', '-o', 'json');
  t.equal(version.code, 0);
  t.match(JSON.parse(version.stdout), { version: /^\d+\.\d+\.\d+/, agent: null });
  t.match((await lvr('explain', 'lvr-e1303')).stdout, /^LVR-E1303 \(IN_USE, exit 12\): /);
  t.match((await lvr('explain', 'c14')).stdout, /^C14: /);
  t.match(JSON.parse((await lvr('explain', '-o', 'json')).stdout), { errors: [{ id: 'LVR-E1000' }], rules: [{ rule: 'C1' }] });
  t.equal((await lvr('explain', 'LVR-E9')).code, 3);
});

t.test('help lists the verbs, and a completion script is printed', async (t) => {
  const help = await lvr('--help');
  t.equal(help.code, 0);
  for (const verb of ['status', 'attach', 'detach', 'promote', 'demote', 'log', 'agent', 'version', 'explain', 'demo']) {
    t.match(help.stdout, new RegExp(`^ {2}lvr ${verb}`, 'm'));
  }
  t.match((await lvr('completion')).stdout, /lvr.*--get-yargs-completions/);
});
