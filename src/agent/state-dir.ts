// The state directory: made private, locked against a second agent, and given an identity. The lock is held until the process ends.

import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LvrError, messageOf } from '../core/errors.js';
import { binding } from '../disk/native.js';

const LOCK_POLL_MS = 2;

/**
 * Creates (0700) and locks `path`, waiting up to `waitMs` for another agent to end; returns the UUID of this agent, and how to let go
 * before this process ends. Throws IN_USE naming the other agent's pid, or FAILED.
 */
export async function claimStateDir(path: string, waitMs = 0): Promise<{ uuid: string; release(): void }> {
  const deadlineMs = performance.now() + waitMs;
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    let lock = lockDirectory(path);
    while (lock === undefined) {
      if (performance.now() > deadlineMs) throw inUse(path);
      await sleep(LOCK_POLL_MS);
      lock = lockDirectory(path);
    }
    const fd = lock;
    return { uuid: readIdentity(path), release: () => closeSync(fd) };
  } catch (error) {
    if (error instanceof LvrError) throw error;
    throw new LvrError('FAILED', `the state directory ${path} cannot be used: ${messageOf(error)}`, {
      hint: 'check agent.state_dir',
      cause: error,
    });
  }
}

/** Writes a small file so that after a crash it is the old one or the new one. Throws FAILED: a full disk is nothing unexpected. */
export function replaceFile(path: string, text: string): void {
  try {
    replace(path, text);
  } catch (error) {
    throw new LvrError('FAILED', `${path} cannot be written: ${messageOf(error)}`, { hint: 'check agent.state_dir', cause: error });
  }
}

function replace(path: string, text: string): void {
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  const directory = openSync(join(path, '..'), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** The descriptor stays open: the kernel drops the lock with the process, however it ends. Undefined when somebody else has it. */
function lockDirectory(path: string): number | undefined {
  const file = join(path, 'agent.lock');
  const fd = openSync(file, 'a+', 0o600);
  if (!binding.lock(fd)) {
    closeSync(fd);
    return undefined;
  }
  const own = openSync(file, 'w', 0o600);
  writeSync(own, `${process.pid}\n`);
  closeSync(own);
  return fd;
}

function inUse(path: string): LvrError {
  const pid = readFileSync(join(path, 'agent.lock'), 'utf8').trim();
  return new LvrError('IN_USE', `the state directory ${path} belongs to a running agent (pid ${pid})`, {
    hint: 'stop that agent first',
    details: { pid },
  });
}

function readIdentity(path: string): string {
  const file = join(path, 'agent.json');
  try {
    const { uuid } = JSON.parse(readFileSync(file, 'utf8')) as { uuid?: unknown };
    if (typeof uuid === 'string') return uuid;
    throw new Error('it has no uuid');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new LvrError('FAILED', `${file} is damaged: ${messageOf(error)}`, { cause: error });
  }
  const uuid = randomUUID();
  replaceFile(file, `${JSON.stringify({ uuid })}\n`);
  return uuid;
}
