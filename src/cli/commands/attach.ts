// lvr attach GROUP/VOLUME [DEVICE]: makes a volume a block device of this machine, through its agent.

import type { CommandModule } from 'yargs';
import { askAgent } from '../client.js';
import { type GlobalOptions, printResult } from '../output.js';

type Options = GlobalOptions & { volume: string; device: string | undefined };

/** The command. */
export const attachCommand: CommandModule<GlobalOptions, Options> = {
  command: 'attach <volume> [device]',
  describe: 'make GROUP/VOLUME a block device here',
  builder: (yargs) =>
    yargs
      .positional('volume', { type: 'string', demandOption: true, describe: 'GROUP/VOLUME' })
      .positional('device', { type: 'string', describe: 'a certain device, e.g. /dev/nbd0; default: any free one' }),
  handler: async (options) => {
    const { volume: target, device } = options;
    const result = await askAgent(options.agent, 'attach', device === undefined ? { target } : { target, device });
    const text = `${result.target} ${result.changed ? 'attached' : 'is already attached'} as ${result.device} (${result.how})\n${result.link}`;
    printResult(options, result, text);
  },
};
