// The last phase of a resync, in which the log is kept for what the site lacks besides its bitmap.

import t, { type Test } from 'tap';
import type { LogFull } from '../../src/core/group-config.js';
import { SiteVerbs } from '../../src/group/site-verbs.js';
import { SimClient } from '../../src/sim/client.js';
import { History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSiteOptions, SimWorld } from '../helpers/sim-group.js';
import { PIECE, PIECES, SlowCopy } from '../helpers/slow-copy.js';

const MIB = 1 << 20;
const LOG_FULL: readonly LogFull[] = ['bitmap', 'bitmap-if-disconnected', 'throttle', 'fail', 'detach'];

/** Half of what b lacks is copied, and the log is kept for it. */
async function lastPhase(t: Test, options: SimSiteOptions = {}): Promise<SlowCopy> {
  const story = await SlowCopy.begin(t, options);
  await story.untilLogKept();
  t.ok(story.isLogKept);
  return story;
}

t.test('until the site is back in the log, status says that it is no image', async (t) => {
  const { world, a, b } = await lastPhase(t);
  let looks = 0;
  for (; b.group.status().image === 'inconsistent'; looks++) {
    t.match(a.group.status(), { health: 'degraded', reason: /no image of any moment/, sites: [{ tracking: 'bitmap' }] });
    await world.advance(100);
  }
  t.ok(looks > 10, `${looks} looks`);
  await world.advance(1000);
  t.match(a.group.status(), { health: 'healthy', sites: [{ tracking: 'log', replication: 'streaming' }] });
});

t.test('what is written while a site has to stay with its bitmap fills the log more than once: the resync ends all the same', async (t) => {
  const volumeBytes = 24 * MIB;
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const pace = { maxRate: 16 * MIB, latencyTargetMs: 0, checksum: 'off' } as const;
  const a = await world.add('a', { sites: ['b'], volumeBytes, undo: 'off', resync: { minDwellMs: 10_000, ...pace } });
  await world.add('b', { sites: ['a'], volumeBytes, undo: 'off', role: 'secondary', logBytes: 64 * MIB });
  await world.advance(5000);
  const client = new SimClient(a, new History(volumeBytes));
  client.roomAvailable = () => undefined;
  let written = 0;
  /** A second of 10 MiB. */
  const second = async (): Promise<void> => {
    for (let tick = 0; tick < 20; tick++) {
      for (let i = 0; i < 8; i++) {
        if (client.write(written % 2, ((written >> 1) % (volumeBytes / PIECE)) * PIECE, PIECE, false, 1) === undefined) {
          a.group.backends.get('data')?.waitForRoom(client);
          break;
        }
        written++;
      }
      client.commit();
      await world.advance(50);
    }
  };
  world.fold(a, 'b');
  await second();
  world.blocked.clear();
  let seconds = 0;
  for (; seconds < 40 && a.group.sites.find('b')?.bitmap !== undefined; seconds++) await second();
  t.ok(seconds >= 8 && seconds < 20, `back in the log after ${seconds} s`);
  t.equal(a.lines.filter((line) => line.startsWith('bitmap-mode ')).length, 1, 'folded once');
});

t.test('log_full = "throttle": writers wait for a copy that is going on, and not for one that was paused', async (t) => {
  const story = await lastPhase(t, { logFull: 'throttle', resync: { minDwellMs: 1, maxRate: PIECE } });
  const { world, a } = story;
  const folds = (): number => a.lines.filter((line) => line.startsWith('bitmap-mode ')).length;
  t.equal(folds(), 1);
  /** Writes until one is not admitted. */
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 600; i++) if ((await story.burst(i)) === false) return;
  };
  await fill();
  t.match(a.group.status(), { sites: [{ session: 'connected', replication: 'resyncing', tracking: 'bitmap' }] });
  t.ok(a.group.logFullSince > 0, 'writers wait');
  t.equal(folds(), 1, 'the copy goes on');
  new SiteVerbs(a.group).pauseSync('b');
  await world.advance(5000);
  t.equal(folds(), 2, 'one that stands still does not hold them');
  t.equal(a.group.logFullSince, 0);
  new SiteVerbs(a.group).resumeSync('b');
  await world.advance(600_000);
  story.alike(t);
});

for (const logFull of LOG_FULL) {
  t.test(`log_full = "${logFull}": a site that is lost in the last phase goes back to its bitmap, and no writer fails`, async (t) => {
    const story = await lastPhase(t, { logFull });
    const { world, a, b } = story;
    t.equal(b.group.status().image, 'inconsistent');
    story.lose();
    await world.advance(1000);
    let waited = 0;
    for (let i = 0; i < 500; i++) {
      if ((await story.write(i % 2, (i * 2) % PIECES))?.errno === 0) continue;
      // Until the site has gone back.
      waited++;
      await world.advance(1000);
    }
    t.ok(waited < 5, `writers waited ${waited} times`);
    t.match(a.group.status().sites[0], { tracking: 'bitmap' });
    t.notOk(a.lines.some((line) => /^(site-detached|log-full-fails) /.test(line)));
    world.blocked.clear();
    await world.advance(600_000);
    story.alike(t);
  });
}

t.test('small records take more of the log than their payload: it is not kept before the rest is small against that', async (t) => {
  const volumeBytes = 8 * MIB;
  const world = new SimWorld(new Random());
  const pace = { maxRate: MIB / 4, latencyTargetMs: 0, checksum: 'off', minDwellMs: 1 } as const;
  const a = await world.add('a', { sites: ['b'], volumeBytes, undo: 'off', logBytes: 16 * MIB, logFull: 'throttle', resync: pace });
  await world.add('b', { sites: ['a'], volumeBytes, undo: 'off', role: 'secondary', logBytes: 64 * MIB });
  await world.advance(4000);
  const client = new SimClient(a, new History(volumeBytes));
  world.fold(a, 'b');
  for (let at = 0; at < 2 * MIB; at += PIECE) client.write(0, at, PIECE, false, 1);
  client.commit();
  await world.advance(3000);
  world.blocked.clear();
  let writes = 0;
  let leftWhenKept: number | undefined;
  for (let tick = 0; tick < 4000 && leftWhenKept === undefined; tick++) {
    client.write(1, (writes++ * 512) % 65536, 512);
    client.flush();
    client.commit();
    await world.advance(5);
    const { replication, resync } = a.group.status().sites[0] ?? {};
    if (replication === 'resyncing' && a.group.sites.find('b')?.bitmap?.isKept === true) leftWhenKept = resync?.remainingBytes ?? 0;
  }
  // 1.6 MB a second of the log for 0.1 of payload, and a quarter of 16 MiB may be filled while the rest is copied.
  t.ok(leftWhenKept !== undefined && leftWhenKept < MIB, `${leftWhenKept} bytes were left when the log was kept`);
});
