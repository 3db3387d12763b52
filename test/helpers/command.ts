// Runs a foreign command to its end and hands back all it said. Used by the process tests and by the benchmark.

import { spawn } from 'node:child_process';

/** How much of each output stream an error carries. */
const OUTPUT_SHOWN = 1000;

/** What a command came to. `code` is -1 when a signal or the deadline ended it. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of runCommand(). */
export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** Runs `command` and resolves with its exit code and output, whatever they are; rejects only when it cannot be started. */
export function runCommand(command: string, parameters: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const timeoutMs = options.timeoutMs ?? 60_000;
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const text = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (piece: string) => {
        text[name] += piece;
      });
    }
    const timer = setTimeout(() => {
      text.stderr += `\nkilled: still running after ${timeoutMs} ms`;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ ...text, code: code ?? -1 });
    });
    if (options.input !== undefined) child.stdin?.end(options.input);
  });
}

/** As runCommand(), but anything other than exit code 0 is an error that carries the output. Returns stdout. */
export async function mustRun(command: string, parameters: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await runCommand(command, parameters, options);
  const said = `${result.stdout.slice(-OUTPUT_SHOWN)}\n${result.stderr.slice(-OUTPUT_SHOWN)}`;
  if (result.code !== 0) throw new Error(`${command} ${parameters.join(' ')}: exit ${result.code}\n${said}`);
  return result.stdout;
}

/** Resolves after `ms`. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Thrown by a probe of until() when waiting longer is of no use. */
export class Hopeless extends Error {}

/** Calls `probe` until it returns something other than undefined; after `timeoutMs` an error names `what` and the last failure. */
export async function until<T>(what: string, timeoutMs: number, probe: () => Promise<T | undefined>, pauseMs = 20): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    if (last instanceof Hopeless) throw new Error(`${what}: ${last.message}`, { cause: last });
    if (performance.now() > endMs) throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: last });
    await sleep(pauseMs);
  }
}
