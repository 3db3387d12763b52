// lvr agent stop: ends the agent in order and waits until it is gone. lvr agent restart: lets a new process go on, and waits until it
// answers.

import type { CommandModule } from 'yargs';
import { EXIT, LvrError } from '../../core/errors.js';
import type { GroupStatus } from '../../core/status.js';
import { askAgent } from '../client.js';
import { type GlobalOptions, printNote, printResult } from '../output.js';

/** Longer than the agent's own deadline for a stop. */
const STOP_MS = 60_000;
const POLL_MS = 50;

type Options = GlobalOptions & { action: string };

/** The command. */
export const agentCommand: CommandModule<GlobalOptions, Options> = {
  command: 'agent <action>',
  describe: 'stop the agent, or restart it while its devices are in use',
  builder: (yargs) =>
    yargs.positional('action', {
      choices: ['stop', 'restart'] as const,
      demandOption: true,
      describe: 'stop: end it; restart: let a new process go on, with the configuration and the program as they are now',
    }),
  handler: (options) => (options.action === 'restart' ? restart(options) : stop(options)),
};

async function stop(options: Options): Promise<void> {
  const { pid } = await askAgent(options.agent, 'agent-stop', {});
  await waitForEnd(pid);
  printResult(options, { changed: true, pid }, `agent ${pid} has stopped`);
}

async function restart(options: Options): Promise<void> {
  const failedBefore = (await failedGroups(options.agent)).map(({ group }) => group);
  const { pid, successor } = await askAgent(options.agent, 'agent-restart', {});
  await waitForEnd(pid);
  const deadlineMs = performance.now() + STOP_MS;
  while ((await pidOf(options.agent)) !== successor) {
    if (!isAlive(successor)) throw new LvrError('FAILED', `agent ${successor} has ended`, { hint: 'its log says why; start lvrd again' });
    if (performance.now() > deadlineMs) throw new LvrError('TIMEOUT', `agent ${successor} does not answer within ${STOP_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  printResult(options, { changed: true, pid: successor, before: pid }, `agent ${successor} goes on instead of ${pid}`);
  for (const { group, reason } of await failedGroups(options.agent)) {
    if (failedBefore.includes(group)) continue;
    printNote(`warning: group ${group} has failed since: ${reason}`);
    process.exitCode = EXIT.unhealthy;
  }
}

async function failedGroups(agent: string): Promise<GroupStatus[]> {
  return (await askAgent(agent, 'status', {})).items.filter(({ health }) => health === 'failed');
}

/** Who answers on the control socket, if anybody does. */
async function pidOf(path: string): Promise<number> {
  try {
    return (await askAgent(path, 'version', {}, POLL_MS * 20)).pid;
  } catch (error) {
    if (error instanceof LvrError) return 0;
    throw error;
  }
}

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
