// `lvr log resize` under load: nobody sees an error, the file has the new size, kills cost nothing that was flushed, and what cannot be is
// refused with nothing changed.

import { statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LVR, TestAgent } from '../helpers/agent.js';
import { runCommand, sleep } from '../helpers/command.js';
import { History, readImage } from '../helpers/history.js';
import { Load } from '../helpers/load.js';
import { Random } from '../helpers/random.js';
import { Workspace } from '../helpers/workspace.js';

const MIB = 1 << 20;
const VOLUMES = ['data', 'wal'];
const BLOCKS = 1024;
const ROUNDS = 5;

const workspace = new Workspace('resize');
t.teardown(() => workspace.dispose());
t.setTimeout(300_000);

const sizeOf = (agent: TestAgent): number => statSync(join(agent.directory, 'app.log')).size;

t.test('a log changes its size up and down under load, through kills', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '4MiB', wal: '4MiB' }, logSize: '16MiB' });
  const history = new History(VOLUMES.length, BLOCKS);
  const problems: string[] = [];
  let changes = 0;
  for (let round = 0; round <= ROUNDS; round++) {
    agent.spawn();
    const clients = await Promise.all(VOLUMES.map((volume) => agent.connect(volume)));
    const images = await Promise.all(clients.map((client, volume) => readImage(client, volume, BLOCKS)));
    problems.push(...history.check(images, history.flushedMax).problems);
    history.rebase(images);
    const load = new Load(clients, history, random, { depth: 16, blocksMax: 24, flushEvery: 100, fuaEvery: 150 });
    load.start();
    for (const size of [64, 20 + random.below(10), 16, 33 + random.below(20)]) {
      await sleep(random.below(150));
      const { code, stdout, stderr } = await agent.lvr('log', 'resize', 'app', `${size}MiB`);
      if (code === 0) changes++;
      // Not settled yet, or more used than fits: refused, and the load goes on.
      else if (code !== 4 || !/are still needed|do not fit/.test(stderr)) problems.push(`to ${size} MiB: ${code} ${stdout} ${stderr}`);
    }
    const isLast = round === ROUNDS;
    if (isLast) await load.stop();
    else await agent.kill();
    if (load.errors > 0) problems.push(`${load.errors} requests were answered with an error`);
    await Promise.all(clients.map((client) => (isLast ? client.close() : client.closed)));
  }
  t.same(problems, []);
  t.ok(changes > ROUNDS, `${changes} changes of size`);
  t.comment(`figure log resized under load: ${changes} times`);
  await sleep(2500);
  for (const mib of [24, 16]) {
    const { code, stdout, stderr } = await agent.lvr('log', 'resize', 'app', `${mib}MiB`);
    t.equal(code, 0, stderr);
    t.match(stdout, `the log of app has ${mib}`);
    t.equal(sizeOf(agent), mib * MIB, 'the file has the size of the log');
  }
  t.match((await agent.lvr('log', 'resize', 'app', '16MiB')).stdout, /already has 16/);
  t.match(agent.output(), /"event":"log-resized"/);
  t.equal(await agent.stop(), 0);
});

t.test('bad sizes, unknown groups, missing words: the reason, the exit code, nothing changed', async (t) => {
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '4MiB' }, logSize: '16MiB' }, 'bad');
  await agent.start();
  const cases: [words: string[], code: number, message: RegExp][] = [
    [['app', '8MiB'], 2, /too small: 16 MiB is the least/],
    [['app', String(17 * MIB + 1)], 2, /whole blocks/],
    [['app', 'large'], 2, /expected a size such as "2GiB", got "large"/],
    [['app'], 2, /needs a GROUP and a SIZE/],
    [['nobody', '32MiB'], 3, /nobody/],
    [['app', String(2 ** 50)], 1, /app\.log (does not fit: no space left|would be larger)/],
  ];
  for (const [words, code, message] of cases) {
    const result = await runCommand(process.execPath, [LVR, '--agent', agent.control, 'log', 'resize', ...words]);
    t.equal(result.code, code, words.join(' '));
    t.match(result.stderr, message);
    t.equal(sizeOf(agent), 16 * MIB);
  }
  t.match(await agent.status(), { health: 'healthy' });
  t.equal(await agent.stop(), 0);
});
