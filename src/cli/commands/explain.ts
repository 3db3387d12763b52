// lvr explain CODE|RULE: what an error code, or a rule shown in status, means.

import type { CommandModule } from 'yargs';
import { ERRORS, LvrError } from '../../core/errors.js';
import { type GlobalOptions, printResult } from '../output.js';
import { RULES } from '../rules.js';
import { table } from '../table.js';

type Options = GlobalOptions & { what: string | undefined };

/** The command. */
export const explainCommand: CommandModule<GlobalOptions, Options> = {
  command: 'explain [what]',
  describe: 'say what an error code or a rule means',
  builder: (yargs) => yargs.positional('what', { type: 'string', describe: 'LVR-E1303, a rule such as C14; without it: the list' }),
  handler: (options) => {
    if (options.what === undefined) printList(options);
    else printOne(options, options.what.toUpperCase());
  },
};

function printList(options: GlobalOptions): void {
  const errors = Object.entries(ERRORS).map(([code, { id, exit, summary }]) => ({ id, code, exit, summary }));
  const rules = Object.entries(RULES).map(([rule, summary]) => ({ rule, summary }));
  const rows = [...errors.map((e) => [e.id, String(e.exit), e.summary]), ...rules.map((r) => [r.rule, '', r.summary])];
  printResult(options, { errors, rules }, table(['CODE', 'EXIT', 'MEANING'], rows));
}

function printOne(options: GlobalOptions, what: string): void {
  const rule = RULES[what];
  if (rule !== undefined) {
    printResult(options, { rule: what, summary: rule }, `${what}: ${rule}`);
    return;
  }
  const found = Object.entries(ERRORS).find(([code, entry]) => entry.id === what || code === what);
  if (!found) throw new LvrError('NOT_FOUND', `there is no error code or rule ${what}`, { hint: 'lvr explain lists them' });
  const [code, { id, exit, summary }] = found;
  printResult(options, { id, code, exit, summary }, `${id} (${code}, exit ${exit}): ${summary}`);
}
