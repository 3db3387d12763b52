// One group under random load on disks that lose, tear and reorder: whatever happens, what was promised is there, both volumes together
// are what some prefix of the writes made, and reads see every write before them.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { SimSite } from '../../src/sim/site.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

t.test('after a crash at any moment both volumes together are a prefix that holds everything promised', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const counts = { crashes: 0, lost: 0, kept: 0, records: 0, reads: 0 };
  for (let run = 0; run < 6; run++) {
    const world = new SimWorld(random);
    const site = await world.add('a', { writeCache: run % 4 !== 3 });
    const history = new History();
    for (let crash = 0; crash < 20; crash++) {
      const client = new SimClient(site, history);
      for (const device of [site.logDevice, ...site.volumeDevices]) device.shuffle = random.below(2) === 0 ? random : undefined;
      const actions = 1 + random.below(120);
      for (let i = 0; i < actions; i++) {
        client.act(random);
        if (random.below(5) === 0) client.commit();
        for (let steps = random.below(4); steps > 0; steps--) site.stepDevices();
        if (random.below(40) === 0) await world.settle();
        if (random.below(60) === 0) await world.advance(2500);
        if (random.below(8) === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      t.same(client.wrongReads, []);
      const promised = site.config.writeCache ? history.floor : Math.max(history.floor, history.answered);
      site.crash(random.below(3) === 0 ? 'process' : 'power');
      await site.start();
      const end = site.group.log.appendedLsn;
      t.ok(end >= promised && end <= history.written.length, `LSN ${end} of ${promised}..${history.written.length}`);
      t.same(differences(history, end, site.image()).slice(0, 5), [], `the volumes are the first ${end} writes`);
      counts[end < history.written.length ? 'lost' : 'kept']++;
      counts.crashes++;
      history.cut(end);
      history.floor = end;
      history.answered = end;
    }
    counts.records += history.written.length;
  }
  t.comment(JSON.stringify(counts));
  t.ok(counts.lost > 5 && counts.kept > 1 && counts.records > 300, JSON.stringify(counts));
});

t.test('a crash during recovery, again and again, changes nothing of its result', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const world = new SimWorld(random);
  const site = await world.add('a');
  const history = new History();
  const client = new SimClient(site, history);
  for (let i = 0; i < 200; i++) client.act(random);
  client.flush();
  client.commit();
  // The log has everything, the volumes nothing.
  for (const device of site.volumeDevices) device.stopped = true;
  await world.settle();
  t.equal(history.floor, history.written.length);
  site.crash('power');
  for (let crash = 0; crash < 12; crash++) {
    // Recovery is cut off after some operations of any of its devices.
    let left = random.below(250);
    const cut = (): number | 'hang' => (left-- > 0 ? 0 : 'hang');
    const started = site.start(() => {
      for (const device of [site.logDevice, ...site.volumeDevices]) device.intercept = cut;
    }, 500);
    await started.catch(() => undefined);
    site.crash(random.below(2) === 0 ? 'process' : 'power');
  }
  await site.start();
  t.equal(site.group.log.appendedLsn, history.floor);
  t.same(differences(history, history.floor, site.image()).slice(0, 5), []);
});

t.test('a first start that was cut off before it had recorded that the volumes are blank is made up for by the next', async (t) => {
  const world = new SimWorld(new Random());
  const site = await world.add('a', { role: 'secondary' });
  t.equal(site.group.log.store.current.bornZero, true);
  const other = new SimSite(world, 'b', { role: 'secondary' });
  world.sites.push(other);
  const failed = other.start(() => {
    let writes = 0;
    other.logDevice.intercept = (op) => (op.kind === 'write' && ++writes > 1 ? 'hang' : 0);
  }, 500);
  await t.rejects(failed);
  other.crash('power');
  await other.start();
  t.equal(other.group.log.store.current.bornZero, true);
});
