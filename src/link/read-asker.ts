// The primary's half of reads at another site: asks within a session that sends records, and hands the answers to who asked.
//
// Payloads are received into memory of this file, never into that of the read: who asked may have given up, and its memory may be
// another's by then. One payload arrives at a time, so one buffer is enough; it is made with the first.

import { assert } from '../core/assert.js';
import { RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import type { Slab } from '../core/ports.js';
import { type ContentMeta, readContentMeta } from '../format/frame.js';
import { controlFrame, encodeRead, type ReadRefused } from '../format/wire.js';
import type { Channel } from './channel.js';
import type { ReadOwner, Refusal, VolumeRead } from './ports.js';

type Asked = { readonly length: number; readonly owner: ReadOwner };

export class ReadAsker {
  readonly #channel: Channel;
  readonly #asked = new Map<number, Asked>();
  #lastId = 0;
  #buffer: Slab | undefined;
  #meta: ContentMeta | undefined;
  #lengthBytes = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** Sends a read. Returns what cancels it: an answer that still comes is dropped then. The caller bounds how many there are. */
  ask(read: VolumeRead, owner: ReadOwner): () => void {
    const id = ++this.#lastId;
    this.#asked.set(id, { length: read.length, owner });
    this.#channel.send(controlFrame('read', encodeRead({ id, ...read })));
    return () => void this.#asked.delete(id);
  }

  /** The site cannot answer. Words when it was never asked. */
  refused({ id, code, reason }: ReadRefused): string | undefined {
    if (id < 1 || id > this.#lastId) return `answer to read ${id}, which was never asked for`;
    this.#take(id)?.owner.refused({ code, reason });
    return undefined;
  }

  /** Takes the meta part of a content frame. Returns the memory for its payload, or a refusal. */
  content(bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | Refusal {
    const meta = readContentMeta(bytes, start, length);
    if (typeof meta === 'string') return violation(meta);
    if (meta.id < 1 || meta.id > this.#lastId) return violation(`answer to read ${meta.id}, which was never asked for`);
    const asked = this.#asked.get(meta.id);
    if (payloadBytes === 0 || (asked !== undefined && asked.length !== payloadBytes))
      return violation(`${payloadBytes} bytes as the answer to read ${meta.id}`);
    this.#meta = meta;
    this.#lengthBytes = payloadBytes;
    this.#buffer ??= {
      arena: { bytes: new Uint8Array(RECORD_PAYLOAD_BYTES_MAX), address: 0 },
      dataStart: 0,
      dataCapacity: RECORD_PAYLOAD_BYTES_MAX,
    };
    return this.#buffer;
  }

  /** The payload is complete: it is given to who asked, if that still waits. */
  contentComplete(): Refusal | undefined {
    const { meta, buffer } = { meta: this.#meta, buffer: this.#buffer };
    assert(meta !== undefined && buffer !== undefined, 'a payload belongs to an answer');
    this.#meta = undefined;
    const problem = this.#take(meta.id)?.owner.content(buffer.arena.bytes, 0, this.#lengthBytes, meta.crc);
    return problem === undefined ? undefined : violation(problem);
  }

  /** The session has ended: nobody is answered any more. */
  stop(): void {
    for (const id of [...this.#asked.keys()]) this.#take(id)?.owner.refused({ code: 'FAILED', reason: 'the session has ended' });
  }

  #take(id: number): Asked | undefined {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    return asked;
  }
}

function violation(reason: string): Refusal {
  return { code: 'PROTOCOL', reason };
}
