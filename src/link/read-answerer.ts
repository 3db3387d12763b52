// The secondary's half of reads that its primary cannot do itself: checks them, has the group read, sends what comes of it.
//
// The gateway for what a primary asks for: whole blocks inside the volumes, and a bounded number at once. When they are read is up to the
// group. Content belongs to the stream until it has taken the frame.

import { LINK_READS_MAX, RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import { CONTENT_META_BYTES, FRAME_HEADER_BYTES, putContentMeta, sealFrame } from '../format/frame.js';
import { controlFrame, encodeReadRefused, type ReadMessage } from '../format/wire.js';
import type { Channel } from './channel.js';
import type { ReadAnswer, ReadPiece, ReceiveSink, Refusal } from './ports.js';

/** A primary forgets a read whose time is over, which may still wait here: so more of them than it has on their way at once. */
const WAITING_MAX = 4 * LINK_READS_MAX;

/** A read of this session that is not answered yet. */
class Waiting implements ReadAnswer {
  readonly #answerer: ReadAnswerer;
  readonly #id: number;

  constructor(answerer: ReadAnswerer, id: number) {
    this.#answerer = answerer;
    this.#id = id;
  }

  get isDropped(): boolean {
    return this.#answerer.isStopped;
  }

  content(piece: ReadPiece): void {
    this.#answerer.send(this, this.#id, piece);
  }

  refused(refusal: Refusal): void {
    this.#answerer.refuse(this, this.#id, refusal);
  }
}

export class ReadAnswerer {
  readonly #sink: ReceiveSink;
  readonly #channel: Channel;
  readonly #waiting = new Set<Waiting>();
  /** Pieces whose memory the stream still reads. */
  readonly #held = new Set<ReadPiece>();
  isStopped = false;

  constructor(sink: ReceiveSink, channel: Channel) {
    this.#sink = sink;
    this.#channel = channel;
  }

  /** Takes a read. Words when no primary asks for that. */
  read({ id, ...read }: ReadMessage): string | undefined {
    const volume = this.#sink.volumes()[read.volume];
    const isInside = volume !== undefined && read.offset + read.length <= volume.sizeBytes;
    const areBlocks = read.offset % (volume?.blockBytes ?? 1) === 0 && read.length % (volume?.blockBytes ?? 1) === 0;
    if (!isInside || !areBlocks || read.length < 1 || read.length > RECORD_PAYLOAD_BYTES_MAX)
      return `read of ${read.length} bytes of volume ${read.volume} at ${read.offset}, which is not possible`;
    const waiting = new Waiting(this, id);
    this.#waiting.add(waiting);
    if (this.#waiting.size > WAITING_MAX) waiting.refused({ code: 'FAILED', reason: 'too many reads wait already' });
    else this.#sink.readVolume(read, waiting);
    return undefined;
  }

  /** Sends what was read. */
  send(waiting: Waiting, id: number, piece: ReadPiece): void {
    if (!this.#waiting.delete(waiting) || this.isStopped) return piece.release();
    const head = new Uint8Array(FRAME_HEADER_BYTES + CONTENT_META_BYTES);
    putContentMeta(head, FRAME_HEADER_BYTES, { id, crc: piece.crc });
    sealFrame(head, 0, 'content', CONTENT_META_BYTES, piece.bytes.length);
    this.#held.add(piece);
    this.#channel.sendPieces([head, piece.bytes], head.length + piece.bytes.length, () => {
      if (this.#held.delete(piece)) piece.release();
    });
  }

  /** Says why there is nothing to send. A primary that does not read is not told: it gives the read up when its time is over. */
  refuse(waiting: Waiting, id: number, refusal: Refusal): void {
    if (this.#waiting.delete(waiting) && !this.isStopped && !this.#channel.isFull)
      this.#channel.send(controlFrame('readRefused', encodeReadRefused({ id, ...refusal })));
  }

  /** Nothing is answered any more. */
  stop(): void {
    this.isStopped = true;
    this.#waiting.clear();
  }

  /** Behind stop(), when the stream is gone: its memory is free. */
  dispose(): void {
    this.stop();
    for (const piece of this.#held) piece.release();
    this.#held.clear();
  }
}
