// Two agents: the primary is killed in the middle of a load and the other side is promoted.
//
// Mode logged: every acknowledged write is there. Mode async: the other side is a prefix, and the lag that was reported before the kill
// covers what is missing. Each round begins with a new pair, because a killed primary may hold writes that the other never saw.
//
// LVR_FAILOVER_ROUNDS (50) kills in mode logged, two fifths of that in mode async; SEED repeats a run.

import t from 'tap';
import { type AgentPair, makePair, type SiteMode, startPair } from '../helpers/agent.js';
import { sleep, until } from '../helpers/command.js';
import { BLOCK_BYTES, History, readImage, type Verdict } from '../helpers/history.js';
import { Load } from '../helpers/load.js';
import { Random } from '../helpers/random.js';
import { Workspace } from '../helpers/workspace.js';

const ROUNDS = Number(process.env['LVR_FAILOVER_ROUNDS'] ?? 50);
const VOLUMES = ['data', 'wal'];
const BLOCKS = (4 * 1048576) / BLOCK_BYTES;
const OPTIONS = { volumes: { data: '4MiB', wal: '4MiB' }, logSize: '32MiB' };

const workspace = new Workspace('failover');
const random = new Random();
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);
t.comment(`SEED=${random.seed}`);

/** Waits for a random number of answers, however slow the machine is: a kill before the first one would prove nothing. */
async function someAnswers(load: Load): Promise<void> {
  const wanted = 10 + random.below(500);
  await until(`${wanted} answers`, 20_000, async () => (load.answers >= wanted ? true : undefined), 1);
}

/** Promotes the secondary as soon as it has noticed that its primary is gone. */
async function promote(pair: AgentPair): Promise<void> {
  await until('lvr promote app', 20_000, async () => {
    const result = await pair.b.lvr('promote', 'app');
    if (result.code !== 0) throw new Error(`exit ${result.code}: ${result.stderr}`);
    return true;
  });
}

/** Reads both volumes of the promoted side and checks them; `floor` is what must be there. */
async function checkPromoted(pair: AgentPair, history: History, floor: readonly number[]): Promise<Verdict> {
  const clients = await Promise.all(VOLUMES.map((volume) => pair.b.connect(volume)));
  const images = await Promise.all(clients.map((client, volume) => readImage(client, volume, BLOCKS)));
  await clients[0]?.write(0, Buffer.alloc(BLOCK_BYTES));
  await clients[0]?.flush();
  await Promise.all(clients.map((client) => client.close()));
  return history.check(images, floor);
}

/** Starts a new pair and a load on its primary. */
async function startRound(
  mode: SiteMode,
  name: string,
): Promise<{ pair: AgentPair; history: History; load: Load; gone: Promise<unknown> }> {
  const pair = await makePair(workspace, mode, OPTIONS, name);
  await startPair(pair);
  const clients = await Promise.all(VOLUMES.map((volume) => pair.a.connect(volume)));
  const history = new History(VOLUMES.length, BLOCKS);
  const load = new Load(clients, history, random, { depth: 8 + random.below(25), blocksMax: 24, flushEvery: 200, fuaEvery: 0 });
  load.start();
  return { pair, history, load, gone: Promise.all(clients.map((client) => client.closed)) };
}

t.test(`mode logged: after each of ${ROUNDS} kills the promoted side has every acknowledged write`, { timeout: 500_000 }, async (t) => {
  let answers = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const { pair, history, load, gone } = await startRound('logged', `l${round}`);
    await someAnswers(load);
    await pair.a.kill();
    await gone;
    answers += load.answers;
    await promote(pair);
    const verdict = await checkPromoted(pair, history, history.answeredMax);
    t.same(verdict.problems, [], `kill ${round} (${load.answers} answers)`);
    if (round % 10 === 0) await checkReturn(t, pair);
    await Promise.all([pair.a.kill(), pair.b.kill()]);
  }
  t.ok(answers > ROUNDS * 10, `the load did something (${answers} answers)`);
});

/** The old primary comes back: it joins as a secondary when its log is a prefix, else both stop with a reason. Never a second primary. */
async function checkReturn(t: Tap, pair: AgentPair): Promise<void> {
  await pair.a.start();
  const status = await pair.b.waitStatus('the old primary joined or was refused', ({ sites }) =>
    sites.some((site) => site.site === 'a' && (site.session === 'refused' || site.replication === 'streaming')),
  );
  const old = await pair.a.status();
  const refused = status.sites[0]?.session === 'refused';
  t.ok(refused || old?.role === 'secondary', `old primary is ${old?.role}, ${status.sites[0]?.session}`);
}

type Tap = Pick<typeof t, 'ok' | 'same'>;

t.test('mode async: the promoted side is a prefix and the reported lag covers what is missing', { timeout: 300_000 }, async (t) => {
  const rounds = Math.ceil((ROUNDS * 2) / 5);
  let missing = 0;
  for (let round = 0; round < rounds; round++) {
    const { pair, history, load, gone } = await startRound('async', `s${round}`);
    await someAnswers(load);
    // In every other round the site stands still for a while, so that there is a lag worth reporting.
    const stopped = round % 2 === 1;
    if (stopped) {
      pair.b.signal('SIGSTOP');
      await sleep(150);
    }
    // What was answered before the question counts: the answer is a moment later than the question.
    const answeredMax = [...history.answeredMax];
    const status = await pair.a.status();
    await pair.a.kill();
    await gone;
    if (stopped) pair.b.signal('SIGCONT');
    await promote(pair);
    const verdict = await checkPromoted(pair, history, [0, 0]);
    t.same(verdict.problems, [], `kill ${round}`);
    const lost = history.missing(verdict.cuts, answeredMax);
    const site = status?.sites.find((one) => one.site === 'b');
    t.ok(lost.writes <= (site?.lagIos ?? -1), `kill ${round}: ${lost.writes} writes missing, lag ${site?.lagIos}`);
    t.ok(lost.bytes <= (site?.lagBytes ?? -1), `kill ${round}: ${lost.bytes} bytes missing, lag ${site?.lagBytes}`);
    missing += lost.writes;
    await pair.b.kill();
  }
  t.ok(missing > 0, `some kills lost unreplicated writes, so the lag was put to the test (${missing})`);
});

t.test('promote is refused while the primary is connected', async (t) => {
  const { pair, load } = await startRound('logged', 'connected');
  const result = await pair.b.lvr('promote', 'app');
  t.equal(result.code, 4, result.stderr);
  t.match(result.stderr, /error\[LVR-E1301\]/);
  t.equal((await pair.b.status())?.role, 'secondary');
  await load.stop();
  t.equal(load.errors, 0, 'the primary goes on undisturbed');
  await Promise.all([pair.a.stop(), pair.b.stop()]);
});
