// Sending half of a session: the primary's log, from the plan's LSN on, as records frames.
//
// Owns the cursor (next LSN to send), the window (frames sent and not yet answered "received", at most LINK_WINDOW_BYTES of them) and
// the batches held for the stream. A batch is sent from its own memory and released when the stream has taken it; the meta parts stand
// in a ring of LINK_UNSENT_FRAMES_MAX fixed places, so nothing is copied, and per frame only the views are allocated.
//
// The durable LSN travels in every records frame. Alone it goes at once only in mode applied, where writes wait for what it allows; in
// the others after LINK_LAZY_MS without a frame, so that a load that never pauses costs the other site no extra frame to wake up for.
//
// Order: cursor <= sealed + 1; received <= cursor - 1; applied <= logged <= received. Records are sent once per session and in order.

import { assert } from '../core/assert.js';
import { DOUBLE_ZERO } from '../core/doubles.js';
import type { SiteMode } from '../core/group-config.js';
import {
  LINK_LAZY_MS,
  LINK_UNSENT_FRAMES_MAX,
  LINK_WINDOW_BYTES,
  LINK_WINDOW_FRAMES_MAX,
  SLAB_LARGE_PAYLOAD_BYTES,
} from '../core/limits.js';
import type { Clock, Timer } from '../core/ports.js';
import type { LogBatch } from '../disk/log-batch.js';
import {
  FRAME_HEADER_BYTES,
  putRecordsMeta,
  RECORDS_META_BYTES_MAX,
  RECORDS_META_HEADER_BYTES,
  recordsMetaBytes,
  sealFrame,
} from '../format/frame.js';
import { IDENTITY_BYTES, IDENTITY_START } from '../format/record.js';
import { type Ack, controlFrame, encodeDurable } from '../format/wire.js';
import type { Channel } from './channel.js';
import type { ShipSource } from './ports.js';
import { ReadAhead } from './read-ahead.js';

const SLOT_BYTES = FRAME_HEADER_BYTES + RECORDS_META_BYTES_MAX;
const RECORDS_FRAME_BYTES_MAX = SLOT_BYTES + SLAB_LARGE_PAYLOAD_BYTES;

/** Told about the sender's state; both may be called inside pump() and acked(). */
export interface SenderOwner {
  /** catchingUp changed. */
  senderChanged(): void;
  /** A batch cannot be read from the log. */
  senderFailed(error: unknown): void;
}

/** What a sender works with; `mode` is this site's setting for the other one. */
export type SenderParts = {
  readonly source: ShipSource;
  readonly site: string;
  readonly mode: SiteMode;
  readonly channel: Channel;
  readonly clock: Clock;
  readonly owner: SenderOwner;
};

export class Sender {
  readonly #source: ShipSource;
  readonly #site: string;
  readonly #mode: SiteMode;
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #owner: SenderOwner;
  readonly #metas = new Uint8Array(LINK_UNSENT_FRAMES_MAX * SLOT_BYTES);
  /** Batches the stream has not taken, in order: frames unsentHead..unsentTail - 1, each at its number modulo the ring. */
  readonly #unsent = new Array<LogBatch | undefined>(LINK_UNSENT_FRAMES_MAX).fill(undefined);
  #unsentHead = 0;
  #unsentTail = 0;
  /** Last LSN and running byte count of the frames in the window, as a ring like #unsent. */
  readonly #windowLsn = new Float64Array(LINK_WINDOW_FRAMES_MAX);
  readonly #windowEnd = new Float64Array(LINK_WINDOW_FRAMES_MAX);
  #windowHead = 0;
  #windowTail = 0;
  #bytesSent = DOUBLE_ZERO;
  #bytesReceived = DOUBLE_ZERO;
  readonly #sent = (): void => this.#frameSent();
  #cursor: number;
  #received: number;
  #logged = DOUBLE_ZERO;
  #applied = DOUBLE_ZERO;
  #durableSent = DOUBLE_ZERO;
  /** Runs while the site knows less than is durable here; what had been sent when it was armed. */
  #lazyTimer: Timer | undefined;
  #durableSentBefore = DOUBLE_ZERO;
  readonly #lazyTimeOver = (): void => this.#tellDurableLazily();
  readonly #readAhead: ReadAhead;
  /** Batches that could be read from the log wait for frames to leave. */
  #readsPutOff = false;
  #stopped = false;
  #released: (() => void) | undefined;
  #catchingUp = true;
  /** Last LSN there was when the cursor had reached the end; undefined before that. */
  #caughtUpLsn: number | undefined;
  sentRecords = DOUBLE_ZERO;

  constructor(parts: SenderParts, from: number) {
    this.#source = parts.source;
    this.#site = parts.site;
    this.#mode = parts.mode;
    this.#channel = parts.channel;
    this.#clock = parts.clock;
    this.#owner = parts.owner;
    this.#cursor = from;
    this.#received = from - 1;
    this.#readAhead = new ReadAhead(parts.source, { readEnded: () => this.pump() });
    parts.channel.onDrain(() => this.pump());
  }

  /** The site has not yet received everything there was to send, or fell out of memory again. */
  get catchingUp(): boolean {
    return this.#catchingUp;
  }

  get sentLsn(): number {
    return this.#cursor - 1;
  }

  /** Bytes sent and not yet answered. */
  get windowBytes(): number {
    return this.#bytesSent - this.#bytesReceived;
  }

  /** Behind stop(): resolves when no read of the log is going on and no batch is held any more. */
  async settled(): Promise<void> {
    await this.#readAhead.settled();
    if (this.#unsentHead < this.#unsentTail) await new Promise<void>((resolve) => (this.#released = resolve));
  }

  /** Sends what can be sent: called when a batch was sealed, the durable LSN moved, the stream drained, the window moved, a read ended. */
  pump(): void {
    if (this.#stopped) return;
    while (this.#cursor <= this.#source.sealedLsn && this.#hasRoom()) {
      const batch = this.#nextBatch();
      if (batch === undefined) break;
      this.#send(batch);
    }
    if (this.#stopped) return;
    if (this.#source.durableLsn > this.#durableSent) {
      if (this.#mode === 'applied') this.tellDurable();
      else this.#armLazyTimer();
    }
    this.#updateCatchingUp();
  }

  /** Sends the durable LSN alone when the site does not know it. */
  tellDurable(): void {
    const { durableLsn } = this.#source;
    if (this.#stopped || this.#channel.isFull || durableLsn <= this.#durableSent) return;
    this.#durableSent = durableLsn;
    this.#channel.send(controlFrame('durable', encodeDurable(durableLsn)));
  }

  /** While the stream is full nothing is armed: the drain pumps. */
  #armLazyTimer(): void {
    if (this.#lazyTimer !== undefined || this.#channel.isFull) return;
    this.#durableSentBefore = this.#durableSent;
    this.#lazyTimer = this.#clock.after(LINK_LAZY_MS, this.#lazyTimeOver);
  }

  /** Frames that went out meanwhile told the site nearly everything, and the next ones will: only a pause needs a frame of its own. */
  #tellDurableLazily(): void {
    this.#lazyTimer = undefined;
    if (this.#source.durableLsn <= this.#durableSent) return;
    if (this.#durableSent > this.#durableSentBefore) this.#armLazyTimer();
    else this.tellDurable();
  }

  /** Takes the site's positions. Returns what is wrong with them when they are not possible. */
  acked(ack: Ack): string | undefined {
    if (ack.received >= this.#cursor) return `site ${this.#site} acknowledges LSN ${ack.received}, sent was ${this.#cursor - 1}`;
    if (ack.received < this.#received || ack.logged < this.#logged || ack.applied < this.#applied) {
      return `site ${this.#site} takes positions back: ${ack.received}, ${ack.logged}, ${ack.applied}`;
    }
    this.#received = ack.received;
    this.#logged = ack.logged;
    this.#applied = ack.applied;
    while (this.#windowHead < this.#windowTail) {
      const slot = this.#windowHead % LINK_WINDOW_FRAMES_MAX;
      if ((this.#windowLsn[slot] as number) > ack.received) break;
      this.#bytesReceived = this.#windowEnd[slot] as number;
      this.#windowHead++;
    }
    this.#source.siteProgress(this.#site, ack.received, ack.logged, ack.applied);
    this.pump();
    return undefined;
  }

  /** Sends nothing any more. Batches that the stream still reads stay held until it has taken them, or dispose(). */
  stop(): void {
    this.#stopped = true;
    this.#readAhead.stop();
    this.#lazyTimer?.cancel();
    this.#lazyTimer = undefined;
  }

  /** The stream is gone: lets go of what it held. */
  dispose(): void {
    this.stop();
    while (this.#unsentHead < this.#unsentTail) this.#frameSent();
  }

  #hasRoom(): boolean {
    return (
      !this.#channel.isFull &&
      this.windowBytes + RECORDS_FRAME_BYTES_MAX <= LINK_WINDOW_BYTES &&
      this.#unsentTail - this.#unsentHead < LINK_UNSENT_FRAMES_MAX &&
      this.#windowTail - this.#windowHead < LINK_WINDOW_FRAMES_MAX
    );
  }

  /**
   * The batch at the cursor, held, from memory or as it was read from the log; undefined when it is being read. A few at a time: the rest
   * of the disk's time belongs to the log's writer, and the memory is that of all readers.
   */
  #nextBatch(): LogBatch | undefined {
    this.#readsPutOff = false;
    if (this.#readAhead.count === 0) {
      const batch = this.#source.holdBatch(this.#cursor);
      if (batch !== undefined) return batch;
      this.#fellBehind();
    } else {
      try {
        const batch = this.#readAhead.take(this.#cursor);
        if (batch !== undefined) return batch;
      } catch (error) {
        this.#owner.senderFailed(error);
        return undefined;
      }
    }
    const max = this.#source.readBatchesMax - (this.#unsentTail - this.#unsentHead);
    this.#readAhead.fill(this.#cursor, this.#source.sealedLsn, max);
    this.#readsPutOff = this.#readAhead.count >= max;
    return undefined;
  }

  /** What comes next is no longer in memory. */
  #fellBehind(): void {
    this.#caughtUpLsn = undefined;
    this.#setCatchingUp(true);
  }

  /** Sends the records of a held batch from the cursor on. */
  #send(batch: LogBatch): void {
    const { bytes } = batch.arena;
    const first = this.#cursor - batch.firstLsn;
    const count = batch.count - first;
    assert(first >= 0 && count > 0, 'the batch holds the LSN that was asked for');
    const metaBytes = recordsMetaBytes(count);
    const slot = (this.#unsentTail % LINK_UNSENT_FRAMES_MAX) * SLOT_BYTES;
    const meta = slot + FRAME_HEADER_BYTES;
    const durableLsn = this.#source.durableLsn;
    putRecordsMeta(this.#metas, meta, durableLsn, count);
    for (let i = 0, to = meta + RECORDS_META_HEADER_BYTES; i < count; i++, to += IDENTITY_BYTES) {
      const from = batch.headerAt(first + i) + IDENTITY_START;
      for (let b = 0; b < IDENTITY_BYTES; b++) this.#metas[to + b] = bytes[from + b] as number;
    }
    const skipped = first === 0 ? 0 : batch.payloadOffset(first);
    const payloadBytes = batch.payloadBytes - skipped;
    sealFrame(this.#metas, slot, 'records', metaBytes, payloadBytes);
    const lengthBytes = FRAME_HEADER_BYTES + metaBytes + payloadBytes;

    this.#unsent[this.#unsentTail++ % LINK_UNSENT_FRAMES_MAX] = batch;
    this.#bytesSent += lengthBytes;
    const inWindow = this.#windowTail++ % LINK_WINDOW_FRAMES_MAX;
    this.#windowLsn[inWindow] = batch.lastLsn;
    this.#windowEnd[inWindow] = this.#bytesSent;
    this.#cursor += count;
    this.sentRecords += count;
    if (durableLsn > this.#durableSent) this.#durableSent = durableLsn;
    this.#source.siteSent(this.#site, batch.lastLsn);

    const head = this.#metas.subarray(slot, slot + FRAME_HEADER_BYTES + metaBytes);
    const start = batch.dataStart + skipped;
    const pieces = payloadBytes === 0 ? [head] : [head, bytes.subarray(start, start + payloadBytes)];
    this.#channel.sendPieces(pieces, lengthBytes, this.#sent);
  }

  /** The stream has taken the oldest frame; frames are taken in order. */
  #frameSent(): void {
    if (this.#unsentHead === this.#unsentTail) return;
    const slot = this.#unsentHead++ % LINK_UNSENT_FRAMES_MAX;
    const batch = this.#unsent[slot] as LogBatch;
    this.#unsent[slot] = undefined;
    batch.release();
    if (this.#unsentHead === this.#unsentTail) this.#released?.();
    // A full ring, and reads that were put off, are the bounds that no other event lifts.
    const left = this.#unsentTail - this.#unsentHead;
    if (!this.#stopped && (left === LINK_UNSENT_FRAMES_MAX / 2 || this.#readsPutOff)) this.pump();
  }

  /**
   * Caught up when the site has received everything there was when the cursor first reached the end. Waiting for an instant with nothing
   * on the way would never end under a steady load.
   */
  #updateCatchingUp(): void {
    if (!this.#catchingUp) return;
    if (this.#caughtUpLsn === undefined && this.#cursor > this.#source.sealedLsn) this.#caughtUpLsn = this.#cursor - 1;
    if (this.#caughtUpLsn !== undefined && this.#received >= this.#caughtUpLsn) this.#setCatchingUp(false);
  }

  #setCatchingUp(catchingUp: boolean): void {
    if (this.#catchingUp === catchingUp) return;
    this.#catchingUp = catchingUp;
    this.#owner.senderChanged();
  }
}
