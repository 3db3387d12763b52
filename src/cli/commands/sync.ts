// lvr sync start|pause|resume|status GROUP [SITE]: copies to sites that the log no longer covers, and how far they are. With --watch until
// none is left to follow: on a terminal a line for each site that changes in place, elsewhere a line every ten seconds, with -o jsonl an
// object every time.

import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandModule } from 'yargs';
import { LvrError } from '../../core/errors.js';
import type { GroupStatus, SiteStatus } from '../../core/status.js';
import { askAgent } from '../client.js';
import { type GlobalOptions, printResult } from '../output.js';
import { progressLine } from '../progress.js';

type Options = GlobalOptions & {
  action: 'start' | 'pause' | 'resume' | 'status';
  group: string;
  site: string | undefined;
  watch: boolean;
};

const DONE = { start: 'started', pause: 'paused', resume: 'resumed' } as const;
const NOTHING = { start: 'is to be started', pause: 'is to be paused', resume: 'is paused' } as const;
const TERMINAL_MS = 1_000;
const LINES_MS = 10_000;

/** The command. */
export const syncCommand: CommandModule<GlobalOptions, Options> = {
  command: 'sync <action> <group> [site]',
  describe: 'start, pause, resume or follow the resync of SITE, or of all sites of GROUP',
  builder: (yargs) =>
    yargs
      .positional('action', { choices: ['start', 'pause', 'resume', 'status'] as const, demandOption: true, describe: 'what to do' })
      .positional('group', { type: 'string', demandOption: true, describe: 'name of the group' })
      .positional('site', { type: 'string', describe: 'name of the site' })
      .option('watch', { type: 'boolean', default: false, describe: 'follow until everything is copied' }),
  handler: async (options) => {
    const { action, group, site, watch } = options;
    if (action !== 'status') {
      const result = await askAgent(options.agent, 'sync', { action, group, ...(site === undefined ? {} : { site }) });
      const text = result.changed ? `resync of ${result.sites.join(', ')} ${DONE[action]}` : `no resync ${NOTHING[action]}`;
      printResult(options, result, text);
    }
    if (watch) await follow(options);
    else if (action === 'status') show(options, await sitesOf(options));
  },
};

async function sitesOf({ agent, group, site }: Options): Promise<SiteStatus[]> {
  const { items } = await askAgent(agent, 'status', { group });
  const { sites, role, reason } = items[0] as GroupStatus;
  if (role === 'unknown') throw new LvrError('FAILED', `group ${group} is not open: ${reason}`);
  const found = sites.filter((each) => site === undefined || each.site === site);
  if (found.length > 0 || site === undefined) return found;
  throw new LvrError('NOT_FOUND', `group ${group} has no site ${site}`, { details: { sites: sites.map((each) => each.site) } });
}

/** The part of a site's status that is about its resync. */
function documentOf(group: string, site: SiteStatus): Record<string, unknown> {
  const { replication, tracking, dirtyBytes, resync, reason } = site;
  return { group, site: site.site, time: new Date().toISOString(), replication, tracking, dirtyBytes, resync, reason };
}

function show(options: Options, sites: readonly SiteStatus[]): void {
  const documents = sites.map((site) => documentOf(options.group, site));
  if (options.output === 'jsonl') for (const document of documents) process.stdout.write(`${JSON.stringify(document)}\n`);
  else printResult(options, { group: options.group, sites: documents }, sites.map(progressLine).join('\n'));
}

async function follow(options: Options): Promise<void> {
  const isTerminal = process.stdout.isTTY === true && options.output === 'table';
  for (let first = true; ; first = false) {
    const sites = await sitesOf(options);
    if (isTerminal && !first) process.stdout.write(`\x1b[${sites.length}A\x1b[J`);
    show(options, sites);
    // What needs a seed is not brought back by waiting.
    if (sites.every((site) => site.tracking !== 'bitmap' && site.resync === null)) return;
    await sleep(isTerminal ? TERMINAL_MS : LINES_MS);
  }
}
