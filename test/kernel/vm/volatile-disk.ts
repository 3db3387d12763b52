// A disk with a volatile write cache for a test machine, served to QEMU over NBD from this process: a power cut loses what was not flushed.
//
// QEMU's own writeback cache would not do: it is the page cache of the host, which survives the kill of the machine. Here every sector
// that was written since the last flush (and was not written with FUA) is kept or lost at the cut by chance, each for itself, so that
// writes are also torn and reordered as a real disk may do it. What was flushed always stays.

import type { IoRequest, Slab } from '../../../src/core/ports.js';
import { readSocket } from '../../../src/disk/socket-reader.js';
import { NbdServer } from '../../../src/nbd/server.js';
import { systemClock } from '../../helpers/clock.js';
import { MemoryBackend } from '../../helpers/memory-backend.js';
import type { Random } from '../../helpers/random.js';
import type { Workspace } from '../../helpers/workspace.js';

const SECTOR_BYTES = 512;
const EIO = 5;

/** What a power cut did. */
export interface CutFigures {
  readonly kept: number;
  readonly lost: number;
}

/** The disk's content and what of it is durable. */
class VolatileBackend extends MemoryBackend {
  readonly #durable: Buffer;
  readonly #dirty: Uint8Array;

  constructor(content: Buffer) {
    super({ exportName: 'disk', sizeBytes: content.length, slabCount: 64 });
    this.data.set(content);
    this.#durable = Buffer.from(content);
    this.#dirty = new Uint8Array(content.length / SECTOR_BYTES);
  }

  override write(request: IoRequest, source: Uint8Array, start: number): boolean {
    const done = super.write(request, source, start);
    if (done) this.#written(request.offset, request.length, request.fua);
    return done;
  }

  override writeSlab(request: IoRequest, pieceOffset: number, slab: Slab, length: number): boolean {
    const done = super.writeSlab(request, pieceOffset, slab, length);
    if (done) this.#written(request.offset + pieceOffset, length, request.fua);
    return done;
  }

  override discard(request: IoRequest): boolean {
    const done = super.discard(request);
    if (done) this.#written(request.offset, request.length, request.fua);
    return done;
  }

  override flush(request: IoRequest): void {
    if (this.failWith === 0) for (let at = this.#dirty.indexOf(1); at >= 0; at = this.#dirty.indexOf(1, at + 1)) this.#keep(at);
    super.flush(request);
  }

  /**
   * The power goes: each unflushed sector stays with a chance of `percent`, and connections end. What still stands in their sockets must
   * not arrive once the power is on again: it would be there without what had to be durable before it.
   */
  cut(random: Random, percent: number): CutFigures {
    this.failWith = EIO;
    const figures = { kept: 0, lost: 0 };
    for (let at = this.#dirty.indexOf(1); at >= 0; at = this.#dirty.indexOf(1, at + 1)) {
      if (random.below(100) < percent) {
        this.#keep(at);
        figures.kept++;
      } else {
        figures.lost++;
      }
    }
    this.#dirty.fill(0);
    this.revokeAll();
    return figures;
  }

  powerOn(): void {
    this.data.set(this.#durable);
    this.failWith = 0;
  }

  #written(offset: number, length: number, durable: boolean): void {
    if (this.failWith !== 0) return;
    for (let at = offset / SECTOR_BYTES; at < (offset + length) / SECTOR_BYTES; at++) {
      if (durable) this.#keep(at);
      else this.#dirty[at] = 1;
    }
  }

  #keep(sector: number): void {
    this.data.copy(this.#durable, sector * SECTOR_BYTES, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
    this.#dirty[sector] = 0;
  }
}

/** A disk on a unix socket. */
export class VolatileDisk {
  readonly socket: string;
  readonly #backend: VolatileBackend;
  readonly #server: NbdServer;

  private constructor(socket: string, content: Buffer) {
    this.socket = socket;
    this.#backend = new VolatileBackend(content);
    const backend = this.#backend;
    this.#server = new NbdServer({
      exports: { lookup: (name) => (name === 'disk' ? backend : undefined), list: () => [backend] },
      clock: systemClock,
      readSocket,
    });
  }

  /** Serves a disk that starts with `content`, all of it durable, until the workspace ends. */
  static async make(workspace: Workspace, name: string, content: Buffer): Promise<VolatileDisk> {
    const disk = new VolatileDisk(workspace.file(`${name}.sock`), content);
    await disk.#server.listen({ kind: 'unix', path: disk.socket });
    return disk;
  }

  /** Power cut at this very moment; the machine must be killed in the same turn of the event loop. */
  cut(random: Random, percent: number): CutFigures {
    return this.#backend.cut(random, percent);
  }

  /** Only what survived is there; the machine may start again. */
  powerOn(): void {
    this.#backend.powerOn();
  }

  async close(): Promise<void> {
    await this.#server.stop(1000);
  }
}
