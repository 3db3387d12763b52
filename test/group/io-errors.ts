// What a group does about devices that fail, by configuration: a read that failed, and a log that cannot be written.

import t from 'tap';
import { SimClient } from '../../src/sim/client.js';
import type { SimDevice } from '../../src/sim/disk.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { type SimSite, type SimSiteOptions, SimWorld } from '../helpers/sim-group.js';

const EIO = 5;

type Story = { world: SimWorld; site: SimSite; history: History; client: SimClient; data: SimDevice };

/** A group with something on its volumes. */
async function story(options: SimSiteOptions): Promise<Story> {
  const world = new SimWorld(new Random());
  const site = await world.add('a', options);
  const history = new History();
  const client = new SimClient(site, history);
  client.write(0, 0, 8192);
  client.write(1, 4096, 4096);
  client.flush();
  client.commit();
  await world.advance(3000);
  return { world, site, history, client, data: site.volumeDevices[0] as SimDevice };
}

t.test('pass_on: the read that failed fails, all else goes on, status remembers it until the agent is restarted', async (t) => {
  const { world, site, history, client, data } = await story({});
  data.intercept = (op) => (op.kind === 'read' && op.offset === 4096 ? EIO : 0);
  const reads = [client.read(0, 4096, 4096), client.read(0, 0, 4096), client.read(0, 0, 8192), client.read(1, 4096, 4096)];
  client.commit();
  await world.settle();
  t.same(
    reads.map((read) => read.errno),
    [EIO, 0, 0, 0],
    'only reads that need the bad place, at the start of what is read from the device',
  );
  const again = client.read(0, 4096, 4096);
  const write = client.write(0, 4096, 4096);
  const flush = client.flush();
  client.commit();
  await world.advance(3000);
  t.same([again.errno, write?.errno, flush.errno], [EIO, 0, 0]);
  t.match(site.group.status(), { health: 'degraded', reason: /^2 reads of volume data failed since the agent was started$/ });
  t.equal(site.lines.filter((line) => line.startsWith('read-failed ')).length, 1, 'said once');
  t.equal(site.group.failure, undefined);
  await site.restart('power');
  t.match(site.group.status(), { health: 'healthy', reason: '' });
  t.same(differences(history, history.written.length, site.image()).slice(0, 5), []);
});

t.test('reads that fail keep no memory: after more of them than there are slabs, others are answered', async (t) => {
  const { world, client, data } = await story({});
  data.intercept = (op) => (op.kind === 'read' && op.offset === 4096 ? EIO : 0);
  const failed = Array.from({ length: 700 }, (_, i) => client.read(0, 4096, i % 7 === 0 ? 32_768 : 4096));
  client.commit();
  await world.settle();
  t.ok(failed.every(({ errno }) => errno === EIO));
  const reads = [client.read(0, 0, 4096), client.read(0, 0, 32_768)];
  client.commit();
  await world.settle();
  t.same(
    reads.map(({ errno }) => errno),
    [0, 0],
  );
});

t.test('detach: a read that fails ends the service, nothing more is promised, and nothing promised is lost', async (t) => {
  const { world, site, history, client, data } = await story({ onIoError: 'detach' });
  const failed: string[] = [];
  site.group.onFailed = (error) => void failed.push(error.code);
  const seen: (string | undefined)[] = [];
  data.intercept = (op) => (op.kind === 'read' ? EIO : 0);
  const read = client.read(0, 0, 4096);
  client.commit();
  await world.settle();
  seen.push(site.group.unavailable);
  t.equal(read.errno, EIO);
  t.match(seen, [/has failed: read volume data .*I\/O error/], 'so that no device of the kernel hears of it');
  t.same(failed, ['DEVICE_FAILED']);
  t.match(site.group.status(), { health: 'failed', image: 'failed' });
  const { floor } = history;
  const late = [client.write(0, 0, 4096), client.flush()];
  client.commit();
  await world.advance(3000);
  t.same(
    late.map((request) => request?.errno),
    [EIO, EIO],
  );
  await world.drive(site.group.stop());
  await site.restart('power');
  t.ok(site.group.log.appendedLsn >= floor);
  t.same(differences(history, site.group.log.appendedLsn, site.image()).slice(0, 5), []);
});

t.test(
  'suspend: when the log fails nobody is answered, not even with an error, and after a restart all that was promised is there',
  async (t) => {
    for (const writeCache of [true, false]) {
      const { world, site, history, client } = await story({ onLogError: 'suspend', writeCache });
      site.logDevice.intercept = (op) => (op.kind === 'write' && op.offset >= 65536 ? EIO : 0);
      const before = client.write(0, 0, 4096);
      const flush = client.flush();
      client.commit();
      await world.advance(100);
      t.match(site.group.status(), { health: 'failed', reason: /log .*I\/O error.*requests are held until the agent is restarted/ });
      const after = client.write(0, 8192, 4096);
      const long = client.write(0, 8192, 8192, false, 2);
      const zero = client.discard('zero', 0, 0, 4096);
      const late = client.flush();
      const read = client.read(1, 4096, 4096);
      client.commit();
      await world.advance(20_000);
      t.same([before?.isDone, flush.isDone, late.isDone], [writeCache, false, false]);
      t.same([after, long, zero], [undefined, undefined, undefined], 'not taken');
      t.equal(read.errno, 0);
      const { floor } = history;
      await world.drive(site.group.stop());
      t.ok(client.isRevoked, 'a stop does not wait for them');
      await site.restart('power');
      t.ok(site.group.log.appendedLsn >= floor);
      t.same(differences(history, site.group.log.appendedLsn, site.image()).slice(0, 5), []);
      t.match(site.group.status(), { health: 'healthy' });
    }
  },
);

t.test('suspend concerns the log only: a volume that cannot be written still ends in errors', async (t) => {
  const { world, site, client, data } = await story({ onLogError: 'suspend' });
  data.intercept = (op) => (op.kind === 'write' ? EIO : 0);
  client.write(0, 0, 4096);
  client.commit();
  await world.advance(3000);
  const late = client.flush();
  client.commit();
  await world.settle();
  t.equal(late.errno, EIO);
  t.match(site.group.status(), { health: 'failed', reason: /write volume/ });
});
