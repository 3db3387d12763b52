// lvr site pause|resume|set GROUP SITE: what an operator may do to one site of a running group.

import type { CommandModule } from 'yargs';
import { askAgent } from '../client.js';
import { type GlobalOptions, printResult } from '../output.js';

type Options = GlobalOptions & { action: 'pause' | 'resume' | 'set'; group: string; site: string; settings: string[] | undefined };

const DONE = { pause: 'paused', resume: 'resumed', set: 'changed' } as const;
const NOTHING = { pause: 'is already paused', resume: 'is not paused', set: 'is already as asked for' } as const;

/** The command. */
export const siteCommand: CommandModule<GlobalOptions, Options> = {
  command: 'site <action> <group> <site> [settings..]',
  describe: 'pause or resume the link to SITE, or set KEY=VALUE for it while GROUP runs',
  builder: (yargs) =>
    yargs
      .positional('action', { choices: ['pause', 'resume', 'set'] as const, demandOption: true, describe: 'what to do' })
      .positional('group', { type: 'string', demandOption: true, describe: 'name of the group' })
      .positional('site', { type: 'string', demandOption: true, describe: 'name of the site' })
      .positional('settings', {
        type: 'string',
        array: true,
        describe:
          'mode, on_disconnect, log_full, max_ios, max_bytes, max_age (HIGH[,low=LOW][,action=ACTION] or none), max_rate, min_rate, latency_target',
      }),
  handler: async (options) => {
    const { action, group, site, settings = [] } = options;
    const result = await askAgent(options.agent, 'site', { action, group, site, settings });
    printResult(options, result, `site ${site} of group ${group} ${result.changed ? DONE[action] : NOTHING[action]}`);
  },
};
