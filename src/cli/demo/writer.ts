// The application of the demo: writes files, syncs each, and notes name and checksum of those whose sync has returned. Nothing is noted
// before, so every noted file must survive whatever happens next.

import { createHash, randomBytes, randomInt } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const FILE_BYTES_MIN = 1024;
const FILE_BYTES_MAX = 128 * 1024;
const PAUSE_MS = 5;
/** Written to one file system at most; it must stay below its size. */
const TOTAL_BYTES_MAX = 120 * 1024 * 1024;

/** A file whose sync has returned. */
export type SyncedFile = { readonly name: string; readonly bytes: number; readonly sha256: string };

/** One writer on one file system. */
export class Writer {
  readonly synced: SyncedFile[] = [];
  readonly #label: string;
  #totalBytes = 0;
  #run: Promise<void> | undefined;
  #stopping = false;

  /** `label` keeps the names of several writers apart. */
  constructor(label: string) {
    this.#label = label;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Writes into `directory` until stopped or until the device fails. */
  start(directory: string): void {
    this.#stopping = false;
    this.#run = this.#write(directory).catch(() => undefined);
  }

  /** Resolves when the file being written is finished or has failed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#run;
  }

  async #write(directory: string): Promise<void> {
    while (!this.#stopping && this.#totalBytes < TOTAL_BYTES_MAX) {
      const name = `${this.#label}-${String(this.synced.length).padStart(6, '0')}`;
      const content = randomBytes(randomInt(FILE_BYTES_MIN, FILE_BYTES_MAX));
      await syncedWrite(directory, name, content);
      this.synced.push({ name, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') });
      this.#totalBytes += content.length;
      await sleep(PAUSE_MS);
    }
  }
}

/** Names of noted files that are missing, shorter, longer or different in `directory`. */
export async function damagedFiles(directory: string, files: readonly SyncedFile[]): Promise<string[]> {
  const damaged: string[] = [];
  for (const { name, bytes, sha256 } of files) {
    const content = await readFile(join(directory, name)).catch(() => undefined);
    if (content?.length !== bytes || createHash('sha256').update(content).digest('hex') !== sha256) damaged.push(name);
  }
  return damaged;
}

/** Returns when content and name are on stable storage. */
async function syncedWrite(directory: string, name: string, content: Uint8Array): Promise<void> {
  const file = await open(join(directory, name), 'wx');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  const parent = await open(directory, 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}
