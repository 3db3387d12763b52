// kill -9 of a primary without sites at random moments under load, over and over on the same two volumes of one group: after each
// restart every flushed write is there, and the volumes together are a prefix of what was written.
//
// LVR_CRASH_ROUNDS (200) kills; SEED repeats a run.

import t from 'tap';
import { TestAgent } from '../helpers/agent.js';
import { sleep } from '../helpers/command.js';
import { BLOCK_BYTES, History, readImage } from '../helpers/history.js';
import { Load } from '../helpers/load.js';
import { Random } from '../helpers/random.js';
import { Workspace } from '../helpers/workspace.js';

const ROUNDS = Number(process.env['LVR_CRASH_ROUNDS'] ?? 200);
const VOLUMES = ['data', 'wal'];
const BLOCKS = (4 * 1048576) / BLOCK_BYTES;
/** The load runs for up to this long before the kill. */
const LOAD_MS_MAX = 120;
const PROBLEMS_MAX = 10;

const workspace = new Workspace('crash');
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);

t.test(`after each of ${ROUNDS} kills every flushed write is there and the volumes are one prefix`, { timeout: 590_000 }, async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '4MiB', wal: '4MiB' }, logSize: '16MiB' });
  const history = new History(VOLUMES.length, BLOCKS);
  const problems: string[] = [];
  let answers = 0;
  let flushedRounds = 0;
  let lostRounds = 0;
  for (let round = 0; round <= ROUNDS && problems.length < PROBLEMS_MAX; round++) {
    agent.spawn();
    const clients = await Promise.all(VOLUMES.map((volume) => agent.connect(volume)));
    const images = await Promise.all(clients.map((client, volume) => readImage(client, volume, BLOCKS)));
    const verdict = history.check(images, history.flushedMax);
    for (const problem of verdict.problems) problems.push(`after kill ${round}: ${problem}`);
    if (history.flushedMax.some((sequence) => sequence > 0)) flushedRounds++;
    if (history.writes.some((writes, volume) => writes.some((write) => write.sequence > (verdict.cuts[volume] as number)))) lostRounds++;
    history.rebase(images);
    if (round === ROUNDS) {
      await Promise.all(clients.map((client) => client.close()));
      break;
    }
    const load = new Load(clients, history, random, { depth: 8 + random.below(25), blocksMax: 24, flushEvery: 100, fuaEvery: 150 });
    load.start();
    await sleep(random.below(LOAD_MS_MAX));
    await agent.kill();
    await Promise.all(clients.map((client) => client.closed));
    answers += load.answers;
    if (load.errors > 0) problems.push(`kill ${round}: ${load.errors} requests were answered with an error`);
  }
  t.same(problems, []);
  t.comment(`${answers} answers; ${flushedRounds} rounds with flushed writes, ${lostRounds} where the kill cut some off`);
  // Without these the test would prove nothing.
  t.ok(answers > ROUNDS * 10, `the load did something (${answers} answers)`);
  t.ok(flushedRounds > ROUNDS / 4, `many kills came after a flush (${flushedRounds})`);
  t.ok(lostRounds > 0, `some kills came in the middle of writes (${lostRounds})`);
  t.equal(await agent.stop(), 0, 'the agent stops in order at the end');
});

t.test('with write_cache = false every answered write survives', { timeout: 120_000 }, async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const options = { site: 'a', role: 'primary', volumes: { data: '4MiB' }, logSize: '16MiB', writeCache: false } as const;
  const agent = new TestAgent(workspace, options, 'through');
  const history = new History(1, BLOCKS);
  let answers = 0;
  for (let round = 0; round < Math.max(2, ROUNDS / 10); round++) {
    agent.spawn();
    const client = await agent.connect('data');
    const images = [await readImage(client, 0, BLOCKS)];
    t.same(history.check(images, history.answeredMax).problems, [], `after kill ${round}`);
    history.rebase(images);
    const load = new Load([client], history, random, { depth: 16, blocksMax: 24, flushEvery: 0, fuaEvery: 0 });
    load.start();
    await sleep(20 + random.below(LOAD_MS_MAX));
    await agent.kill();
    await client.closed;
    answers += load.answers;
  }
  t.ok(answers > 100, `the load did something (${answers} answers)`);
});
