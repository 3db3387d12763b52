// Numbers and layouts of the NBD protocol (NBD proto.md), as far as this server speaks it. All integers on the wire are big-endian.
//
// Request, 28 bytes: 0 magic u32 · 4 flags u16 · 6 type u16 · 8 cookie u64 · 16 offset u64 · 24 length u32 · payload (WRITE)
// Simple reply, 16 bytes: 0 magic u32 · 4 error u32 · 8 cookie u64 · data (READ)
// Structured reply chunk, 20 bytes: 0 magic u32 · 4 flags u16 · 6 type u16 · 8 cookie u64 · 16 length u32 · payload
// Option request, 16 bytes: 0 IHAVEOPT u64 · 8 option u32 · 12 length u32 · data
// Option reply, 20 bytes: 0 magic u64 · 8 option u32 · 12 type u32 · 16 length u32 · data

import { KIB } from '../core/limits.js';

/** 64-bit magics as their two halves: greeting ("NBDMAGIC"), options ("IHAVEOPT"), option replies. */
export const GREETING_MAGIC = [0x4e42444d, 0x41474943] as const;
export const OPTION_MAGIC = [0x49484156, 0x454f5054] as const;
export const OPTION_REPLY_MAGIC = [0x0003e889, 0x045565a9] as const;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const CHUNK_MAGIC = 0x668e33ef;

export const GREETING_BYTES = 18;
export const CLIENT_FLAGS_BYTES = 4;
export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_HEADER_BYTES = 20;
export const REQUEST_BYTES = 28;
export const SIMPLE_REPLY_BYTES = 16;
export const CHUNK_HEADER_BYTES = 20;
/** Zeroes after the answer to EXPORT_NAME unless the client sent NO_ZEROES. */
export const EXPORT_NAME_ZERO_BYTES = 124;
/** Longest string of the protocol ("String values"). */
export const STRING_BYTES_MAX = 4 * KIB;
/** Extents in one answer to BLOCK_STATUS; a shorter answer than asked for is always allowed. */
export const EXTENTS_PER_REPLY_MAX = 1024;

/** Flags of server and client handshake share their values. */
export const FLAG_FIXED_NEWSTYLE = 1;
export const FLAG_NO_ZEROES = 2;

export const OPT = {
  exportName: 1,
  abort: 2,
  list: 3,
  starttls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const REP = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errUnsup: 0x80000001,
  errPolicy: 0x80000002,
  errInvalid: 0x80000003,
  errUnknown: 0x80000006,
  errTooBig: 0x80000009,
} as const;

export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** Transmission flags. */
export const SEND = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  flush: 1 << 2,
  fua: 1 << 3,
  trim: 1 << 5,
  writeZeroes: 1 << 6,
  df: 1 << 7,
  multiConn: 1 << 8,
} as const;

export const CMD = { read: 0, write: 1, disc: 2, flush: 3, trim: 4, writeZeroes: 6, blockStatus: 7 } as const;

export const CMD_FLAG = { fua: 1 << 0, noHole: 1 << 1, df: 1 << 2, reqOne: 1 << 3 } as const;

export const CHUNK_FLAG_DONE = 1;
export const CHUNK = { none: 0, offsetData: 1, blockStatus: 5, error: 0x8001 } as const;

/** The one metadata context: name, id chosen by this server, and its extent flags. */
export const ALLOCATION_CONTEXT = 'base:allocation';
export const ALLOCATION_CONTEXT_ID = 1;
export const STATE_HOLE = 1;
export const STATE_ZERO = 2;

/** Linux errno values used inside the room; reply.ts translates them for the wire. */
export const ERRNO = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EACCES: 13,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  EDQUOT: 122,
} as const;
