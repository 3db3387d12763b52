// The agent's log on stderr: JSON lines (pino) for machines, `<level> event message` for a person at a terminal.

import { pino } from 'pino';
import { KIB } from '../core/limits.js';
import type { Log } from '../core/ports.js';

type Level = 'info' | 'warn' | 'error';

/** What is kept of lines that cannot be written, on a full disk for example; those behind it are lost. */
const UNWRITTEN_BYTES_MAX = 256 * KIB;

/**
 * A Log for this process; `human` chooses the form, whether stderr is a terminal. Lines are written at once, also before an abort. A full
 * disk or a terminal that is gone costs lines, never the process that serves volumes.
 */
export function createLog(site: string, human: boolean): Log {
  if (human) {
    process.stderr.on('error', () => undefined);
    return makeLog((level, event, message, fields) => process.stderr.write(`<${level}> ${event} ${message}${formatFields(fields)}\n`));
  }
  const destination = pino.destination({ fd: 2, sync: true, maxLength: UNWRITTEN_BYTES_MAX });
  destination.on('error', () => undefined);
  const logger = pino(
    {
      base: { site, pid: process.pid },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    destination,
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
