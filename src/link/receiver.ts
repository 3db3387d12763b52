// Receiving half of a session: records frames of the primary into leased batches, positions back.
//
// The gateway for everything a primary sends: LSNs without a gap, writers in order, extents inside the volumes, sizes that add up, long
// payloads where they can be written from. The sink checks payload CRCs and the chain. A batch belongs to this file from leaseBatch() until
// receive() takes it over. Batches are submitted and positions answered once per event-loop turn, however many frames came.
//
// Which position is answered at the end of its turn depends on what the primary waits for: logged in every mode (flushes, trimming and
// draining do), received in mode memory, applied in mode applied. The others ride along, or follow after LINK_LAZY_MS.

import { assert } from '../core/assert.js';
import { DOUBLE_ZERO } from '../core/doubles.js';
import type { SiteMode } from '../core/group-config.js';
import {
  DIRECT_PAYLOAD_BYTES,
  LINK_LAZY_MS,
  LINK_UNANSWERED_BYTES_MAX,
  LINK_UNANSWERED_FRAMES_MAX,
  RECORD_PAYLOAD_BYTES_MAX,
  RECORD_ZERO_BYTES_MAX,
} from '../core/limits.js';
import type { Clock, Slab, Timer } from '../core/ports.js';
import type { LogBatch } from '../disk/log-batch.js';
import { getU64 } from '../format/bytes.js';
import { FRAME_HEADER_BYTES, RECORDS_META_HEADER_BYTES, recordsMetaBytes, recordsMetaCount, recordsMetaDurable } from '../format/frame.js';
import {
  IDENTITY_BYTES,
  IDENTITY_START,
  recordEpoch,
  recordHasPayload,
  recordIncarnation,
  recordLength,
  recordLsn,
  recordOffset,
  recordVolume,
} from '../format/record.js';
import { controlFrame, encodeAck } from '../format/wire.js';
import type { Channel } from './channel.js';
import type { ReceiveSink, Refusal, VolumeDescription } from './ports.js';

/** Kinds 1 write, 2 zero, 3 trim; flag bit 0 may unmap (record.ts). */
const KIND_AT = 46;
const KIND_MAX = 3;
const FLAGS_MAX = 1;

export class Receiver {
  readonly #sink: ReceiveSink;
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #volumes: readonly VolumeDescription[];
  /** Epoch of the primary: it cannot send records of a later one. */
  readonly #epochMax: number;
  readonly #mode: SiteMode;
  #nextLsn: number;
  #epoch = 0;
  #incarnation = 0;
  #durableLsn = DOUBLE_ZERO;
  /** Durable LSN the sink was told: at most the last received. */
  #durableTold = DOUBLE_ZERO;
  /** Durable LSN in the frame being received: told to the sink before the frame's records, and after them as far as it covers them. */
  #frameDurableLsn = DOUBLE_ZERO;
  #batch: LogBatch | undefined;
  #dirty = false;
  #ackScheduled = false;
  #stopped = false;
  readonly #sendAck = (): void => this.#ack();
  #lazyTimer: Timer | undefined;
  readonly #lazyTimeOver = (): void => {
    this.#lazyTimer = undefined;
    this.#ack();
  };
  readonly #roomAvailable = (): void => {
    if (!this.#stopped) this.#channel.retry();
  };
  /** What was answered last; NaN, which equals nothing: no answer yet. */
  #ackedReceived = Number.NaN;
  #ackedLogged = Number.NaN;
  #ackedApplied = Number.NaN;
  /** Received since the last answer. */
  #unansweredBytes = 0;
  #unansweredFrames = 0;
  receivedRecords = 0;

  /** `mode`: what the primary waits for. */
  constructor(sink: ReceiveSink, channel: Channel, clock: Clock, from: number, epochMax: number, mode: SiteMode) {
    this.#sink = sink;
    this.#channel = channel;
    this.#clock = clock;
    this.#volumes = sink.volumes();
    this.#epochMax = epochMax;
    this.#mode = mode;
    this.#nextLsn = from;
    sink.onProgress(() => this.#moved());
    channel.onDrain(() => this.#moved());
  }

  /** Answers the positions as of now, at the end of this turn. */
  start(): void {
    this.#moved();
  }

  /** Takes the meta part of a records frame. Returns the batch for its payload, undefined when there is no room yet, or a refusal. */
  records(bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | Refusal | undefined {
    const count = recordsMetaCount(bytes, start, length);
    if (count === 0) return violation('records frame with an impossible meta part');
    const identities = start + RECORDS_META_HEADER_BYTES;
    const problem = this.#check(bytes, identities - IDENTITY_START, count, payloadBytes);
    if (problem !== undefined) return violation(problem);

    let batch = this.#sink.leaseBatch(payloadBytes);
    if (batch === undefined) {
      // What this frame says about records that are here may be what lets them be applied, and so makes room for it.
      const refusal = this.durable(recordsMetaDurable(bytes, start));
      if (refusal !== undefined) return refusal;
      batch = this.#sink.leaseBatch(payloadBytes);
    }
    if (batch === undefined) {
      this.#sink.onRoom(this.#roomAvailable);
      return undefined;
    }
    assert(batch.dataCapacity >= payloadBytes, 'a leased batch has the room that was asked for');
    const to = batch.arena.bytes;
    for (let i = 0, from = identities; i < count; i++) {
      const at = batch.headerAt(i) + IDENTITY_START;
      for (let b = 0; b < IDENTITY_BYTES; b++) to[at + b] = bytes[from++] as number;
    }
    batch.count = count;
    batch.payloadBytes = payloadBytes;
    batch.firstLsn = this.#nextLsn;
    const last = identities - IDENTITY_START + (count - 1) * IDENTITY_BYTES;
    this.#epoch = recordEpoch(bytes, last);
    this.#incarnation = recordIncarnation(bytes, last);
    this.#frameDurableLsn = recordsMetaDurable(bytes, start);
    this.#batch = batch;
    return batch;
  }

  /** The payload is complete: gives the batch to the sink. */
  recordsComplete(): Refusal | undefined {
    const batch = this.#batch;
    assert(batch !== undefined, 'a payload belongs to a leased batch');
    this.#batch = undefined;
    const { count, payloadBytes } = batch;
    // Told before, what the frame says about earlier records can be logged with it.
    const violated = this.durable(this.#frameDurableLsn);
    if (violated !== undefined) {
      batch.release();
      return violated;
    }
    const refusal = this.#sink.receive(batch);
    if (refusal !== undefined) return refusal;
    this.#nextLsn += count;
    this.receivedRecords += count;
    this.#unansweredBytes += FRAME_HEADER_BYTES + recordsMetaBytes(count) + payloadBytes;
    this.#unansweredFrames++;
    this.#dirty = true;
    return this.durable(this.#frameDurableLsn);
  }

  /** The primary's durable LSN, which never goes back. The sink hears of it as far as it has the records. */
  durable(lsn: number): Refusal | undefined {
    if (lsn < this.#durableLsn) return violation(`the durable LSN went back from ${this.#durableLsn} to ${lsn}`);
    this.#durableLsn = lsn;
    const told = Math.min(lsn, this.#nextLsn - 1);
    if (told <= this.#durableTold) return undefined;
    this.#durableTold = told;
    this.#dirty = true;
    this.#sink.primaryDurable(told);
    return undefined;
  }

  /** Everything that arrived together was taken: submits it and answers. */
  turnEnded(): void {
    if (!this.#dirty || this.#stopped) return;
    this.#dirty = false;
    this.#sink.commit(this.#mode !== 'async');
    this.#moved();
  }

  /** Ends receiving. What was given to the sink stays there; a batch without its payload goes back. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#lazyTimer?.cancel();
    this.#lazyTimer = undefined;
    this.#sink.onProgress(undefined);
    this.#batch?.release();
    this.#batch = undefined;
    if (this.#dirty) this.#sink.commit(true);
  }

  /** Checks `count` identities. `header` is where the first one's record header would start. Returns what is wrong. */
  #check(bytes: Uint8Array, header: number, count: number, payloadBytes: number): string | undefined {
    let payloadSum = 0;
    let epoch = this.#epoch;
    let incarnation = this.#incarnation;
    for (let i = 0, at = header; i < count; i++, at += IDENTITY_BYTES) {
      const lsn = this.#nextLsn + i;
      if (recordLsn(bytes, at) !== lsn) return `LSN ${recordLsn(bytes, at)} arrived where ${lsn} is next`;
      const recordsEpoch = recordEpoch(bytes, at);
      const recordsIncarnation = recordIncarnation(bytes, at);
      if (!(recordsEpoch >= 1 && recordsEpoch <= this.#epochMax && recordsIncarnation >= 1)) return `LSN ${lsn} has an impossible writer`;
      if (recordsEpoch < epoch || (recordsEpoch === epoch && recordsIncarnation < incarnation))
        return `LSN ${lsn} was written before its predecessor`;
      epoch = recordsEpoch;
      incarnation = recordsIncarnation;
      if (!this.#isExtentValid(bytes, at)) return `LSN ${lsn} has an impossible extent`;
      if (!recordHasPayload(bytes, at)) continue;
      const length = recordLength(bytes, at);
      // Only short payloads are put right on their way to a volume with larger blocks than those before them had.
      if (length > DIRECT_PAYLOAD_BYTES && payloadSum % this.#blockBytes(bytes, at) !== 0) return `LSN ${lsn} is long, and between blocks`;
      payloadSum += length;
    }
    return payloadSum === payloadBytes ? undefined : `payload of ${payloadBytes} bytes where the records say ${payloadSum}`;
  }

  #blockBytes(bytes: Uint8Array, at: number): number {
    return (this.#volumes[recordVolume(bytes, at)] as VolumeDescription).blockBytes;
  }

  #isExtentValid(bytes: Uint8Array, at: number): boolean {
    const kind = bytes[at + KIND_AT] as number;
    if (kind < 1 || kind > KIND_MAX || (bytes[at + KIND_AT + 1] as number) > FLAGS_MAX) return false;
    const volume = this.#volumes[recordVolume(bytes, at)];
    const offset = recordOffset(bytes, at);
    const length = recordLength(bytes, at);
    const lengthMax = recordHasPayload(bytes, at) ? RECORD_PAYLOAD_BYTES_MAX : RECORD_ZERO_BYTES_MAX;
    // The time of acceptance is for display, but must be readable as a number. Written so that NaN is refused.
    return (
      volume !== undefined &&
      length > 0 &&
      length <= lengthMax &&
      length % volume.blockBytes === 0 &&
      offset % volume.blockBytes === 0 &&
      offset + length <= volume.sizeBytes &&
      getU64(bytes, at + 56) >= 0
    );
  }

  /** Positions may have moved, or the stream has room for them again. */
  #moved(): void {
    if (this.#ackScheduled || this.#stopped || this.#channel.isFull) return;
    const { receivedLsn, loggedLsn, appliedLsn } = this.#sink;
    const hasReceived = receivedLsn !== this.#ackedReceived;
    const hasApplied = appliedLsn !== this.#ackedApplied;
    const isAwaited =
      loggedLsn !== this.#ackedLogged ||
      (hasReceived && this.#mode === 'memory') ||
      (hasApplied && this.#mode === 'applied') ||
      this.#unansweredBytes > LINK_UNANSWERED_BYTES_MAX ||
      this.#unansweredFrames > LINK_UNANSWERED_FRAMES_MAX;
    if (isAwaited) {
      this.#ackScheduled = true;
      this.#clock.soon(this.#sendAck);
    } else if ((hasReceived || hasApplied) && this.#lazyTimer === undefined) {
      this.#lazyTimer = this.#clock.after(LINK_LAZY_MS, this.#lazyTimeOver);
    }
  }

  #ack(): void {
    this.#ackScheduled = false;
    // While the stream is full the newest positions wait for the drain: answers do not pile up behind a stalled primary.
    if (this.#stopped || this.#channel.isFull) return;
    const { receivedLsn, loggedLsn, appliedLsn } = this.#sink;
    if (receivedLsn === this.#ackedReceived && loggedLsn === this.#ackedLogged && appliedLsn === this.#ackedApplied) return;
    this.#ackedReceived = receivedLsn;
    this.#ackedLogged = loggedLsn;
    this.#ackedApplied = appliedLsn;
    this.#unansweredBytes = 0;
    this.#unansweredFrames = 0;
    this.#channel.send(controlFrame('ack', encodeAck(receivedLsn, loggedLsn, appliedLsn)));
  }
}

function violation(reason: string): Refusal {
  return { code: 'PROTOCOL', reason };
}
