// lvr version: of this command, and of the agent when one answers.

import type { CommandModule } from 'yargs';
import { VERSION } from '../../agent/version.js';
import { LvrError } from '../../core/errors.js';
import { askAgent } from '../client.js';
import { type GlobalOptions, printResult } from '../output.js';

const ANSWER_MS = 2_000;

/** The command. */
export const versionCommand: CommandModule<GlobalOptions, GlobalOptions> = {
  command: 'version',
  describe: 'show the versions of lvr and of the agent',
  handler: async (options) => {
    const agent = await askAgent(options.agent, 'version', {}, ANSWER_MS).catch((error: unknown) => {
      if (error instanceof LvrError) return undefined;
      throw error;
    });
    const own = `lvr ${VERSION}, node ${process.version}`;
    const text = agent
      ? `${own}\nagent ${agent.version}, node ${agent.node}, pid ${agent.pid}, site ${agent.site}`
      : `${own}\nno agent answers`;
    printResult(options, { version: VERSION, node: process.version, agent: agent ?? null }, text);
  },
};
