// Starts, watches, kills and restarts real lvrd processes for the process tests and the benchmark.
//
// An agent keeps its directory across restarts; its workspace removes everything at the end. Only the fixed interfaces are used:
// the TOML config, the `lvr` verbs and `lvr status -o json`.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, Hopeless, runCommand, until } from './command.js';
import { NbdClient } from './nbd-client.js';
import { freePort, REPOSITORY, type Workspace } from './workspace.js';

/** The built binaries, run with node directly so that another Node can be tried. */
export const LVRD = join(REPOSITORY, 'dist/src/agent/main.js');
export const LVR = join(REPOSITORY, 'dist/src/cli/main.js');

/** How much of an agent's output an error carries. */
const STORY_CHARS = 4000;

/** `lvr status -o json`, as far as the tests look at it. */
export interface SiteStatus {
  readonly site: string;
  readonly mode: string;
  readonly effectiveMode: string;
  readonly session: string;
  readonly replication: string;
  readonly reason: string;
  readonly ackedLsn: string;
  readonly appliedLsn: string;
  readonly lagBytes: number;
  readonly lagIos: number;
  readonly tracking: string;
  readonly dirtyBytes: number;
}

/** One group in the status. */
export interface GroupStatus {
  readonly group: string;
  readonly role: string;
  readonly health: string;
  readonly reason: string;
  readonly image: string;
  readonly epoch: string;
  readonly log: Readonly<Record<'appendedLsn' | 'durableLsn' | 'appliedLsn' | 'trimmedLsn', string>>;
  readonly sites: readonly SiteStatus[];
}

/** Acknowledgement modes of a site. */
export type SiteMode = 'async' | 'memory' | 'logged' | 'applied';

/** What an agent of the tests serves: one group `app`. Sizes are config strings such as `64MiB`. */
export interface AgentOptions {
  readonly site: string;
  readonly role: 'primary' | 'secondary';
  readonly volumes?: Readonly<Record<string, string>>;
  readonly logSize?: string;
  readonly writeCache?: boolean;
  readonly io?: 'buffered' | 'direct';
  readonly undo?: 'auto' | 'required' | 'off';
  /** host:port to listen on for other sites. */
  readonly listen?: string;
  readonly sites?: Readonly<Record<string, { readonly address: string; readonly mode: SiteMode }>>;
  /** Also serve NBD on this TCP address, host:port. */
  readonly nbdTcp?: string;
  readonly node?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** One lvrd with its directory, config and sockets. */
export class TestAgent {
  readonly site: string;
  readonly directory: string;
  readonly configPath: string;
  readonly control: string;
  readonly nbdSocket: string;
  readonly #workspace: Workspace;
  readonly #options: AgentOptions;
  #child: ChildProcess | undefined;

  constructor(workspace: Workspace, options: AgentOptions, name = options.site) {
    this.#workspace = workspace;
    this.#options = options;
    this.site = options.site;
    this.directory = workspace.directory(name);
    this.configPath = join(this.directory, 'lvr.toml');
    this.control = join(this.directory, 'agent.sock');
    this.nbdSocket = join(this.directory, 'nbd.sock');
    this.writeConfig();
  }

  /** Writes the config of this agent; `extra` is appended as it is. */
  writeConfig(extra = ''): void {
    writeFileSync(this.configPath, configText(this.directory, this.#options) + extra);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Everything the agent wrote to standard error, over all its starts. */
  output(): string {
    return readFileSync(join(this.directory, 'stderr.txt'), 'utf8');
  }

  /** What the agent printed, without the coming and going of NBD clients: the part that explains a failure. */
  story(): string {
    return this.output()
      .split('\n')
      .filter((line) => !line.includes('"event":"nbd-'))
      .join('\n')
      .slice(-STORY_CHARS);
  }

  /** Starts the process without waiting for it to be ready. */
  spawn(): void {
    const log = openSync(join(this.directory, 'stderr.txt'), 'a');
    const child = spawn(this.#options.node ?? process.execPath, [LVRD, '--config', this.configPath], {
      env: { ...process.env, ...this.#options.environment },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = this.#workspace.adopt(child);
  }

  /** Starts the process and waits until the control socket answers. */
  async start(timeoutMs = 20_000): Promise<void> {
    this.spawn();
    await this.waitStatus('agent answers', () => true, timeoutMs);
  }

  /** Runs `lvr` against this agent. */
  lvr(...parameters: string[]): Promise<CommandResult> {
    const node = this.#options.node ?? process.execPath;
    return runCommand(node, [LVR, '--agent', this.control, ...parameters], { env: { ...this.#options.environment } });
  }

  /** The status of a group now; undefined when there is no such group. Rejects when the agent does not answer. */
  async status(group = 'app'): Promise<GroupStatus | undefined> {
    const result = await this.lvr('status', '-o', 'json');
    if (result.code !== 0) throw new Error(`lvr status: exit ${result.code}: ${result.stderr}`);
    const document = JSON.parse(result.stdout) as { items: GroupStatus[] };
    return document.items.find((item) => item.group === group);
  }

  /** Polls the status until `holds`; on failure the error carries what the agent printed. */
  async waitStatus(what: string, holds: (status: GroupStatus) => boolean, timeoutMs = 20_000): Promise<GroupStatus> {
    let last: GroupStatus | undefined;
    try {
      return await until(
        `agent ${this.site}: ${what}`,
        timeoutMs,
        async () => {
          if (!this.running) throw new Hopeless('the agent has ended');
          last = await this.status();
          return last !== undefined && holds(last) ? last : undefined;
        },
        10,
      );
    } catch (error) {
      throw new Error(`${String(error)}\nlast status: ${JSON.stringify(last)}\nagent printed:\n${this.story()}`, {
        cause: error,
      });
    }
  }

  /** Connects to `app/<volume>`, retrying while the export is not open yet: the fastest sign of readiness. */
  async connect(volume: string, timeoutMs = 20_000): Promise<NbdClient> {
    try {
      return await until(
        `export app/${volume} of ${this.site}`,
        timeoutMs,
        async () => {
          if (!this.running) throw new Hopeless('the agent has ended');
          return await NbdClient.connect(this.nbdSocket, `app/${volume}`);
        },
        5,
      );
    } catch (error) {
      throw new Error(`${String(error)}: ${String((error as Error).cause)}\nagent printed:\n${this.story()}`, {
        cause: error,
      });
    }
  }

  /** libnbd URI of a volume over the unix socket. */
  uri(volume: string): string {
    return `nbd+unix:///${encodeURIComponent(`app/${volume}`)}?socket=${this.nbdSocket}`;
  }

  /** Sends a signal to the process. */
  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL', 10_000);
  }

  /** Orderly stop; returns the exit code, -1 when it had to be killed. */
  async stop(timeoutMs = 20_000): Promise<number> {
    return await this.#end('SIGTERM', timeoutMs);
  }

  async #end(name: NodeJS.Signals, timeoutMs: number): Promise<number> {
    const child = this.#child;
    if (child === undefined || !this.running) return child?.exitCode ?? -1;
    const ended = once(child, 'exit');
    child.kill(name);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    await ended;
    clearTimeout(timer);
    return child.exitCode ?? -1;
  }
}

/** The config file of an agent whose files all lie in `directory`. */
export function configText(directory: string, options: AgentOptions): string {
  const nbd = [`unix:${directory}/nbd.sock`, ...(options.nbdTcp === undefined ? [] : [`tcp:${options.nbdTcp}`])];
  const lines = [
    '[agent]',
    `site = "${options.site}"`,
    `state_dir = "${directory}/state"`,
    `control = "${directory}/agent.sock"`,
    `nbd = ${JSON.stringify(nbd)}`,
    'insecure = true',
    ...(options.listen === undefined ? [] : [`listen = "${options.listen}"`]),
    '[groups.app]',
    `role = "${options.role}"`,
    `write_cache = ${options.writeCache ?? true}`,
    `undo = "${options.undo ?? 'auto'}"`,
    `log = { path = "${directory}/app.log", size = "${options.logSize ?? '64MiB'}" }`,
  ];
  for (const [volume, size] of Object.entries(options.volumes ?? { data: '64MiB' })) {
    lines.push(`[groups.app.volumes.${volume}]`, `device = "${directory}/${volume}.img"`, `size = "${size}"`);
    if (options.io !== undefined) lines.push(`io = "${options.io}"`);
  }
  for (const [site, { address, mode }] of Object.entries(options.sites ?? {})) {
    lines.push(`[groups.app.sites.${site}]`, `address = "${address}"`, `mode = "${mode}"`);
  }
  return `${lines.join('\n')}\n`;
}

/** Two agents, primary `a` and secondary `b`, that know each other. */
export interface AgentPair {
  readonly a: TestAgent;
  readonly b: TestAgent;
}

/**
 * Makes a pair (not started). `name` keeps the directories of several pairs in one workspace apart; `environment` is added to that of each
 * process.
 */
export async function makePair(
  workspace: Workspace,
  mode: SiteMode,
  options: Partial<AgentOptions> = {},
  name = '',
  environment: { readonly a?: AgentOptions['environment']; readonly b?: AgentOptions['environment'] } = {},
): Promise<AgentPair> {
  const [portA, portB] = await Promise.all([freePort(), freePort()]);
  const addressA = `127.0.0.1:${portA}`;
  const addressB = `127.0.0.1:${portB}`;
  const of = (site: 'a' | 'b'): Partial<AgentOptions> => ({ ...options, environment: { ...options.environment, ...environment[site] } });
  const a: AgentOptions = { ...of('a'), site: 'a', role: 'primary', listen: addressA, sites: { b: { address: addressB, mode } } };
  const b: AgentOptions = { ...of('b'), site: 'b', role: 'secondary', listen: addressB, sites: { a: { address: addressA, mode } } };
  return { a: new TestAgent(workspace, a, `${name}a`), b: new TestAgent(workspace, b, `${name}b`) };
}

/** Starts both agents of a pair and waits until the secondary has caught up, so that its mode is in force. */
export async function startPair(pair: AgentPair): Promise<void> {
  pair.b.spawn();
  await pair.a.start();
  const ready = (site: SiteStatus): boolean => site.site === 'b' && site.replication === 'streaming' && site.effectiveMode === site.mode;
  await pair.a
    .waitStatus('site b streams in its mode', (status) => status.sites.some(ready))
    .catch((error: unknown) => {
      throw new Error(`${String(error)}\nsite b ${pair.b.running ? 'runs' : 'has ended'}, it printed:\n${pair.b.story()}`);
    });
}
