// Runs a system tool with a deadline and bounded output.

import { execFile } from 'node:child_process';

const RUN_MS = 15_000;
const OUTPUT_BYTES_MAX = 256 * 1024;

/** How it ended. `missing`: there is no such program. */
export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string; readonly missing: boolean };

/** Runs `command`; never rejects. A tool that does not end in time is killed and counts as failed. */
export function runTool(command: string, parameters: readonly string[], timeoutMs = RUN_MS): Promise<RunResult> {
  return new Promise((resolve) => {
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
  });
}
