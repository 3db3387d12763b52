// lvr log show GROUP: positions of a group's log, from the agent. lvr log show --raw FILE: what stands in a log at rest, without an agent.
// lvr log resize GROUP SIZE: another size for it, while it is in use.

import type { CommandModule } from 'yargs';
import { LvrError } from '../../core/errors.js';
import { askAgent } from '../client.js';
import { type GlobalOptions, printResult } from '../output.js';
import { formatBytes, table } from '../table.js';

type Options = GlobalOptions & { action: string; group: string | undefined; size: string | undefined; raw: string | undefined };

/** The command. */
export const logCommand: CommandModule<GlobalOptions, Options> = {
  command: 'log <action> [group] [size]',
  describe: 'show the log of GROUP (with --raw a log at rest), or give it another SIZE',
  builder: (yargs) =>
    yargs
      .positional('action', { choices: ['show', 'resize'] as const, demandOption: true, describe: 'what to do' })
      .positional('group', { type: 'string', describe: 'name of the group' })
      .positional('size', { type: 'string', describe: 'resize: its new size, such as 2GiB' })
      .option('raw', { type: 'string', requiresArg: true, describe: 'log file or device to read, without an agent' })
      .conflicts('raw', 'group'),
  handler: async (options) => {
    if (options.action === 'resize') return resize(options);
    if (options.size !== undefined) throw new LvrError('USAGE', 'log show takes no SIZE');
    if (options.raw !== undefined) {
      const { dumpLog } = await import('../../disk/log-dump.js');
      await dumpLog(options.raw, (line) => void process.stdout.write(`${line}\n`));
      return;
    }
    if (options.group === undefined) throw new LvrError('USAGE', 'log show needs a GROUP, or --raw FILE');
    await showPositions(options, options.group);
  },
};

async function resize(options: Options): Promise<void> {
  const { group, size, raw } = options;
  if (group === undefined || size === undefined || raw !== undefined) throw new LvrError('USAGE', 'log resize needs a GROUP and a SIZE');
  const result = await askAgent(options.agent, 'log-resize', { group, size });
  const now = formatBytes(result.sizeBytes);
  printResult(options, result, result.changed ? `the log of ${group} has ${now}` : `the log of ${group} already has ${now}`);
}

async function showPositions(options: GlobalOptions, group: string): Promise<void> {
  const { items } = await askAgent(options.agent, 'status', { group });
  const item = items[0];
  if (!item) throw new LvrError('NOT_FOUND', `there is no group ${group}`);
  const { log, role, reason } = item;
  if (role === 'unknown') throw new LvrError('FAILED', `group ${group} is not open: ${reason}`, { hint: 'lvr log show --raw FILE' });
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
