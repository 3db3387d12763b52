// lvr status [GROUP]: roles, health, positions and lag, as a table or as the JSON document.

import type { CommandModule } from 'yargs';
import type { StatusDocument } from '../../agent/control-protocol.js';
import { EXIT } from '../../core/errors.js';
import type { GroupStatus } from '../../core/status.js';
import { askAgent } from '../client.js';
import { type GlobalOptions, printResult } from '../output.js';
import { progressLine } from '../progress.js';
import { formatBytes, formatSeconds, table } from '../table.js';

type Options = GlobalOptions & { group: string | undefined; 'exit-code': boolean };

/** The command. */
export const statusCommand: CommandModule<GlobalOptions, Options> = {
  command: 'status [group]',
  describe: 'show groups, volumes, sites and lag',
  builder: (yargs) =>
    yargs
      .positional('group', { type: 'string', describe: 'only this group' })
      .option('exit-code', { type: 'boolean', default: false, describe: `exit ${EXIT.unhealthy} unless every group shown is healthy` }),
  handler: async (options) => {
    const document = await askAgent(options.agent, 'status', options.group === undefined ? {} : { group: options.group });
    printResult(options, document, formatStatus(document));
    if (options['exit-code'] && document.items.some((item) => item.health !== 'healthy')) process.exitCode = EXIT.unhealthy;
  },
};

/** The document as text. */
export function formatStatus(document: StatusDocument): string {
  if (document.items.length === 0) return 'no groups in the configuration';
  const note = document.insecure ? 'links between sites are plain TCP (insecure = true)\n\n' : '';
  return note + document.items.map((item) => formatGroup(item, document.site)).join('\n\n');
}

function formatGroup(item: GroupStatus, site: string): string {
  const { log } = item;
  const full = log.sizeBytes > 0 ? Math.round((100 * log.usedBytes) / log.sizeBytes) : 0;
  const isKnown = item.role !== 'unknown';
  const lines = [
    `GROUP ${item.group}  ${isKnown ? item.role : 'role unknown'} on ${site}  ${item.health.toUpperCase()}  image ${item.image}  epoch ${item.epoch}` +
      `  log ${formatBytes(log.usedBytes)} of ${formatBytes(log.sizeBytes)} (${full}%)${etaOf(item)}`,
  ];
  if (item.reason !== '') lines.push(`  reason: ${item.reason}`);
  lines.push(
    table(
      ['VOLUME', 'SIZE', 'DEVICE'],
      item.volumes.map((v) => [
        v.volume,
        formatBytes(v.sizeBytes),
        v.attached === '' ? '-' : v.attached + (v.isLost ? ' (no longer works)' : ''),
      ]),
      2,
    ),
  );
  if (item.sites.length === 0) return lines.join('\n');
  const rows = item.sites.map((s) => [
    s.site,
    s.effectiveMode === s.mode ? s.mode : `${s.mode} (now ${s.effectiveMode})`,
    s.session,
    s.replication,
    item.role === 'unknown' ? '-' : `${formatSeconds(s.lagSeconds)}  ${formatBytes(s.lagBytes)}`,
    item.role === 'unknown' ? '-' : s.ackedLsn,
  ]);
  lines.push(table(['SITE', 'MODE', 'SESSION', 'REPLICATION', 'LAG', 'ACKED'], rows, 2));
  for (const s of item.sites) if (s.tracking === 'bitmap' || s.resync !== null) lines.push(`  resync ${progressLine(s)}`);
  for (const s of item.sites) if (s.reason !== '') lines.push(`  site ${s.site}: ${s.reason}${s.rule === '' ? '' : ` (rule ${s.rule})`}`);
  return lines.join('\n');
}

/** When the log is full, if that is in sight. */
function etaOf({ logFullEtaSeconds }: GroupStatus): string {
  return logFullEtaSeconds === null ? '' : `, full in about ${formatSeconds(logFullEtaSeconds)}`;
}
