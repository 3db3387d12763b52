// lvr agent stop: ends the agent in order and waits until it is gone.

import type { CommandModule } from 'yargs';
import { LvrError } from '../../core/errors.js';
import { askAgent } from '../client.js';
import { type GlobalOptions, printResult } from '../output.js';

/** Longer than the agent's own deadline for a stop. */
const STOP_MS = 60_000;
const POLL_MS = 50;

type Options = GlobalOptions & { action: string };

/** The command. */
export const agentCommand: CommandModule<GlobalOptions, Options> = {
  command: 'agent <action>',
  describe: 'stop the agent',
  builder: (yargs) => yargs.positional('action', { choices: ['stop'] as const, demandOption: true, describe: 'what to do' }),
  handler: async (options) => {
    const { pid } = await askAgent(options.agent, 'agent-stop', {});
    await waitForEnd(pid);
    printResult(options, { changed: true, pid }, `agent ${pid} has stopped`);
  },
};

async function waitForEnd(pid: number): Promise<void> {
  const deadlineMs = performance.now() + STOP_MS;
  while (isAlive(pid)) {
    if (performance.now() > deadlineMs) throw new LvrError('TIMEOUT', `agent ${pid} has not ended within ${STOP_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
