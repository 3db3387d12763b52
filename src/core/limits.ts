// Every bound of lvr in one place, with the relations between them checked when the module loads.

import { assert } from './assert.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** Unit of log I/O and of the header block of a batch. */
export const BLOCK_BYTES = 4 * KIB;
/** Smallest unit a volume is addressed in. */
export const SECTOR_BYTES = 512;
/** Largest payload of one record; longer writes become several records. */
export const RECORD_PAYLOAD_BYTES_MAX = 1 * MIB;
/** Longest extent of one zero or trim record, so that applying one never holds a device for long. */
export const RECORD_ZERO_BYTES_MAX = 128 * MIB;
/** Records in one batch: what fits a header block beside the batch header. */
export const BATCH_RECORDS_MAX = 42;
/** Payload capacity of a small slab (many short writes) and of a large one (one long write). */
export const SLAB_SMALL_PAYLOAD_BYTES = 256 * KIB;
export const SLAB_LARGE_PAYLOAD_BYTES = RECORD_PAYLOAD_BYTES_MAX;
/** Payloads at least this long are received straight into a slab of their own. */
export const DIRECT_PAYLOAD_BYTES = 64 * KIB;
/**
 * Most memory for payload of a group that is not applied, or that connected sites have not received, in small and large slabs as they are
 * asked for. What is not needed is not touched. With less, bursts of long writes are read back from the log for a site, at the cost of the
 * log's writer: with half of it, a sixth.
 */
export const GROUP_PAYLOAD_BYTES = 320 * MIB;
/** The same where there is little memory. */
const GROUP_PAYLOAD_BYTES_MIN = 160 * MIB;
/** A group takes at most this part of the machine's memory, if that is not less than the minimum. */
const GROUP_PAYLOAD_PART = 24;

/** Memory for payload of a group on a machine with so much memory. */
export function groupPayloadBytes(memoryBytes: number): number {
  return Math.min(GROUP_PAYLOAD_BYTES, Math.max(GROUP_PAYLOAD_BYTES_MIN, Math.floor(memoryBytes / GROUP_PAYLOAD_PART)));
}
/** Log writes in flight: enough to keep a device busy, few enough to make batches grow under load. */
export const LOG_WRITES_IN_FLIGHT_MAX = 8;
/** The open batch is not sealed while this many log writes are in flight: fewer, larger batches cost less than waiting for one costs. */
export const OPEN_BATCH_WRITES_MAX = 2;
/** How long the open batch may grow while nobody waits for it (asynchronous writes that are answered already). */
export const GATHER_MS = 2;
/** While the log is busy, batches that nobody waits for are written so many at a time, or after this time: with one flush of the device. */
export const LOG_GATHER_BATCHES = 4;
export const LOG_GATHER_MS = 4;
/** Most that the high-water mark of a log moves ahead at a time: a start reads a few times this much behind the end of the log. */
export const HIGH_WATER_STEP_BYTES_MAX = 64 * MIB;
/** Smallest log that is accepted. */
export const LOG_BYTES_MIN = 16 * MIB;

/** NBD: largest request payload, as advertised (NBD proto.md, block size constraints). */
export const NBD_PAYLOAD_BYTES_MAX = 32 * MIB;
export const NBD_OPTIONS_MAX = 32;
export const NBD_OPTION_BYTES_MAX = 8 * KIB;
export const NBD_HANDSHAKE_BYTES_MAX = 64 * KIB;
export const NBD_HANDSHAKE_MS = 10_000;
/** A request that began to arrive must be complete within this time. */
export const NBD_PARTIAL_REQUEST_MS = 30_000;
export const NBD_CONNECTIONS_MAX = 64;
export const NBD_CONNECTIONS_PER_ADDRESS_MAX = 16;
/** Reply bytes waiting for a slow reader: no further requests are read above this, and the client is cut after NBD_SLOW_READER_MS. */
export const NBD_UNSENT_BYTES_MAX = 64 * MIB;
export const NBD_SLOW_READER_MS = 60_000;
/** Payload bytes of requests in progress, per connection. */
export const NBD_IN_FLIGHT_BYTES_MAX = 64 * MIB;
/** The same for all connections together; a connection may always have one request. */
export const NBD_IN_FLIGHT_BYTES_TOTAL_MAX = 256 * MIB;
/** Requests in progress, per connection: the kernel client has at most 256. */
export const NBD_REQUESTS_IN_FLIGHT_MAX = 1024;
/** Reads taken before the answers so far are sent, so that the client works on them while the rest is served. */
export const NBD_READS_PER_ROUND = 16;
/** Extents that one connection may ask for in a turn: the system is asked for each of them at once, and everybody else waits. */
export const NBD_EXTENTS_PER_TURN = 2048;

/** Link: largest frame body, and the largest one taken before the hello was accepted. */
export const FRAME_BYTES_MAX = 16 * MIB;
export const FRAME_BYTES_MAX_BEFORE_HELLO = 16 * KIB;
export const LINK_HELLO_MS = 10_000;
export const LINK_PING_MS = 5_000;
export const LINK_DEAD_MS = 15_000;
export const LINK_CONNECT_MS = 10_000;
export const LINK_BACKOFF_MIN_MS = 1_000;
export const LINK_BACKOFF_MAX_MS = 60_000;
/** Record bytes sent to a site and not yet answered "received". */
export const LINK_WINDOW_BYTES = 16 * MIB;
/** Region bytes sent to a site and not yet durable there. */
export const RESYNC_WINDOW_BYTES = 128 * MIB;
/** Frames sent and not yet answered, and frames the network has not taken yet (each of those holds a batch). */
export const LINK_WINDOW_FRAMES_MAX = 4096;
export const LINK_UNSENT_FRAMES_MAX = 64;
/** Most batches that are read back from the log for a site and not yet taken by the network; fewer where there are many sites. */
export const LINK_READ_BATCHES_MAX = 4;
/** Positions that nobody waits for (see SiteMode) travel with others, or alone after this time. */
export const LINK_LAZY_MS = 20;
/** Above either of these a receiver answers "received" at once in every mode, so that the window keeps moving. */
export const LINK_UNANSWERED_BYTES_MAX = LINK_WINDOW_BYTES / 4;
export const LINK_UNANSWERED_FRAMES_MAX = LINK_WINDOW_FRAMES_MAX / 4;
/** How long a read that the device of the primary failed may take at other sites, in all. */
export const LINK_READ_MS = 5_000;
/** Such reads that a primary has on their way at once, each with one piece of RECORD_PAYLOAD_BYTES_MAX at most. */
export const LINK_READS_MAX = 16;
/** Receive buffer of a link; payloads of DIRECT_PAYLOAD_BYTES and more go round it. */
export const LINK_RECEIVE_BYTES = 256 * KIB;
/** A site that has no room for the next records this long starts a new session, in which it hears first what may be applied by now. */
export const LINK_NO_ROOM_MS = 60_000;
/** Cutting a log or stepping down, which the other end waits for. */
export const LINK_PREPARE_MS = 60_000;
/** A site that is sent a resync makes some of it durable within this time, also over a link of 10 KiB/s. */
export const RESYNC_ANSWER_MS = 120_000;
/** How long a closing end waits for the other to read the reason. */
export const LINK_LINGER_MS = 1_000;
/** How often deadlines of a link are looked at. */
export const LINK_TICK_MS = 500;
/** Accepted connections whose hello was not accepted yet, in all and from one address. */
export const LINK_UNKNOWN_MAX = 64;
export const LINK_UNKNOWN_PER_ADDRESS_MAX = 16;

/** Longest run of zeroes that travels as one piece of a resync. */
export const RESYNC_ZERO_BYTES_MAX = 64 * MIB;

/** Pieces of a resync are compared in blocks of this size, and shorter pieces than the other are not. */
export const COMPARE_BLOCK_BYTES = 64 * KIB;
export const COMPARE_PIECE_BYTES_MIN = 16 * KIB;

export const VOLUMES_PER_GROUP_MAX = 32;
export const SITES_PER_GROUP_MAX = 16;
export const LINEAGE_ENTRIES_MAX = 128;

assert(DIRECT_PAYLOAD_BYTES <= SLAB_SMALL_PAYLOAD_BYTES, 'a copied payload fits a small slab');
assert(RECORD_PAYLOAD_BYTES_MAX + 64 * KIB <= FRAME_BYTES_MAX, 'a batch fits a frame');
assert(LOG_BYTES_MIN >= 8 * (RECORD_PAYLOAD_BYTES_MAX + BLOCK_BYTES), 'the smallest log holds several large batches');
