// Payloads of the handshake options as values. Nothing here answers; undefined means that the payload breaks the protocol (ERR_INVALID).

import { STRING_BYTES_MAX } from './protocol.js';

/** Payload of INFO and GO: export name and the kinds of information asked for. */
export type GoPayload = { name: string; infos: number[] };

/** Payload of LIST_META_CONTEXT and SET_META_CONTEXT. */
export type MetaPayload = { name: string; queries: string[] };

/** Reads the payload of INFO or GO; it must be used up exactly. */
export function parseGo(data: Buffer): GoPayload | undefined {
  const name = parseString(data, 0);
  if (name === undefined || name.next + 2 > data.length) return undefined;
  const count = data.readUInt16BE(name.next);
  if (name.next + 2 + count * 2 !== data.length) return undefined;
  const infos: number[] = [];
  for (let i = 0; i < count; i++) infos.push(data.readUInt16BE(name.next + 2 + i * 2));
  return { name: name.text, infos };
}

/** Reads the payload of LIST_META_CONTEXT or SET_META_CONTEXT; it must be used up exactly. */
export function parseMeta(data: Buffer): MetaPayload | undefined {
  const name = parseString(data, 0);
  if (name === undefined || name.next + 4 > data.length) return undefined;
  const count = data.readUInt32BE(name.next);
  let next = name.next + 4;
  // Each query needs four bytes for its length, so a count beyond this is a lie and must not drive a loop.
  if (count * 4 > data.length - next) return undefined;
  const queries: string[] = [];
  for (let i = 0; i < count; i++) {
    const query = parseString(data, next);
    if (query === undefined) return undefined;
    queries.push(query.text);
    next = query.next;
  }
  return next === data.length ? { name: name.text, queries } : undefined;
}

function parseString(data: Buffer, at: number): { text: string; next: number } | undefined {
  if (at + 4 > data.length) return undefined;
  const length = data.readUInt32BE(at);
  const next = at + 4 + length;
  if (length > STRING_BYTES_MAX || next > data.length) return undefined;
  return { text: data.toString('utf8', at + 4, next), next };
}
