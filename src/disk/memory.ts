// Memory for device I/O and the checksum over it.

import type { Arena, Crc32c } from '../core/ports.js';
import { binding } from './native.js';

/**
 * Zeroed, page-aligned memory of `lengthBytes` (1 byte to 4 GiB - 1). Pages cost nothing before they are touched. The memory is
 * freed after `bytes` became unreachable and no I/O uses it any more.
 */
export function createArena(lengthBytes: number): Arena {
  const { buffer, address } = binding.createArena(lengthBytes);
  return { bytes: new Uint8Array(buffer), address };
}

/** CRC32C of bytes[start, start + length) (RFC 3720 B.4). RangeError when the span lies outside. */
export const crc32c: Crc32c = binding.crc32c;

/** out[i] = CRC32C of the span whose [start, length] are spans[2i], spans[2i + 1], for i below `count`: one call for many records. */
export const crc32cSpans: (bytes: Uint8Array, spans: Uint32Array, count: number, out: Uint32Array) => void = binding.crc32cSpans;
