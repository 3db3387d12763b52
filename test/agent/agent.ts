// agent/agent.ts with made-up groups: order of start and stop, groups that fail, verbs, status and metrics.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { AgentProcess } from '../../src/agent/agent.js';
import { groupStatus } from '../../src/agent/status.js';
import type { Successor } from '../../src/agent/succession.js';
import { askAgent } from '../../src/cli/client.js';
import * as fake from './world.js';

const dir = mkdtempSync(join(tmpdir(), 'lvr-agent-'));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));

function makeWorld(name: string, stopAsked?: () => void, startSuccessor?: AgentProcess['startSuccessor']): fake.World {
  return fake.makeWorld(dir, name, stopAsked, startSuccessor);
}

t.test('things start and stop in order, and a group that cannot be opened keeps nobody from working', async (t) => {
  const { agent, control, events } = makeWorld('order');
  await agent.start();
  const { items } = agent.status();
  t.same(
    items.map(({ group, health }) => `${group} ${health}`),
    ['app healthy', 'bad failed', 'sec healthy'],
  );
  t.match(items[1], {
    reason: 'the log of bad belongs to group other',
    image: 'failed',
    volumes: [{ export: 'bad/data' }],
    sites: [{ session: 'offline' }],
  });
  await t.rejects(askAgent(control, 'promote', { group: 'bad', force: false }), { code: 'LOG_FOREIGN' });
  await agent.stop();
  t.same(events, [
    'open app',
    'open sec',
    'log group-not-opened',
    'links',
    'nbd unix',
    'start app',
    'start sec',
    'restored',
    'nbd stops',
    'links stop',
    'stop app',
    'stop sec',
  ]);
  await t.rejects(askAgent(control, 'version', {}), { code: 'AGENT_UNREACHABLE' });
});

t.test('the status document has its fixed head, and one group can be asked for', async (t) => {
  const { agent, control } = makeWorld('status');
  await agent.start();
  t.teardown(() => agent.stop());
  const document = await askAgent(control, 'status', { group: 'app' });
  t.match(document, { apiVersion: 'lvr/v1', kind: 'Status', time: /^\d{4}-.*Z$/, site: 'a', items: [{ group: 'app', epoch: '3' }] });
  t.equal(document.items.length, 1);
  await t.rejects(askAgent(control, 'status', { group: 'apq' }), { code: 'NOT_FOUND', exit: 3, message: /did you mean "app"/ });
});

t.test('attach and detach are idempotent, and say which volume does not exist', async (t) => {
  const { agent, control, events, dead } = makeWorld('attach');
  await agent.start();
  t.teardown(() => agent.stop());
  t.match(await askAgent(control, 'attach', { target: 'app/data' }), { changed: true, device: '/dev/loop7', how: 'how', link: '/l' });
  t.match(await askAgent(control, 'attach', { target: 'app/data' }), { changed: false, device: '/dev/loop7' });
  await t.rejects(askAgent(control, 'attach', { target: 'app/data', device: '/dev/loop1' }), { code: 'IN_USE' });
  t.equal((await askAgent(control, 'status', { group: 'app' })).items[0]?.volumes[0]?.attached, '/dev/loop7');
  t.match(await askAgent(control, 'detach', { target: '/dev/loop7' }), { changed: true, target: 'app/data' });
  t.match(await askAgent(control, 'detach', { target: 'app/data' }), { changed: false });
  await askAgent(control, 'attach', { target: 'app/data' });
  dead.add('app/data');
  t.match(await askAgent(control, 'attach', { target: 'app/data' }), { changed: true }, 'a device that no longer works is made anew');
  t.ok(events.includes('attach app/data anew'));
  await t.rejects(askAgent(control, 'attach', { target: 'app/dato' }), { code: 'NOT_FOUND', message: /did you mean "data"/ });
  await t.rejects(askAgent(control, 'attach', { target: 'app' }), { code: 'USAGE' });
  await t.rejects(askAgent(control, 'attach', { target: 'sec/data' }), { code: 'ROLE', exit: 4, message: /it is secondary/ });
  await t.rejects(askAgent(control, 'detach', { target: '/dev/loop8' }), { code: 'NOT_FOUND' });
});

t.test('demote is refused while a volume is attached; promote warns when forced', async (t) => {
  const { agent, control, holders } = makeWorld('roles');
  await agent.start();
  t.teardown(() => agent.stop());
  await askAgent(control, 'attach', { target: 'app/data' });
  holders.push('mounted on /srv');
  await t.rejects(askAgent(control, 'demote', { group: 'app' }), { code: 'IN_USE', exit: 12, details: { holders: ['mounted on /srv'] } });
  await t.rejects(askAgent(control, 'agent-stop', {}), { code: 'IN_USE', details: { holders: ['mounted on /srv'] } });
  holders.length = 0;
  await askAgent(control, 'detach', { target: 'app/data' });
  t.match(await askAgent(control, 'demote', { group: 'app' }), { changed: true, warnings: [/^site c lacks writes of this one/] });
  await t.rejects(askAgent(control, 'promote', { group: 'sec', force: false }), { code: 'PRIMARY_CONNECTED' });
  t.match(await askAgent(control, 'promote', { group: 'sec', force: true }), {
    changed: true,
    epoch: '4',
    warnings: [/after LSN 12 are not here/],
  });
  t.match(await askAgent(control, 'promote', { group: 'sec', force: true }), { changed: false, warnings: [] });
});

t.test('log resize hands a size in bytes to the group, and refuses what is none', async (t) => {
  const { agent, control, events } = makeWorld('resize');
  await agent.start();
  t.teardown(() => agent.stop());
  t.same(await askAgent(control, 'log-resize', { group: 'app', size: '2GiB' }), { changed: true, group: 'app', sizeBytes: 2 ** 31 });
  t.same(await askAgent(control, 'log-resize', { group: 'app', size: '1000' }), { changed: false, group: 'app', sizeBytes: 1000 });
  t.ok(events.includes(`resize app ${2 ** 31}`));
  await t.rejects(askAgent(control, 'log-resize', { group: 'app', size: '-1' }), { code: 'USAGE', message: /expected a size/ });
  await t.rejects(askAgent(control, 'log-resize', { group: 'no', size: '1GiB' }), { code: 'NOT_FOUND' });
});

t.test('agent stop is answered, then the stop is asked for', async (t) => {
  let asked = 0;
  const { agent, control } = makeWorld('stop', () => void asked++);
  await agent.start();
  t.same(await askAgent(control, 'agent-stop', {}), { pid: process.pid });
  for (const verb of ['agent-stop', 'agent-restart'] as const)
    await t.rejects(askAgent(control, verb, {}), { code: 'IN_USE', message: /the agent is ending/ }, `no ${verb} behind it`);
  await t.rejects(askAgent(control, 'attach', { target: 'app/data' }), { code: 'IN_USE' }, 'nothing is changed any more');
  t.equal((await agent.status()).items.length > 0, true, 'it still says how it is');
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(asked, 1);
  await agent.stop();
});

t.test('a stop waits for a promotion that is under way, and a group that cannot be closed keeps no other from it', async (t) => {
  const { agent, control, events, groups } = makeWorld('under-way');
  await agent.start();
  const sec = groups.get('sec') as fake.FakeGroup;
  let promoted = (): void => undefined;
  sec.gate = new Promise((resolve) => {
    promoted = resolve;
  });
  (groups.get('app') as fake.FakeGroup).failsToStop = true;
  events.length = 0;
  const answer = askAgent(control, 'promote', { group: 'sec', force: true });
  const asked = askAgent(control, 'version', {});
  await asked;
  const stopped = agent.stop();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.same(events, []);
  promoted();
  await t.rejects(stopped, { message: 'app cannot be closed' });
  t.match(await answer, { changed: true });
  t.same(events, ['promoted sec', 'nbd stops', 'links stop', 'stop app', 'stop sec', 'log group-not-stopped']);
});

t.test('a successor that gets ready when the agent stops already is not needed', async (t) => {
  let abandoned = 0;
  let ready = (_: Successor): void => undefined;
  const starting = new Promise<Successor>((resolve) => {
    ready = resolve;
  });
  const { agent, control } = makeWorld('late', undefined, () => starting);
  await agent.start();
  const restart = askAgent(control, 'agent-restart', {});
  const refused = t.rejects(restart, { code: 'IN_USE', message: /the agent is ending/ });
  await askAgent(control, 'version', {});
  const stopped = agent.stop();
  ready({ pid: 5, abandon: () => void abandoned++ } as Successor);
  await refused;
  t.equal(abandoned, 1);
  await stopped;
});

t.test('what was attached is attached again at start, and remembered at stop', async (t) => {
  const { agent, events, again, attached } = makeWorld('again');
  for (const target of ['app/data', 'sec/data', 'gone/data']) again.push({ target, resumes: false });
  await agent.start();
  t.same([...attached.keys()], ['app/data'], 'the secondary and the unknown one are left out');
  t.match(attached.get('app/data')?.identity, /^lvr:.+\/data@.+#3$/, 'a device is of one epoch');
  t.equal(events.filter((event) => event === 'log not-attached-again').length, 2, 'and reported');
  await agent.stop();
  t.ok(events.includes('detach app/data true'));
});

t.test('a device that waits is served again at start, and left to the next agent while it is in use', async (t) => {
  const { agent, events, again, attached, holders } = makeWorld('waits');
  again.push({ target: 'app/data', resumes: true }, { target: 'sec/data', resumes: true });
  await agent.start();
  t.same([...attached.keys()], ['app/data'], 'that of a secondary goes on waiting');
  t.ok(events.includes('log device-waits'), 'and that is reported');
  holders.push('mounted on /srv');
  await agent.stop();
  t.ok(events.includes('leave app/data'));
  t.notOk(
    events.some((event) => event.startsWith('detach')),
    'nothing is taken from its users',
  );
});

t.test('a device that nobody uses is removed at stop, whatever it is', async (t) => {
  const { agent, events, again } = makeWorld('free');
  again.push({ target: 'app/data', resumes: true });
  await agent.start();
  await agent.stop();
  t.ok(events.includes('detach app/data true'));
});

t.test(
  'an agent that gives way settles first, leaves devices, gives sockets away before it stops, and says where the logs end',
  async (t) => {
    const { agent, events, again } = makeWorld('way');
    again.push({ target: 'app/data', resumes: true });
    await agent.start();
    events.length = 0;
    let ends: object = {};
    await agent.giveWay({
      give: async (sockets) => void events.push(`give ${sockets.length}`),
      go: async (given) => {
        ends = given;
      },
    });
    t.same(events, [
      'settle app',
      'settle sec',
      'leave app/data',
      'give 0',
      'nbd stops',
      'links stop',
      'quick',
      'stop app',
      'quick',
      'stop sec',
    ]);
    t.same(Object.keys(ends), ['app', 'sec']);
  },
);

t.test('a restart is refused for a device that would not live through it, not for one of the kernel', async (t) => {
  const { agent, control, events, holders } = makeWorld('mortal');
  await agent.start();
  t.teardown(() => agent.stop());
  await askAgent(control, 'attach', { target: 'app/data' });
  holders.push('mounted on /srv');
  await t.rejects(askAgent(control, 'agent-restart', {}), { code: 'IN_USE', message: /cannot restart: app\/data is in use/ });
  holders.length = 0;
  await t.rejects(askAgent(control, 'agent-restart', {}), { code: 'FAILED', message: 'there is none' }, 'a successor is started');
  await agent.giveWay({ give: async () => undefined, go: async () => undefined });
  t.ok(events.includes('detach app/data true'), 'a free one is removed and remembered');
  const other = makeWorld('immortal');
  other.again.push({ target: 'app/data', resumes: true });
  await other.agent.start();
  t.teardown(() => other.agent.stop());
  other.holders.push('mounted on /srv');
  await t.rejects(askAgent(other.control, 'agent-restart', {}), { code: 'FAILED' });
  await t.rejects(askAgent(other.control, 'agent-stop', {}), { code: 'IN_USE', hint: /lvr agent restart/ });
});

t.test('a group that has failed says itself what becomes of requests; of one that did not start the agent does', async (t) => {
  const { agent } = makeWorld('said');
  await agent.start();
  t.teardown(() => agent.stop());
  const [status] = agent.status('app').items;
  if (status === undefined) throw new Error('no group');
  const failure = new Error('log x: I/O error');
  const none = () => ({ attached: '', isLost: false });
  const said = { ...status, health: 'failed', reason: 'log x: I/O error; requests are held' } as const;
  t.equal(groupStatus(said, none, failure).reason, said.reason);
  t.match(groupStatus(status, none, failure), { health: 'failed', reason: failure.message });
});
