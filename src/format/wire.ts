// Control messages as values, and the border where bytes of the other end become them. encode… never fails; decode… returns the value
// or, for anything that this protocol does not allow, words that say what is wrong. Nothing is thrown past this file, and what it
// returns needs no further check of form: numbers are safe integers, names match NAME_PATTERN, lists are bounded.

import type { SiteMode } from '../core/group-config.js';
import { NAME_PATTERN } from '../core/ids.js';
import { BLOCK_BYTES, FRAME_BYTES_MAX_BEFORE_HELLO, SECTOR_BYTES, VOLUMES_PER_GROUP_MAX } from '../core/limits.js';
import type { Lineage } from '../core/lineage.js';
import type { SiteHistory } from '../core/reconnect.js';
import { COMPARE_BLOCKS_MAX } from './compare.js';
import { crc32cSmall } from './crc32c.js';
import { FRAME_HEADER_BYTES, type FrameType, sealFrame } from './frame.js';
import { lvr } from './wire.gen.js';
import { historyToWire, readHistory, readLineage } from './wire-history.js';
import { count, guard, isCount, printable, REASON_CHARACTERS_MAX, UUID_PATTERN } from './wire-values.js';

/** Version of the messages and their order. Ends with different versions refuse each other. */
export const PROTOCOL_VERSION = 2;

/** Bit of hello.features: this end answers compare frames. */
export const FEATURE_COMPARE = 2;
/** The same: this end answers Read. */
export const FEATURE_READS = 4;

const MODES: Record<SiteMode, lvr.Mode> = {
  async: lvr.Mode.ASYNC,
  memory: lvr.Mode.MEMORY,
  logged: lvr.Mode.LOGGED,
  applied: lvr.Mode.APPLIED,
};
const CODE_PATTERN = /^[A-Z][A-Z_]{0,39}$/;
const MODE_NAMES = Object.keys(MODES) as SiteMode[];

export type WireVolume = { readonly name: string; readonly sizeBytes: number; readonly blockBytes: number };

export type Hello = {
  readonly protocol: number;
  /** Both ends use what both offer, see FEATURE_COMPARE and FEATURE_READS. Bit 0 is kept for writes that a secondary forwards. */
  readonly features: number;
  readonly group: string;
  readonly fromSite: string;
  readonly toSite: string;
  readonly session: number;
  readonly history: SiteHistory;
  readonly volumes: readonly WireVolume[];
  readonly frameBytesMax: number;
  /** Size of the ring of its log, which a resync must not leave more to than it holds; 0: not told. */
  readonly logBytes: number;
};

/** See wire.proto; `sender` is the name of the sending site, `mode` what it waits for at the receiving one, `uuid` that of a resync. */
export type PlanMessage = {
  readonly action: 'stream' | 'resync';
  readonly uuid: string;
  readonly rule: string;
  readonly sender: string;
  readonly from: number;
  readonly cut: boolean;
  readonly adopt: boolean;
  readonly chain: number;
  readonly dialerDigest: number;
  readonly acceptorDigest: number;
  readonly mode: SiteMode;
};

/** `code` is one of core/errors.ts, or one that only a newer version knows. */
export type Refused = { readonly code: string; readonly reason: string };
/** See wire.proto. */
export type ResyncEnd = { readonly base: number; readonly chain: number; readonly end: number; readonly lineage: Lineage };
export type Compared = { readonly piece: number; readonly same: number };
/** See wire.proto. */
export type ReadMessage = {
  readonly id: number;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly lsn: number;
  readonly epoch: number;
};
/** `code` as in Refused. */
export type ReadRefused = Refused & { readonly id: number };
export type Ack = { readonly received: number; readonly logged: number; readonly applied: number };

/** Makes a whole control frame of an encoded message. */
export function controlFrame(type: FrameType, message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + message.length);
  frame.set(message, FRAME_HEADER_BYTES);
  sealFrame(frame, 0, type, message.length, 0);
  return frame;
}

/** Encodes a Hello. */
export function encodeHello(hello: Hello): Uint8Array {
  return lvr.Hello.encode({ ...hello, history: historyToWire(hello.history), volumes: [...hello.volumes] }).finish();
}

/** Decodes a Hello. One of another protocol version is returned as { protocol } alone, whatever else it holds. */
export function decodeHello(bytes: Uint8Array): Hello | { readonly protocol: number } | string {
  return guard(bytes, lvr.Hello.decode, (wire) => {
    if (wire.protocol !== PROTOCOL_VERSION) return { protocol: wire.protocol };
    if (!NAME_PATTERN.test(wire.group)) return 'hello: no valid group name';
    if (!NAME_PATTERN.test(wire.fromSite) || !NAME_PATTERN.test(wire.toSite)) return 'hello: no valid site name';
    const features = count(wire.features);
    const session = count(wire.session);
    const logBytes = count(wire.logBytes);
    if (!isCount(features) || !isCount(session) || !isCount(logBytes)) return 'hello: a number is out of range';
    if (wire.frameBytesMax < FRAME_BYTES_MAX_BEFORE_HELLO) return 'hello: frame limit is too small';
    const volumes = readVolumes(wire.volumes as lvr.Volume[]);
    if (typeof volumes === 'string') return volumes;
    const history = readHistory(wire.fromSite, wire.history);
    if (typeof history === 'string') return history;
    const { protocol, group, fromSite, toSite, frameBytesMax } = wire;
    return { protocol, features, group, fromSite, toSite, session, frameBytesMax, logBytes, volumes, history };
  });
}

/** CRC32C of a history as it travels: equal on both ends exactly when both decide from the same facts. */
export function historyDigest(history: SiteHistory): number {
  const bytes = lvr.History.encode(historyToWire(history)).finish();
  return crc32cSmall(bytes, 0, bytes.length);
}

/** Encodes a Plan. */
export function encodePlan(plan: PlanMessage): Uint8Array {
  const action = plan.action === 'stream' ? lvr.Action.STREAM : lvr.Action.RESYNC;
  return lvr.Plan.encode({ ...plan, action, mode: MODES[plan.mode] }).finish();
}

/** Decodes a Plan. */
export function decodePlan(bytes: Uint8Array): PlanMessage | string {
  return guard(bytes, lvr.Plan.decode, (wire) => {
    if (wire.action !== lvr.Action.STREAM && wire.action !== lvr.Action.RESYNC) return `plan: action ${wire.action} is not known`;
    const action = wire.action === lvr.Action.STREAM ? 'stream' : 'resync';
    if (action === 'resync' ? !UUID_PATTERN.test(wire.uuid) : wire.uuid !== '') return 'plan: no valid UUID';
    if (!/^C[0-9]{1,2}$/.test(wire.rule)) return 'plan: no valid rule label';
    if (!NAME_PATTERN.test(wire.sender)) return 'plan: no valid site name';
    const from = count(wire.from);
    if (!isCount(from) || from < 1) return 'plan: LSN is out of range';
    const mode = MODE_NAMES.find((name) => MODES[name] === wire.mode);
    if (mode === undefined) return `plan: mode ${wire.mode} is not known`;
    const { rule, sender, cut, adopt, chain, dialerDigest, acceptorDigest, uuid } = wire;
    return { action, uuid, rule, sender, from, cut, adopt, chain, dialerDigest, acceptorDigest, mode };
  });
}

/** Encodes a Ready: the plan that starts at `from` is carried out. */
export function encodeReady(from: number): Uint8Array {
  return lvr.Ready.encode({ from }).finish();
}

/** Decodes a Ready to its LSN. */
export function decodeReady(bytes: Uint8Array): number | string {
  return guard(bytes, lvr.Ready.decode, (wire) => {
    const from = count(wire.from);
    return isCount(from) && from >= 1 ? from : 'ready: LSN is out of range';
  });
}

/** Encodes a Refused; a long reason is shortened. */
export function encodeRefused(refused: Refused): Uint8Array {
  return lvr.Refused.encode({ code: refused.code, reason: refused.reason.slice(0, REASON_CHARACTERS_MAX) }).finish();
}

/** Decodes a Refused. Control characters of the reason are dropped, because it is printed. */
export function decodeRefused(bytes: Uint8Array): Refused | string {
  return guard(bytes, lvr.Refused.decode, (wire) => {
    if (!CODE_PATTERN.test(wire.code)) return 'refused: no valid code';
    return { code: wire.code, reason: printable(wire.reason) };
  });
}

/** Encodes a Read. */
export function encodeRead(read: ReadMessage): Uint8Array {
  return lvr.Read.encode(read).finish();
}

/** Decodes a Read. The caller checks the extent against the volume. */
export function decodeRead(bytes: Uint8Array): ReadMessage | string {
  return guard(bytes, lvr.Read.decode, ({ id, volume, offset, length, lsn, epoch }) => {
    const read = { id: count(id), volume, offset: count(offset), length, lsn: count(lsn), epoch: count(epoch) };
    return Object.values(read).every(isCount) ? read : 'read: a number is out of range';
  });
}

/** Encodes a ReadRefused; a long reason is shortened. */
export function encodeReadRefused({ id, code, reason }: ReadRefused): Uint8Array {
  return lvr.ReadRefused.encode({ id, code, reason: reason.slice(0, REASON_CHARACTERS_MAX) }).finish();
}

/** Decodes a ReadRefused; see decodeRefused(). */
export function decodeReadRefused(bytes: Uint8Array): ReadRefused | string {
  return guard(bytes, lvr.ReadRefused.decode, (wire) => {
    const id = count(wire.id);
    if (!isCount(id) || !CODE_PATTERN.test(wire.code)) return 'readRefused: no valid number or code';
    return { id, code: wire.code, reason: printable(wire.reason) };
  });
}

/** Encodes an Ack. */
export function encodeAck(received: number, logged: number, applied: number): Uint8Array {
  return lvr.Ack.encode({ received, logged, applied }).finish();
}

/** Decodes an Ack; its positions are in order. */
export function decodeAck(bytes: Uint8Array): Ack | string {
  return guard(bytes, lvr.Ack.decode, (wire) => {
    const received = count(wire.received);
    const logged = count(wire.logged);
    const applied = count(wire.applied);
    if (!isCount(received) || !isCount(logged) || !isCount(applied)) return 'ack: an LSN is out of range';
    if (applied > logged || logged > received) return `ack: positions ${received}, ${logged}, ${applied} are out of order`;
    return { received, logged, applied };
  });
}

/** Encodes how many regions of this session are durable here. */
export function encodeRegionsDone(regions: number): Uint8Array {
  return lvr.RegionsDone.encode({ count: regions }).finish();
}

/** Decodes a RegionsDone to its number. */
export function decodeRegionsDone(bytes: Uint8Array): number | string {
  return guard(bytes, lvr.RegionsDone.decode, (wire) => {
    const regions = count(wire.count);
    return isCount(regions) ? regions : 'regionsDone: number is out of range';
  });
}

/** Encodes a Compared: which blocks of a piece are here, see wire.proto. */
export function encodeCompared({ piece, same }: Compared): Uint8Array {
  return lvr.Compared.encode({ piece, same }).finish();
}

/** Decodes a Compared. */
export function decodeCompared(bytes: Uint8Array): Compared | string {
  return guard(bytes, lvr.Compared.decode, (wire) => {
    const piece = count(wire.piece);
    if (!isCount(piece)) return 'compared: number is out of range';
    return wire.same < 2 ** COMPARE_BLOCKS_MAX ? { piece, same: wire.same } : 'compared: more blocks than a piece has';
  });
}

/** Encodes a ResyncEnd. */
export function encodeResyncEnd(end: ResyncEnd): Uint8Array {
  return lvr.ResyncEnd.encode({ ...end, lineage: [...end.lineage] }).finish();
}

/** Decodes a ResyncEnd. */
export function decodeResyncEnd(bytes: Uint8Array): ResyncEnd | string {
  return guard(bytes, lvr.ResyncEnd.decode, (wire) => {
    const base = count(wire.base);
    const end = count(wire.end);
    if (!isCount(base) || !isCount(end) || end < base) return 'resyncEnd: an LSN is out of range';
    const lineage = readLineage(wire.lineage as lvr.LineageEntry[], Number.MAX_SAFE_INTEGER);
    if (typeof lineage === 'string') return lineage.replace('hello', 'resyncEnd');
    const last = lineage.at(-1);
    if (last !== undefined && last.startLsn > base) return 'resyncEnd: a writer behind the base';
    return { base, chain: wire.chain, end, lineage };
  });
}

/** Encodes a Durable. */
export function encodeDurable(lsn: number): Uint8Array {
  return lvr.Durable.encode({ lsn }).finish();
}

/** Decodes a Durable to its LSN. */
export function decodeDurable(bytes: Uint8Array): number | string {
  return guard(bytes, lvr.Durable.decode, (wire) => {
    const lsn = count(wire.lsn);
    return isCount(lsn) ? lsn : 'durable: LSN is out of range';
  });
}

/** Encodes the time in a Ping or a Pong. */
export function encodeTime(timeMs: number): Uint8Array {
  return lvr.Ping.encode({ timeMs }).finish();
}

/** Decodes a Ping or a Pong to its time. */
export function decodeTime(bytes: Uint8Array): number | string {
  return guard(bytes, lvr.Ping.decode, (wire) => {
    const timeMs = count(wire.timeMs);
    return isCount(timeMs) ? timeMs : 'ping: time is out of range';
  });
}

/** Encodes a Bye. */
export function encodeBye(reason: string): Uint8Array {
  return lvr.Bye.encode({ reason: reason.slice(0, REASON_CHARACTERS_MAX) }).finish();
}

/** Decodes a Bye to its reason. */
export function decodeBye(bytes: Uint8Array): { readonly reason: string } | string {
  return guard(bytes, lvr.Bye.decode, (wire) => ({ reason: printable(wire.reason) }));
}

function readVolumes(wire: readonly lvr.Volume[]): WireVolume[] | string {
  if (wire.length < 1 || wire.length > VOLUMES_PER_GROUP_MAX) return `hello: ${wire.length} volumes`;
  const volumes: WireVolume[] = [];
  for (const { name, sizeBytes, blockBytes } of wire) {
    const volume = { name, sizeBytes: count(sizeBytes), blockBytes };
    if (!NAME_PATTERN.test(volume.name)) return 'hello: no valid volume name';
    if (!isCount(volume.sizeBytes) || volume.sizeBytes < SECTOR_BYTES) return `hello: volume ${volume.name} has an impossible size`;
    const { blockBytes: block } = volume;
    if (block < SECTOR_BYTES || block > 16 * BLOCK_BYTES || (block & (block - 1)) !== 0)
      return `hello: volume ${volume.name} has an impossible block size`;
    volumes.push(volume);
  }
  return volumes;
}
