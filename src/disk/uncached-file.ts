// Reads of a buffered file past its page cache, for what is read once: a resync reads volumes that may be many times the memory, and would
// drive out of the cache what clients read. Nor is anything copied then.
//
// Owner: a second descriptor of the same file, with O_DIRECT, only for reading. What was written through the page cache is seen: the
// kernel writes back what it holds of a range before it reads it. So what is in the cache as a whole is better read from there.

import { constants } from 'node:fs';
import { OpenFile } from './engine.js';
import { binding } from './native.js';

export class UncachedFile {
  readonly file: OpenFile;
  readonly #cached: OpenFile;
  readonly #blockBytes: number;

  private constructor(fd: number, blockBytes: number, cached: OpenFile) {
    this.file = new OpenFile(fd);
    this.#cached = cached;
    this.#blockBytes = blockBytes;
  }

  /** Of an open file; undefined where its file system has no O_DIRECT. */
  static of(cached: OpenFile): UncachedFile | undefined {
    let fd: number;
    try {
      // The same file, whatever its path is by now.
      fd = binding.open(`/proc/self/fd/${cached.fd}`, constants.O_RDONLY | constants.O_DIRECT, 0);
    } catch {
      return undefined;
    }
    const { logicalBlockBytes } = binding.deviceInfo(fd);
    if (logicalBlockBytes > 0) return new UncachedFile(fd, logicalBlockBytes, cached);
    binding.close(fd);
    return undefined;
  }

  /** A read of this range to this address is better done here. */
  suits(offset: number, length: number, address: number): boolean {
    const block = this.#blockBytes;
    return offset % block === 0 && length % block === 0 && address % block === 0 && !binding.isCached(this.#cached.fd, offset, length);
  }
}
