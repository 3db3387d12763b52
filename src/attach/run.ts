// Waiting with a deadline: for a system tool, for a promise, for a condition.

import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../core/errors.js';

const RUN_MS = 15_000;
const OUTPUT_BYTES_MAX = 256 * 1024;
const POLL_MS = 20;

/** How it ended. `missing`: there is no such program. */
export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string; readonly missing: boolean };

/** Runs `command`; never rejects. A tool that does not end in time is killed and counts as failed. */
export function runTool(command: string, parameters: readonly string[], timeoutMs = RUN_MS): Promise<RunResult> {
  return new Promise<RunResult>((resolve) => {
    execFile(
      command,
      [...parameters],
      { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        const killed = error?.killed === true ? `${command} did not end within ${timeoutMs / 1000} s` : '';
        resolve({ code, stdout: stdout.trim(), stderr: killed || stderr.trim(), missing: (error?.code as unknown) === 'ENOENT' });
      },
    );
    // Some reasons why a process cannot be started (no memory, no descriptor, a busy file) are thrown.
  }).catch((error: unknown) => ({ code: 1, stdout: '', stderr: messageOf(error), missing: false }));
}

/** The result of `work`, or undefined when it has none after `timeoutMs`; the work goes on then, and how it ends no longer matters. */
export async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Flushes a file; resolves with what went wrong: '' when nothing did, or when it has not ended after `timeoutMs`. */
export async function flushFailure(file: { sync(): Promise<void> }, timeoutMs: number): Promise<string> {
  const ended = file.sync().then(() => '', messageOf);
  return (await within(ended, timeoutMs)) ?? '';
}

/** Polls until `holds`, at most `timeoutMs`. */
export async function becomes(timeoutMs: number, holds: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    if (await holds()) return true;
    if (performance.now() > deadlineMs) return false;
    await sleep(POLL_MS);
  }
}
