// What status says where nothing better than the truth would be easy: sites that need a seed, copies in the making, writers that are held.

import t from 'tap';
import { SiteVerbs } from '../../src/group/site-verbs.js';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';
import { SlowCopy } from '../helpers/slow-copy.js';

const PIECE = 65536;
const VOLUME_BYTES = 16 * PIECE;

t.test('a site that needs a seed lacks everything, and no resync can change that', async (t) => {
  const world = new SimWorld(new Random());
  const options = { volumeBytes: VOLUME_BYTES };
  const a = await world.add('a', { sites: ['b', 'c'], ...options });
  const b = await world.add('b', { sites: ['a', 'c'], role: 'secondary', ...options });
  await world.advance(5000);
  const client = new SimClient(a, new History(VOLUME_BYTES));
  for (let i = 0; i < 400; i++) {
    client.write(0, (i % 16) * PIECE, PIECE, false, 1);
    client.flush();
    client.commit();
    await world.advance(50);
  }
  await world.advance(5000);
  a.crash('power');
  await world.advance(30_000);
  await world.drive(b.group.promote({ force: true }));
  await world.advance(60_000);
  const c = () => b.group.status().sites.find(({ site }) => site === 'c');
  const isWhole = (what: string): void => {
    const { lagBytes = 0, lagIos = 0, lagSeconds = 0 } = c() ?? {};
    t.ok(lagIos >= 400 && lagBytes >= 2 * VOLUME_BYTES && lagSeconds > 50, `${what}: ${JSON.stringify(c())}`);
  };
  isWhole('before it is met');
  t.match(c(), { session: 'offline', tracking: 'none', dirtyBytes: 2 * VOLUME_BYTES });
  await world.add('c', { sites: ['a', 'b'], role: 'secondary', ...options });
  await world.advance(60_000);
  isWhole('after it was met');
  t.match(c(), { session: 'refused', tracking: 'none', dirtyBytes: 2 * VOLUME_BYTES, logFullEtaSeconds: null, rule: 'C7' });
  world.sites.at(-1)?.crash('power');
  await world.advance(60_000);
  isWhole('when it is gone again');
  t.match(c(), { session: 'offline', tracking: 'none', dirtyBytes: 2 * VOLUME_BYTES });
  await world.sites.at(-1)?.start();
  await world.advance(120_000);
  t.throws(() => new SiteVerbs(b.group).startSync('c'), { code: 'NEEDS_SEED', message: /site c .* needs a seed/ });
});

t.test('a secondary that has received nothing is not healthy', async (t) => {
  const world = new SimWorld(new Random());
  const alone = await world.add('c', { role: 'secondary' });
  t.match(alone.group.status(), { health: 'degraded', image: 'inconsistent', reason: /no primary was met/ });
});

t.test('a resync makes both sides degraded until it ends, also while it is cut off', async (t) => {
  const story = await SlowCopy.begin(t);
  const { world, b } = story;
  t.match(b.group.status(), { health: 'healthy', image: 'consistent' });
  await story.untilLogKept();
  const inTheMaking = { health: 'degraded', image: 'inconsistent', reason: /a resync overwrites the volumes here/ };
  t.match(b.group.status(), inTheMaking);
  story.lose();
  await world.advance(4000);
  t.match(b.group.status(), inTheMaking);
  world.blocked.clear();
  await world.advance(300_000);
  t.match(b.group.status(), { health: 'healthy', image: 'consistent', reason: '' });
  story.alike(t);
});

t.test('a secondary needs its primary, and no other secondary', async (t) => {
  const world = new SimWorld(new Random());
  const b = await world.add('b', { sites: ['a', 'c'], role: 'secondary' });
  const c = await world.add('c', { sites: ['a', 'b'], role: 'secondary' });
  await world.advance(5000);
  for (const site of [b, c]) t.match(site.group.status(), { health: 'degraded', reason: /^no primary is connected; .* lvr promote app$/ });
  const a = await world.add('a', { sites: ['b', 'c'] });
  await world.advance(5000);
  for (const site of [a, b, c]) t.match(site.group.status(), { health: 'healthy', reason: '' }, site.name);
  a.crash('power');
  await world.advance(5000);
  t.match(b.group.status(), { health: 'degraded', reason: /^site a is offline: connection reset/ });
});

for (const [onDisconnect, words] of [
  ['block', /; writers wait for it \(on_disconnect = "block"\)$/],
  ['fail', /; writes fail \(on_disconnect = "fail"\)$/],
  ['continue', /^site b is \w+: [^;]*$/],
] as const) {
  t.test(`what on_disconnect = "${onDisconnect}" does to writers is in the reason`, async (t) => {
    const world = new SimWorld(new Random());
    const a = await world.add('a', { sites: ['b'], mode: 'logged', onDisconnect });
    const b = await world.add('b', { sites: ['a'], role: 'secondary' });
    await world.advance(5000);
    b.crash('power');
    await world.advance(5000);
    t.match(a.group.status(), { health: 'degraded', reason: words });
  });
}
