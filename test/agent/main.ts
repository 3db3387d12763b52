// The lvrd process: what it refuses to start on, how it ends, and that a second one cannot take over what the first one has.

import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { LVRD, TestAgent } from '../helpers/agent.js';
import { runCommand, until } from '../helpers/command.js';
import { Workspace } from '../helpers/workspace.js';

const workspace = new Workspace('main');
t.teardown(() => workspace.dispose());

const TRIES_MAX = 10;
const SMALL = { role: 'primary', volumes: { data: '16MiB' }, logSize: '16MiB' } as const;

/** Runs lvrd to its end; for starts that must fail. */
function lvrd(...parameters: string[]) {
  return runCommand(process.execPath, [LVRD, ...parameters], { timeoutMs: 20_000 });
}

t.test('without a configuration file lvrd says how it is called', async (t) => {
  const none = await lvrd();
  t.equal(none.code, 2);
  t.match(none.stderr, /error\[LVR-E1001\].*\n.*usage: lvrd --config FILE/);
  t.equal((await lvrd('--colour')).code, 2);
  t.match((await lvrd('--version')).stdout, /^lvrd \d+\.\d+\.\d+/);
});

t.test('an agent stops in order: exit 0, no sockets, a private state directory with an identity that stays', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', ...SMALL }, 'order');
  await agent.start();
  const state = join(agent.directory, 'state');
  t.equal(statSync(state).mode & 0o777, 0o700);
  const identity = readFileSync(join(state, 'agent.json'), 'utf8');
  t.equal(await agent.stop(), 0);
  t.notOk(existsSync(agent.control), 'control socket');
  t.match(agent.output(), /"event":"stopped"/);
  await agent.start();
  t.equal(readFileSync(join(state, 'agent.json'), 'utf8'), identity);
  const stop = await agent.lvr('agent', 'stop');
  t.equal(stop.code, 0, stop.stderr);
  await until('the process is gone', 5_000, async () => (agent.running ? undefined : true));
});

t.test('a second agent on the same socket or state directory exits 12 and names the first', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', ...SMALL }, 'first');
  await agent.start();
  const same = await lvrd('--config', agent.configPath);
  t.equal(same.code, 12);
  t.match(same.stderr, new RegExp(`error\\[LVR-E1303\\]: an agent \\(pid ${agent.pid}\\) already serves ${agent.control}`));
  const other = join(agent.directory, 'other.toml');
  writeFileSync(other, readFileSync(agent.configPath, 'utf8').replace('/agent.sock', '/other.sock'));
  const held = await lvrd('--config', other);
  t.equal(held.code, 12);
  t.match(held.stderr, new RegExp(`belongs to a running agent \\(pid ${agent.pid}\\)`));
  t.equal((await agent.status())?.health, 'healthy', 'the first is undisturbed');
  await agent.kill();
  t.ok(existsSync(agent.control), 'a killed agent leaves its socket');
  await agent.start();
  t.equal(await agent.stop(), 0, 'and the next one replaces it');
});

t.test('a listener that cannot be opened ends the start with its address, and nothing keeps running', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const address = taken.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  for (const [key, name] of [
    ['listen', 'other sites'],
    ['metrics', 'metrics'],
  ] as const) {
    const agent = new TestAgent(workspace, { site: 'a', ...SMALL }, `taken-${key}`);
    const text = readFileSync(agent.configPath, 'utf8');
    writeFileSync(agent.configPath, text.replace('insecure = true', `insecure = true\n${key} = "127.0.0.1:${port}"`));
    const result = await lvrd('--config', agent.configPath);
    t.equal(result.code, 1, key);
    t.match(
      result.stderr,
      new RegExp(`error\\[LVR-E1000\\]: .*${name}.*127\\.0\\.0\\.1:${port}|error\\[LVR-E1000\\]: .*127\\.0\\.0\\.1:${port}`),
      key,
    );
  }
});

t.test('a damaged identity is refused, not replaced', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', ...SMALL }, 'identity');
  const state = join(agent.directory, 'state');
  mkdirSync(state);
  writeFileSync(join(state, 'agent.json'), '{"uuid":');
  const result = await lvrd('--config', agent.configPath);
  t.equal(result.code, 1);
  t.match(result.stderr, /agent\.json is damaged/);
  t.equal(readFileSync(join(state, 'agent.json'), 'utf8'), '{"uuid":');
});

t.test('an agent whose terminal is closed stops in order', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', ...SMALL }, 'hangup');
  await agent.start();
  agent.signal('SIGHUP');
  await until('the process is gone', 20_000, async () => (agent.running ? undefined : true));
  t.match(agent.output(), /"event":"stopping".*SIGHUP[\s\S]*"event":"stopped"/);
});

t.test('a second signal ends the agent at once', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', ...SMALL }, 'twice');
  const isForced = (): boolean => agent.output().includes('"event":"stop-forced"');
  // Both arrive while the process is stopped, so it sees them together, unless a thread that gets one of them is late: a stop of nothing
  // takes 5 ms.
  for (let tries = 1; tries === 1 || (tries <= TRIES_MAX && !isForced()); tries++) {
    await agent.start();
    agent.signal('SIGSTOP');
    agent.signal('SIGTERM');
    agent.signal('SIGINT');
    agent.signal('SIGCONT');
    await until('the process is gone', 5_000, async () => (agent.running ? undefined : true));
  }
  t.ok(isForced(), agent.story());
});
