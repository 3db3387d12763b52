#!/usr/bin/env node
// lvr: the command line. Parses, runs one command, and turns what went wrong into an error form and an exit code, here and nowhere else.

import { hideBin } from 'yargs/helpers';
import yargs from 'yargs/yargs';
import { EXIT, LvrError } from '../core/errors.js';
import { DEFAULT_AGENT } from './client.js';
import { agentCommand } from './commands/agent.js';
import { attachCommand } from './commands/attach.js';
import { demoCommand } from './commands/demo.js';
import { demoteCommand } from './commands/demote.js';
import { detachCommand } from './commands/detach.js';
import { explainCommand } from './commands/explain.js';
import { logCommand } from './commands/log.js';
import { promoteCommand } from './commands/promote.js';
import { selftestCommand } from './commands/selftest.js';
import { siteCommand } from './commands/site.js';
import { statusCommand } from './commands/status.js';
import { syncCommand } from './commands/sync.js';
import { versionCommand } from './commands/version.js';
import { type Format, printError } from './output.js';

const WIDTH_MAX = 100;

/** The form of errors, also of those made before the options were understood. */
function requestedFormat(words: readonly string[]): Format {
  return words.some(
    (word, i) => /^(-o=?|--output=)jsonl?$/.test(word) || (/^(-o|--output)$/.test(word) && /^jsonl?$/.test(words[i + 1] ?? '')),
  )
    ? 'json'
    : 'table';
}

function usage(message: string): LvrError {
  return new LvrError('USAGE', message, { hint: 'lvr --help' });
}

function oneSocket(value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw usage(Array.isArray(value) ? '--agent is given twice' : '--agent names no socket');
}

/** A switch with a value other than true and false would count as false. */
function checkSwitches(words: readonly string[]): void {
  for (const word of words.slice(0, words.includes('--') ? words.indexOf('--') : words.length)) {
    const [, name, value] = /^--(force|exit-code|watch|keep|shrink)=(.*)$/.exec(word) ?? [];
    if (name !== undefined && value !== 'true' && value !== 'false') throw usage(`--${name} takes no value, got ${value}`);
  }
}

async function run(words: string[]): Promise<void> {
  checkSwitches(words);
  await yargs(words)
    .scriptName('lvr')
    .usage('lvr [--agent SOCKET] VERB')
    .option('agent', {
      type: 'string',
      default: process.env['LVR_AGENT'] || DEFAULT_AGENT,
      requiresArg: true,
      coerce: oneSocket,
      describe: 'control socket of the agent',
    })
    .option('output', {
      alias: 'o',
      choices: ['table', 'json', 'jsonl'] as const,
      default: 'table' as const,
      describe: 'form of results and errors',
    })
    .command(statusCommand)
    .command(attachCommand)
    .command(detachCommand)
    .command(promoteCommand)
    .command(demoteCommand)
    .command(siteCommand)
    .command(syncCommand)
    .command(logCommand)
    .command(agentCommand)
    .command(versionCommand)
    .command(explainCommand)
    .command(demoCommand)
    .command(selftestCommand)
    .completion('completion', 'print a completion script for the shell')
    .demandCommand(1, 'which verb?')
    .recommendCommands()
    .strict()
    .version(false)
    .wrap(Math.min(WIDTH_MAX, process.stdout.columns ?? WIDTH_MAX))
    .fail((message, error) => {
      // What the parser itself throws is a message of its own.
      if (error !== undefined && error !== null && error.name !== 'YError') throw error;
      throw usage((message ?? error.message).replaceAll('\n', '; '));
    })
    .parseAsync();
}

const words = hideBin(process.argv);
// A reader that has gone (lvr status | head) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed));
try {
  await run(words);
} catch (error) {
  if (!(error instanceof LvrError)) throw error;
  printError(requestedFormat(words), error);
  process.exitCode = error.exit;
}
