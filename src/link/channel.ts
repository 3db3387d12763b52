// Frames over a byte stream. Owns the stream and the receive buffer; knows lengths, CRCs and limits, not what frames mean.
//
// Receiving: bytes land in the buffer, except that while at least DIRECT_PAYLOAD_BYTES of a payload are missing and the buffer is empty,
// the stream receives straight into the slab the owner named. Memory once handed to the stream stays its until the next received(): so
// bytes are moved inside the buffer only when the next memory is handed out, and a channel whose stream holds part of a slab is
// destroyed at once instead of lingering, because the slab then goes back to its pool.
//
// Sending: a stream is full when more is unsent than it wants to hold, until it has drained. Nothing is refused then; the owner sends only
// what is bounded otherwise, and drops or puts off what the other end can ask for again and again without ever reading (isFull, onDrain).
//
// No room: when the owner has no slab, the stream is paused and the frame stays in the buffer until retry(). The stream is resumed only
// after the frame was taken, so at most one more read arrives than the buffer holds; RESERVE_BYTES is for that one.

import { assert } from '../core/assert.js';
import { DOUBLE_ZERO } from '../core/doubles.js';
import { DIRECT_PAYLOAD_BYTES, KIB, LINK_LINGER_MS, LINK_RECEIVE_BYTES } from '../core/limits.js';
import type { Clock, Slab } from '../core/ports.js';
import { FRAME_HEADER_BYTES, type FrameHeader, type FrameType, hasPayload, isMetaValid, readFrameHeader } from '../format/frame.js';
import type { ByteStream } from './ports.js';

const RESERVE_BYTES = 64 * KIB;
/** Below this much free space at the end, the tail is moved to the front of the buffer. */
const FREE_BYTES_MIN = 64 * KIB;
/** Behind a large payload only this much is read into the buffer, so that most of the next payload goes round it. */
const AFTER_LARGE_BYTES = 4 * KIB;

/** Called with what was received; inside any of these the owner may close the channel, and nothing is called afterwards but closed(). */
export interface ChannelOwner {
  /** A control frame. `message` is valid during the call only. */
  control(type: FrameType, message: Uint8Array): void;
  /**
   * The meta part of a records or region frame at bytes[start, start + length). Answers where its payload goes; undefined: no room, see
   * retry().
   */
  payload(type: FrameType, bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | undefined;
  /** The payload of the last such frame is complete. */
  payloadComplete(): void;
  /** All frames that have arrived completely were delivered. */
  turnEnded(): void;
  /** Bytes that no correct other end sends. The owner closes the channel. */
  violated(reason: string): void;
  /** The stream is gone; called once, also after close(), not after destroy(). */
  closed(error: Error | undefined): void;
}

export class Channel {
  readonly remote: string;
  readonly #stream: ByteStream;
  readonly #owner: ChannelOwner;
  readonly #clock: Clock;
  readonly #buffer: Uint8Array;
  /** Received and not yet delivered: buffer[start, end). */
  #start = 0;
  #end = 0;
  /** Header of the frame at start, once checked. */
  #header: FrameHeader | undefined;
  #slab: Slab | undefined;
  /** Where the missing `payloadLeft` bytes go in the slab's arena. */
  #payloadAt = 0;
  #payloadLeft = 0;
  #handedDirect = false;
  #afterLarge = false;
  #blocked = false;
  /** Clock time since which the frame at start has had no room; undefined when it has none to wait for. */
  #noRoomSinceMs: number | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #isFull = false;
  #drained: (() => void) | undefined;
  #lastReceivedMs: number;
  receivedBytes = DOUBLE_ZERO;
  sentBytes = DOUBLE_ZERO;

  constructor(stream: ByteStream, owner: ChannelOwner, clock: Clock, receiveBytes = LINK_RECEIVE_BYTES) {
    assert(receiveBytes >= 2 * FREE_BYTES_MIN, 'the buffer holds any frame that is not received directly');
    this.remote = stream.remote;
    this.#stream = stream;
    this.#owner = owner;
    this.#clock = clock;
    this.#buffer = new Uint8Array(receiveBytes + RESERVE_BYTES);
    this.#lastReceivedMs = clock.nowMs();
    stream.onClose((error) => {
      if (this.#state === 'closed') return;
      this.#state = 'closed';
      owner.closed(error);
    });
    stream.onDrain(() => {
      this.#isFull = false;
      this.#drained?.();
    });
    stream.onReceive(
      () => this.#target(),
      (length) => this.#received(length),
      () => this.#handedDirect,
    );
  }

  /** Clock time of the last sign of life. While the stream is paused for lack of room, silence is our own doing and does not count. */
  get lastReceivedMs(): number {
    return this.#blocked ? this.#clock.nowMs() : this.#lastReceivedMs;
  }

  /** How long the next frame has been waiting for room. Nothing behind it is heard meanwhile, not even that the stream has ended. */
  noRoomMs(nowMs: number): number {
    return this.#noRoomSinceMs === undefined ? 0 : nowMs - this.#noRoomSinceMs;
  }

  /** The stream is gone and reads no memory any more. */
  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** More is unsent than the stream wants to hold: onDrain tells when that is over. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Bytes received that are not a whole frame yet. */
  get unparsedBytes(): number {
    return this.#end - this.#start;
  }

  /** Writes a whole control frame. */
  send(frame: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.sentBytes += frame.length;
    if (!this.#stream.write([frame], undefined)) this.#isFull = true;
  }

  /** Writes header, meta and payload of a frame; the memory must not change until `sent` runs. It never runs after destroy(). */
  sendPieces(pieces: readonly Uint8Array[], lengthBytes: number, sent: () => void): void {
    assert(this.#state === 'open', 'a sender stops before its channel');
    this.sentBytes += lengthBytes;
    if (!this.#stream.write(pieces, sent)) this.#isFull = true;
  }

  /** `fn` is called whenever the stream is full no more; replaces the previous one. */
  onDrain(fn: () => void): void {
    this.#drained = fn;
  }

  /** Sends a last frame, then ignores what arrives until the other end closes or LINK_LINGER_MS pass (a reset could overtake the frame). */
  close(frame: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.send(frame);
    this.#slab = undefined;
    if (this.#handedDirect) {
      this.#state = 'closed';
      this.#stream.destroy();
      return;
    }
    this.#state = 'closing';
    if (this.#blocked) this.#stream.resume();
    this.#blocked = false;
    this.#clock.after(LINK_LINGER_MS, () => {
      if (this.#state !== 'closing') return;
      this.#state = 'closed';
      this.#stream.destroy();
      this.#owner.closed(undefined);
    });
  }

  /** Gives the stream to another owner, who has already registered with it. */
  detach(): void {
    this.#state = 'closed';
  }

  /** Closes at once. Nothing is delivered afterwards. */
  destroy(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#slab = undefined;
    this.#stream.destroy();
  }

  /** There may be room again for the frame that had none. */
  retry(): void {
    if (!this.#blocked || this.#state !== 'open') return;
    this.#blocked = false;
    // The silence until now was ours, and what comes next is told only when there is enough of it.
    this.#lastReceivedMs = this.#clock.nowMs();
    this.#parse();
    if (this.#state !== 'open') return;
    this.#owner.turnEnded();
    if (!this.#blocked && this.#state === 'open') this.#stream.resume();
  }

  /** Memory for the next read. */
  #target(): Uint8Array {
    this.#handedDirect = this.#slab !== undefined && this.#payloadLeft >= DIRECT_PAYLOAD_BYTES;
    if (this.#handedDirect) {
      assert(this.#start === this.#end, 'payload in the buffer is copied before more is received');
      return (this.#slab as Slab).arena.bytes.subarray(this.#payloadAt, this.#payloadAt + this.#payloadLeft);
    }
    if (this.#state !== 'open' || this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    }
    const capacity = this.#buffer.length - RESERVE_BYTES;
    if (this.#start > 0 && capacity - this.#end < FREE_BYTES_MIN) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    let limit = this.#end < capacity ? capacity : this.#buffer.length;
    if (this.#afterLarge && this.#end === 0) limit = AFTER_LARGE_BYTES;
    assert(limit > this.#end, 'a paused stream delivers at most one more read');
    return this.#buffer.subarray(this.#end, limit);
  }

  #received(length: number): void {
    if (this.#state !== 'open') return;
    this.#lastReceivedMs = this.#clock.nowMs();
    this.receivedBytes += length;
    if (this.#handedDirect) {
      this.#handedDirect = false;
      this.#payloadAt += length;
      this.#payloadLeft -= length;
      if (this.#payloadLeft > 0) return;
      this.#completePayload();
    } else {
      this.#end += length;
    }
    if (this.#state === 'open' && !this.#blocked) this.#parse();
    if (this.#state === 'open') this.#owner.turnEnded();
  }

  #parse(): void {
    while (this.#state === 'open') {
      if (this.#slab !== undefined) {
        if (!this.#copyPayload()) return;
        continue;
      }
      const header = this.#readHeader();
      if (header === undefined) return;
      const meta = this.#start + FRAME_HEADER_BYTES;
      if (this.#end - meta < header.metaBytes) return;
      if (!isMetaValid(this.#buffer, meta, header)) return this.#owner.violated(`${header.type} frame with a wrong CRC`);
      if (hasPayload(header.type)) {
        if (!this.#beginPayload(header, meta)) return;
      } else {
        this.#consume(header);
        this.#owner.control(header.type, this.#buffer.subarray(meta, meta + header.metaBytes));
      }
    }
  }

  #readHeader(): FrameHeader | undefined {
    if (this.#header !== undefined) return this.#header;
    if (this.#end - this.#start < FRAME_HEADER_BYTES) return undefined;
    const header = readFrameHeader(this.#buffer, this.#start);
    if (typeof header === 'string') {
      this.#owner.violated(header);
      return undefined;
    }
    this.#header = header;
    return header;
  }

  #consume(header: FrameHeader): void {
    this.#start += FRAME_HEADER_BYTES + header.metaBytes;
    this.#header = undefined;
  }

  /** False: there is no room, or the owner closed the channel. */
  #beginPayload(header: FrameHeader, meta: number): boolean {
    const slab = this.#owner.payload(header.type, this.#buffer, meta, header.metaBytes, header.payloadBytes);
    if (this.#state !== 'open') return false;
    if (slab === undefined) {
      this.#noRoomSinceMs ??= this.#clock.nowMs();
      this.#blocked = true;
      this.#stream.pause();
      return false;
    }
    assert(slab.dataCapacity >= header.payloadBytes, 'the slab has room for the payload');
    this.#noRoomSinceMs = undefined;
    this.#slab = slab;
    this.#payloadAt = slab.dataStart;
    this.#payloadLeft = header.payloadBytes;
    this.#afterLarge = header.payloadBytes >= 2 * DIRECT_PAYLOAD_BYTES;
    this.#consume(header);
    return true;
  }

  /** Copies what the buffer has of the payload. False: more must be received. */
  #copyPayload(): boolean {
    const length = Math.min(this.#payloadLeft, this.#end - this.#start);
    if (length > 0) {
      const { bytes } = (this.#slab as Slab).arena;
      bytes.set(this.#buffer.subarray(this.#start, this.#start + length), this.#payloadAt);
      this.#start += length;
      this.#payloadAt += length;
      this.#payloadLeft -= length;
    }
    if (this.#payloadLeft > 0) return false;
    this.#completePayload();
    return true;
  }

  #completePayload(): void {
    this.#slab = undefined;
    this.#owner.payloadComplete();
  }
}
