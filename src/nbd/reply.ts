// Replies as bytes, and the only place where a Linux errno becomes an NBD error.

import type { ExtentRun } from '../core/ports.js';
import {
  ALLOCATION_CONTEXT_ID,
  CHUNK,
  CHUNK_FLAG_DONE,
  CHUNK_HEADER_BYTES,
  CHUNK_MAGIC,
  ERRNO,
  SIMPLE_REPLY_MAGIC,
  STATE_HOLE,
  STATE_ZERO,
} from './protocol.js';
import type { NbdRequest } from './request.js';

/** Bytes in front of the data of a structured read. */
export const DATA_CHUNK_HEADER_BYTES = CHUNK_HEADER_BYTES + 8;

const TWO_POW_32 = 0x1_0000_0000;

/**
 * NBD error for a Linux errno. EOVERFLOW and ENOTSUP are reserved for DF and FAST_ZERO, which never fail here. ESHUTDOWN is never sent:
 * the kernel client turns every error into EIO and does not try again, so a server that stops withholds its replies instead.
 */
export function nbdError(errno: number): number {
  switch (errno) {
    case 0:
      return 0;
    case ERRNO.EPERM:
    case ERRNO.EACCES:
    case ERRNO.EROFS:
      return ERRNO.EPERM;
    case ERRNO.ENOMEM:
      return ERRNO.ENOMEM;
    case ERRNO.EINVAL:
    case ERRNO.EOVERFLOW:
    case ERRNO.ENOTSUP:
      return ERRNO.EINVAL;
    case ERRNO.ENOSPC:
    case ERRNO.EDQUOT:
    case ERRNO.EFBIG:
      return ERRNO.ENOSPC;
    default:
      return ERRNO.EIO;
  }
}

/** Writes a simple reply of 16 bytes at `at`; returns the position behind it. */
export function putSimpleReply(view: DataView, at: number, request: NbdRequest, errno: number): number {
  view.setUint32(at, SIMPLE_REPLY_MAGIC);
  view.setUint32(at + 4, nbdError(errno));
  view.setInt32(at + 8, request.cookieHigh);
  view.setInt32(at + 12, request.cookieLow);
  return at + 16;
}

/** Writes the final chunk's header of 20 bytes; `length` is that of the chunk's payload. */
function putChunkHeader(view: DataView, at: number, request: NbdRequest, type: number, length: number): number {
  view.setUint32(at, CHUNK_MAGIC);
  view.setUint16(at + 4, CHUNK_FLAG_DONE);
  view.setUint16(at + 6, type);
  view.setInt32(at + 8, request.cookieHigh);
  view.setInt32(at + 12, request.cookieLow);
  view.setUint32(at + 16, length);
  return at + CHUNK_HEADER_BYTES;
}

/** Structured error without a message, 26 bytes. */
export function putErrorChunk(view: DataView, at: number, request: NbdRequest, errno: number): number {
  const next = putChunkHeader(view, at, request, CHUNK.error, 6);
  view.setUint32(next, nbdError(errno));
  view.setUint16(next + 4, 0);
  return next + 6;
}

/** Header of the single data chunk that answers a read, 28 bytes; the data follow. An empty read is a chunk without content, 20 bytes. */
export function putDataChunkHeader(view: DataView, at: number, request: NbdRequest): number {
  // OFFSET_DATA must carry at least one byte.
  if (request.length === 0) return putChunkHeader(view, at, request, CHUNK.none, 0);
  const next = putChunkHeader(view, at, request, CHUNK.offsetData, 8 + request.length);
  view.setUint32(next, Math.floor(request.offset / TWO_POW_32));
  view.setUint32(next + 4, request.offset % TWO_POW_32);
  return next + 8;
}

/** Bytes of the answer to BLOCK_STATUS with this many extents. */
export function statusChunkBytes(extentCount: number): number {
  return CHUNK_HEADER_BYTES + 4 + extentCount * 8;
}

/** The answer to BLOCK_STATUS for the one context there is. */
export function putStatusChunk(view: DataView, at: number, request: NbdRequest, extents: readonly ExtentRun[]): number {
  let next = putChunkHeader(view, at, request, CHUNK.blockStatus, 4 + extents.length * 8);
  view.setUint32(next, ALLOCATION_CONTEXT_ID);
  next += 4;
  for (const extent of extents) {
    view.setUint32(next, extent.length);
    view.setUint32(next + 4, extent.zero ? STATE_HOLE | STATE_ZERO : 0);
    next += 8;
  }
  return next;
}
