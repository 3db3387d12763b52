// What a link needs of the group behind it, and of the network under it. group/ implements the first two, link/tcp.ts and the simulator
// the last. All calls are made on the agent's one thread; none of them blocks.

import type { ReconnectPlan, SiteHistory } from '../core/reconnect.js';
import type { LogBatch } from '../disk/log-batch.js';
import type { RegionMeta } from '../format/frame.js';
import type { Compared, Hello, ReadMessage, ResyncEnd } from '../format/wire.js';

/** Volume as described in a hello: both sites must agree on order, names and sizes. */
export type VolumeDescription = { readonly name: string; readonly sizeBytes: number; readonly blockBytes: number };

/** Why a site is refused, in the code and words of LvrError; also what it means for the session. */
export type Refusal = { readonly code: string; readonly reason: string };

/** The side of a group that both directions of a link need. */
export interface LinkGroup {
  readonly name: string;
  readonly site: string;
  volumes(): readonly VolumeDescription[];
  /** Why it does not meet this other site now. Absent: it meets all. */
  refuses?(other: SiteHistory): Refusal | undefined;
  /** Size of the ring of its log. */
  readonly logBytes: number;
  /** This site's history as of now, as another site is to know it. */
  history(forSite: string): SiteHistory;
  /** The chain value of record `lsn` (trimmed <= lsn <= last; 0 for lsn 0). Reads the log. Rejects with LvrError. */
  chainAt(lsn: number): Promise<number>;
  /** Resolves when record `lsn` (lsn <= last) is durable in the log. Rejects with LvrError. */
  reached(lsn: number): Promise<void>;
  /** The plan says that this site must become secondary: does so durably. */
  stepDown(plan: ReconnectPlan): Promise<void>;
}

/** A piece of a volume that a site is asked for; see the message in wire.proto. */
export type VolumeRead = Omit<ReadMessage, 'id'>;

/** Who asked a site for a piece of a volume. Told once, unless it has cancelled. */
export interface ReadOwner {
  /** The piece stands in bytes[start, start + length), during this call only. Words when it is damaged, which ends the session. */
  content(bytes: Uint8Array, start: number, length: number, crc: number): string | undefined;
  /** The site cannot answer, or the session has ended. */
  refused(refusal: Refusal): void;
}

/** What a site has read for its primary: unchanged until released. */
export type ReadPiece = { readonly bytes: Uint8Array; readonly crc: number; release(): void };

/** A primary that waits for a piece of a volume here. Told once, about a piece that is its own from then on, or why there is none. */
export interface ReadAnswer {
  /** Nobody waits any more: it need not be told, and a piece is released at once. */
  readonly isDropped: boolean;
  content(piece: ReadPiece): void;
  refused(refusal: Refusal): void;
}

/**
 * A piece of a volume to send: `batch` holds its payload from its `start` on (released by the taker), undefined when it is all zeroes. With
 * `hashes`, which are those of its blocks, the other site is only asked what it has of it; there is no batch then.
 */
export type RegionPiece = {
  readonly meta: RegionMeta;
  readonly batch: LogBatch | undefined;
  readonly start: number;
  readonly hashes: Uint8Array | undefined;
};

/** What a site says in a resync: so many pieces of this session are durable, what it has of one, or why it cannot go on. */
export type RegionEvent = number | Compared | Refusal;

/** What a site says of itself that a resync goes by; see Hello. */
export type SiteOffer = Pick<Hello, 'features' | 'logBytes'>;

/** One resync of one site, as long as its session lasts. */
export interface ResyncRun {
  /** Prepares the bitmap, durably; before the first piece is asked for. */
  start(): Promise<void>;
  /** The next piece; undefined when nothing waits to be copied now. */
  next(): Promise<RegionPiece | undefined>;
  /** So many pieces are durable at the other site. Words when that cannot be. */
  done(count: number): string | undefined;
  /** What the other site has of a piece that it was asked about, and will have durably when it is done. Words when that cannot be. */
  compared(answer: Compared): string | undefined;
  /** Pieces handed out that are not durable there. */
  readonly unfinished: number;
  /** The end mark when everything is copied; undefined when there is more to copy. */
  end(): Promise<ResyncEnd | undefined>;
  /** Resolves when something has changed, or the run was stopped. */
  moved(): Promise<void>;
  stop(): void;
  /** Behind stop(): resolves when nothing is read any more. */
  settled(): Promise<void>;
}

/** Sending side: the primary's log as a stream of batches. */
export interface ShipSource extends LinkGroup {
  /** LSN known durable in the primary's log; travels with the records (a site applies nothing beyond it). */
  readonly durableLsn: number;
  /** Last LSN in sealed batches: what can be sent now. */
  readonly sealedLsn: number;
  /**
   * The batch holding `lsn` if it is still in memory, held for the caller (release() it after sending); undefined otherwise.
   * The record may be in the middle of the batch.
   */
  holdBatch(lsn: number): LogBatch | undefined;
  /**
   * Reads the batch holding `lsn` from the log into memory, verified and held for the caller. Rejects with LvrError (LOG_CORRUPT,
   * DEVICE_FAILED).
   */
  readBatch(lsn: number): Promise<LogBatch>;
  /** Batches read back that one site may have in hand: being read, read and not sent, sent and not taken by the network. */
  readonly readBatchesMax: number;
  /** The last LSN of the batch of the log that holds `lsn`; undefined when it is not retained. */
  lastOfBatch(lsn: number): number | undefined;
  /**
   * A resync of the site with the bitmap `uuid`; `other`: what the site says in its hello. undefined when there is no such bitmap any
   * more.
   */
  resync(site: string, uuid: string, other: SiteOffer): ResyncRun | undefined;
  /** The site is ready and records from `from` on are about to flow; `isBehindCopy`: behind the regions and the end mark of a resync. */
  siteStreaming(site: string, from: number, isBehindCopy: boolean): void;
  /** Records up to `lsn` stand in the stream to the site: memory that is kept for it may go. */
  siteSent(site: string, lsn: number): void;
  /** The site answered; positions never go back within a session. */
  siteProgress(site: string, received: number, durable: number, applied: number): void;
  /** The session ended, for whatever reason. */
  siteGone(site: string): void;
}

/** Receiving side: a secondary's log. */
export interface ReceiveSink extends LinkGroup {
  /** Carries out the receiver's part of a plan (cut, adopt, the beginning of a resync) durably. `primary` is the other side's history. */
  prepare(plan: ReconnectPlan & { action: 'stream' | 'resync' }, primary: SiteHistory): Promise<void>;
  /** As leaseBatch(), for a piece of a volume. */
  leaseRegion(payloadBytes: number): LogBatch | undefined;
  /** Takes over a piece of a volume (undefined: zeroes). Words when its payload is damaged; the batch is the sink's in both cases. */
  receiveRegion(meta: RegionMeta, batch: LogBatch | undefined): string | undefined;
  /**
   * As receiveRegion(), for hashes of the blocks of a piece: onRegions() hears which of them are here, and the piece counts as durable when
   * these are.
   */
  compareRegion(meta: RegionMeta, batch: LogBatch): string | undefined;
  /** `fn` hears what becomes of the pieces of this session; replaces the previous one. */
  onRegions(fn: ((event: RegionEvent) => void) | undefined): void;
  /** All regions are here: the log begins anew behind end.base. Durable before it returns. */
  endResync(end: ResyncEnd, primary: SiteHistory): Promise<void>;
  /** An empty batch to receive into; undefined when there is no memory: wait for onRoom. */
  leaseBatch(payloadBytes: number): LogBatch | undefined;
  /** Calls fn once when leaseBatch may succeed. */
  onRoom(fn: () => void): void;
  /**
   * Takes over a received batch: record identities sealed by the primary stand in its header block at headerAt(i) (bytes 8..64), payloads
   * in
   * its data area, payload CRCs and chain verified by the sink, LSNs contiguous. Returns a Refusal (nothing changed) when they do not fit.
   * The batch is
   * the sink's in both cases.
   */
  receive(batch: LogBatch): Refusal | undefined;
  /** The primary's durable LSN moved. */
  primaryDurable(lsn: number): void;
  /** The primary cannot read this itself; checked against the volumes. Answered when all up to read.lsn is applied, or refused. */
  readVolume(read: VolumeRead, answer: ReadAnswer): void;
  /** Positions to answer with. */
  readonly receivedLsn: number;
  readonly loggedLsn: number;
  readonly appliedLsn: number;
  /** Registers the callback that runs when any of the three positions moved (at most once per turn); replaces the previous one. */
  onProgress(fn: (() => void) | undefined): void;
  /** Ends a turn of receiving: what was received is written, soon, or now if the primary waits until it is durable. */
  commit(isAwaited: boolean): void;
}

/** A byte stream to one peer, as TCP gives it. */
export interface ByteStream {
  readonly remote: string;
  /**
   * Writes pieces in order without copying; the memory must stay unchanged until `sent` runs. False: more than the buffer limit is unsent.
   */
  write(pieces: readonly Uint8Array[], sent: (() => void) | undefined): boolean;
  /**
   * Where received bytes go next: called before every receive, answers the memory to fill. `waitsForAll`, looked at next: nothing could be
   * done with less than all of it, so received() can wait, but not for longer than a second while something comes.
   */
  onReceive(target: () => Uint8Array, received: (length: number) => void, waitsForAll?: () => boolean): void;
  pause(): void;
  resume(): void;
  onDrain(fn: () => void): void;
  /** Called once; `error` is undefined for an orderly end. */
  onClose(fn: (error: Error | undefined) => void): void;
  /** Closes at once; unsent bytes are dropped. */
  destroy(): void;
}

/** Opens and accepts byte streams. */
export interface Network {
  connect(host: string, port: number, timeoutMs: number): Promise<ByteStream>;
  listen(host: string, port: number, accepted: (stream: ByteStream) => void): Promise<{ port: number; close(): Promise<void> }>;
}
