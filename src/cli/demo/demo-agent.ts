// One agent of the demo: its directory, configuration and process.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Verb, Verbs } from '../../agent/control-protocol.js';
import { LvrError } from '../../core/errors.js';
import type { GroupStatus } from '../../core/status.js';
import { askAgent } from '../client.js';
import type { Place } from './place.js';

const LVRD = fileURLToPath(new URL('../../agent/main.js', import.meta.url));
const POLL_MS = 50;
const ASK_MS = 10_000;

/** Volumes of the demo's group: file system and size (xfs takes no less than 300 MiB). */
export const VOLUMES = [
  { name: 'data', fileSystem: 'ext4', size: '256MiB' },
  { name: 'wal', fileSystem: 'xfs', size: '320MiB' },
] as const;

/** Where an agent is in the story: its name, its first role, where it listens and where it finds the other one. */
export type DemoSite = {
  readonly site: string;
  readonly role: 'primary' | 'secondary';
  readonly port: number;
  readonly other: string;
  readonly otherPort: number;
};

/** Starts, asks, kills and restarts one lvrd. */
export class DemoAgent {
  readonly site: string;
  readonly directory: string;
  readonly #place: Place;
  readonly #control: string;
  #child: ChildProcess | undefined;

  constructor(place: Place, site: DemoSite) {
    this.#place = place;
    this.site = site.site;
    this.directory = join(place.path, site.site);
    this.#control = join(this.directory, 'agent.sock');
    mkdirSync(this.directory);
    writeFileSync(join(this.directory, 'lvr.toml'), configText(this.directory, site));
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Starts the process and waits until it answers. It has a process group of its own, so that Ctrl-C leaves the order of the end to us. */
  async start(): Promise<void> {
    const log = openSync(join(this.directory, 'log'), 'a');
    const child = spawn(process.execPath, [LVRD, '--config', join(this.directory, 'lvr.toml')], {
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    this.#place.adopt(child);
    await this.until('to answer', 20_000, () => true);
  }

  /** kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Orderly stop. Throws FAILED when it does not end well. */
  async stop(): Promise<void> {
    const code = await this.#end('SIGTERM');
    if (code !== 0) throw new LvrError('FAILED', `agent ${this.site} ended with ${code}\n${this.lastLines()}`);
  }

  ask<V extends Verb>(verb: V, args: Verbs[V]['args'], timeoutMs = ASK_MS): Promise<Verbs[V]['result']> {
    return askAgent(this.#control, verb, args, timeoutMs);
  }

  /** The group as this agent sees it. */
  async status(): Promise<GroupStatus> {
    const { items } = await this.ask('status', {});
    return items[0] as GroupStatus;
  }

  /** Polls the status until `holds`. Throws TIMEOUT with the last status. */
  async until(what: string, timeoutMs: number, holds: (status: GroupStatus) => boolean): Promise<GroupStatus> {
    const deadlineMs = performance.now() + timeoutMs;
    let last = 'no answer';
    while (performance.now() < deadlineMs) {
      if (this.#child?.exitCode !== null) break;
      try {
        const status = await this.status();
        if (holds(status)) return status;
        last = JSON.stringify(status);
      } catch (error) {
        if (!(error instanceof LvrError)) throw error;
        last = error.message;
      }
      await sleep(POLL_MS);
    }
    throw new LvrError('TIMEOUT', `waited in vain for agent ${this.site} ${what}: ${last}\n${this.lastLines()}`);
  }

  /** The end of what the agent printed. */
  lastLines(): string {
    return readFileSync(join(this.directory, 'log'), 'utf8').split('\n').slice(-12).join('\n');
  }

  async #end(signal: NodeJS.Signals): Promise<number | string> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? 'no process';
    const ended = new Promise<number | string>((resolve) => child.once('exit', (code, by) => resolve(code ?? by ?? 'unknown')));
    child.kill(signal);
    return ended;
  }
}

/** A free TCP port of this machine. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

function configText(directory: string, { site, role, port, other, otherPort }: DemoSite): string {
  const lines = [
    '[agent]',
    `site = "${site}"`,
    `state_dir = "${directory}/state"`,
    `control = "${directory}/agent.sock"`,
    `listen = "127.0.0.1:${port}"`,
    '',
    '[groups.app]',
    `role = "${role}"`,
    `log = { path = "${directory}/app.log", size = "1GiB" }`,
  ];
  for (const { name, size } of VOLUMES)
    lines.push(`[groups.app.volumes.${name}]`, `device = "${directory}/${name}.img"`, `size = "${size}"`);
  lines.push(`[groups.app.sites.${other}]`, `address = "127.0.0.1:${otherPort}"`, 'mode = "logged"', '');
  return lines.join('\n');
}
