// lvr promote GROUP: makes this site the primary of a group.

import type { CommandModule } from 'yargs';
import { askAgent } from '../client.js';
import { type GlobalOptions, printNote, printResult } from '../output.js';

type Options = GlobalOptions & { group: string; force: boolean };

/** The command. */
export const promoteCommand: CommandModule<GlobalOptions, Options> = {
  command: 'promote <group>',
  describe: 'make this site the primary of GROUP',
  builder: (yargs) =>
    yargs
      .positional('group', { type: 'string', demandOption: true, describe: 'name of the group' })
      .option('force', { type: 'boolean', default: false, describe: 'also when the copy here may lack writes that were answered' }),
  handler: async (options) => {
    const { group, force } = options;
    const result = await askAgent(options.agent, 'promote', { group, force });
    for (const warning of result.warnings) printNote(`warning: ${warning}`);
    printResult(options, result, result.changed ? `${group} is primary here, epoch ${result.epoch}` : `${group} is already primary here`);
  },
};
