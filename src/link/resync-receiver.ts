// Receiving half of a resync session: region frames into leased batches, and back how many of them are durable.
//
// The gateway for what a primary sends: extents inside the volumes, one end mark behind all regions. The sink checks the payload's CRC.

import { assert } from '../core/assert.js';
import type { Slab } from '../core/ports.js';
import type { LogBatch } from '../disk/log-batch.js';
import { type RegionMeta, readRegionMeta } from '../format/frame.js';
import { controlFrame, encodeRegionsDone } from '../format/wire.js';
import type { Channel } from './channel.js';
import type { ReceiveSink, Refusal, VolumeDescription } from './ports.js';

export class ResyncReceiver {
  readonly #sink: ReceiveSink;
  readonly #channel: Channel;
  readonly #volumes: readonly VolumeDescription[];
  #meta: RegionMeta | undefined;
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
      if (typeof event !== 'number') return refuse(event);
      this.#done = event;
      this.#tell();
    });
    channel.onDrain(() => this.#tell());
  }

  /** Takes the meta part of a region frame. Returns the batch for its payload, undefined when there is no room yet, or a refusal. */
  region(bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | Refusal | undefined {
    const meta = readRegionMeta(bytes, start, length, payloadBytes);
    if (typeof meta === 'string') return { code: 'PROTOCOL', reason: meta };
    const volume = this.#volumes[meta.volume];
    if (volume === undefined || meta.offset + meta.length > volume.sizeBytes) {
      return { code: 'PROTOCOL', reason: `region of volume ${meta.volume} at ${meta.offset} lies outside` };
    }
    const batch = this.#sink.leaseRegion(payloadBytes);
    if (batch === undefined) {
      this.#sink.onRoom(() => {
        if (!this.#stopped) this.#channel.retry();
      });
      return undefined;
    }
    this.#meta = meta;
    this.#batch = batch;
    return batch;
  }

  /** The payload is complete: gives the piece to the sink. */
  regionComplete(): Refusal | undefined {
    const { meta, batch } = { meta: this.#meta, batch: this.#batch };
    assert(meta !== undefined && batch !== undefined, 'a payload belongs to a leased batch');
    this.#meta = undefined;
    this.#batch = undefined;
    if (meta.isZero) batch.release();
    const problem = this.#sink.receiveRegion(meta, meta.isZero ? undefined : batch);
    return problem === undefined ? undefined : { code: 'PROTOCOL', reason: problem };
  }

  /** While the stream is full the newest number waits for the drain: answers do not pile up behind a primary that does not read. */
  #tell(): void {
    if (this.#stopped || this.#channel.isFull || this.#done === this.#told) return;
    this.#told = this.#done;
    this.#channel.send(controlFrame('regionsDone', encodeRegionsDone(this.#told)));
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
