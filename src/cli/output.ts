// What the commands print: results on stdout, errors on stderr, in the form asked for with -o.

import { toErrorDocument } from '../agent/control-protocol.js';
import type { LvrError } from '../core/errors.js';

/** Forms of output; jsonl differs from json where a verb goes on to tell of progress: an object a line. */
export type Format = 'table' | 'json' | 'jsonl';

/** Options every command has. */
export type GlobalOptions = { readonly agent: string; readonly output: Format };

/** Prints a result: the document as it is, or the text for people. */
export function printResult(options: GlobalOptions, document: unknown, text: string): void {
  const shown = options.output !== 'table' ? JSON.stringify(document) : text;
  process.stdout.write(shown.endsWith('\n') ? shown : `${shown}\n`);
}

/** A note for people that is no part of the result. */
export function printNote(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** The error as lines for stderr: what, the facts, what to try, where to read more. */
export function formatError(error: LvrError): string {
  const lines = [`error[${error.id}]: ${error.message}`];
  for (const [name, value] of Object.entries(error.details)) {
    const text = Array.isArray(value) ? value.join(', ') : String(value);
    if (text !== '') lines.push(`  ${name}: ${text}`);
  }
  if (error.hint !== undefined) lines.push(`  try: ${error.hint}`);
  lines.push(`  see: lvr explain ${error.id}`);
  return `${lines.join('\n')}\n`;
}

/** Prints an error in the form asked for. */
export function printError(format: Format, error: LvrError): void {
  process.stderr.write(format !== 'table' ? `${JSON.stringify({ error: toErrorDocument(error) })}\n` : formatError(error));
}
