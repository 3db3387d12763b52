// A client for tests of the NBD server itself: it says exactly what it is told to, right or wrong, and hands out what comes back, in bytes.
// Its numbers are its own, not the server's.

import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type NetConnectOpts, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Clock } from '../../src/core/ports.js';
import { readSocket } from '../../src/disk/socket-reader.js';
import { sendSocket } from '../../src/disk/socket-sender.js';
import { type NbdEvent, NbdServer } from '../../src/nbd/server.js';
import { systemClock } from './clock.js';
import type { MemoryBackend } from './memory-backend.js';

const WAIT_MS = 10_000;

export type OptionReply = { option: number; type: number; data: Buffer };
export type SimpleReply = { error: number; cookie: bigint };
export type Chunk = { flags: number; type: number; cookie: bigint; payload: Buffer };
export type RequestFields = {
  type: number;
  cookie?: bigint;
  flags?: number;
  offset?: bigint | number;
  length?: number;
  payload?: Uint8Array;
  magic?: number;
};

/** Client flags and an option as bytes. */
export function clientFlags(flags: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(flags);
  return bytes;
}

export function option(number: number, data: Uint8Array = Buffer.alloc(0), length = data.length): Buffer {
  const header = Buffer.from('IHAVEOPT\0\0\0\0\0\0\0\0', 'latin1');
  header.writeUInt32BE(number, 8);
  header.writeUInt32BE(length, 12);
  return Buffer.concat([header, data]);
}

/** Data of INFO and GO. */
export function goData(name: string, infos: number[] = []): Buffer {
  const text = Buffer.from(name);
  const bytes = Buffer.alloc(4 + text.length + 2 + infos.length * 2);
  bytes.writeUInt32BE(text.length, 0);
  text.copy(bytes, 4);
  bytes.writeUInt16BE(infos.length, 4 + text.length);
  for (const [i, info] of infos.entries()) bytes.writeUInt16BE(info, 6 + text.length + i * 2);
  return bytes;
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function metaData(name: string, queries: string[]): Buffer {
  const parts: Buffer[] = [];
  const push = (text: string): void => {
    const bytes = Buffer.from(text);
    parts.push(clientFlags(bytes.length), bytes);
  };
  push(name);
  parts.push(clientFlags(queries.length));
  for (const query of queries) push(query);
  return Buffer.concat(parts);
}

export function request(fields: RequestFields): Buffer {
  const payload = fields.payload ?? Buffer.alloc(0);
  const bytes = Buffer.alloc(28 + payload.length);
  bytes.writeUInt32BE(fields.magic ?? 0x25609513, 0);
  bytes.writeUInt16BE(fields.flags ?? 0, 4);
  bytes.writeUInt16BE(fields.type, 6);
  bytes.writeBigUInt64BE(fields.cookie ?? 1n, 8);
  bytes.writeBigUInt64BE(BigInt(fields.offset ?? 0), 16);
  bytes.writeUInt32BE(fields.length ?? payload.length, 24);
  bytes.set(payload, 28);
  return bytes;
}

/** Option replies in a byte string, for tests of the handshake without a socket. */
export function parseOptionReplies(bytes: Buffer): OptionReply[] {
  const replies: OptionReply[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.readBigUInt64BE(at) !== 0x3e889045565a9n) throw new Error(`no option reply at ${at}`);
    const length = bytes.readUInt32BE(at + 16);
    replies.push({
      option: bytes.readUInt32BE(at + 8),
      type: bytes.readUInt32BE(at + 12),
      data: bytes.subarray(at + 20, at + 20 + length),
    });
    at += 20 + length;
  }
  return replies;
}

/** One raw connection. Reads are exact and have a deadline, so that a server that hangs fails the test. */
export class RawClient {
  readonly socket: Socket;
  /** Resolves when the server has closed. */
  readonly closed: Promise<void>;
  #pieces: Buffer[] = [];
  #held = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(where: NetConnectOpts | Socket) {
    this.socket = where instanceof Socket ? where : connect(where);
    this.socket.on('data', (piece) => {
      this.#pieces.push(piece as Buffer);
      this.#held += (piece as Buffer).length;
      this.#wake?.();
    });
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        this.#ended = true;
        this.#wake?.();
        resolve();
      });
    });
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Exactly `length` bytes; rejects when the connection ends first or nothing happens for too long. */
  async read(length: number): Promise<Buffer> {
    const deadline = setTimeout(() => {
      this.#ended = true;
      this.#wake?.();
    }, WAIT_MS);
    while (this.#held < length && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    clearTimeout(deadline);
    if (this.#held < length) throw new Error(`wanted ${length} bytes, have ${this.#held}, and no more come`);
    const all = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    this.#pieces = [all.subarray(length)];
    this.#held -= length;
    return all.subarray(0, length);
  }

  /** Bytes that came and were not read. */
  get held(): number {
    return this.#held;
  }

  async optionReply(): Promise<OptionReply> {
    const header = await this.read(20);
    const data = await this.read(header.readUInt32BE(16));
    return parseOptionReplies(Buffer.concat([header, data]))[0] as OptionReply;
  }

  /** Whole handshake into transmission. */
  async go(name: string, options: { structured?: boolean; context?: boolean } = {}): Promise<{ flags: number; sizeBytes: number }> {
    await this.read(18);
    this.send(clientFlags(3));
    if (options.structured === true) {
      this.send(option(8));
      await this.optionReply();
    }
    if (options.context === true) {
      this.send(option(10, metaData(name, ['base:allocation'])));
      while ((await this.optionReply()).type !== 1);
    }
    this.send(option(7, goData(name)));
    let flags = 0;
    let sizeBytes = 0;
    for (;;) {
      const reply = await this.optionReply();
      if (reply.type === 1) return { flags, sizeBytes };
      if (reply.type !== 3) throw new Error(`refused: ${reply.data.toString()}`);
      if (reply.data.readUInt16BE(0) !== 0) continue;
      sizeBytes = Number(reply.data.readBigUInt64BE(2));
      flags = reply.data.readUInt16BE(10);
    }
  }

  async simple(): Promise<SimpleReply> {
    const bytes = await this.read(16);
    if (bytes.readUInt32BE(0) !== 0x67446698) throw new Error(`not a simple reply: ${bytes.toString('hex')}`);
    return { error: bytes.readUInt32BE(4), cookie: bytes.readBigUInt64BE(8) };
  }

  async chunk(): Promise<Chunk> {
    const bytes = await this.read(20);
    if (bytes.readUInt32BE(0) !== 0x668e33ef) throw new Error(`not a chunk: ${bytes.toString('hex')}`);
    const payload = await this.read(bytes.readUInt32BE(16));
    return { flags: bytes.readUInt16BE(4), type: bytes.readUInt16BE(6), cookie: bytes.readBigUInt64BE(8), payload };
  }
}

/** A directory for sockets: short, because their paths are limited to 107 bytes. Removed with the test. */
export function socketDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'lvr-nbd-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A running server and its clients, taken down together. */
export class ServerFixture {
  readonly server: NbdServer;
  readonly events: NbdEvent[] = [];
  readonly directory = mkdtempSync(join(tmpdir(), 'lvr-nbd-'));
  readonly path = join(this.directory, 'nbd.sock');
  #clients: RawClient[] = [];

  private constructor(backends: MemoryBackend[], clock: Clock) {
    this.server = new NbdServer({
      exports: { lookup: (name) => backends.find((backend) => backend.exportName === name), list: () => backends },
      clock,
      readSocket,
      sendSocket,
      onEvent: (event) => this.events.push(event),
    });
  }

  static async start(backends: MemoryBackend[], clock: Clock = systemClock): Promise<ServerFixture> {
    const fixture = new ServerFixture(backends, clock);
    await fixture.server.listen({ kind: 'unix', path: fixture.path });
    return fixture;
  }

  client(where: NetConnectOpts | Socket = { path: this.path }): RawClient {
    const client = new RawClient(where);
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.socket.destroy();
    await this.server.stop(1000);
    rmSync(this.directory, { recursive: true });
  }
}

/** Waits until `condition` holds; fails after a while. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = Date.now() + WAIT_MS;
  while (!condition()) {
    if (Date.now() > endMs) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
