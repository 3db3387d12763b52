// Block devices for a real process whose every write and flush is recorded: an NBD server in this process, nbdfuse, and loop devices.
//
// Why not one device with a log of writes below it: a flush of a volume must not vouch for the log, nor the other way round, and yet all
// must be in one order. Here each disk has flushes of its own, and one event loop sees them all. The loop devices are block devices, so
// the kernel turns RWF_DSYNC and fdatasync into flushes as it does for a real disk; nothing below them caches (direct I/O, FUSE without
// write-back). A flush takes a moment, as on a disk: meanwhile writes gather that it does not cover.

import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { FuseAttacher } from '../../src/attach/fuse.js';
import type { Attachment } from '../../src/attach/ports.js';
import { RECORD_PAYLOAD_BYTES_MAX } from '../../src/core/limits.js';
import type { Arena, Backend, ExtentRun, IoRequest, Slab } from '../../src/core/ports.js';
import { readSocket } from '../../src/disk/socket-reader.js';
import { NbdServer } from '../../src/nbd/server.js';
import { systemClock } from '../helpers/clock.js';
import type { Random } from '../helpers/random.js';
import type { Workspace } from '../helpers/workspace.js';
import type { Trace } from './trace.js';

export const SECTOR_BYTES = 512;
const FLUSH_MS_MAX = 3;
const DRAIN_MS = 2000;
const SLABS = 64;

/** One disk in memory. Writes are there at once and answered at the end of the turn. */
class RecordedDisk implements Backend {
  readonly exportName: string;
  readonly description = 'a disk whose writes are recorded';
  readonly sizeBytes: number;
  readonly blockBytes = SECTOR_BYTES;
  readonly readOnly = false;
  readonly unavailable = undefined;
  readonly isShortOfReads = false;
  readonly #number: number;
  readonly #trace: Trace;
  readonly #random: Random;
  readonly #arena: Arena;
  readonly #free: Slab[] = [];
  #ended: IoRequest[] = [];
  #epoch = 0;

  constructor(name: string, number: number, sizeBytes: number, trace: Trace, random: Random) {
    this.exportName = name;
    this.sizeBytes = sizeBytes;
    this.#number = number;
    this.#trace = trace;
    this.#random = random;
    this.#arena = { bytes: new Uint8Array(sizeBytes), address: 0 };
    for (let i = 0; i < SLABS; i++) this.#free.push(this.#newSlab());
  }

  content(): Uint8Array {
    return this.#arena.bytes.slice();
  }

  connect(): number {
    return ++this.#epoch;
  }

  disconnect(): void {}

  readNow(): boolean {
    return false;
  }

  read(request: IoRequest): void {
    for (let at = 0; at < request.length; at += RECORD_PAYLOAD_BYTES_MAX) {
      request.slabs.push({ arena: this.#arena, dataStart: request.offset + at, dataCapacity: RECORD_PAYLOAD_BYTES_MAX });
    }
    this.#ended.push(request);
  }

  releaseRead(request: IoRequest): void {
    request.slabs.length = 0;
  }

  write(request: IoRequest, source: Uint8Array, start: number): boolean {
    this.#put(request.offset, source.subarray(start, start + request.length));
    return this.#end(request);
  }

  lease(): Slab {
    return this.#free.pop() ?? this.#newSlab();
  }

  unlease(slab: Slab): void {
    this.#free.push(slab);
  }

  writeSlab(request: IoRequest, pieceOffset: number, slab: Slab, length: number): boolean {
    this.#put(request.offset + pieceOffset, slab.arena.bytes.subarray(slab.dataStart, slab.dataStart + length));
    this.unlease(slab);
    return pieceOffset + length < request.length || this.#end(request);
  }

  discard(request: IoRequest): boolean {
    this.#arena.bytes.fill(0, request.offset, request.offset + request.length);
    this.#trace.write(this.#number, request.offset, request.length, undefined);
    return this.#end(request);
  }

  /** Covers the writes answered so far, not those that come while it lasts. */
  flush(request: IoRequest): void {
    for (const done of this.#ended.splice(0)) done.owner.completed(done, 0);
    const covers = this.#trace.entries.length;
    const finish = (): void => {
      this.#trace.flush(this.#number, covers);
      request.owner.completed(request, 0);
    };
    const ms = this.#random.below(FLUSH_MS_MAX);
    if (ms === 0) setImmediate(finish);
    else setTimeout(finish, ms);
  }

  extents(_offset: number, length: number): ExtentRun[] {
    return [{ length, zero: false }];
  }

  waitForRoom(): void {}

  commit(): void {
    for (const request of this.#ended.splice(0)) request.owner.completed(request, 0);
  }

  #put(offset: number, bytes: Uint8Array): void {
    this.#arena.bytes.set(bytes, offset);
    this.#trace.write(this.#number, offset, bytes.length, new Uint8Array(bytes));
  }

  #end(request: IoRequest): true {
    if (request.fua) throw new Error('the kernel sends flushes instead of FUA to such a device');
    this.#ended.push(request);
    return true;
  }

  #newSlab(): Slab {
    return { arena: { bytes: new Uint8Array(RECORD_PAYLOAD_BYTES_MAX), address: 0 }, dataStart: 0, dataCapacity: RECORD_PAYLOAD_BYTES_MAX };
  }
}

/** The block devices of one trace. close() takes them away again; the workspace does it, roughly, when the test ends before. */
export class RecordedDisks {
  readonly #backends: readonly RecordedDisk[];
  readonly #server: NbdServer;
  readonly #attacher: FuseAttacher;
  readonly #attachments: Attachment[] = [];

  private constructor(backends: readonly RecordedDisk[], server: NbdServer, attacher: FuseAttacher, workspace: Workspace) {
    this.#backends = backends;
    this.#server = server;
    this.#attacher = attacher;
    workspace.onDispose(() => this.#drop());
  }

  /** Makes one device for each size; its name is only for the eye. */
  static async open(
    workspace: Workspace,
    directory: string,
    disks: readonly { name: string; sizeBytes: number }[],
    trace: Trace,
    random: Random,
  ): Promise<RecordedDisks> {
    mkdirSync(directory, { recursive: true });
    const backends = disks.map(({ name, sizeBytes }, i) => new RecordedDisk(`disk/${name}`, i, sizeBytes, trace, random));
    const lookup = (name: string): Backend | undefined => backends.find((backend) => backend.exportName === name);
    const server = new NbdServer({ exports: { lookup, list: () => backends }, clock: systemClock, readSocket });
    const socketPath = `${directory}/disks.sock`;
    await server.listen({ kind: 'unix', path: socketPath });
    const made = new RecordedDisks(backends, server, new FuseAttacher(directory), workspace);
    for (const { exportName, sizeBytes, blockBytes } of backends) {
      const request = { target: exportName, identity: exportName, socketPath, sizeBytes, blockBytes, readOnly: false, device: undefined };
      made.#attachments.push(await made.#attacher.attach(request, 'for a test', () => {}));
    }
    return made;
  }

  /** What a disk holds now. */
  content(disk: number): Uint8Array {
    return this.#backends[disk]?.content() ?? new Uint8Array(0);
  }

  /** Device node of each disk. */
  get devices(): string[] {
    return this.#attachments.map((attachment) => attachment.device);
  }

  async close(): Promise<void> {
    while (this.#attachments.length > 0) {
      await this.#attacher.detach(this.#attachments[0] as Attachment);
      this.#attachments.shift();
    }
    await this.#server.stop(DRAIN_MS);
  }

  /** Without waiting for anything that this process would have to serve: nbdfuse goes first, so that all I/O fails at once. */
  #drop(): void {
    void this.#server.stop(0);
    for (const { pid, device, mountPoint } of this.#attachments.splice(0)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone already.
      }
      spawnSync('losetup', ['--detach', device]);
      spawnSync('umount', ['--lazy', mountPoint]);
    }
  }
}
