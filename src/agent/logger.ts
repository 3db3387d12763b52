// The agent's log on stderr: JSON lines (pino) for machines, `<level> event message` for a person at a terminal.

import { pino } from 'pino';
import type { Log } from '../core/ports.js';

type Level = 'info' | 'warn' | 'error';

/** A Log for this process; `human` chooses the form, whether stderr is a terminal. Lines are written at once, also before an abort. */
export function createLog(site: string, human: boolean): Log {
  if (human)
    return makeLog((level, event, message, fields) => process.stderr.write(`<${level}> ${event} ${message}${formatFields(fields)}\n`));
  const logger = pino(
    {
      base: { site, pid: process.pid },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
  return makeLog((level, event, message, fields) => logger[level]({ event, ...fields }, message));
}

function makeLog(write: (level: Level, event: string, message: string, fields: Record<string, unknown>) => void): Log {
  return {
    info: (event, message, fields = {}) => write('info', event, message, fields),
    warn: (event, message, fields = {}) => write('warn', event, message, fields),
    error: (event, message, fields = {}) => write('error', event, message, fields),
  };
}

function formatFields(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))}`)
    .join('');
}
