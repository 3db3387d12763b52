// Reads what dm-log-writes recorded and puts it back, write by write (format: drivers/md/dm-log-writes.c in the kernel).
//
// Block 0 holds a superblock, then follow entries: one block with the header, then the data of the write. A flush in an entry comes
// before its data: everything in front of that entry was complete, so the state before the entry is one a power cut may leave.

import { readSync, writeSync } from 'node:fs';

const MAGIC = 0x6a736677736872n;
const FLUSH = 1;
const FUA = 2;
const DISCARD = 4;
const MARK = 8;
const HEADER_BYTES = 32;
const COPY_BYTES = 1024 * 1024;
/** More is no log of a test, but damage. */
const ENTRIES_MAX = 4_000_000;

/** One recorded request. Positions and lengths are in bytes. */
export interface LogEntry {
  readonly offset: number;
  readonly length: number;
  readonly flush: boolean;
  readonly fua: boolean;
  readonly discard: boolean;
  /** Text of a `dmsetup message ... mark TEXT`. */
  readonly mark: string | undefined;
  /** Where its data lies in the log. */
  readonly dataAt: number;
}

/** Reads all entries; throws when this is no such log or an entry makes no sense. */
export function readEntries(log: number): LogEntry[] {
  const top = read(log, 0, 28);
  if (top.readBigUInt64LE(0) !== MAGIC || top.readBigUInt64LE(8) !== 1n) throw new Error('no dm-log-writes log');
  const count = number(top, 16);
  const block = top.readUInt32LE(24);
  if (count > ENTRIES_MAX || ![512, 4096].includes(block)) throw new Error(`a log of ${count} entries with blocks of ${block} bytes`);
  const entries: LogEntry[] = [];
  let at = block;
  for (let index = 0; index < count; index++) {
    const header = read(log, at, block);
    const flags = number(header, 16);
    const length = number(header, 8) * block;
    const discard = (flags & DISCARD) !== 0;
    const mark =
      (flags & MARK) === 0 ? undefined : header.toString('utf8', HEADER_BYTES, HEADER_BYTES + number(header, 24)).replace(/\0.*$/, '');
    const offset = number(header, 0) * block;
    entries.push({ offset, length, flush: (flags & FLUSH) !== 0, fua: (flags & FUA) !== 0, discard, mark, dataAt: at + block });
    at += block + (discard ? 0 : length);
  }
  return entries;
}

/** Does to `target` what the entry did to the device. */
export function applyEntry(log: number, entry: LogEntry, target: number): void {
  for (let done = 0; done < entry.length; done += COPY_BYTES) {
    const length = Math.min(COPY_BYTES, entry.length - done);
    const data = entry.discard ? Buffer.alloc(length) : read(log, entry.dataAt + done, length);
    if (writeSync(target, data, 0, length, entry.offset + done) !== length) throw new Error('short write');
  }
}

function read(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  if (readSync(fd, bytes, 0, length, position) !== length) throw new Error(`the log ends before byte ${position + length}`);
  return bytes;
}

function number(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}
