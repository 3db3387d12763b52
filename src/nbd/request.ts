// One request of a client: the pooled object, how it is read from the wire, and the checks before a backend may see it.
//
// The checks run in a fixed order, so that the answer to a request with several faults is always the same: flags, command,
// permission, size, range, alignment. Each yields a Linux errno; reply.ts translates it.

import { assert } from '../core/assert.js';
import { NBD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import type { Backend, IoRequest, Op, RequestOwner, Slab } from '../core/ports.js';
import { CMD, CMD_FLAG, ERRNO, REQUEST_MAGIC } from './protocol.js';

const TWO_POW_32 = 0x1_0000_0000;
const EMPTY_OWNER: RequestOwner = { completed: () => {} };

/** A request on its way. Reused by the connection that owns it; a backend holds it between begin and completed(). */
export class NbdRequest implements IoRequest {
  op: Op = 'read';
  offset = 0;
  length = 0;
  fua = false;
  noHole = false;
  epoch = 0;
  slabs: Slab[] = [];
  owner: RequestOwner = EMPTY_OWNER;
  /** NBD command number and command flags. */
  type = 0;
  flags = 0;
  /** The cookie's halves, kept as signed 32-bit values: they are only echoed. */
  cookieHigh = 0;
  cookieLow = 0;
  /** With a backend: completed() is due. */
  active = false;
}

/**
 * Reads the 28 bytes at `at` into `request`; false when the magic is wrong. Offsets from 2^53 on lose their low bits here, but stay far
 * beyond every volume, so that the range check refuses them.
 */
export function parseRequest(view: DataView, at: number, request: NbdRequest): boolean {
  if (view.getUint32(at) !== REQUEST_MAGIC) return false;
  request.flags = view.getUint16(at + 4);
  request.type = view.getUint16(at + 6);
  request.cookieHigh = view.getInt32(at + 8);
  request.cookieLow = view.getInt32(at + 12);
  request.offset = view.getUint32(at + 16) * TWO_POW_32 + view.getUint32(at + 20);
  request.length = view.getUint32(at + 24);
  request.fua = (request.flags & CMD_FLAG.fua) !== 0;
  request.noHole = (request.flags & CMD_FLAG.noHole) !== 0;
  return true;
}

/** Errno for a request that must be refused, 0 for one that may go to the backend. DISC is never given to it. */
export function checkRequest(request: NbdRequest, backend: Backend, structured: boolean, allocationContext: boolean): number {
  const { type, length } = request;
  if ((request.flags & ~allowedFlags(type, structured)) !== 0) return ERRNO.EINVAL;
  switch (type) {
    case CMD.read:
      return length > NBD_PAYLOAD_BYTES_MAX ? ERRNO.EINVAL : checkExtent(request, backend, ERRNO.EINVAL);
    case CMD.write:
    case CMD.writeZeroes:
      return backend.readOnly ? ERRNO.EPERM : checkExtent(request, backend, ERRNO.ENOSPC);
    case CMD.trim:
      return backend.readOnly ? ERRNO.EPERM : checkExtent(request, backend, ERRNO.EINVAL);
    case CMD.flush:
      return request.offset !== 0 || length !== 0 ? ERRNO.EINVAL : 0;
    case CMD.blockStatus:
      return !allocationContext || length === 0 ? ERRNO.EINVAL : checkExtent(request, backend, ERRNO.EINVAL);
    default:
      return ERRNO.EINVAL;
  }
}

/** FUA is accepted on every command once it is advertised (proto.md, "Command flags"); every other flag belongs to one command. */
function allowedFlags(type: number, structured: boolean): number {
  if (type === CMD.read && structured) return CMD_FLAG.fua | CMD_FLAG.df;
  if (type === CMD.writeZeroes) return CMD_FLAG.fua | CMD_FLAG.noHole;
  if (type === CMD.blockStatus) return CMD_FLAG.fua | CMD_FLAG.reqOne;
  return CMD_FLAG.fua;
}

function checkExtent(request: NbdRequest, backend: Backend, beyondEnd: number): number {
  const { offset, length } = request;
  const block = backend.blockBytes;
  // Range before alignment: the end of a volume is a multiple of its block. No overflow: both are far below 2^96.
  if (offset + length > backend.sizeBytes) return beyondEnd;
  // The bit operators see the low 32 bits, which is all that alignment depends on.
  return ((offset | length) & (block - 1)) !== 0 ? ERRNO.EINVAL : 0;
}

/** The command changes the volume. */
export function isChange(type: number): boolean {
  return type === CMD.write || type === CMD.trim || type === CMD.writeZeroes;
}

/** Backend operation of a command that passed its checks. */
export function opOf(type: number): Op {
  if (type === CMD.read) return 'read';
  if (type === CMD.flush) return 'flush';
  if (type === CMD.trim) return 'trim';
  assert(type === CMD.writeZeroes, 'only commands with a backend operation get here');
  return 'zero';
}
