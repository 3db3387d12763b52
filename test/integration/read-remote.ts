// A primary whose device fails to read, with real agents: its clients get what the other site has, never what it had, and an error when it
// is away.

import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { sleep, until } from '../helpers/command.js';
import { failingDevice } from '../helpers/failing-device.js';
import type { NbdClient } from '../helpers/nbd-client.js';
import { countEvents, MIB, makeSlowSites, startSlowSites, waitEqual } from '../helpers/slow-sites.js';
import { Workspace } from '../helpers/workspace.js';

const SIZE_MIB = 16;
const PIECE = 64 * 1024;
const PORTION = 2 * MIB;
const skip = process.getuid?.() === 0 ? false : 'loop devices need root';

const workspace = new Workspace('read-remote');
t.teardown(() => workspace.dispose());
t.setTimeout(120_000);

/** Content that tells which write made it. */
function content(generation: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 8) bytes.writeUInt32LE(offset + at, bytes.writeUInt32LE(generation, at));
  return bytes;
}

async function write(client: NbdClient, generation: number, offset: number, length: number): Promise<void> {
  for (let at = offset; at < offset + length; at += PIECE) await client.write(at, content(generation, at, PIECE));
  await client.flush();
}

/** What became of a read: an error, or whether it is what a generation wrote. */
async function outcome(read: Promise<Buffer>, generation: number, offset: number): Promise<string> {
  try {
    const bytes = await read;
    return bytes.equals(content(generation, offset, bytes.length)) ? 'right' : 'wrong';
  } catch (error) {
    return `${error}`;
  }
}

t.test('reads that the device fails are answered by the other site', { skip }, async (t) => {
  const options = { volumes: { data: `${SIZE_MIB}MiB` }, logSize: '64MiB', io: 'direct' } as const;
  const sites = await makeSlowSites(workspace, options, 'min_rate = "1MiB"', 'read');
  const { a, b, link } = sites;
  const { spoil, repair, undo } = await failingDevice(workspace, 'read', join(a.directory, 'data.img'), SIZE_MIB, 'error-pread');
  try {
    const hooks = join(a.directory, 'hooks');
    const told = join(a.directory, 'told');
    mkdirSync(hooks);
    writeFileSync(join(hooks, 'read-remote'), `#!/bin/sh\necho "$LVR_GROUP $LVR_VOLUME $LVR_SITE" >> ${told}\n`);
    chmodSync(join(hooks, 'read-remote'), 0o755);
    writeFileSync(a.configPath, readFileSync(a.configPath, 'utf8').replace('[agent]\n', `[agent]\nhooks = "${hooks}"\n`));
    await startSlowSites(sites);
    const client = await a.connect('data');
    await write(client, 1, 0, 2 * PORTION);
    await waitEqual(sites, 20_000);
    t.equal(await outcome(client.read(0, PORTION), 1, 0), 'right', 'by the device');
    t.match(await a.status(), { health: 'healthy' });

    spoil();
    t.equal(await outcome(client.read(0, PIECE), 1, 0), 'right');
    t.equal(await outcome(client.read(0, PORTION), 1, 0), 'right', 'in pieces');
    t.match(await a.status(), { health: 'degraded', reason: '1 range of volume data is served from site b' });
    const hook = await until('the hook was run', 20_000, async () => (existsSync(told) ? readFileSync(told, 'utf8') : undefined));
    t.match(hook, /^app data b\n/);
    t.equal(countEvents(a, 'read-failed'), 1);
    t.ok(countEvents(a, 'read-remote') > 0);

    // The other site is behind: nothing gets to it.
    link.rate = 1;
    await write(client, 2, 0, PORTION);
    await a.waitStatus('it is on the volume', ({ log }) => log.appliedLsn === log.appendedLsn);
    const late = outcome(client.read(PIECE, PIECE), 2, PIECE);
    const isLate = await Promise.race([late.then(() => false), sleep(1000).then(() => true)]);
    t.equal(isLate, true, 'it waits until the other site has what was written');
    link.rate = Number.POSITIVE_INFINITY;
    t.equal(await late, 'right');

    link.cut();
    await a.waitStatus('site b is away', (status) => status.sites[0]?.session !== 'connected');
    const startMs = performance.now();
    t.match(await outcome(client.read(0, PIECE), 2, 0), /5/, 'EIO');
    t.ok(performance.now() - startMs < 2000, 'at once');
    t.match(await a.status(), { health: 'degraded', reason: /^1 reads of volume data failed since the agent was started; / });
    link.join();
    await a.waitStatus('site b streams again', (status) => status.sites[0]?.replication === 'streaming', 60_000);
    t.equal(await outcome(client.read(0, PIECE), 2, 0), 'right', 'when it is back, so is its content');
    await client.close();
    t.equal(await a.stop(), 0);

    await repair();
    await a.start();
    const again = await a.connect('data');
    t.equal(await outcome(again.read(0, PORTION), 2, 0), 'right', 'by the device, which was written to all the time');
    t.equal(await outcome(again.read(PORTION, PORTION), 1, PORTION), 'right');
    await again.close();
    await a.waitStatus('healthy again', ({ health }) => health === 'healthy', 60_000);
    t.equal(await a.stop(), 0);
    t.equal(await b.stop(), 0);
  } finally {
    await a.kill();
    await b.kill();
    await undo();
  }
});
