// Limits and the verbs lvr site and lvr sync with real agents: a paused site falls behind its limit, is tracked by a bitmap, stays paused
// over a restart of the agent, and is copied to when an operator lets it; exit codes, JSON and progress as they are promised.

import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type AgentPair, makePair, startPair, type TestAgent } from '../helpers/agent.js';
import { Workspace } from '../helpers/workspace.js';

const MIB = 1048576;
const BYTES = 24 * MIB;
const workspace = new Workspace('sites');
t.teardown(() => workspace.dispose());
t.setTimeout(300_000);

type Site = {
  tracking: string;
  dirtyBytes: number;
  replication: string;
  resync: { state: string; percent: number } | null;
  limits: { crossed: string[] };
};

/** The whole status of site b, which the helper shows in parts only. */
async function siteOf(agent: TestAgent): Promise<Site> {
  const result = await agent.lvr('status', 'app', '-o', 'json');
  return (JSON.parse(result.stdout) as { items: { sites: Site[] }[] }).items[0]?.sites[0] as Site;
}

/** Fills the volume from `offset` on and flushes. */
async function fill(agent: TestAgent, length: number, value: number): Promise<void> {
  const client = await agent.connect('data');
  for (let at = 0; at < length; at += MIB) await client.write(at, Buffer.alloc(MIB, value));
  await client.flush();
  await client.close();
}

function sameImages({ a, b }: AgentPair): boolean {
  const read = (agent: TestAgent): Buffer => {
    const bytes = Buffer.alloc(BYTES);
    const fd = openSync(join(agent.directory, 'data.img'), 'r');
    readSync(fd, bytes, 0, BYTES, 0);
    closeSync(fd);
    return bytes;
  };
  return read(a).equals(read(b));
}

t.test('a paused site, its limit, its bitmap, a restart, and the resync an operator asks for', async (t) => {
  const pair = await makePair(workspace, 'async', { volumes: { data: `${BYTES / MIB}MiB` } }, 'story');
  const { a, b } = pair;
  a.writeConfig('[groups.app.sites.b.limits]\nmax_bytes = { high = "4MiB", action = "degrade" }\n[groups.app.resync]\nmin_dwell = 1\n');
  await startPair(pair);

  const paused = await a.lvr('site', 'pause', 'app', 'b', '-o', 'json');
  t.same([paused.code, JSON.parse(paused.stdout)], [0, { changed: true, group: 'app', site: 'b' }]);
  t.match(await a.lvr('site', 'pause', 'app', 'b'), { code: 0, stdout: 'site b of group app is already paused\n' });
  await fill(a, BYTES, 1);
  await a.waitStatus('site b is tracked by a bitmap', ({ sites }) => (sites[0] as unknown as Site).tracking === 'bitmap');
  t.match(await siteOf(a), { replication: 'paused', limits: { crossed: ['max_bytes'] } });
  t.match(await a.lvr('status'), {
    stdout: /resync b: .* to copy, not under way \(the link to site b is paused at site a; more than 4194304 bytes behind/,
  });
  t.match(a.story(), /limit-crossed/);
  t.match(a.story(), /bitmap-mode/);

  await a.stop();
  await a.start();
  await fill(a, MIB, 2);
  t.match(await siteOf(a), { replication: 'paused', tracking: 'bitmap' }, 'a restart does not end a pause');
  const refused = await a.lvr('sync', 'start', 'app', 'b', '-o', 'json');
  t.equal(refused.code, 4);
  t.match(JSON.parse(refused.stderr), {
    error: { code: 'ROLE', message: /site b of group app is paused/, hint: 'lvr site resume app b', exit: 4 },
  });

  t.equal((await a.lvr('sync', 'pause', 'app')).stdout, 'resync of b paused\n');
  t.equal((await a.lvr('site', 'resume', 'app', 'b')).stdout, 'site b of group app resumed\n');
  await a.waitStatus('the resync is paused', ({ sites }) => (sites[0] as unknown as Site).resync?.state === 'paused', 30_000);
  t.match((await a.lvr('sync', 'status', 'app')).stdout, /^b: \[-+\] {2}0\.0 % .* the resync is paused\n$/);
  t.equal((await a.lvr('site', 'set', 'app', 'b', 'max_rate=8MiB', 'min_rate=0')).stdout, 'site b of group app changed\n');

  const followed = await a.lvr('sync', 'start', 'app', 'b', '--watch', '-o', 'jsonl');
  t.equal(followed.code, 0, followed.stderr);
  const [started, ...lines] = followed.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.same(started, { changed: true, group: 'app', sites: ['b'] });
  t.ok(lines.length >= 2, 'at the beginning and at the end');
  t.match(lines[0], { group: 'app', site: 'b', replication: 'resyncing', resync: { state: 'running' } });
  t.match(lines.at(-1), { tracking: 'log', dirtyBytes: 0, resync: null });
  await a.waitStatus('site b has everything', ({ sites }) => sites[0]?.replication === 'streaming' && sites[0].lagIos === 0);
  t.match(await a.lvr('sync', 'status', 'app', 'b'), { code: 0, stdout: 'b: nothing to copy\n' });
  t.equal((await a.lvr('sync', 'start', 'app', 'b')).code, 4);
  await a.stop();
  await b.stop();
  t.ok(sameImages(pair), 'the volumes are the same');
});

t.test('settings of a running site: in force at once, refused with the reason when they make no sense', async (t) => {
  const pair = await makePair(workspace, 'async', {}, 'set');
  const { a, b } = pair;
  await startPair(pair);
  t.match(await a.lvr('site', 'set', 'app', 'b', 'mode=logged'), { code: 0 });
  await a.waitStatus('mode logged is in force', ({ sites }) => sites[0]?.effectiveMode === 'logged');
  t.match(await a.lvr('site', 'set', 'app', 'b', 'mode=logged'), { code: 0, stdout: /already as asked for/ });
  for (const [words, code, message] of [
    [['app', 'b', 'max_ios=5'], 2, /max_ios: action throttle contradicts mode logged/],
    [['app', 'b', 'max_bytes=1MiB,low=2MiB,action=alert'], 2, /low mark 2097152 is not below the high mark 1048576/],
    [['app', 'b', 'modes=async'], 2, /did you mean "mode"/],
    [['app', 'x', 'mode=async'], 3, /group app has no site x/],
    [['ap', 'b', 'mode=async'], 3, /there is no group ap/],
  ] as const) {
    const result = await a.lvr('site', 'set', ...words);
    t.equal(result.code, code, words.join(' '));
    t.match(result.stderr, message);
    t.match(result.stderr, /^error\[LVR-E\d+\]/);
  }
  t.match(await b.lvr('site', 'set', 'app', 'a', 'mode=async'), { code: 4, stderr: /group app is secondary here/ });
  t.match(await a.lvr('sync', 'status', 'app', 'x'), { code: 3 });
  await a.stop();
  await b.stop();
});
