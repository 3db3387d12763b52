// The native engine's own promises: nothing outside an arena is ever touched, bounds hold, results are the kernel's.

import { constants, writeFileSync } from 'node:fs';
import t from 'tap';
import { binding, CQ_ROW, type EngineKind, type NativeEngine, OP, SQ_ROW } from '../../src/disk/native.js';
import { Workspace } from '../helpers/workspace.js';

const KINDS: readonly EngineKind[] = ['io_uring', 'threads'];
const DEPTH = 8;
const work = new Workspace('native-engine');
t.teardown(() => work.dispose());

/** A bare engine that collects [token, result] pairs. */
class Bare {
  readonly sq = new Float64Array(DEPTH * SQ_ROW);
  readonly cq = new Float64Array(DEPTH * CQ_ROW);
  readonly results = new Map<number, number>();
  readonly engine: NativeEngine;
  calls = 0;

  constructor(kind: EngineKind, workers = 2) {
    this.engine = binding.openEngine(kind, DEPTH, workers, this.sq, this.cq, (pairs) => {
      this.calls++;
      this.#collect(pairs);
    });
  }

  submit(rows: readonly (readonly number[])[]): number {
    rows.forEach((row, i) => {
      this.sq.fill(0, i * SQ_ROW, (i + 1) * SQ_ROW);
      this.sq.set(row, i * SQ_ROW);
    });
    const pairs = binding.submit(this.engine, rows.length);
    this.#collect(pairs);
    return pairs;
  }

  async until(count: number): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (this.results.size < count) {
      if (Date.now() > deadline) throw new Error(`${this.results.size} of ${count} completions`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  #collect(pairs: number): void {
    for (let i = 0; i < pairs; i++) this.results.set(this.cq[i * CQ_ROW] as number, this.cq[i * CQ_ROW + 1] as number);
  }
}

for (const kind of KINDS) {
  t.test(`${kind}: memory outside the arenas is refused before anything starts`, async (t) => {
    const path = work.file(`outside-${kind}`);
    writeFileSync(path, Buffer.alloc(8192, 1));
    const fd = binding.open(path, constants.O_RDWR, 0);
    const arena = binding.createArena(4096);
    const bare = new Bare(kind);
    const good = [OP.read, fd, 0, arena.address, 4096, 1];
    for (const [name, address, length] of [
      ['one byte over the end', arena.address + 1, 4096],
      ['before the start', arena.address - 1, 16],
      ['null', 0, 16],
      ['not a number', Number.NaN, 16],
      ['somewhere', 4096, 16],
      ['a length that wraps', arena.address, 2 ** 53 - 1],
      ['a negative length', arena.address, -1],
    ] as const) {
      t.throws(() => bare.submit([good, [OP.read, fd, 0, address, length, 2]]), RangeError, name);
    }
    t.throws(() => bare.submit([[99, fd, 0, arena.address, 16, 1]]), RangeError, 'unknown operation');
    t.equal(bare.results.size, 0, 'the good row beside a bad one did not start either');
    bare.submit([good]);
    await bare.until(1);
    t.equal(bare.results.get(1), 4096, 'and the engine is still good');
    binding.closeEngine(bare.engine);
    binding.close(fd);
  });

  t.test(`${kind}: results are the kernel's, short transfers and errors included`, async (t) => {
    const path = work.file(`results-${kind}`);
    writeFileSync(path, Buffer.alloc(6000, 3));
    const fd = binding.open(path, constants.O_RDWR, 0);
    const arena = binding.createArena(16_384);
    const bare = new Bare(kind);
    bare.submit([
      [OP.read, fd, 4096, arena.address, 4096, 10],
      [OP.read, fd, 6000, arena.address, 4096, 11],
      [OP.read, 1_000_000, 0, arena.address, 16, 12],
      [OP.write, fd, 6000, arena.address, 100, 13],
      [OP.writeDurable, fd, 6100, arena.address, 100, 14],
      [OP.datasync, fd, 0, 0, 0, 15],
      [OP.punchHole, fd, 0, 0, 4096, 16],
      [OP.nop, -1, 0, 0, 0, 2 ** 40],
    ]);
    await bare.until(8);
    const expected = { 10: 1904, 11: 0, 12: -9, 13: 100, 14: 100, 15: 0, 16: 0, [2 ** 40]: 0 };
    // The second write may run before the reads near the old end of the file.
    const got = Object.fromEntries(bare.results);
    t.ok([1904, 2004, 2104].includes(got[10] as number), `short read ${got[10]}`);
    t.same({ ...got, 10: 1904, 11: 0 }, expected);
    binding.closeEngine(bare.engine);
    binding.close(fd);
  });

  t.test(`${kind}: no more than the depth, nothing after close`, async (t) => {
    const bare = new Bare(kind);
    const nop = (token: number): number[] => [OP.nop, -1, 0, 0, 0, token];
    t.throws(() => binding.submit(bare.engine, DEPTH + 1), RangeError);
    for (let round = 0; round < 50; round++) {
      bare.results.clear();
      bare.submit(Array.from({ length: DEPTH }, (_, i) => nop(i)));
      await bare.until(DEPTH);
    }
    t.equal(bare.results.size, DEPTH);
    binding.closeEngine(bare.engine);
    binding.closeEngine(bare.engine);
    t.throws(() => binding.submit(bare.engine, 0), /closed/);
  });
}

t.test('one worker completes in order, with many completions in one wake-up', async (t) => {
  const bare = new Bare('threads', 1);
  const order: number[] = [];
  const set = bare.results.set.bind(bare.results);
  bare.results.set = (token, result) => {
    order.push(token);
    return set(token, result);
  };
  let calls = 0;
  for (let round = 0; round < 100; round++) {
    bare.submit(Array.from({ length: DEPTH }, (_, i) => [OP.nop, -1, 0, 0, 0, round * DEPTH + i]));
    await bare.until((round + 1) * DEPTH);
    calls = bare.calls;
  }
  t.same(
    order,
    Array.from({ length: 100 * DEPTH }, (_, i) => i),
  );
  t.ok(calls <= 200, `${calls} wake-ups for ${100 * DEPTH} operations`);
  binding.closeEngine(bare.engine);
});

t.test('arguments are checked', async (t) => {
  const sq = new Float64Array(SQ_ROW);
  const cq = new Float64Array(CQ_ROW);
  t.throws(() => binding.openEngine('threads', 2, 1, sq, cq, () => {}), RangeError, 'arrays too small');
  t.throws(() => binding.openEngine('threads', 0, 1, sq, cq, () => {}), RangeError, 'no depth');
  t.throws(() => binding.openEngine('threads', 1, 0, sq, cq, () => {}), RangeError, 'no workers');
  t.throws(() => binding.openEngine('other' as EngineKind, 1, 1, sq, cq, () => {}), TypeError, 'unknown kind');
  t.throws(() => binding.submit({} as NativeEngine, 0), TypeError, 'not an engine');
  t.throws(() => binding.createArena(0), RangeError);
  t.throws(() => binding.createArena(2 ** 32), RangeError);
});
