// Receiving half of a resync session: region and compare frames into leased batches, and back what is here and how many are durable.
//
// The gateway for what a primary sends: extents inside the volumes, one end mark behind all regions. The sink checks the payload's CRC.

import { assert } from '../core/assert.js';
import type { Slab } from '../core/ports.js';
import type { LogBatch } from '../disk/log-batch.js';
import { readCompareMeta } from '../format/compare.js';
import { type FrameType, type RegionMeta, readRegionMeta } from '../format/frame.js';
import { controlFrame, encodeCompared, encodeRegionsDone } from '../format/wire.js';
import type { Channel } from './channel.js';
import type { ReceiveSink, Refusal, VolumeDescription } from './ports.js';

export class ResyncReceiver {
  readonly #sink: ReceiveSink;
  readonly #channel: Channel;
  readonly #volumes: readonly VolumeDescription[];
  #meta: RegionMeta | undefined;
  /** The payload is hashes. */
  #isQuestion = false;
  #batch: LogBatch | undefined;
  #stopped = false;
  /** Pieces that are durable here, and what the primary was last told of them. */
  #done = 0;
  #told = 0;

  /** `refuse` is told when the sink cannot go on. */
  constructor(sink: ReceiveSink, channel: Channel, refuse: (refusal: Refusal) => void) {
    this.#sink = sink;
    this.#channel = channel;
    this.#volumes = sink.volumes();
    sink.onRegions((event) => {
      if (this.#stopped) return;
      if (typeof event === 'number') {
        this.#done = event;
        this.#tell();
      } else if ('same' in event) channel.send(controlFrame('compared', encodeCompared(event)));
      else refuse(event);
    });
    channel.onDrain(() => {
      this.#tell();
      this.#retry();
    });
  }

  /** Takes the meta part of a region or compare frame. Returns the batch for its payload, undefined without room, or a refusal. */
  region(type: FrameType, bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | Refusal | undefined {
    const isQuestion = type === 'compare';
    const meta = (isQuestion ? readCompareMeta : readRegionMeta)(bytes, start, length, payloadBytes);
    if (typeof meta === 'string') return { code: 'PROTOCOL', reason: meta };
    const volume = this.#volumes[meta.volume];
    if (volume === undefined || meta.offset + meta.length > volume.sizeBytes) {
      return { code: 'PROTOCOL', reason: `region of volume ${meta.volume} at ${meta.offset} lies outside` };
    }
    if (meta.offset % volume.blockBytes !== 0 || meta.length % volume.blockBytes !== 0) {
      const words = `${meta.length} bytes of volume ${meta.volume} at ${meta.offset} are no blocks of ${volume.blockBytes}`;
      return { code: 'PROTOCOL', reason: `region frame: ${words}` };
    }
    // Each question has an answer: none is taken while the primary does not read those before.
    if (isQuestion && this.#channel.isFull) return undefined;
    // What is here is read to where the hashes arrive: a question takes the room of what it is about.
    const batch = this.#sink.leaseRegion(isQuestion ? meta.length : payloadBytes);
    if (batch === undefined) {
      this.#sink.onRoom(() => this.#retry());
      return undefined;
    }
    this.#meta = meta;
    this.#batch = batch;
    this.#isQuestion = isQuestion;
    return batch;
  }

  /** The payload is complete: gives the piece to the sink. */
  regionComplete(): Refusal | undefined {
    const { meta, batch } = { meta: this.#meta, batch: this.#batch };
    assert(meta !== undefined && batch !== undefined, 'a payload belongs to a leased batch');
    this.#meta = undefined;
    this.#batch = undefined;
    if (meta.isZero) batch.release();
    const problem = this.#isQuestion
      ? this.#sink.compareRegion(meta, batch)
      : this.#sink.receiveRegion(meta, meta.isZero ? undefined : batch);
    return problem === undefined ? undefined : { code: 'PROTOCOL', reason: problem };
  }

  /** While the stream is full the newest number waits for the drain: answers do not pile up behind a primary that does not read. */
  #tell(): void {
    if (this.#stopped || this.#channel.isFull || this.#done === this.#told) return;
    this.#told = this.#done;
    this.#channel.send(controlFrame('regionsDone', encodeRegionsDone(this.#told)));
  }

  #retry(): void {
    if (!this.#stopped) this.#channel.retry();
  }

  /** Ends receiving. What was given to the sink stays there until it is written. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#sink.onRegions(undefined);
    this.#batch?.release();
    this.#batch = undefined;
  }
}
