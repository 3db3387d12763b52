// What a log is made of, and who hears of what becomes of it.

import type { LvrError } from '../core/errors.js';
import type { Lineage } from '../core/lineage.js';
import type { Device } from '../core/ports.js';
import type { Ring } from '../core/ring.js';
import type { LogBatch } from './log-batch.js';
import type { LogIndex } from './log-index.js';
import type { LogReader } from './log-reader.js';
import type { CrcSpans } from './seal.js';
import type { SuperblockStore } from './superblock-store.js';

/** Told by the log, in LSN order. */
export interface LogOwner {
  /** `batch` and everything before it would survive a power cut. The log lets go of the batch after this call. */
  batchDurable(batch: LogBatch): void;
  /** A log write failed; nothing becomes durable any more. */
  logFailed(error: LvrError): void;
}

/** A log as opening it found it. */
export type LogParts = {
  readonly device: Device;
  readonly store: SuperblockStore;
  /** The same that the reader has. */
  readonly ring: Ring;
  readonly index: LogIndex;
  readonly reader: LogReader;
  readonly crc32cSpans: CrcSpans;
  readonly lineage: Lineage;
  readonly lastLsn: number;
  readonly lastChain: number;
  readonly endPosition: number;
  readonly primaryDurableLsn: number;
};
