// The applier alone, under any order of what happens to it: batches arrive, become durable, may be applied, are given up for want of
// memory and read back, while reads and device writes end when they like.

import t from 'tap';
import type { Arena, Device, IoTarget } from '../../src/core/ports.js';
import { BatchPool } from '../../src/disk/batch-pool.js';
import type { LogBatch } from '../../src/disk/log-batch.js';
import { putIdentity } from '../../src/format/record.js';
import { Applier, type ReadsBack } from '../../src/group/applier.js';
import { Random } from '../helpers/random.js';

const ROUNDS = 400;
const BLOCK = 512;
const PLACES = 12;

/** A device whose writes end when the test says so, or at once. Says what came to which place. */
class Writes {
  readonly order: { readonly lsn: number; readonly offset: number }[] = [];
  readonly #pending: (() => void)[] = [];
  readonly #random: Random;
  isImmediate = false;

  constructor(random: Random) {
    this.#random = random;
  }

  readonly device = {
    path: 'volume',
    sizeBytes: PLACES * BLOCK,
    blockBytes: BLOCK,
    write: (arena: Arena, start: number, _length: number, offset: number, _durable: boolean, target: IoTarget, tag: number): void => {
      const { bytes } = arena;
      const lsn = (bytes[start] as number) + (bytes[start + 1] as number) * 256;
      this.#pending.push(() => {
        this.order.push({ lsn, offset });
        target.ioDone(tag, 0);
      });
    },
    kick: (): void => {
      while (this.isImmediate && this.step());
    },
  } as unknown as Device;

  /** Ends one write; false when none is under way. */
  step(): boolean {
    const [end] = this.#pending.splice(this.#random.below(Math.max(1, this.#pending.length)), 1);
    end?.();
    return end !== undefined;
  }
}

/** What stands in the log: batches of these records, each at one place of the volume. */
type Row = { readonly firstLsn: number; readonly places: readonly number[] };

function fill(batch: LogBatch, { firstLsn, places }: Row): LogBatch {
  batch.firstLsn = firstLsn;
  for (const [i, place] of places.entries()) {
    const lsn = firstLsn + i;
    const record = { lsn, epoch: 1, incarnation: 1, offset: place * BLOCK, length: BLOCK, volume: 0, timeUs: 0 };
    putIdentity(batch.arena.bytes, batch.headerAt(i), { ...record, kind: 'write', mayUnmap: false });
    const at = batch.dataStart + i * BLOCK;
    batch.arena.bytes[at] = lsn % 256;
    batch.arena.bytes[at + 1] = Math.floor(lsn / 256);
  }
  batch.count = places.length;
  batch.payloadBytes = places.length * BLOCK;
  return batch;
}

const createArena = (bytes: number): Arena => ({ bytes: new Uint8Array(bytes), address: 0 });
const pool = new BatchPool(createArena, 0);
const readPool = new BatchPool(createArena, 0);

/** Reads of the log that end in any order. */
class Reads implements ReadsBack {
  readonly rows: Row[] = [];
  count = 0;
  readonly #waiting: { readonly row: Row; readonly resolve: (batch: LogBatch) => void }[] = [];
  readonly #pending: (() => void)[] = [];
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  readBatch(lsn: number): Promise<LogBatch> {
    this.count++;
    return new Promise((resolve) => {
      this.#waiting.push({ row: this.#row(lsn) as Row, resolve });
      this.#begin();
    });
  }

  lastOf(lsn: number): number | undefined {
    const row = this.#row(lsn);
    return row && row.firstLsn + row.places.length - 1;
  }

  step(): boolean {
    this.#begin();
    const [end] = this.#pending.splice(this.#random.below(Math.max(1, this.#pending.length)), 1);
    end?.();
    return end !== undefined;
  }

  /** Memory goes to the reads in their order. */
  #begin(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { row, resolve } = next;
      const batch = readPool.take(row.places.length * BLOCK);
      if (batch === undefined) return;
      this.#waiting.shift();
      this.#pending.push(() => resolve(fill(batch, row)));
    }
  }

  #row(lsn: number): Row | undefined {
    return this.rows.find((row) => lsn >= row.firstLsn && lsn < row.firstLsn + row.places.length);
  }
}

t.test('every record is written once, and records of one place in their order', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  let evicted = 0;
  let readBack = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const writes = new Writes(random);
    const reads = new Reads(random);
    const applied: number[] = [];
    const owner = {
      batchApplied: (batch: LogBatch) => void applied.push(batch.lastLsn),
      applyFailed: (error: Error) => t.fail(error.message),
    };
    const applier = new Applier([writes.device], reads, 0, owner, createArena);
    let lsn = 0;
    let durable = 0;
    let allowed = 0;
    for (let step = 0; step < 200; step++) {
      const draw = random.below(100);
      writes.isImmediate = random.chance(30);
      if (draw < 30) {
        let batch = pool.take(0);
        while (batch === undefined && applier.evict(durable)) {
          evicted++;
          batch = pool.take(0);
        }
        if (batch === undefined) continue;
        const row = { firstLsn: lsn + 1, places: Array.from({ length: 1 + random.below(5) }, () => random.below(PLACES)) };
        reads.rows.push(row);
        lsn += row.places.length;
        applier.add(fill(batch, row));
        batch.release();
      } else if (draw < 45) durable = lsn;
      else if (draw < 55) {
        allowed = Math.max(allowed, random.chance(30) ? durable : allowed + random.below(durable - allowed + 1));
        applier.allow(allowed);
      } else if (draw < 75) writes.step();
      else if (draw < 90) reads.step();
      else await new Promise((resolve) => setImmediate(resolve));
    }
    applier.allow(lsn);
    for (let idle = 0; applier.appliedLsn < lsn && idle < 1000; idle++) {
      while (writes.step() || reads.step());
      await new Promise((resolve) => setImmediate(resolve));
    }
    readBack += reads.count;
    const written = writes.order.map((write) => write.lsn);
    const isOnce = applier.appliedLsn === lsn && written.length === lsn && new Set(written).size === lsn;
    const last = new Map<number, number>();
    const isOrdered = writes.order.every(({ lsn, offset }) => (last.get(offset) ?? 0) < lsn && last.set(offset, lsn));
    const isInOrder = applied.every((end, i) => i === 0 || end > (applied[i - 1] as number));
    await applier.end();
    if (isOnce && isOrdered && isInOrder && pool.used === 0 && readPool.used === 0) continue;
    t.fail(`round ${round}: once ${isOnce}, ordered ${isOrdered}, in order ${isInOrder}, slabs in use ${pool.used}, ${readPool.used}`);
    return;
  }
  t.ok(evicted > 100, `${evicted} batches given up`);
  t.ok(readBack > 100, `${readBack} reads`);
});
