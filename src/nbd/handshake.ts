// The newstyle handshake as a pure push machine: bytes go in, replies and an outcome come out; it knows no socket and no clock.
//
// step() takes what has arrived, in any fragmentation, and uses up whole messages only; the caller keeps the rest and offers it again with
// more bytes behind it. It owns the negotiated state until the outcome is 'transmit'. Order rules (proto.md): client flags come first;
// options in any order and number (bounded); metadata contexts only after STRUCTURED_REPLY, and bound to the export they were chosen for;
// a refused option changes nothing except that SET_META_CONTEXT always forgets the previous choice.

import { NBD_HANDSHAKE_BYTES_MAX, NBD_OPTION_BYTES_MAX, NBD_OPTIONS_MAX, NBD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import type { Backend } from '../core/ports.js';
import { type ExportRegistry, findExport, transmissionFlags } from './exports.js';
import { parseGo, parseMeta } from './options.js';
import * as p from './protocol.js';

/** What both sides agreed on; the input of the transmission phase. */
export type Negotiated = { backend: Backend; structured: boolean; allocationContext: boolean };

/** more: go on feeding · transmit: negotiated is set · close: send the output, then close; closeReason says why. */
export type HandshakeOutcome = 'more' | 'transmit' | 'close';

const DEFAULT_PREFERRED_BLOCK_BYTES = 4096;
/** A name echoed in an error message is cut to this many characters. */
const ECHO_MAX = 256;

/** One handshake of one connection. */
export class Handshake {
  outcome: HandshakeOutcome = 'more';
  closeReason = '';
  negotiated: Negotiated | undefined;
  /** True when the close is the client's fault (as opposed to an orderly abort or a refusal). */
  violated = false;
  readonly #exports: ExportRegistry;
  #output: Buffer[] = [];
  #flagsSeen = false;
  #noZeroes = false;
  #structured = false;
  #optionCount = 0;
  #inputBytes = 0;
  /** Rest of the data of a refused, oversized option. */
  #skipBytes = 0;
  /** Export name for which base:allocation was selected. */
  #contextFor: string | undefined;

  constructor(exports: ExportRegistry) {
    this.#exports = exports;
    const greeting = Buffer.alloc(p.GREETING_BYTES);
    writeU64(greeting, 0, p.GREETING_MAGIC);
    writeU64(greeting, 8, p.OPTION_MAGIC);
    greeting.writeUInt16BE(p.FLAG_FIXED_NEWSTYLE | p.FLAG_NO_ZEROES, 16);
    this.#output.push(greeting);
  }

  /** Replies since the last call, in order; the first call returns the greeting. */
  takeOutput(): Buffer[] {
    const output = this.#output;
    this.#output = [];
    return output;
  }

  /** Uses up as many whole messages of bytes[start, end) as possible while the outcome is 'more'; returns the number of bytes used up. */
  step(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (this.outcome === 'more') {
      const used = this.#message(bytes, at, end);
      if (used === 0) break;
      at += used;
      this.#inputBytes += used;
      if (this.outcome === 'more' && this.#inputBytes > NBD_HANDSHAKE_BYTES_MAX) this.#violate('the handshake is too long');
    }
    return at - start;
  }

  #message(bytes: Buffer, at: number, end: number): number {
    const available = end - at;
    if (this.#skipBytes > 0) {
      const skipped = Math.min(available, this.#skipBytes);
      this.#skipBytes -= skipped;
      return skipped;
    }
    if (!this.#flagsSeen) return available < p.CLIENT_FLAGS_BYTES ? 0 : this.#clientFlags(bytes.readUInt32BE(at));
    if (available < p.OPTION_HEADER_BYTES) return 0;
    if (bytes.readUInt32BE(at) !== p.OPTION_MAGIC[0] || bytes.readUInt32BE(at + 4) !== p.OPTION_MAGIC[1]) {
      return this.#violate('wrong option magic');
    }
    const option = bytes.readUInt32BE(at + 8);
    const length = bytes.readUInt32BE(at + 12);
    if (length > NBD_OPTION_BYTES_MAX) return this.#oversized(option, length);
    if (available < p.OPTION_HEADER_BYTES + length) return 0;
    if (++this.#optionCount > NBD_OPTIONS_MAX) return this.#violate('too many options');
    this.#option(option, bytes.subarray(at + p.OPTION_HEADER_BYTES, at + p.OPTION_HEADER_BYTES + length));
    return p.OPTION_HEADER_BYTES + length;
  }

  #clientFlags(flags: number): number {
    if ((flags & ~(p.FLAG_FIXED_NEWSTYLE | p.FLAG_NO_ZEROES)) !== 0) return this.#violate('unknown client flag');
    this.#flagsSeen = true;
    this.#noZeroes = (flags & p.FLAG_NO_ZEROES) !== 0;
    return p.CLIENT_FLAGS_BYTES;
  }

  /** Data beyond the limit is skipped without being kept; an amount that could not fit the handshake at all ends it. */
  #oversized(option: number, length: number): number {
    if (++this.#optionCount > NBD_OPTIONS_MAX) return this.#violate('too many options');
    // EXPORT_NAME has no way to report an error.
    if (option === p.OPT.exportName) return this.#violate('export name too long');
    if (this.#inputBytes + length > NBD_HANDSHAKE_BYTES_MAX) return this.#violate('option data too long');
    this.#error(option, p.REP.errTooBig, `option data is limited to ${NBD_OPTION_BYTES_MAX} bytes`);
    this.#skipBytes = length;
    return p.OPTION_HEADER_BYTES;
  }

  #option(option: number, data: Buffer): void {
    switch (option) {
      case p.OPT.exportName:
        return this.#exportName(data.toString('utf8'));
      case p.OPT.abort:
        this.#reply(option, p.REP.ack, 0);
        return this.#close('the client aborted the handshake');
      case p.OPT.list:
        return this.#list(data);
      case p.OPT.info:
      case p.OPT.go:
        return this.#infoOrGo(option, data);
      case p.OPT.structuredReply:
        if (data.length !== 0) return this.#error(option, p.REP.errInvalid, 'no data expected');
        this.#structured = true;
        this.#reply(option, p.REP.ack, 0);
        return;
      case p.OPT.listMetaContext:
      case p.OPT.setMetaContext:
        return this.#metaContext(option, data);
      case p.OPT.starttls:
        return this.#error(option, p.REP.errPolicy, 'TLS is not offered on this socket');
      default:
        return this.#error(option, p.REP.errUnsup, 'unknown option');
    }
  }

  #exportName(name: string): void {
    const backend = findExport(this.#exports, name);
    if (backend === undefined) return this.#close(`no export "${name.slice(0, ECHO_MAX)}"`);
    if (backend.unavailable !== undefined) return this.#close(`${backend.exportName}: ${backend.unavailable}`);
    const answer = Buffer.alloc(10 + (this.#noZeroes ? 0 : p.EXPORT_NAME_ZERO_BYTES));
    answer.writeBigUInt64BE(BigInt(backend.sizeBytes), 0);
    answer.writeUInt16BE(transmissionFlags(backend, this.#structured), 8);
    this.#output.push(answer);
    this.#transmit(backend, name);
  }

  #list(data: Buffer): void {
    if (data.length !== 0) return this.#error(p.OPT.list, p.REP.errInvalid, 'no data expected');
    for (const backend of this.#exports.list()) {
      const name = Buffer.from(backend.exportName);
      const description = Buffer.from(backend.description);
      const reply = this.#reply(p.OPT.list, p.REP.server, 4 + name.length + description.length);
      reply.writeUInt32BE(name.length, p.OPTION_REPLY_HEADER_BYTES);
      name.copy(reply, p.OPTION_REPLY_HEADER_BYTES + 4);
      description.copy(reply, p.OPTION_REPLY_HEADER_BYTES + 4 + name.length);
    }
    this.#reply(p.OPT.list, p.REP.ack, 0);
  }

  #infoOrGo(option: number, data: Buffer): void {
    const payload = parseGo(data);
    if (payload === undefined) return this.#error(option, p.REP.errInvalid, 'malformed option data');
    const backend = this.#usable(option, payload.name);
    if (backend === undefined) return;
    this.#infoExport(option, backend);
    // Always sent, because this server insists on the minimum whether the client asked for it or not.
    this.#infoBlockSize(option, backend);
    if (payload.infos.includes(p.INFO.name)) this.#infoText(option, p.INFO.name, backend.exportName);
    if (payload.infos.includes(p.INFO.description)) this.#infoText(option, p.INFO.description, backend.description);
    this.#reply(option, p.REP.ack, 0);
    if (option === p.OPT.go) this.#transmit(backend, payload.name);
  }

  #infoExport(option: number, backend: Backend): void {
    const reply = this.#reply(option, p.REP.info, 12);
    reply.writeUInt16BE(p.INFO.export, p.OPTION_REPLY_HEADER_BYTES);
    reply.writeBigUInt64BE(BigInt(backend.sizeBytes), p.OPTION_REPLY_HEADER_BYTES + 2);
    reply.writeUInt16BE(transmissionFlags(backend, this.#structured), p.OPTION_REPLY_HEADER_BYTES + 10);
  }

  #infoBlockSize(option: number, backend: Backend): void {
    const reply = this.#reply(option, p.REP.info, 14);
    reply.writeUInt16BE(p.INFO.blockSize, p.OPTION_REPLY_HEADER_BYTES);
    reply.writeUInt32BE(backend.blockBytes, p.OPTION_REPLY_HEADER_BYTES + 2);
    reply.writeUInt32BE(Math.max(DEFAULT_PREFERRED_BLOCK_BYTES, backend.blockBytes), p.OPTION_REPLY_HEADER_BYTES + 6);
    reply.writeUInt32BE(NBD_PAYLOAD_BYTES_MAX, p.OPTION_REPLY_HEADER_BYTES + 10);
  }

  #infoText(option: number, info: number, text: string): void {
    const bytes = Buffer.from(text);
    const reply = this.#reply(option, p.REP.info, 2 + bytes.length);
    reply.writeUInt16BE(info, p.OPTION_REPLY_HEADER_BYTES);
    bytes.copy(reply, p.OPTION_REPLY_HEADER_BYTES + 2);
  }

  #metaContext(option: number, data: Buffer): void {
    if (option === p.OPT.setMetaContext) this.#contextFor = undefined;
    if (!this.#structured) return this.#error(option, p.REP.errInvalid, 'negotiate structured replies first');
    const payload = parseMeta(data);
    if (payload === undefined) return this.#error(option, p.REP.errInvalid, 'malformed option data');
    if (this.#usable(option, payload.name) === undefined) return;
    const listing = option === p.OPT.listMetaContext;
    const { queries } = payload;
    // "base:" and the absence of queries are wildcards when listing and select nothing when setting.
    const wildcard = listing && (queries.length === 0 || queries.includes('base:'));
    if (wildcard || queries.includes(p.ALLOCATION_CONTEXT)) {
      const name = Buffer.from(p.ALLOCATION_CONTEXT);
      const reply = this.#reply(option, p.REP.metaContext, 4 + name.length);
      reply.writeUInt32BE(listing ? 0 : p.ALLOCATION_CONTEXT_ID, p.OPTION_REPLY_HEADER_BYTES);
      name.copy(reply, p.OPTION_REPLY_HEADER_BYTES + 4);
      if (!listing) this.#contextFor = payload.name;
    }
    this.#reply(option, p.REP.ack, 0);
  }

  /** The export if it may be used now; otherwise the option has been answered with an error. */
  #usable(option: number, name: string): Backend | undefined {
    const backend = findExport(this.#exports, name);
    if (backend === undefined) {
      this.#error(option, p.REP.errUnknown, `no export "${name.slice(0, ECHO_MAX)}"`);
      return undefined;
    }
    if (backend.unavailable !== undefined) {
      this.#error(option, p.REP.errPolicy, backend.unavailable);
      return undefined;
    }
    return backend;
  }

  #transmit(backend: Backend, name: string): void {
    this.negotiated = { backend, structured: this.#structured, allocationContext: this.#contextFor === name };
    this.outcome = 'transmit';
  }

  #close(reason: string): void {
    this.outcome = 'close';
    this.closeReason = reason;
  }

  /** Ends the handshake for a breach of the protocol; returns 0 so that nothing further is used up. */
  #violate(reason: string): number {
    this.violated = true;
    this.#close(reason);
    return 0;
  }

  #error(option: number, type: number, message: string): void {
    const text = Buffer.from(message).subarray(0, p.STRING_BYTES_MAX);
    text.copy(this.#reply(option, type, text.length), p.OPTION_REPLY_HEADER_BYTES);
  }

  /** Queues an option reply and returns it so that its data can be filled in. */
  #reply(option: number, type: number, dataLength: number): Buffer {
    const reply = Buffer.alloc(p.OPTION_REPLY_HEADER_BYTES + dataLength);
    writeU64(reply, 0, p.OPTION_REPLY_MAGIC);
    reply.writeUInt32BE(option, 8);
    reply.writeUInt32BE(type, 12);
    reply.writeUInt32BE(dataLength, 16);
    this.#output.push(reply);
    return reply;
  }
}

function writeU64(bytes: Buffer, at: number, halves: readonly [number, number]): void {
  bytes.writeUInt32BE(halves[0], at);
  bytes.writeUInt32BE(halves[1], at + 4);
}
