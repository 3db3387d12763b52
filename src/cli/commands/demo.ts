// lvr demo: the whole life of a mirrored volume on this machine, in a minute.

import type { CommandModule } from 'yargs';
import type { GlobalOptions } from '../output.js';

type Options = GlobalOptions & { keep: boolean };

/** The command. */
export const demoCommand: CommandModule<GlobalOptions, Options> = {
  command: 'demo',
  describe: 'two agents, two file systems, a crash and a failover, in a minute',
  builder: (yargs) => yargs.option('keep', { type: 'boolean', default: false, describe: 'keep the logs of the agents when it fails' }),
  handler: async (options) => {
    const { runDemo } = await import('../demo/story.js');
    process.exitCode = await runDemo({ keep: options.keep });
  },
};
