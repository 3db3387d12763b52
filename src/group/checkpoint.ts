// Checkpoints: move the point from which a start has to replay, and free log space.
//
// Order of durability: 1. note the applied LSN; 2. flush the devices, which covers everything written to them before, and the bitmaps of
// sites that will miss what the log forgets; 3. write the superblock with that LSN and the trimmed position; 4. only then reuse log space.
// A failed device flush is final (the kernel may have dropped the dirty pages): the group fails, and the next start replays from the old
// checkpoint.

import { assert } from '../core/assert.js';
import { LvrError } from '../core/errors.js';
import { PLANTED } from '../core/planted.js';
import type { Clock, Device, Timer } from '../core/ports.js';
import type { Log } from '../disk/log.js';
import { syncDevice } from '../disk/promises.js';
import type { Superblock } from '../format/superblock.js';
import type { Applier } from './applier.js';

/** A group that is idle this long is checkpointed, so that the next start has nothing to replay. */
const IDLE_MS = 1_000;

/** Part of the ring that a checkpoint frees for which nobody waits, */
const FREES_LEAST = 1 / 8;
/** and part that a start would have to replay, from which on there is one though it frees nothing. */
const REPLAYS_MOST = 1 / 4;

export type CheckpointParts = {
  readonly log: Log;
  readonly devices: readonly Device[];
  readonly applier: Applier;
  readonly clock: Clock;
  /** The log may forget records up to here at most: durable at every site that counts on them. */
  readonly neededFrom: (appliedLsn: number) => number;
  /** Makes durable what the bitmaps of sites have marked. */
  readonly flushBitmaps: () => Promise<void>;
  /** Per-site fields of the superblock. */
  readonly sites: () => Superblock['sites'];
  readonly onFreed: () => void;
  readonly onFailed: (error: LvrError) => void;
};

export class Checkpointer {
  readonly #parts: CheckpointParts;
  #running: Promise<void> | undefined;
  #timer: Timer | undefined;
  #lastApplied: number;
  #lastAppended = 0;
  #failed = false;
  #stopped = false;

  constructor(parts: CheckpointParts) {
    this.#parts = parts;
    this.#lastApplied = parts.log.store.current.appliedLsn;
  }

  start(): void {
    this.#timer = this.#parts.clock.after(IDLE_MS, () => {
      const { log, applier } = this.#parts;
      const idle = log.appendedLsn === this.#lastAppended && log.undurable === 0;
      this.#lastAppended = log.appendedLsn;
      if (idle && (applier.appliedLsn > this.#lastApplied || this.#freeable() > log.trimmedLsn)) void this.run();
      this.start();
    });
  }

  /** None begins by itself any more; run() does one. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /**
   * Called when a batch was applied or a site answered: checkpoints when half of the ring is used and that would free some of it. Also when
   * it frees nothing, because a site needs it all, and a start would have to replay a good part: that much the devices may have to flush,
   * and writers wait for it when the site is folded at last.
   */
  consider(): void {
    const { log, applier } = this.#parts;
    if (this.#stopped || this.#running !== undefined || log.usedBytes < log.ring.bytes / 2) return;
    const frees = positionAt(log, this.#freeable()) - log.store.current.trimmedPosition;
    if (frees >= log.ring.bytes * FREES_LEAST) return void this.run();
    const replayed = positionAt(log, applier.appliedLsn) - positionAt(log, this.#lastApplied);
    if (replayed >= log.ring.bytes * REPLAYS_MOST) void this.run();
  }

  /** Someone waits for log space: checkpoints if that frees anything at all. */
  urge(): void {
    const { log } = this.#parts;
    if (!this.#stopped && this.#running === undefined && log.trimmedAt(this.#freeable()).trimmedLsn > log.trimmedLsn) void this.run();
  }

  /** Does one checkpoint (or joins the running one); never rejects, a failure goes to onFailed. */
  run(change: Partial<Superblock> = {}): Promise<void> {
    if (this.#failed) return Promise.resolve();
    const before = this.#running;
    if (before !== undefined) return Object.keys(change).length === 0 ? before : before.then(() => this.run(change));
    // In a turn of its own, so that it counts as running when it begins: devices end operations inside the calls that begin the flush, and
    // what is told of them would start another checkpoint, whose superblock this older one would then follow.
    const running = Promise.resolve()
      .then(() => this.#checkpoint(change))
      .catch((error: unknown) => {
        this.#failed = true;
        this.#parts.onFailed(error instanceof LvrError ? error : new LvrError('FAILED', String(error)));
      })
      .finally(() => {
        this.#running = undefined;
      });
    this.#running = running;
    return running;
  }

  /** Resolves when no checkpoint is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  #freeable(): number {
    return this.#parts.neededFrom(this.#parts.applier.appliedLsn);
  }

  async #checkpoint(change: Partial<Superblock>): Promise<void> {
    const { log, applier, devices } = this.#parts;
    const appliedLsn = applier.appliedLsn;
    const { beginnings } = log;
    if (PLANTED === 'failed-volume-flush-ignored') await Promise.allSettled(devices.map((device) => syncDevice(device)));
    else if (PLANTED !== 'checkpoint-without-flush') await Promise.all(devices.map((device) => syncDevice(device)));
    await this.#parts.flushBitmaps();
    // All of it is taken when its turn to be written comes: a cut in front of it moves the end of the log.
    await log.store.update((current) => {
      if (beginnings !== log.beginnings) return { ...current, ...change };
      const trimmed = log.trimmedAt(this.#parts.neededFrom(appliedLsn));
      assert(trimmed.trimmedLsn <= appliedLsn, 'what a start has to replay is still in the log');
      return {
        ...current,
        ...trimmed,
        ...change,
        appliedLsn: PLANTED === 'checkpoint-ahead' ? log.durableLsn : appliedLsn,
        durableLsn: log.durableLsn,
        lineage: log.lineage,
        sites: this.#parts.sites(),
        primaryDurableLsn: Math.max(current.primaryDurableLsn, log.recordedPrimaryDurableLsn, change.primaryDurableLsn ?? 0),
      };
    });
    this.#lastApplied = appliedLsn;
    log.free();
    this.#parts.onFreed();
  }
}

/** Where the log would begin if all up to `lsn` could be freed. */
function positionAt(log: Log, lsn: number): number {
  return log.trimmedAt(lsn).trimmedPosition;
}
