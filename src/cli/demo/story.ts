// The demo: what happens to a mirrored volume in its life, on one machine, each step checked. Exit 0 only if all of it holds.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, LvrError } from '../../core/errors.js';
import type { GroupStatus, SiteStatus } from '../../core/status.js';
import { formatError } from '../output.js';
import { formatBytes, formatSeconds } from '../table.js';
import { DemoAgent, freePort, VOLUMES } from './demo-agent.js';
import { LinkProxy } from './link-proxy.js';
import { checkMachine, Place, run } from './place.js';
import { damagedFiles, Writer } from './writer.js';

const LOAD_MS = 3_000;
/** Records of so many bytes are on their way to the other site when the primary is killed. */
const CLOSE_BYTES = 512 * 1024;
const CUT_MS = 3_000;
const WAIT_MS = 30_000;

/** `keep`: on failure the logs of the agents are copied to a directory that stays. */
export type DemoOptions = { readonly keep: boolean };

/** Runs the demo; returns the exit code. Everything it made is gone afterwards. */
export async function runDemo(options: DemoOptions): Promise<number> {
  checkMachine();
  const place = new Place();
  const story = new Story(place);
  let isInterrupted = false;
  const interrupted = (): void => {
    isInterrupted = true;
    process.stdout.write('\ninterrupted: cleaning up\n');
    void story.end().finally(() => process.exit(EXIT.interrupted));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, interrupted);
  const startedMs = performance.now();
  try {
    await story.tell();
    process.stdout.write(`all of it held, ${seconds(startedMs)}\n`);
    return EXIT.ok;
  } catch (error) {
    // What was taken away under a running step fails; that is no news.
    if (isInterrupted) return EXIT.interrupted;
    if (!(error instanceof LvrError)) throw error;
    process.stderr.write(formatError(error));
    if (options.keep) process.stderr.write(`logs of the agents: ${await keepLogs(place.path)}\n`);
    return EXIT.failed;
  } finally {
    await story.end();
  }
}

class Story {
  readonly #place: Place;
  readonly #writers = VOLUMES.map(({ name }) => new Writer(name));
  readonly #proxies: LinkProxy[] = [];

  constructor(place: Place) {
    this.#place = place;
  }

  /** Ends everything and removes every trace. */
  async end(): Promise<void> {
    for (const proxy of this.#proxies) proxy.close();
    await Promise.race([Promise.all(this.#writers.map((writer) => writer.stop())), sleep(WAIT_MS / 3, undefined, { ref: false })]);
    await this.#place.remove();
  }

  async tell(): Promise<void> {
    const { a, b } = await this.#makeSites();
    await step('two agents on this machine, connected', async () => {
      await b.start();
      await a.start();
      await a.until('to stream to b', WAIT_MS, (status) => site(status).replication === 'streaming');
      return 'group app on a (primary) and b (secondary), mode logged: a sync returns when b has it in its log too';
    });
    const mounts = await this.#makeFileSystems(a);
    await step('an application writes and syncs files, and notes the checksum of each', async () => {
      this.#writers.forEach((writer, i) => void writer.start(mounts[i] as string));
      await sleep(LOAD_MS);
      return `${this.#noted()}; ${lag(await a.status())}`;
    });
    await this.#cutLink(a);
    await this.#failOver(a, b, mounts);
    const after = await this.#checkCopies(b);
    await this.#rejoin(a, b, after);
  }

  /** Each agent reaches the other through a proxy, which is the cable between the sites. */
  async #makeSites(): Promise<{ a: DemoAgent; b: DemoAgent }> {
    const [portA, portB] = [await freePort(), await freePort()];
    const [toA, toB] = [new LinkProxy(() => portA), new LinkProxy(() => portB)];
    this.#proxies.push(toA, toB);
    await Promise.all([toA.listen(), toB.listen()]);
    return {
      a: new DemoAgent(this.#place, { site: 'a', role: 'primary', port: portA, other: 'b', otherPort: toB.port }),
      b: new DemoAgent(this.#place, { site: 'b', role: 'secondary', port: portB, other: 'a', otherPort: toA.port }),
    };
  }

  async #makeFileSystems(a: DemoAgent): Promise<string[]> {
    const devices = await this.#attach(a);
    return await step('ext4 on app/data and xfs on app/wal, mounted', async () => {
      const mounts: string[] = [];
      for (const [i, { name, fileSystem }] of VOLUMES.entries()) {
        await run(`mkfs.${fileSystem}`, ['-q', devices[i] as string]);
        mounts.push(await this.#place.mount(devices[i] as string, join('mnt', `a-${name}`)));
      }
      return mounts;
    });
  }

  async #attach(agent: DemoAgent): Promise<string[]> {
    return await step(`both volumes attached on ${agent.site}`, async () => {
      const devices: string[] = [];
      let how = '';
      for (const { name } of VOLUMES) {
        // Not a device of the kernel's nbd: that would wait for the killed agent to come back, and the story is that it does not.
        const device = await run('losetup', ['--find']);
        const result = await agent.ask('attach', { target: `app/${name}`, device }, WAIT_MS);
        devices.push(result.device);
        how = result.how;
      }
      note(`${devices.join(' and ')} (${how})`);
      return devices;
    });
  }

  async #cutLink(a: DemoAgent): Promise<void> {
    await step('the link is cut, and the application goes on', async () => {
      const before = this.#count();
      for (const proxy of this.#proxies) proxy.cut();
      await sleep(CUT_MS);
      const status = await a.status();
      if (site(status).session === 'connected') throw new LvrError('FAILED', 'the agent did not notice that the link is cut');
      if (this.#count() === before) throw new LvrError('FAILED', 'nothing was written while the link was cut');
      if (site(status).lagBytes === 0) throw new LvrError('FAILED', 'the status shows no lag although the link is cut');
      return `${this.#count() - before} files more; ${lag(status)}`;
    });
    await step('the link is back, and b catches up under load', async () => {
      for (const proxy of this.#proxies) proxy.join();
      const status = await a.until(
        'to catch up',
        WAIT_MS,
        (s) => site(s).replication === 'streaming' && site(s).effectiveMode === 'logged',
      );
      await sleep(500);
      return lag(status);
    });
  }

  async #failOver(a: DemoAgent, b: DemoAgent, mounts: readonly string[]): Promise<void> {
    await step('kill -9 of the primary under load', async () => {
      // What a slow disk has kept from b would exist on a only, and a could not come back.
      await a.until('to have b close behind', WAIT_MS, (status) => site(status).lagBytes < CLOSE_BYTES);
      const pid = a.pid;
      await a.kill();
      await Promise.all(this.#writers.map((writer) => writer.stop()));
      for (const mount of mounts) await this.#place.umount(mount);
      return `pid ${pid}; ${this.#noted()}`;
    });
    await step('the other site is promoted', async () => {
      await b.until('to notice', WAIT_MS, (status) => site(status).session !== 'connected');
      const { epoch } = await b.ask('promote', { group: 'app', force: false }, WAIT_MS);
      return `b is primary, epoch ${epoch}`;
    });
  }

  /** Mounting replays the journals, as after any crash; then the file systems must be clean and every noted file whole. */
  async #checkCopies(b: DemoAgent): Promise<string[]> {
    const devices = await this.#attach(b);
    const mountPoints = VOLUMES.map(({ name }) => join('mnt', `b-${name}`));
    await step('both file systems are clean on b', async () => {
      for (const [i, { fileSystem }] of VOLUMES.entries()) {
        const device = devices[i] as string;
        await this.#place.umount(await this.#place.mount(device, mountPoints[i] as string));
        await (fileSystem === 'ext4' ? run('fsck.ext4', ['-fn', device]) : run('xfs_repair', ['-n', device]));
      }
      return 'journals replayed; fsck.ext4 -fn and xfs_repair -n find nothing';
    });
    return await step('every file that was synced is there, with its checksum', async () => {
      const mounts: string[] = [];
      for (const [i, writer] of this.#writers.entries()) {
        const where = await this.#place.mount(devices[i] as string, mountPoints[i] as string);
        mounts.push(where);
        const damaged = await damagedFiles(where, writer.synced);
        if (damaged.length === 0) continue;
        throw new LvrError('FAILED', `${damaged.length} of ${writer.synced.length} files are missing or damaged`, {
          details: { files: damaged.slice(0, 10) },
        });
      }
      note(this.#noted());
      return mounts;
    });
  }

  async #rejoin(a: DemoAgent, b: DemoAgent, mounts: readonly string[]): Promise<void> {
    await step('the application goes on, on b', async () => {
      const before = this.#count();
      const next = this.#writers.map((_, i) => new Writer(`after-${VOLUMES[i]?.name}`));
      this.#writers.splice(0, this.#writers.length, ...next);
      next.forEach((writer, i) => void writer.start(mounts[i] as string));
      await sleep(LOAD_MS / 3);
      if (this.#count() === 0) throw new LvrError('FAILED', 'nothing could be written on b');
      return `${this.#noted()} after ${before} before`;
    });
    await step('the old primary comes back as secondary and catches up', async () => {
      await a.start();
      await a.until('to become secondary', WAIT_MS, (status) => status.role === 'secondary');
      const status = await b.until(
        'to stream to a',
        WAIT_MS,
        (s) => site(s).replication === 'streaming' && site(s).effectiveMode === 'logged',
      );
      return lag(status);
    });
    await step('both sites hold the same bytes', async () => {
      await Promise.all(this.#writers.map((writer) => writer.stop()));
      for (const mount of mounts) await this.#place.umount(mount);
      for (const { name } of VOLUMES) await b.ask('detach', { target: `app/${name}` }, WAIT_MS);
      const { log } = await b.status();
      await a.until('to apply everything', WAIT_MS, (status) => status.log.appliedLsn === log.appendedLsn);
      await Promise.all([a.stop(), b.stop()]);
      for (const { name } of VOLUMES) {
        const [left, right] = await Promise.all([a, b].map((agent) => digest(join(agent.directory, `${name}.img`))));
        if (left !== right) throw new LvrError('FAILED', `the copies of app/${name} differ`);
      }
      return `up to LSN ${log.appendedLsn}`;
    });
  }

  #count(): number {
    return this.#writers.reduce((sum, writer) => sum + writer.synced.length, 0);
  }

  #noted(): string {
    const bytes = this.#writers.reduce((sum, writer) => sum + writer.totalBytes, 0);
    return `${this.#count()} files synced, ${formatBytes(bytes)}`;
  }
}

/** Runs one step and prints it with its time; a text result is printed below it. */
async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  let result: T;
  try {
    result = await work();
  } catch (error) {
    process.stdout.write(`✗ ${title}  ${seconds(startedMs)}\n`);
    throw error;
  }
  process.stdout.write(`✓ ${title}  ${seconds(startedMs)}\n`);
  if (typeof result === 'string') note(result);
  return result;
}

function note(text: string): void {
  process.stdout.write(`    ${text}\n`);
}

function seconds(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}

/** The one site of a status. */
function site(status: GroupStatus): SiteStatus {
  const found = status.sites[0];
  if (!found) throw new LvrError('FAILED', 'the status has no site');
  return found;
}

function lag(status: GroupStatus): string {
  const { site: name, session, effectiveMode, lagBytes, lagIos, lagSeconds } = site(status);
  return `site ${name} ${session}, mode now ${effectiveMode}, behind by ${lagIos} writes, ${formatBytes(lagBytes)}, ${formatSeconds(lagSeconds)}`;
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function keepLogs(path: string): Promise<string> {
  const kept = `${path}-logs`;
  for (const name of ['a', 'b']) await cp(join(path, name, 'log'), join(kept, `${name}.log`)).catch(() => undefined);
  return kept;
}
