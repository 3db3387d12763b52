// lvr detach TARGET: removes the block device of a volume; refused, with the holders, while it is in use.

import type { CommandModule } from 'yargs';
import { askAgent } from '../client.js';
import { type GlobalOptions, printResult } from '../output.js';

type Options = GlobalOptions & { target: string };

/** The command. */
export const detachCommand: CommandModule<GlobalOptions, Options> = {
  command: 'detach <target>',
  describe: 'remove the block device of GROUP/VOLUME',
  builder: (yargs) => yargs.positional('target', { type: 'string', demandOption: true, describe: 'GROUP/VOLUME or the device' }),
  handler: async (options) => {
    const result = await askAgent(options.agent, 'detach', { target: options.target });
    const text = result.changed ? `${result.target} detached from ${result.device}` : `${result.target} is not attached`;
    printResult(options, result, text);
  },
};
