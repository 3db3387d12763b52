// Loads the native addon and gives its functions types. The only file of this room that knows where the addon is.
//
// Keep the operation codes and the row layout in sync with native/engine.h.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { LvrError, messageOf } from '../core/errors.js';

/** Operation codes of a submission row. */
export const OP = {
  nop: 0,
  read: 1,
  write: 2,
  writeDurable: 3,
  datasync: 4,
  punchHole: 5,
  zeroRange: 6,
  readCached: 7,
  writeCached: 8,
  writeBack: 9,
} as const;
export type OpCode = (typeof OP)[keyof typeof OP];

/** Numbers per submission row: [opcode, fd, offset, address, length, token, 0, 0]. */
export const SQ_ROW = 8;
/** Numbers per completion: [token, byte count or -errno]. */
export const CQ_ROW = 2;

/** Names of the two backends of an engine. */
export type EngineKind = 'io_uring' | 'threads';

declare const engineBrand: unique symbol;
declare const receiverBrand: unique symbol;
declare const senderBrand: unique symbol;
declare const outletBrand: unique symbol;
/** Receives from one socket; see socket-reader.ts. */
export type NativeReceiver = { readonly [receiverBrand]: true };
/** The thread that sends; see socket-sender.ts. */
export type NativeSender = { readonly [senderBrand]: true };
/** A socket it sends to. */
export type NativeOutlet = { readonly [outletBrand]: true };
/** An open engine; only good for the functions below. */
export type NativeEngine = { readonly [engineBrand]: true };

/**
 * What an open descriptor stands for. `logicalBlockBytes` 0: the file system cannot do O_DIRECT. `rdev`: 'major:minor' of a block device.
 * `readOnly`: a block device that lets itself be opened for writing but refuses to write.
 */
export type DeviceInfo = {
  readonly kind: 'file' | 'block' | 'directory' | 'other';
  readonly sizeBytes: number;
  readonly logicalBlockBytes: number;
  readonly rdev: string;
  readonly readOnly: boolean;
};

/** Errors of the binding: like Node's own, but `errno` is positive. */
export type SystemError = Error & { readonly code: string; readonly errno: number; readonly syscall: string; readonly path?: string };

/** The calls an IoEngine needs; tests put a fake in their place. */
export type EngineBinding = {
  /** `onDone(pairs)` runs once per wake-up with that many pairs in cq. Throws SystemError. */
  openEngine(
    kind: EngineKind,
    depth: number,
    workers: number,
    sq: Float64Array,
    cq: Float64Array,
    onDone: (pairs: number) => void,
  ): NativeEngine;
  /** Starts rows [0, count) of sq and returns how many pairs it put into cq: what has completed already. */
  submit(engine: NativeEngine, count: number): number;
  /** Gives the engine back at once; what is in flight is not reported any more. */
  closeEngine(engine: NativeEngine): void;
};

/** Everything the addon exports for this room. Calls with a descriptor are synchronous and throw SystemError. */
export type Binding = EngineBinding & {
  createArena(lengthBytes: number): { buffer: ArrayBuffer; address: number };
  /** flags and mode as for open(2); O_CLOEXEC is implied. */
  open(path: string, flags: number, mode: number): number;
  close(fd: number): void;
  deviceInfo(fd: number): DeviceInfo;
  /** Exclusive flock(2); false when somebody else holds it. */
  lock(fd: number): boolean;
  /** Whether the kernel lets itself be asked to write back a range of this file. */
  canWriteBack(fd: number): boolean;
  /** The page cache holds all of the range; false where the kernel does not tell. */
  isCached(fd: number, offset: number, lengthBytes: number): boolean;
  /** Whether the page cache had all of a range, which is in memory[start, start + lengthBytes) then (RWF_NOWAIT). */
  readCached(fd: number, memory: Uint8Array, start: number, lengthBytes: number, offset: number): boolean;
  /** The page cache forgets what it has of the file and need not write. */
  dropCached(fd: number): void;
  ftruncate(fd: number, sizeBytes: number): void;
  /** Gives the range blocks on disk; ENOSPC when there are not enough. */
  fallocateReserve(fd: number, offset: number, lengthBytes: number): void;
  /** Fills `out` with pairs [lengthBytes, 1 hole | 0 data], contiguous from offset; returns how many. */
  extents(fd: number, offset: number, lengthBytes: number, out: Float64Array): number;
  /** '' when io_uring works here, else why not. */
  probeIoUring(): string;
  /** CRC of bytes[start, start + length); `seed` is the CRC of what came before. */
  crc32c(bytes: Uint8Array, start: number, length: number, seed?: number): number;
  /** The same by fewer and slower instructions, for tests. */
  crc32cLanes(bytes: Uint8Array, start: number, length: number, seed?: number): number;
  crc32cTable(bytes: Uint8Array, start: number, length: number, seed?: number): number;
  crc32cSpans(bytes: Uint8Array, spans: Uint32Array, count: number, out: Uint32Array): void;
  readonly crc32cHardware: boolean;
  /** See system.ts for these. */
  hungUp(fd: number): boolean;
  ioFlusher(): boolean;
  /** Two connected unix stream sockets with that much buffer. */
  socketPair(bufferBytes: number): [number, number];
  /** A descriptor for the same file goes to the other end of a unix socket; never waits. */
  sendDescriptor(channel: number, fd: number): void;
  receiveDescriptor(channel: number): number;
  /** See system.ts. */
  setCongestionControl(fd: number, name: string): boolean;
  /** See socket-reader.ts. `onReceived(length, errno)`: with length 0 the other end has stopped sending, or the socket has failed. */
  openReceiver(fd: number, onReceived: (length: number, errno: number) => void): NativeReceiver;
  /** Receives into `memory` and tells once: `least` bytes, or what has come after a second. Until then nobody else may touch it. */
  receive(receiver: NativeReceiver, memory: Uint8Array, least: number): void;
  pauseReceiver(receiver: NativeReceiver): void;
  resumeReceiver(receiver: NativeReceiver): void;
  closeReceiver(receiver: NativeReceiver): void;
  /** See socket-sender.ts. `onSent(count)`: of so many pieces, in the order of sendPiece(), `sent` says how many bytes have left. */
  openSender(sent: Uint32Array, onSent: (count: number) => void): NativeSender;
  openOutlet(fd: number): NativeOutlet;
  /** Until it is told nobody may change `memory`, and somebody must keep it. A piece behind one that was not sent whole is not sent. */
  sendPiece(sender: NativeSender, outlet: NativeOutlet, memory: Uint8Array): void;
  /** The other end has read everything that was sent to it. */
  isOutletDrained(outlet: NativeOutlet): boolean;
  /** Pieces are sent again; none is under way. */
  releaseOutlet(outlet: NativeOutlet): void;
  /** What is under way is told still. */
  closeOutlet(outlet: NativeOutlet): void;
  peerCredentials(fd: number): { pid: number; uid: number; gid: number };
  notify(state: string): boolean;
  setIoFlusher(): void;
  lockMemory(): void;
};

// From dist/src/disk/ to the checkout's or package's root.
const ADDON_URL = new URL('../../../native/build/Release/lvr.node', import.meta.url);

function load(): Binding {
  const path = fileURLToPath(ADDON_URL);
  try {
    return createRequire(import.meta.url)(path) as Binding;
  } catch (cause) {
    const what = (cause as { code?: string }).code === 'MODULE_NOT_FOUND' ? 'is missing' : `cannot be loaded: ${messageOf(cause)}`;
    throw new LvrError('FAILED', `the native addon ${path} ${what}`, { hint: 'run make build', cause });
  }
}

/** The addon, loaded once per thread. */
export const binding: Binding = load();

/** True for errors thrown by the binding's system calls. */
export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && typeof (error as Partial<SystemError>).errno === 'number' && 'syscall' in error;
}
