// The receive buffer of a connection: bytes that arrived and are not used up, always in one piece.
//
// Memory offered to the socket stays put until the socket has filled it, even when the parser uses up bytes in front of it meanwhile:
// only offer(), called when the socket asks for the memory of its next read, moves the unused bytes to the front. The buffer is large
// enough that there is always room to offer: unused bytes are at most an incomplete request plus one full read.

import { assert } from '../core/assert.js';
import { DIRECT_PAYLOAD_BYTES, KIB, NBD_OPTION_BYTES_MAX } from '../core/limits.js';
import { REQUEST_BYTES } from './protocol.js';

/** Bytes asked for in one read. */
export const READ_BYTES = 256 * KIB;
const INCOMPLETE_BYTES_MAX = DIRECT_PAYLOAD_BYTES + REQUEST_BYTES;
/** Offered at least, when parsing had to stop with a full read unused. */
const OFFER_BYTES_MIN = 16 * KIB;
const CAPACITY_BYTES = INCOMPLETE_BYTES_MAX + READ_BYTES + OFFER_BYTES_MIN;

assert(NBD_OPTION_BYTES_MAX < INCOMPLETE_BYTES_MAX, 'an option fits the receive buffer');

/** Unused bytes are bytes[start, end); the parser advances start, the socket end. */
export class ReceiveBuffer {
  readonly bytes = Buffer.allocUnsafeSlow(CAPACITY_BYTES);
  readonly view = new DataView(this.bytes.buffer, this.bytes.byteOffset, CAPACITY_BYTES);
  start = 0;
  end = 0;
  /** What is offered nearly always: a full read at the front. */
  readonly #whole = this.bytes.subarray(0, READ_BYTES);

  /** Memory for the next read, at most `limit` bytes. */
  offer(limit: number): Uint8Array {
    if (this.start === this.end) {
      this.start = 0;
      this.end = 0;
      return limit >= READ_BYTES ? this.#whole : this.bytes.subarray(0, limit);
    }
    if (this.start > 0) {
      this.bytes.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    assert(this.end < CAPACITY_BYTES, 'the receive buffer always has room for another read');
    return this.bytes.subarray(this.end, Math.min(this.end + Math.min(limit, READ_BYTES), CAPACITY_BYTES));
  }
}
