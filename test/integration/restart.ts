// lvr agent restart through the binaries: another process goes on with the same volumes and history; one that cannot start leaves the old
// agent in its place. The devices of the kernel are looked at in test/kernel/.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LVRD, TestAgent } from '../helpers/agent.js';
import { runCommand, until } from '../helpers/command.js';
import { NbdClient } from '../helpers/nbd-client.js';
import { Workspace } from '../helpers/workspace.js';

const workspace = new Workspace('restart');
t.teardown(() => workspace.dispose());
t.setTimeout(120_000);

/** The process that has the state directory. */
function owner(agent: TestAgent): number {
  return Number(readFileSync(join(agent.directory, 'state/agent.lock'), 'utf8'));
}

async function pidOf(agent: TestAgent): Promise<number> {
  const { stdout } = await agent.lvr('version', '-o', 'json');
  return (JSON.parse(stdout) as { agent: { pid: number } }).agent.pid;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

t.test('another process goes on: same data, new configuration, and again, and in order to the end', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '16MiB' }, logSize: '16MiB' });
  await agent.start();
  const first = agent.pid;
  let before = first;
  for (const value of [1, 2, 3]) {
    const client = await NbdClient.connect(agent.nbdSocket, 'app/data');
    await client.write(4096 * value, Buffer.alloc(4096, value));
    await client.close();
    const { code, stdout, stderr } = await agent.lvr('agent', 'restart');
    t.equal(code, 0, stderr);
    const after = owner(agent);
    t.match(stdout, `agent ${after} goes on instead of ${before}`);
    t.not(after, before);
    t.notOk(isAlive(before), 'the old process is gone');
    t.equal(await pidOf(agent), after, 'the new one answers');
    const next = await NbdClient.connect(agent.nbdSocket, 'app/data');
    for (let i = 1; i <= value; i++) t.ok((await next.read(4096 * i, 4096)).equals(Buffer.alloc(4096, i)), 'unflushed writes are there');
    await next.close();
    before = after;
  }
  t.equal((agent.output().match(/"event":"stopped"/g) ?? []).length, 3);
  t.notMatch(agent.output(), /"level":"(error|fatal)"/);
  process.kill(before, 'SIGTERM');
  await until('the last one ends', 20_000, async () => (isAlive(before) ? undefined : true));
  t.match(agent.output().trim().split('\n').at(-1), /"event":"stopped"/);
});

t.test('a successor that cannot start is reported, and the agent goes on', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '16MiB' }, logSize: '16MiB' }, 'wrong');
  await agent.start();
  const client = await NbdClient.connect(agent.nbdSocket, 'app/data');
  agent.writeConfig('[groups.app.volumes.more]\nsize = "1MiB"\n');
  const { code, stderr } = await agent.lvr('agent', 'restart');
  t.equal(code, 1);
  t.match(stderr, /the new agent did not start, this one goes on: .*lvr\.toml:\d+/);
  await client.write(0, Buffer.alloc(4096, 9));
  t.ok((await client.read(0, 4096)).equals(Buffer.alloc(4096, 9)), 'its clients notice nothing');
  await client.close();
  t.equal(owner(agent), agent.pid);
  agent.writeConfig();
  t.equal((await agent.lvr('agent', 'restart')).code, 0, 'and can be restarted once that is mended');
  process.kill(owner(agent), 'SIGTERM');
  const last = owner(agent);
  await until('it ends', 20_000, async () => (isAlive(last) ? undefined : true));
});

t.test('a group that the new agent cannot open is said, and the exit code tells', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '16MiB' }, logSize: '16MiB' }, 'failing');
  await agent.start();
  const text = readFileSync(agent.configPath, 'utf8');
  writeFileSync(agent.configPath, text.replace(/log = \{ path = "[^"]*"/, `log = { path = "${agent.directory}"`));
  const { code, stdout, stderr } = await agent.lvr('agent', 'restart');
  t.equal(code, 5);
  t.match(stdout, /goes on instead of/);
  t.match(stderr, /warning: group app has failed since: .* is a directory/);
  const { stdout: shown } = await agent.lvr('status');
  t.match(shown, /GROUP app {2}role unknown on a {2}FAILED/);
  const last = owner(agent);
  process.kill(last, 'SIGTERM');
  await until('it ends', 20_000, async () => (isAlive(last) ? undefined : true));
});

t.test('nobody else can start a successor', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary' }, 'alone');
  const { code, stderr } = await runCommand(process.execPath, [LVRD, '--config', agent.configPath, '--successor']);
  t.equal(code, 2);
  t.match(stderr, /--successor is for the agent itself/);
});

t.test('a successor that is not ready when the agent is told to stop ends with it', async (t) => {
  const sleeps = `if (process.argv.includes('--successor')) await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const environment = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(sleeps)}` };
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', environment }, 'slow');
  await agent.start();
  const restart = agent.lvr('agent', 'restart');
  const children = `/proc/${agent.pid}/task/${agent.pid}/children`;
  const successor = await until('it is started', 20_000, async () => Number(readFileSync(children, 'utf8')) || undefined);
  agent.signal('SIGTERM');
  await until('the agent ends', 30_000, async () => (agent.running ? undefined : true));
  await until('and the successor', 5_000, async () => (isAlive(successor) ? undefined : true));
  t.match(agent.output().trim().split('\n').at(-1), /"event":"stopped"/);
  t.not((await restart).code, 0);
});
