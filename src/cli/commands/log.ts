// lvr log show GROUP: positions of a group's log, from the agent. lvr log show --raw FILE: what stands in a log at rest, without an agent.

import { existsSync } from 'node:fs';
import type { CommandModule } from 'yargs';
import { LvrError } from '../../core/errors.js';
import { askAgent } from '../client.js';
import { type GlobalOptions, printResult } from '../output.js';
import { formatBytes, table } from '../table.js';

type Options = GlobalOptions & { action: string; group: string | undefined; raw: string | undefined };

/** The command. */
export const logCommand: CommandModule<GlobalOptions, Options> = {
  command: 'log <action> [group]',
  describe: 'show the log of GROUP, or with --raw a log at rest',
  builder: (yargs) =>
    yargs
      .positional('action', { choices: ['show'] as const, demandOption: true, describe: 'what to do' })
      .positional('group', { type: 'string', describe: 'name of the group' })
      .option('raw', { type: 'string', requiresArg: true, describe: 'log file or device to read, without an agent' })
      .conflicts('raw', 'group'),
  handler: async (options) => {
    if (options.raw !== undefined) {
      if (!existsSync(options.raw)) throw new LvrError('NOT_FOUND', `there is no ${options.raw}`);
      const { dumpLog } = await import('../../disk/log-dump.js');
      await dumpLog(options.raw, (line) => void process.stdout.write(`${line}\n`));
      return;
    }
    if (options.group === undefined) throw new LvrError('USAGE', 'log show needs a GROUP, or --raw FILE');
    await showPositions(options, options.group);
  },
};

async function showPositions(options: GlobalOptions, group: string): Promise<void> {
  const { items } = await askAgent(options.agent, 'status', { group });
  const item = items[0];
  if (!item) throw new LvrError('NOT_FOUND', `there is no group ${group}`);
  const { log } = item;
  const rows = [
    ['size', formatBytes(log.sizeBytes)],
    ['used', formatBytes(log.usedBytes)],
    ['appended', log.appendedLsn],
    ['durable', log.durableLsn],
    ['applied', log.appliedLsn],
    ['trimmed', log.trimmedLsn],
    ...item.sites.map((site) => [`acked by ${site.site}`, site.ackedLsn]),
  ];
  printResult(options, { group, epoch: item.epoch, ...log }, table(['POSITION', group.toUpperCase()], rows));
}
