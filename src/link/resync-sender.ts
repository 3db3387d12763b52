// Copying half of a resync session: regions of the primary's volumes as region frames, and at the end the mark that they are all there.
//
// One loop: take a piece when the window has room, send it, and when there is none wait until the other site has made durable what it has.
// The window is what was sent and is not durable there. It costs no memory, because a piece's is held only until the stream has taken the
// frame, and it must cover what the other site can take while one flush lasts.
//
// A resync may take any time, and may stand still for any: paused, waiting for its turn, held to a rate. The other site may not, while it
// has something to make durable: how long it has made nothing of that is counted here, and the session ends when that is too long.

import { LINK_WINDOW_FRAMES_MAX, RESYNC_WINDOW_BYTES } from '../core/limits.js';
import type { Clock } from '../core/ports.js';
import { compareFrame } from '../format/compare.js';
import { FRAME_HEADER_BYTES, putRegionMeta, REGION_META_BYTES, sealFrame } from '../format/frame.js';
import { type Compared, controlFrame, encodeResyncEnd } from '../format/wire.js';
import type { Channel } from './channel.js';
import type { RegionPiece, ResyncRun } from './ports.js';
import type { SenderOwner } from './sender.js';

export class ResyncSender {
  readonly #run: ResyncRun;
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #owner: Pick<SenderOwner, 'senderFailed'>;
  /** Payload bytes of the pieces that are not durable at the other site, oldest first. */
  readonly #window: number[] = [];
  #windowBytes = 0;
  #doneCount = 0;
  /** Clock time since which the other site has owed an answer and given none; undefined while it owes none. */
  #unansweredSinceMs: number | undefined;
  #stopped = false;
  #work: Promise<void> | undefined;
  /** Set when the end mark was sent: records follow behind it when the other site is ready. */
  base: number | undefined;
  /** Pieces whose memory the stream still reads. */
  readonly #held = new Set<RegionPiece>();

  constructor(run: ResyncRun, channel: Channel, clock: Clock, owner: Pick<SenderOwner, 'senderFailed'>) {
    this.#run = run;
    this.#channel = channel;
    this.#clock = clock;
    this.#owner = owner;
  }

  start(): void {
    this.#work = this.#copy().catch((error: unknown) => {
      if (!this.#stopped) this.#owner.senderFailed(error);
    });
  }

  /** So many pieces are durable at the other site. Words when that cannot be. */
  done(count: number): string | undefined {
    const problem = this.#run.done(count);
    if (problem !== undefined) return problem;
    if (count === this.#doneCount) return undefined;
    for (const bytes of this.#window.splice(0, count - this.#doneCount)) this.#windowBytes -= bytes;
    this.#doneCount = count;
    this.#unansweredSinceMs = this.#window.length > 0 ? this.#clock.nowMs() : undefined;
    return undefined;
  }

  /** How long the other site has had pieces, or the end mark, without an answer. */
  unansweredMs(nowMs: number): number {
    return this.#unansweredSinceMs === undefined ? 0 : nowMs - this.#unansweredSinceMs;
  }

  /** What the other site has of a piece. Words when that cannot be. */
  compared(answer: Compared): string | undefined {
    return this.#run.compared(answer);
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#run.stop();
  }

  /** Behind stop(), when the stream is gone: its memory is free. */
  dispose(): void {
    this.stop();
    for (const piece of this.#held) piece.batch?.release();
    this.#held.clear();
  }

  /** Behind stop(): resolves when nothing is read any more. */
  async settled(): Promise<void> {
    await this.#work;
    await this.#run.settled();
  }

  async #copy(): Promise<void> {
    for (;;) {
      if (this.#stopped) return;
      if (this.#windowBytes >= RESYNC_WINDOW_BYTES || this.#window.length >= LINK_WINDOW_FRAMES_MAX) {
        await this.#run.moved();
        continue;
      }
      const piece = await this.#run.next();
      if (this.#stopped) return piece?.batch?.release();
      if (piece !== undefined) {
        this.#send(piece);
        continue;
      }
      if (this.#run.unfinished > 0) {
        await this.#run.moved();
        continue;
      }
      const end = await this.#run.end();
      if (end === undefined) continue;
      if (this.#stopped) return;
      this.#channel.send(controlFrame('resyncEnd', encodeResyncEnd(end)));
      this.#unansweredSinceMs = this.#clock.nowMs();
      this.base = end.base;
      return;
    }
  }

  #send(piece: RegionPiece): void {
    const { meta, batch, start, hashes } = piece;
    this.#unansweredSinceMs ??= this.#clock.nowMs();
    if (hashes !== undefined) {
      this.#window.push(0);
      this.#channel.send(compareFrame(meta, hashes));
      return;
    }
    const payloadBytes = batch === undefined ? 0 : meta.length;
    const head = new Uint8Array(FRAME_HEADER_BYTES + REGION_META_BYTES);
    putRegionMeta(head, FRAME_HEADER_BYTES, meta);
    sealFrame(head, 0, 'region', REGION_META_BYTES, payloadBytes);
    this.#window.push(payloadBytes);
    this.#windowBytes += payloadBytes;
    const pieces = batch === undefined ? [head] : [head, batch.arena.bytes.subarray(start, start + payloadBytes)];
    this.#held.add(piece);
    this.#channel.sendPieces(pieces, head.length + payloadBytes, () => {
      if (this.#held.delete(piece)) batch?.release();
    });
  }
}
