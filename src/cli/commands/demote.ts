// lvr demote GROUP: makes this site a secondary of a group; refused while a volume is attached.

import type { CommandModule } from 'yargs';
import { askAgent } from '../client.js';
import { type GlobalOptions, printNote, printResult } from '../output.js';

type Options = GlobalOptions & { group: string };

/** The command. */
export const demoteCommand: CommandModule<GlobalOptions, Options> = {
  command: 'demote <group>',
  describe: 'make this site a secondary of GROUP',
  builder: (yargs) => yargs.positional('group', { type: 'string', demandOption: true, describe: 'name of the group' }),
  handler: async (options) => {
    const { group } = options;
    const result = await askAgent(options.agent, 'demote', { group });
    for (const warning of result.warnings) printNote(`warning: ${warning}`);
    printResult(options, result, result.changed ? `${group} is secondary here` : `${group} is already secondary here`);
  },
};
