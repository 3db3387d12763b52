// A directory of a test's own, the processes started in it, and their end: on success, failure, SIGINT and SIGTERM alike.
//
// The directory lies on a real file system, because the agents use O_DIRECT, which tmpfs refuses on older kernels.

import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const TMPFS_MAGIC = 0x01021994;

/** The compiled tree this file runs from is dist/test/helpers. */
export const REPOSITORY = join(import.meta.dirname, '..', '..', '..');

/** First directory that is not on tmpfs: $LVR_TEST_DIR, the system's temporary directory, /var/tmp, .cache in the repository. */
function baseDirectory(): string {
  const cache = join(REPOSITORY, '.cache');
  for (const candidate of [process.env['LVR_TEST_DIR'], tmpdir(), '/var/tmp']) {
    if (candidate === undefined) continue;
    if (statfsSync(candidate).type !== TMPFS_MAGIC) return candidate;
  }
  mkdirSync(cache, { recursive: true });
  return cache;
}

/** Owns one temporary directory and every child process adopted by it. */
export class Workspace {
  readonly path: string;
  readonly #children = new Set<ChildProcess>();
  readonly #cleanups: (() => void)[] = [];
  #disposed = false;

  constructor(name: string) {
    this.path = mkdtempSync(join(baseDirectory(), `lvr-${name}-`));
    process.once('exit', () => this.dispose());
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        this.dispose();
        process.exit(130);
      });
    }
  }

  /** Path of a file in the directory. */
  file(name: string): string {
    return join(this.path, name);
  }

  /** Makes a subdirectory and returns its path. */
  directory(name: string): string {
    const path = this.file(name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Remembers a child, to be killed with the workspace if it is still alive then. */
  adopt(child: ChildProcess): ChildProcess {
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Runs `cleanup` (synchronous) when the workspace ends, before the directory goes. */
  onDispose(cleanup: () => void): void {
    this.#cleanups.push(cleanup);
  }

  /** Kills what still runs and removes the directory. May be called more than once. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const cleanup of this.#cleanups.reverse()) cleanup();
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.path, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
  }
}

/** A TCP port on 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}
