// The agent's log on stderr: JSON lines (pino) for machines, `<level> event message` for a person at a terminal.

import { writeSync } from 'node:fs';
import { pino } from 'pino';
import type { Log } from '../core/ports.js';

type Level = 'info' | 'warn' | 'error';

const STDERR = 2;
/** Between two tries on a pipe whose reader is slow. */
const AGAIN_MS = 10;
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** A Log for this process; `human` chooses the form, whether stderr is a terminal. Lines are written at once, also before an abort. */
export function createLog(site: string, human: boolean): Log {
  const destination = new Lines();
  if (human)
    return makeLog((level, event, message, fields) => destination.write(`<${level}> ${event} ${message}${formatFields(fields)}\n`));
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

/** Stderr, line by line. A full disk or a terminal that is gone costs the lines of that time, never the process that serves volumes. */
class Lines {
  /** The last line was not written to its end. */
  #isTorn = false;

  write(line: string): void {
    let rest = Buffer.from(this.#isTorn ? `\n${line}` : line);
    while (rest.length > 0) {
      try {
        rest = rest.subarray(writeSync(STDERR, rest));
        this.#isTorn = rest.length > 0;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
        Atomics.wait(NEVER, 0, 0, AGAIN_MS);
      }
    }
  }
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
