// A volume of a group as front ends see it (the Backend port).

import type { VolumeConfig } from '../core/group-config.js';
import type { Backend, BackendClient, Device, ExtentRun, IoRequest, RoomWaiter, Slab } from '../core/ports.js';
import type { LogBatch } from '../disk/log-batch.js';
import type { Reads } from './reads.js';
import type { RemoteReads } from './remote-reads.js';
import type { WritePath } from './write-path.js';

const ESHUTDOWN = 108;

/** What a volume needs of its group. `writePath` is undefined while the group is not primary. */
export interface VolumeGroup {
  readonly name: string;
  readonly writePath: WritePath | undefined;
  readonly reads: Reads;
  readonly remoteReads: RemoteReads;
  /** Why clients may not use the volumes now. */
  readonly unavailable: string | undefined;
  commit(): void;
}

export class Volume implements Backend {
  readonly exportName: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly readOnly = false;
  readonly #group: VolumeGroup;
  readonly #index: number;
  #nextEpoch = 1;
  readonly #connections = new Map<number, () => void>();
  /** Those whose client goes on with the next agent. */
  readonly #lasting = new Set<number>();

  constructor(group: VolumeGroup, index: number, config: VolumeConfig, device: Device) {
    this.#group = group;
    this.#index = index;
    this.exportName = `${group.name}/${config.name}`;
    this.description = `lvr volume ${config.name} of group ${group.name}`;
    this.sizeBytes = device.sizeBytes;
    this.blockBytes = device.blockBytes;
  }

  get unavailable(): string | undefined {
    return this.#group.unavailable;
  }

  /** Clients connected now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** A client is connected that goes on with the next agent, and would not hear what this one had not made durable. */
  get hasLasting(): boolean {
    return this.#lasting.size > 0;
  }

  connect(onRevoked: () => void, outlivesAgent = false): number {
    const epoch = this.#nextEpoch++;
    this.#connections.set(epoch, onRevoked);
    if (outlivesAgent) {
      this.#lasting.add(epoch);
      this.#group.writePath?.release();
    }
    return epoch;
  }

  disconnect(epoch: number, client: BackendClient): void {
    this.#connections.delete(epoch);
    this.#group.writePath?.forget(client);
    if (this.#lasting.delete(epoch)) this.#group.writePath?.release();
    this.#group.reads.forget(client);
    this.#group.remoteReads.forget(client);
  }

  /** Drops all clients: the group stops serving. */
  revoke(): void {
    const revoked = [...this.#connections.values()];
    this.#connections.clear();
    this.#lasting.clear();
    for (const onRevoked of revoked) onRevoked();
  }

  get isShortOfReads(): boolean {
    return this.#group.reads.isShort;
  }

  readNow(request: IoRequest, bytes: Uint8Array, start: number): boolean {
    if (this.#usable(request) === undefined) return false;
    return this.#group.reads.readNow(this.#index, bytes, start, request.length, request.offset);
  }

  read(request: IoRequest): void {
    if (this.#current(request)) this.#group.reads.read(this.#index, request);
  }

  releaseRead(request: IoRequest): void {
    this.#group.reads.release(request);
  }

  write(request: IoRequest, source: Uint8Array, start: number): boolean {
    return this.#current(request)?.writeCopy(this.#index, request, source, start) ?? true;
  }

  lease(length: number): Slab | undefined {
    return this.#group.writePath?.lease(length);
  }

  unlease(slab: Slab): void {
    (slab as LogBatch).release();
  }

  writeSlab(request: IoRequest, pieceOffset: number, slab: Slab, length: number): boolean {
    const batch = slab as LogBatch;
    const path = this.#usable(request);
    if (path !== undefined) return path.writeLeased(this.#index, request, pieceOffset, batch, length);
    batch.release();
    if (pieceOffset + length === request.length) request.owner.completed(request, ESHUTDOWN);
    return true;
  }

  discard(request: IoRequest): boolean {
    return this.#current(request)?.discard(this.#index, request) ?? true;
  }

  flush(request: IoRequest): void {
    this.#current(request)?.flush(request);
  }

  extents(offset: number, length: number, max: number): ExtentRun[] {
    return this.#group.reads.extents(this.#index, offset, length, max);
  }

  waitForRoom(waiter: RoomWaiter): void {
    const path = this.#group.writePath;
    if (path === undefined) waiter.roomAvailable();
    else path.waitForRoom(waiter);
  }

  commit(): void {
    this.#group.commit();
  }

  /** The write path, for a request of a connection that still counts. */
  #usable(request: IoRequest): WritePath | undefined {
    return this.#connections.has(request.epoch) ? this.#group.writePath : undefined;
  }

  /** As above; a request that no longer counts is answered here. */
  #current(request: IoRequest): WritePath | undefined {
    const path = this.#usable(request);
    if (path === undefined) request.owner.completed(request, ESHUTDOWN);
    return path;
  }
}
