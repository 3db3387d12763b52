// The same as process.ts for the usual configuration: log, volumes and state directory are files, here on one ext4 whose disk is recorded.
// Each image is mounted (the journal is replayed), and the group is started from its files, with whatever a power cut left of them.
//
// SEED chooses load and images. A mount costs a fifth of a second, so there are not many: LVR_CRASH_MOUNTS.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createEngines } from '../../src/disk/engine.js';
import { crc32c, crc32cSpans, createArena } from '../../src/disk/memory.js';
import { openGroup } from '../../src/group/open.js';
import { TestAgent } from '../helpers/agent.js';
import { systemClock } from '../helpers/clock.js';
import { mustRun, sleep } from '../helpers/command.js';
import { History, readBlocks } from '../helpers/history.js';
import { Random } from '../helpers/random.js';
import { REPOSITORY, Workspace } from '../helpers/workspace.js';
import { ImageDisk } from './image-disk.js';
import { Oracle } from './oracle.js';
import { RecordedDisks } from './recorded-disks.js';
import { groupConfig, network, silent } from './recovery.js';
import { type Entry, Trace } from './trace.js';
import { loadFor, RING_BYTES, SIZES, VOLUME_BLOCKS, VOLUMES } from './workload.js';

const FS_BYTES = 56 * 1048576;
const LAPS = 1.3;
const IMAGES = Number(process.env['LVR_CRASH_MOUNTS'] ?? 80);
/** This part of the images is taken from the time before clients could write. */
const CREATION_SHARE = 0.3;

const workspace = new Workspace('files');
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);

interface FileRecording {
  readonly entries: readonly Entry[];
  readonly before: Uint8Array;
  readonly history: History;
  /** Entries before clients could write. */
  readonly createdAt: number;
}

async function record(random: Random): Promise<FileRecording> {
  const trace = new Trace();
  const history = new History(VOLUMES.length, VOLUME_BLOCKS);
  trace.promised = () => [...history.flushedMax];
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', ...SIZES }, 'a');
  const place = join(agent.directory, 'disk');
  mkdirSync(place);
  moveTo(place, agent);
  // Registered first, so that it runs after the disk below is gone: with this process in it nothing may wait for the disk.
  workspace.onDispose(() => unmount(place));
  const disks = await RecordedDisks.open(workspace, workspace.file('disks'), [{ name: 'fs', sizeBytes: FS_BYTES }], trace, random);
  const device = disks.devices[0] as string;
  await mustRun('mkfs.ext4', ['-q', '-E', 'nodiscard,lazy_itable_init=0,lazy_journal_init=0', device]);
  await mustRun('mount', [device, place]);
  await mustRun('sync', ['-f', place]);
  const before = disks.content(0);
  trace.entries.length = 0;
  agent.spawn();
  const clients = await Promise.all(VOLUMES.map((volume) => agent.connect(volume)));
  const createdAt = trace.entries.length;
  await loadFor(clients, history, random, () => trace.position >= LAPS * RING_BYTES);
  await agent.kill();
  await Promise.all(clients.map((client) => client.closed));
  await sleep(100);
  const entries = [...trace.entries];
  await mustRun('umount', [place]);
  await disks.close();
  return { entries, before, history, createdAt };
}

/** Log, volumes and state go to `place`; sockets and output, which this process touches, stay. */
function moveTo(place: string, agent: TestAgent): void {
  const text = readFileSync(agent.configPath, 'utf8');
  writeFileSync(agent.configPath, text.replaceAll(/"[^"]*\/(state|app\.log|\w+\.img)"/g, `"${place}/$1"`));
}

function unmount(directory: string): void {
  try {
    execFileSync('umount', ['--lazy', directory], { stdio: 'ignore', timeout: 10_000 });
  } catch {
    // Not mounted any more.
  }
}

/** Starts the group from the files in `directory`, stops it, and returns the blocks of its volumes. Rejects with LvrError. */
async function start(directory: string, engines: ReturnType<typeof createEngines>): Promise<Float64Array[]> {
  const memory = { createArena, crc32c, crc32cSpans, newUuid: () => 'c'.repeat(32) };
  const env = { site: 'a', insecure: false, clock: systemClock, network, memory, log: silent, random: () => 0.5, engines };
  const group = await openGroup(groupConfig(directory, 'primary'), { ...env, stateDir: join(directory, 'state') });
  await group.stop();
  return VOLUMES.map((name, volume) => {
    const bytes = new Uint8Array(readFileSync(join(directory, `${name}.img`)));
    const image = new Float64Array(VOLUME_BLOCKS);
    readBlocks(new Float64Array(bytes.buffer), volume, 0, image);
    return image;
  });
}

/** Any part of what is not certain: everything, or a share of it, some of that torn. */
function choose(disk: ImageDisk, random: Random): void {
  const kept = random.below(9);
  for (const { write } of disk.pending) {
    if (kept < 8 && random.below(8) >= kept) continue;
    const sectors = write.length / 512;
    const isTorn = kept < 8 && sectors > 1 && random.below(8) === 0;
    disk.keep(write, 0, isTorn ? 512 * (1 + random.below(sectors - 1)) : write.length);
  }
}

/** The first image that fails is kept, with what e2fsck says of it: the file system itself may be what is damaged. */
function keep(content: Uint8Array): string {
  const directory = join(REPOSITORY, '.cache', 'crash-images', 'files');
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'image');
  writeFileSync(path, content);
  const checked = `${path}.checked`;
  writeFileSync(checked, content);
  const { stdout } = spawnSync('e2fsck', ['-fy', checked], { encoding: 'utf8' });
  return `the first image that failed was kept in ${path}; e2fsck says of it: ${stdout.slice(-1000).replaceAll('\n', '; ')}`;
}

t.test('log, volumes and state in files: every image of a power cut starts and holds what was promised', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const { entries, before, history, createdAt } = await record(random);
  const base = VOLUMES.map(() => new Float64Array(VOLUME_BLOCKS));
  const oracle = new Oracle(history.writes, base);
  const disk = new ImageDisk('fs', FS_BYTES, before);
  const mountPoint = workspace.directory('mounted');
  const engines = createEngines();
  workspace.onDispose(() => unmount(mountPoint));
  const problems: string[] = [];
  const counts = { images: 0, creation: 0 };
  for (const [at, entry] of entries.entries()) {
    if (entry.kind === 'write') disk.written(at, entry);
    else disk.flushed(entry.covers);
    const share = at < createdAt ? (IMAGES * CREATION_SHARE) / createdAt : (IMAGES * (1 - CREATION_SHARE)) / (entries.length - createdAt);
    for (let images = share; images > 0 && random.below(1_000_000) < images * 1_000_000; images--) {
      choose(disk, random);
      counts.images++;
      if (at < createdAt) counts.creation++;
      const content = disk.bytes.slice();
      disk.reset();
      // A file of its own: nothing that the kernel may still have of the one before has anything to do with it.
      const file = workspace.file(`image-${counts.images}`);
      writeFileSync(file, content);
      await mustRun('mount', ['-o', 'loop', file, mountPoint]);
      const promised = entries[at + 1]?.promised ?? history.flushedMax;
      const problem = await start(mountPoint, engines).then((images) => oracle.judge(images, promised), String);
      await mustRun('umount', [mountPoint]);
      rmSync(file);
      if (problem === undefined) continue;
      if (problems.length === 0) problems.push(keep(content));
      if (problems.length < 10) problems.push(`image ${counts.images}, after entry ${at}: ${problem}`);
    }
  }
  engines.close();
  t.same(problems, []);
  const { images, creation } = counts;
  t.comment(`figures: files, SEED=${random.seed}: ${entries.length} entries; ${images} images, ${creation} of them during creation`);
  t.comment(`figure crash images, a file system: ${images}`);
  t.ok(images > IMAGES / 2 && creation >= 3, 'images of the creation and of the load');
});
