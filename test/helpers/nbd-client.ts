// A small NBD client for tests: one connection, simple replies, any number of requests in flight.
//
// It reports exactly what was answered and when, which is what the crash and failover tests are about. A lost connection is an event,
// not an error: requests without an answer simply stay without one.

import { connect, type Socket } from 'node:net';

/** Command numbers and flags (NBD proto.md, "Request types"). */
export const CMD = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 } as const;
export const FLAG_FUA = 1;

const OPTION_MAGIC = 0x49484156454f5054n;
const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const OPTION_GO = 7;
const REPLY_ACK = 1;
const REPLY_INFO = 3;
const REQUEST_BYTES = 28;
const REPLY_BYTES = 16;
const HANDSHAKE_MS = 5000;

/** Called with 0 or the NBD error number; `data` is the result of a read. */
export type ReplyHandler = (errno: number, data: Buffer | undefined) => void;

interface Pending {
  readonly handler: ReplyHandler;
  readonly readBytes: number;
}

/** Reads exact amounts from a socket while the handshake goes on. */
class HandshakeReader {
  #held: Buffer = Buffer.alloc(0);
  #wanted = 0;
  #resolve: ((bytes: Buffer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #failure: Error | undefined;

  data(piece: Buffer): void {
    this.#held = Buffer.concat([this.#held, piece]);
    this.#serve();
  }

  fail(error: Error): void {
    this.#failure = error;
    this.#reject?.(error);
  }

  read(length: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#wanted = length;
      this.#resolve = resolve;
      this.#reject = reject;
      this.#serve();
    });
  }

  #serve(): void {
    if (this.#resolve === undefined || this.#held.length < this.#wanted) return;
    const resolve = this.#resolve;
    this.#resolve = undefined;
    this.#reject = undefined;
    const bytes = this.#held.subarray(0, this.#wanted);
    this.#held = this.#held.subarray(this.#wanted);
    resolve(bytes);
  }
}

/** One connection in transmission phase. */
export class NbdClient {
  readonly sizeBytes: number;
  /** Transmission flags of the export. */
  readonly exportFlags: number;
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #cookie = 0;
  #held: Buffer = Buffer.alloc(0);
  #ended = false;

  private constructor(socket: Socket, sizeBytes: number, exportFlags: number) {
    this.#socket = socket;
    this.sizeBytes = sizeBytes;
    this.exportFlags = exportFlags;
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#ended = true;
        resolve();
      });
    });
    socket.removeAllListeners('data');
    socket.on('data', (piece) => this.#received(piece as Buffer));
  }

  /** Connects to a unix socket, or a port of this machine, with NBD_OPT_GO; rejects with the server's own words when it refuses. */
  static async connect(place: string | number, exportName: string): Promise<NbdClient> {
    const socket = typeof place === 'string' ? connect(place) : connect({ port: place, host: '127.0.0.1', noDelay: true });
    const reader = new HandshakeReader();
    socket.on('data', (piece) => reader.data(piece as Buffer));
    socket.on('error', (error) => reader.fail(error));
    socket.on('close', () => reader.fail(new Error('closed during the handshake')));
    const timer = setTimeout(() => socket.destroy(new Error('handshake took too long')), HANDSHAKE_MS);
    try {
      const { sizeBytes, exportFlags } = await negotiate(socket, reader, exportName);
      return new NbdClient(socket, sizeBytes, exportFlags);
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether requests can still be sent. */
  get open(): boolean {
    return !this.#ended;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  /**
   * Sends a request. `frame` holds 28 free bytes for the header and then the payload; it must not change before the answer.
   * Nothing happens on a closed connection: as for a request that was lost.
   */
  send(type: number, flags: number, offset: number, length: number, frame: Buffer, handler: ReplyHandler): void {
    if (this.#ended) return;
    const cookie = this.#cookie++;
    frame.writeUInt32BE(REQUEST_MAGIC, 0);
    frame.writeUInt16BE(flags, 4);
    frame.writeUInt16BE(type, 6);
    frame.writeBigUInt64BE(BigInt(cookie), 8);
    frame.writeBigUInt64BE(BigInt(offset), 16);
    frame.writeUInt32BE(length, 24);
    this.#pending.set(cookie, { handler, readBytes: type === CMD.read ? length : 0 });
    this.#socket.write(frame);
  }

  /** A request frame with room for a payload. */
  static frame(payloadBytes: number): Buffer {
    return Buffer.alloc(REQUEST_BYTES + payloadBytes);
  }

  /** Collects what is written in this turn into few system calls. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  /** Reads a range; rejects with the error number or when the connection is lost. */
  async read(offset: number, length: number): Promise<Buffer> {
    return (await this.#request(CMD.read, 0, offset, length, NbdClient.frame(0))) as Buffer;
  }

  async write(offset: number, data: Uint8Array, flags = 0): Promise<void> {
    const frame = NbdClient.frame(data.length);
    frame.set(data, REQUEST_BYTES);
    await this.#request(CMD.write, flags, offset, data.length, frame);
  }

  async flush(): Promise<void> {
    await this.#request(CMD.flush, 0, 0, 0, NbdClient.frame(0));
  }

  /** Says goodbye and closes; nothing may be in flight. */
  async close(): Promise<void> {
    this.send(CMD.disconnect, 0, 0, 0, NbdClient.frame(0), () => undefined);
    this.#socket.end();
    await this.closed;
  }

  /** Closes at once, as a crashed client does. */
  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  #request(type: number, flags: number, offset: number, length: number, frame: Buffer): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new Error('connection closed'));
      const lost = (): void => reject(new Error('connection closed'));
      this.#socket.once('close', lost);
      this.send(type, flags, offset, length, frame, (errno, data) => {
        this.#socket.removeListener('close', lost);
        if (errno === 0) resolve(data);
        else reject(new Error(`NBD error ${errno}`));
      });
    });
  }

  #received(piece: Buffer): void {
    let bytes = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece]);
    while (bytes.length >= REPLY_BYTES) {
      if (bytes.readUInt32BE(0) !== REPLY_MAGIC) throw new Error('the server sent a bad reply magic');
      const errno = bytes.readUInt32BE(4);
      const cookie = Number(bytes.readBigUInt64BE(8));
      const pending = this.#pending.get(cookie);
      if (pending === undefined) throw new Error(`the server answered cookie ${cookie}, which is not in flight`);
      const total = REPLY_BYTES + (errno === 0 ? pending.readBytes : 0);
      if (bytes.length < total) break;
      this.#pending.delete(cookie);
      pending.handler(errno, pending.readBytes > 0 ? bytes.subarray(REPLY_BYTES, total) : undefined);
      bytes = bytes.subarray(total);
    }
    this.#held = bytes;
  }
}

/** Fixed newstyle handshake up to NBD_OPT_GO. */
async function negotiate(socket: Socket, reader: HandshakeReader, name: string): Promise<{ sizeBytes: number; exportFlags: number }> {
  const greeting = await reader.read(18);
  if (greeting.toString('latin1', 0, 16) !== 'NBDMAGICIHAVEOPT') throw new Error('not a newstyle NBD server');
  const nameBytes = Buffer.from(name);
  const option = Buffer.alloc(4 + 16 + 4 + nameBytes.length + 2);
  option.writeUInt32BE(3, 0);
  option.writeBigUInt64BE(OPTION_MAGIC, 4);
  option.writeUInt32BE(OPTION_GO, 12);
  option.writeUInt32BE(4 + nameBytes.length + 2, 16);
  option.writeUInt32BE(nameBytes.length, 20);
  nameBytes.copy(option, 24);
  socket.write(option);
  let sizeBytes = -1;
  let exportFlags = 0;
  for (let replies = 0; replies < 16; replies++) {
    const header = await reader.read(20);
    if (header.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC) throw new Error('bad option reply magic');
    const type = header.readUInt32BE(12);
    const body = await reader.read(header.readUInt32BE(16));
    if (type === REPLY_INFO && body.readUInt16BE(0) === 0) {
      sizeBytes = Number(body.readBigUInt64BE(2));
      exportFlags = body.readUInt16BE(10);
    } else if (type === REPLY_ACK) {
      if (sizeBytes < 0) throw new Error('the server sent no size');
      return { sizeBytes, exportFlags };
    } else if (type !== REPLY_INFO) {
      throw new Error(`refused (${(type & 0x7fffffff).toString()}): ${body.toString()}`);
    }
  }
  throw new Error('too many option replies');
}
