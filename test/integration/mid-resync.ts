// A secondary is promoted while a resync overwrites its volumes, an ext4 and an xfs of one group: it rolls back what was overwritten, both
// file systems mount and are clean, and both volumes are to the byte what a promotion before the resync would have given, which is the
// last consistent moment that the site has.
//
// The state before the resync is made once, with an application that writes through attached devices while the link is cut until the log
// no longer covers what the site lacks. Each round begins with a copy of it. LVR_MIDDLE_ROUNDS (20) promotions; SEED repeats a run.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { damagedFiles, type SyncedFile, Writer } from '../../src/cli/demo/writer.js';
import type { TestAgent } from '../helpers/agent.js';
import { mustRun, runCommand, sleep, until } from '../helpers/command.js';
import { Random } from '../helpers/random.js';
import { MIB, makeSlowSites, type SlowSites, siteB, startSlowSites } from '../helpers/slow-sites.js';
import { Workspace } from '../helpers/workspace.js';

const ROUNDS = Number(process.env['LVR_MIDDLE_ROUNDS'] ?? 20);
const VOLUMES = [
  { name: 'data', fileSystem: 'ext4', size: `${64 * MIB}` },
  { name: 'wal', fileSystem: 'xfs', size: `${320 * MIB}` },
] as const;
/** Slow enough that a promotion finds it in the middle. */
const RESYNC = 'min_dwell = 1\nmax_rate = "6MiB"';
const MIN_BYTES = 256 * 1024;
const MAX_BYTES = 10 * MIB;
const CONFIG = { volumes: Object.fromEntries(VOLUMES.map(({ name, size }) => [name, size])), logSize: `${16 * MIB}` };

const isAble = process.getuid?.() === 0 && existsSync('/dev/fuse') && existsSync('/dev/loop-control');
const skip = isAble ? false : 'needs root, /dev/fuse and loop devices';
const workspace = new Workspace('mid-resync');
const random = new Random();
const mounts = new Set<string>();
t.teardown(async () => {
  for (const where of mounts) await runCommand('umount', ['--lazy', where]);
  workspace.dispose();
});
t.setTimeout(590_000);
t.comment(`SEED=${random.seed}`);

async function mount(device: string, where: string, ...options: string[]): Promise<void> {
  mkdirSync(where, { recursive: true });
  await mustRun('mount', [...options, device, where]);
  mounts.add(where);
}

async function umount(where: string): Promise<void> {
  await mustRun('umount', [where]);
  mounts.delete(where);
}

/** A copy of an agent's directory, or back: files stay sparse. */
async function copy(from: string, to: string): Promise<void> {
  await mustRun('rm', ['-rf', to]);
  await mustRun('cp', ['-a', '--sparse=always', '--reflink=auto', from, to], { timeoutMs: 120_000 });
}

function kept(agent: TestAgent): string {
  return `${agent.directory}.kept`;
}

/** Makes file systems, lets an application write until the site is tracked by a bitmap. Returns what site b must have, by volume. */
async function prepare(sites: SlowSites): Promise<SyncedFile[][]> {
  const { a, b, link } = sites;
  await startSlowSites(sites);
  const writers: Writer[] = [];
  const places: string[] = [];
  for (const { name, fileSystem } of VOLUMES) {
    const { device } = JSON.parse((await a.lvr('attach', `app/${name}`, '-o', 'json')).stdout) as { device: string };
    await mustRun(`mkfs.${fileSystem}`, ['-q', device]);
    const place = workspace.file(`app-${name}`);
    await mount(device, place);
    places.push(place);
    const writer = new Writer(name);
    writer.start(place);
    writers.push(writer);
  }
  await until('files are synced', 30_000, async () => (writers.every(({ synced }) => synced.length > 10) ? true : undefined));
  const before = writers.map((writer) => [...writer.synced]);
  const { log } = (await a.status()) as { log: { appendedLsn: string } };
  await a.waitStatus(
    'site b has the synced files',
    ({ sites: all }) => BigInt(siteB(all)?.appliedLsn ?? 0) >= BigInt(log.appendedLsn),
    30_000,
  );
  link.cut();
  await a.waitStatus('site b is tracked by a bitmap', ({ sites: all }) => siteB(all)?.tracking === 'bitmap', 120_000);
  await sleep(1000);
  await Promise.all(writers.map((writer) => writer.stop()));
  for (const [i, place] of places.entries()) {
    await umount(place);
    const result = await a.lvr('detach', `app/${VOLUMES[i]?.name}`);
    if (result.code !== 0) throw new Error(`detach: ${result.stderr}`);
  }
  const dirtyBytes = siteB((await a.status())?.sites)?.dirtyBytes ?? 0;
  t.comment(`figures: ${before.flat().length} files before the link was cut, ${writers.reduce((n, w) => n + w.synced.length, 0)} in all`);
  t.comment(`figures: ${(dirtyBytes / MIB).toFixed(1)} MiB dirty`);
  if (dirtyBytes < MAX_BYTES) throw new Error(`only ${dirtyBytes} bytes are dirty: a promotion would not find the resync in its middle`);
  if ((await a.stop()) !== 0 || (await b.stop()) !== 0) throw new Error(`an agent did not end in order\n${a.story()}\n${b.story()}`);
  for (const agent of [a, b]) await copy(agent.directory, kept(agent));
  // What b has received and not yet applied belongs to the moment it has.
  await b.start();
  const result = await b.lvr('promote', 'app');
  if (result.code !== 0 || (await b.stop()) !== 0) throw new Error(`promotion before the resync: ${result.stderr}\n${b.story()}`);
  for (const { name } of VOLUMES) await copy(imageOf(b, name), wantedOf(name));
  link.join();
  return before;
}

function imageOf(agent: TestAgent, volume: string): string {
  return join(agent.directory, `${volume}.img`);
}

/** What a volume is to be after the rolling back. */
function wantedOf(volume: string): string {
  return workspace.file(`${volume}.wanted`);
}

/** True when both volumes of b are to the byte what they were before the resync. */
async function isAsBefore(b: TestAgent): Promise<boolean> {
  for (const { name } of VOLUMES) {
    const { code } = await runCommand('cmp', ['-s', imageOf(b, name), wantedOf(name)], { timeoutMs: 60_000 });
    if (code !== 0) return false;
  }
  return true;
}

/** What is wrong with the file systems of b, whose agent has ended. Mounting replays the journals, as after any crash. */
async function damage(b: TestAgent, files: readonly SyncedFile[][]): Promise<string[]> {
  const problems: string[] = [];
  for (const [i, { name, fileSystem }] of VOLUMES.entries()) {
    const image = imageOf(b, name);
    const place = workspace.file(`b-${name}`);
    await mount(image, place, '-o', 'loop');
    for (const file of await damagedFiles(place, files[i] ?? [])) problems.push(`${fileSystem}: ${file} is not what was synced`);
    await umount(place);
    const check =
      fileSystem === 'ext4' ? await runCommand('fsck.ext4', ['-fn', image]) : await runCommand('xfs_repair', ['-n', '-f', image]);
    if (check.code !== 0) problems.push(`${fileSystem} is not clean: ${check.stdout.slice(-300)}${check.stderr.slice(-300)}`);
  }
  return problems;
}

/** Lets the resync go on for a random number of bytes, takes the primary away and promotes site b. */
async function promoteInTheMiddle({ a, b, link }: SlowSites): Promise<{ problems: string[]; wasOverwritten: boolean }> {
  const problems: string[] = [];
  const startBytes = link.passedBytes;
  const wanted = MIN_BYTES + random.below(MAX_BYTES - MIN_BYTES);
  b.spawn();
  await a.start();
  await until(
    `${wanted} bytes of the resync are there`,
    60_000,
    async () => (link.passedBytes - startBytes >= wanted ? true : undefined),
    5,
  );
  await a.kill();
  const { image } = await b.waitStatus('the primary is away', ({ sites }) => sites.every(({ session }) => session !== 'connected'));
  if (image !== 'inconsistent') problems.push(`in the middle of a resync the image is ${image}`);
  const wasOverwritten = !(await isAsBefore(b));
  const result = await b.lvr('promote', 'app');
  if (result.code !== 0) problems.push(`promote: exit ${result.code}: ${result.stderr}`);
  const status = await b.status();
  if (status?.role !== 'primary' || status.image !== 'upToDate') problems.push(`after it b is ${status?.role}, ${status?.image}`);
  await b.stop();
  if (!(await isAsBefore(b))) problems.push('the volumes are not what they were before the resync');
  return { problems, wasOverwritten };
}

t.test(`${ROUNDS} promotions in the middle of a resync roll back an ext4 and an xfs`, { skip, timeout: 580_000 }, async (t) => {
  const sites = await makeSlowSites(workspace, CONFIG, RESYNC, 'middle');
  const files = await prepare(sites);
  let overwritten = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    for (const agent of [sites.a, sites.b]) await copy(kept(agent), agent.directory);
    const { problems, wasOverwritten } = await promoteInTheMiddle(sites);
    problems.push(...(await damage(sites.b, files)));
    t.same(problems, [], `promotion ${round}`);
    if (problems.length > 0) t.comment(sites.b.story());
    if (wasOverwritten) overwritten++;
  }
  t.comment(`figures: ${overwritten} of ${ROUNDS} promotions found volumes that a resync had overwritten in part`);
  t.equal(overwritten, ROUNDS, 'each promotion came in the middle');
  await sites.a.kill();
});
