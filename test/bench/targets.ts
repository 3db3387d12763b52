// The servers that are compared: lvr in its modes, and the peers, each on files of its own of the same size in the same directory.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { type GroupStatus, makePair, type SiteMode, startPair, TestAgent } from '../helpers/agent.js';
import { until } from '../helpers/command.js';
import type { Workspace } from '../helpers/workspace.js';

/** A running server with one export. */
export interface Target {
  readonly name: string;
  readonly uri: string;
  /** Processes whose memory counts; for a pair the primary comes first. */
  readonly pids: readonly number[];
  /** What the agents printed last, for a failed measurement. */
  output(): string;
  /** Resolves when nothing is left to do behind a measurement: no site is behind. */
  settle?(): Promise<void>;
  stop(): Promise<void>;
}

/** How a target is started. */
export type Launcher = (workspace: Workspace, sizeMib: number) => Promise<Target>;

function makeFile(workspace: Workspace, name: string, sizeMib: number): string {
  const path = workspace.file(name);
  writeFileSync(path, '');
  truncateSync(path, sizeMib * 1048576);
  return path;
}

/** A peer server: `parameters` gets the socket and returns the command line. */
async function startPeer(
  workspace: Workspace,
  name: string,
  command: string,
  parameters: (socket: string) => readonly string[],
): Promise<Target> {
  const socket = workspace.file(`${name}.sock`);
  const child = workspace.adopt(spawn(command, parameters(socket), { stdio: ['ignore', 'ignore', 'inherit'] }));
  await until(`${name} listens`, 10_000, async () => (existsSync(socket) ? true : undefined));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
  };
  return { name, uri: `nbd+unix:///?socket=${socket}`, pids: [child.pid ?? 0], output: () => '', stop };
}

const nbdkit: Launcher = (workspace, sizeMib) => {
  const file = makeFile(workspace, 'nbdkit.img', sizeMib);
  return startPeer(workspace, 'nbdkit', 'nbdkit', (socket) => ['-f', '-U', socket, 'file', `file=${file}`]);
};

/** A server that has nothing to read or write: what the load generator and the protocol allow at most. */
const nothing: Launcher = (workspace, sizeMib) =>
  startPeer(workspace, 'null', 'nbdkit', (socket) => ['-f', '-U', socket, 'null', `size=${sizeMib}M`]);

const qemuNbd: Launcher = (workspace, sizeMib) => {
  const file = makeFile(workspace, 'qemu.img', sizeMib);
  return startPeer(workspace, 'qemu-nbd', 'qemu-nbd', (socket) => ['-t', '-k', socket, '-f', 'raw', '-x', '', '-e', '16', file]);
};

/**
 * A synchronous mirror of two files without a log. `writethrough`: a write is durable in both files before it is answered, which is what
 * `logged` promises; `writeback`: it is in the page cache of one machine, which is less than any mode of lvr promises about its log.
 * Reads take the first file: the quorum does not order overlapping writes, so its files may differ and a vote between them fail with EIO.
 */
function quorum(cache: 'writethrough' | 'writeback'): Launcher {
  return (workspace, sizeMib) => {
    const files = [0, 1].map((at) => makeFile(workspace, `${cache}${at}.img`, sizeMib));
    const children = files.map(
      (file, at) => `children.${at}.driver=raw,children.${at}.file.driver=file,children.${at}.file.filename=${file}`,
    );
    const image = `driver=quorum,vote-threshold=2,read-pattern=fifo,${children.join(',')}`;
    const options = ['-x', '', '-e', '16', `--cache=${cache}`, '--image-opts', image];
    return startPeer(workspace, `quorum-${cache}`, 'qemu-nbd', (socket) => ['-t', '-k', socket, ...options]);
  };
}

/**
 * Long enough that a round of small writes does not fill half of it: a checkpoint flushes the volume, which no peer does without being
 * asked. Writes of 1 MiB do fill it, and pay.
 */
const LOG_SIZE = '3GiB';

/** A site has caught up in this time. */
const SETTLE_MS = 60_000;

function lastLines(agent: TestAgent): string {
  return agent.output().trim().split('\n').slice(-5).join('\n');
}

const lvrAlone: Launcher = async (workspace, sizeMib) => {
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: `${sizeMib}MiB` }, logSize: LOG_SIZE }, 'none');
  await agent.start();
  const output = (): string => lastLines(agent);
  return { name: 'lvr', uri: agent.uri('data'), pids: [agent.pid], output, stop: () => agent.kill() };
};

function lvrPair(mode: SiteMode): Launcher {
  return async (workspace, sizeMib) => {
    const pair = await makePair(workspace, mode, { volumes: { data: `${sizeMib}MiB` }, logSize: LOG_SIZE }, mode);
    await startPair(pair);
    const stop = async (): Promise<void> => {
      await Promise.all([pair.a.kill(), pair.b.kill()]);
    };
    const output = (): string => `${lastLines(pair.a)}\n${lastLines(pair.b)}`;
    const settle = async (): Promise<void> => {
      const hasAll = (status: GroupStatus): boolean => status.sites[0]?.appliedLsn === status.log.appendedLsn;
      await pair.a.waitStatus('the site has everything', hasAll, SETTLE_MS);
    };
    return { name: `lvr ${mode}`, uri: pair.a.uri('data'), pids: [pair.a.pid, pair.b.pid], output, settle, stop };
  };
}

/** Every target by the name it has in tables and in ONLY. */
export const TARGETS: Readonly<Record<string, Launcher>> = {
  nbdkit,
  null: nothing,
  'qemu-nbd': qemuNbd,
  quorum: quorum('writethrough'),
  'quorum-wb': quorum('writeback'),
  lvr: lvrAlone,
  async: lvrPair('async'),
  memory: lvrPair('memory'),
  logged: lvrPair('logged'),
};

/** Names of the targets that are lvr. */
export const LVR_TARGETS: readonly string[] = ['lvr', 'async', 'memory', 'logged'];

/** Memory resident now and at its highest, in bytes; zero for a process that is gone. */
export function residentBytes(pid: number): { now: number; peak: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
    return { now: field('VmRSS'), peak: field('VmHWM') };
  } catch {
    return { now: 0, peak: 0 };
  }
}
