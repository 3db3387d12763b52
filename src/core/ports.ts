// The interfaces between the rooms and the world. Only types: real ones live in disk/, link/ and agent/, simulated ones in test/sim/.
//
// Data path conventions. Nothing here allocates per request: the caller passes itself (an IoTarget) and a small integer tag instead of
// a callback, memory is named by (arena, start, length) instead of by a Buffer, and work is only queued until kick() or commit() ends
// the turn. A completion may run before the queuing call returns.

/** Page-aligned memory that devices can do I/O on. `address` is the virtual address of bytes[0] (0 in a simulation). */
export interface Arena {
  readonly bytes: Uint8Array;
  readonly address: number;
}

/** Receives completions. `error` is 0 or a positive errno; a transfer is complete or failed, never short. */
export interface IoTarget {
  ioDone(tag: number, error: number): void;
}

/** A volume's or a log's storage. Offsets and lengths are multiples of blockBytes; memory is aligned like them. */
export interface Device {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** Queues a read into arena[start, start + length). */
  read(arena: Arena, start: number, length: number, offset: number, target: IoTarget, tag: number): void;
  /**
   * Reads into bytes[start, start + length) at once if nothing has to be waited for. False: nothing useful is there, and read() will tell
   * more. Absent: there is always something to wait for.
   */
  readNow?(bytes: Uint8Array, start: number, length: number, offset: number): boolean;
  /** The same for what will not be read again soon: nothing of it stays in a cache. Absent: there is none. */
  readOnce?(arena: Arena, start: number, length: number, offset: number, target: IoTarget, tag: number): void;
  /**
   * Queues a write; with `durable` it completes only when the data would survive a power cut (RWF_DSYNC). No order between queued writes.
   */
  write(arena: Arena, start: number, length: number, offset: number, durable: boolean, target: IoTarget, tag: number): void;
  /** Queues a flush covering all writes completed before this call. */
  sync(target: IoTarget, tag: number): void;
  /**
   * After a flush: what a cache has is forgotten, so that what is read from now on is what the device has. A flush that fails leaves
   * content in the cache that counts as written and is not. Absent: there is no such cache.
   */
  dropCached?(): void;
  /** Queues zeroing of a range; with `mayUnmap` the range may be deallocated. The range reads as zeroes afterwards in both cases. */
  zero(offset: number, length: number, mayUnmap: boolean, target: IoTarget, tag: number): void;
  /** Gives the space of a range back, if that costs nothing; what it reads as afterwards is not known. Absent: it has none to give. */
  discard?(offset: number, length: number, target: IoTarget, tag: number): void;
  /**
   * Allocation of [offset, offset + length) as runs; at most `max` runs, contiguous from offset, possibly ending early. Synchronous,
   * cheap.
   */
  extents(offset: number, length: number, max: number): ExtentRun[];
  /** Submits everything queued. Ends a turn. */
  kick(): void;
  /**
   * Makes a file this long, durably, with all of its blocks allocated and written; a block device is looked at anew. `sizeBytes` shows what
   * came of it. Nothing may be using what is cut off. Rejects with LvrError, the size unchanged. Absent: it has the size it has.
   */
  resize?(sizeBytes: number): Promise<void>;
  /** Closes after all queued work has completed. */
  close(): Promise<void>;
}

/** One run of equal allocation state. `zero`: reads as zeroes. */
export interface ExtentRun {
  length: number;
  zero: boolean;
}

/** Time and turns. nowMs is monotonic and used for every deadline; wallMs is for display and record times only. */
export interface Clock {
  nowMs(): number;
  wallMs(): number;
  /** Calls fn once after at least `ms`. */
  after(ms: number, fn: () => void): Timer;
  /** Calls fn once after the current turn (all input of this event-loop iteration has been seen). */
  soon(fn: () => void): void;
}

export interface Timer {
  cancel(): void;
}

/** Owner of the memory that a socket is received into. Inside received() and ended() it may pause, resume or close the reader. */
export interface SocketOwner {
  /** Memory for what comes next, not empty. It is the reader's until received(), or until the reader is closed. */
  nextBuffer(): Uint8Array;
  /** Looked at after nextBuffer(): with less than all of that memory nothing could be done, so received() can wait for it. */
  readonly waitsForAll: boolean;
  /** `length` bytes (never 0) are in the memory given last. Fewer than were waited for: more than a second has passed, or the end came. */
  received(length: number): void;
  /** Nothing comes any more: the other end has stopped sending, or `error`. */
  ended(error: Error | undefined): void;
}

/** The receiving side of a connected socket; paused at first. */
export interface SocketReader {
  /** Whom to ask and to tell; once, before anything else. */
  start(owner: SocketOwner): void;
  resume(): void;
  pause(): void;
  /** The memory given last is free at once, and the owner is told nothing any more. The connection ends when the socket is closed too. */
  close(): void;
}

/** Makes the reader of a socket that nobody else reads. Throws LvrError when the system refuses a descriptor. */
export type ReadSocket = (fd: number) => SocketReader;

/** Told what became of pieces given to a SocketSender. */
export interface SentPieces {
  /** Of the oldest piece not told yet, `bytes` have left. Fewer than all: the socket was full or failed, and none behind it are sent. */
  pieceSent(bytes: number): void;
}

/** Sends to a connected socket on another thread, beside the one that may do so too while nothing is under way here. */
export interface SocketSender {
  /** Nobody changes the piece (not empty) until it is told, which is not before this returns. */
  send(piece: Uint8Array): void;
  /** Nothing that was sent is unread, as far as the system tells: whoever is at the other end waits. A system call. */
  readonly isAwaited: boolean;
  /** After a piece that was not sent whole, when all are told: sends again. */
  release(): void;
  /** What is under way is told still. The connection ends when the socket is closed too. */
  close(): void;
}

/** Makes the sender of a socket. Undefined: not here, or not now. */
export type SendSocket = (fd: number, told: SentPieces) => SocketSender | undefined;

/** Where a room reports what an operator should know. `event` is a stable kebab-case name; fields carry group, site, volume, cause. */
export interface Log {
  info(event: string, message: string, fields?: Record<string, unknown>): void;
  warn(event: string, message: string, fields?: Record<string, unknown>): void;
  error(event: string, message: string, fields?: Record<string, unknown>): void;
}

/** CRC32C (Castagnoli, RFC 3720 B.4) over bytes[start, start + length). */
export type Crc32c = (bytes: Uint8Array, start: number, length: number) => number;

// ---- The port between a front end (nbd/, one day ublk) and a volume of a group ----

/** Commands of a front end. */
export type Op = 'read' | 'write' | 'flush' | 'trim' | 'zero';

/** Fixed-size piece of an arena from a pool. Payload goes to arena.bytes[dataStart, dataStart + dataCapacity). */
export interface Slab {
  readonly arena: Arena;
  readonly dataStart: number;
  readonly dataCapacity: number;
}

/** One command of a client. Front ends own and reuse these objects; the backend keeps a reference until completed() ran. */
export interface IoRequest {
  op: Op;
  /** Byte extent inside the volume; already checked against its size and block size by the front end. Both 0 for flush. */
  offset: number;
  length: number;
  /** Answer only when this command itself is durable. */
  fua: boolean;
  /** zero: the range must stay allocated (NBD_CMD_FLAG_NO_HOLE). */
  noHole: boolean;
  /** Connection epoch the command came in on: commands of an older epoch are dropped, never applied after newer ones. */
  epoch: number;
  /** Result of a read: data in order, every slab but the last holds RECORD_PAYLOAD_BYTES_MAX bytes. Filled by the backend. */
  slabs: Slab[];
  owner: RequestOwner;
}

/** Told exactly once about the end of each request, unless disconnect() comes before. `errno` is 0 or a positive Linux errno. */
export interface RequestOwner {
  completed(request: IoRequest, errno: number): void;
}

/** Called once when memory or log space that a refused write or lease asked for may be there again. */
export interface RoomWaiter {
  roomAvailable(): void;
}

/** A connection of a client, as the backend sees it. */
export interface BackendClient extends RequestOwner, RoomWaiter {}

/** A volume as a front end sees it. All connections of all front ends share one Backend per volume, so FLUSH covers them all. */
export interface Backend {
  /** `group/volume`. */
  readonly exportName: string;
  readonly description: string;
  readonly sizeBytes: number;
  /** Smallest unit of offset and length, a power of two from 512 to 4096. */
  readonly blockBytes: number;
  readonly readOnly: boolean;
  /** undefined when clients may use the volume now, else the reason for the refusal (shown to the client). */
  readonly unavailable: string | undefined;

  /**
   * A new client connection; returns its epoch. `onRevoked` is called when it must be dropped (demote, stop). `outlivesAgent`: the client
   * goes on with another process when this one dies, and never hears of it: no write of its volume's group is answered then before it is
   * durable in the local log, or a later flush, answered by that other process, would say too much.
   */
  connect(onRevoked: () => void, outlivesAgent?: boolean): number;
  /**
   * The connection with this epoch is gone: nothing of it that was not admitted may be admitted any more. `client` is who its requests
   * belong to: what waits is forgotten without an answer, and reads under way are still completed.
   */
  disconnect(epoch: number, client: BackendClient): void;

  /**
   * The memory for reads is scarce: an answer that may have to wait for its client is to be copied, and the slabs of the read given back at
   * once.
   */
  readonly isShortOfReads: boolean;
  /** Puts what a read asks for into bytes[start, start + request.length) if that can be had at once. False: nothing useful is there. */
  readNow(request: IoRequest, bytes: Uint8Array, start: number): boolean;
  /** Starts a read. On success request.slabs holds the data until releaseRead(). */
  read(request: IoRequest): void;
  /** Gives the slabs of a completed read back. */
  releaseRead(request: IoRequest): void;

  /**
   * Admits a write of less than DIRECT_PAYLOAD_BYTES, copying source[start, start + request.length).
   * Returns false, with nothing done, when there is no room; try again after waitForRoom().
   */
  write(request: IoRequest, source: Uint8Array, start: number): boolean;
  /** Memory to receive one piece (at most RECORD_PAYLOAD_BYTES_MAX) of a long write into; undefined when there is no room. */
  lease(length: number): Slab | undefined;
  /** Gives a leased slab back unused. */
  unlease(slab: Slab): void;
  /**
   * Admits a piece of a long write at request.offset + pieceOffset and takes the slab over. The piece that ends the request completes it.
   * False: no log room, the slab stays the caller's.
   */
  writeSlab(request: IoRequest, pieceOffset: number, slab: Slab, length: number): boolean;
  /** Admits a trim or zero request; false as for write(). */
  discard(request: IoRequest): boolean;
  /** Answers when everything answered before, on any connection, is durable as the group's sites require. */
  flush(request: IoRequest): void;
  /** Allocation state with unapplied records taken into account; as Device.extents. */
  extents(offset: number, length: number, max: number): ExtentRun[];

  waitForRoom(waiter: RoomWaiter): void;
  /** Ends a turn: what was queued since the last call is submitted. Reads that can be served at once complete inside. */
  commit(): void;
}
