// Programs of the operator that are told of events: executable files in `agent.hooks` with the names of the events. They run beside the
// agent, one after the other, with a deadline; nothing waits for them, and how they end is only reported.

import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../core/errors.js';
import type { Log } from '../core/ports.js';

/** A hook that takes longer is killed. */
const HOOK_MS = 60_000;
/** Events that wait for the hooks of others; what comes on top is not handed to hooks. */
const WAITING_MAX = 64;
const OUTPUT_BYTES_MAX = 64 * 1024;
const OUTPUT_CHARS_SHOWN = 500;

type Event = { readonly level: string; readonly event: string; readonly message: string; readonly fields: Record<string, unknown> };

/** A log whose events also go to the hooks in `directory`. `site` is the name of this agent. */
export function withHooks(log: Log, directory: string, site: string, timeoutMs = HOOK_MS): Log {
  const hooks = new Hooks(log, directory, site, timeoutMs);
  const report =
    (level: 'info' | 'warn' | 'error') =>
    (event: string, message: string, fields: Record<string, unknown> = {}): void => {
      log[level](event, message, fields);
      hooks.add({ level, event, message, fields });
    };
  return { info: report('info'), warn: report('warn'), error: report('error') };
}

class Hooks {
  readonly #log: Log;
  readonly #directory: string;
  readonly #site: string;
  readonly #timeoutMs: number;
  readonly #waiting: Event[] = [];
  #isRunning = false;
  #dropped = 0;

  constructor(log: Log, directory: string, site: string, timeoutMs: number) {
    this.#log = log;
    this.#directory = directory;
    this.#site = site;
    this.#timeoutMs = timeoutMs;
  }

  add(event: Event): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(event);
    if (!this.#isRunning) void this.#runAll();
  }

  async #runAll(): Promise<void> {
    this.#isRunning = true;
    for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) {
      const path = join(this.#directory, event.event);
      const isThere = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (isThere) await this.#run(path, event);
    }
    this.#isRunning = false;
    if (this.#dropped === 0) return;
    this.#log.warn('hooks-dropped', `${this.#dropped} events were not handed to hooks, because too many waited`, { count: this.#dropped });
    this.#dropped = 0;
  }

  #run(path: string, { level, event, message, fields }: Event): Promise<void> {
    const facts = { event, level, message, agent: this.#site };
    const env = { PATH: process.env['PATH'], ...variables(fields), ...variables(facts) };
    const options = { env, timeout: this.#timeoutMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX } as const;
    const failed = (why: string): void => this.#log.warn('hook-failed', `hook ${path} ${why}`, { hook: path });
    return new Promise((resolve) => {
      try {
        const child = execFile(path, [], options, (error, stdout, stderr) => {
          if (error !== null) {
            const why = error.killed === true ? `did not end within ${this.#timeoutMs / 1000} s` : `failed (${error.code ?? error.signal})`;
            const said = (stderr || stdout).trim().slice(0, OUTPUT_CHARS_SHOWN);
            failed(`${why}${said === '' ? '' : `: ${said}`}`);
          }
          resolve();
        });
        // An agent that ends does not wait for it.
        child.unref();
      } catch (error) {
        // Some reasons not to start it are thrown instead of told: somebody is writing the file just now, there is no memory.
        failed(`cannot be started: ${messageOf(error)}`);
        resolve();
      }
    });
  }
}

/** `{ usedBytes: 5 }` as `{ LVR_USED_BYTES: '5' }`; lists and objects are left out. */
function variables(fields: Record<string, unknown>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) continue;
    // No variable can hold a zero byte.
    result[`LVR_${name.replaceAll(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`] = String(value).replaceAll('\0', '');
  }
  return result;
}
