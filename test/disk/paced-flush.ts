// PacedFlush: what is written back before fdatasync, how much of it at once, and what errors come to.

import { constants, ftruncateSync, openSync } from 'node:fs';
import { constants as os } from 'node:os';
import t from 'tap';
import { createEngines, IoEngine, OpenFile } from '../../src/disk/engine.js';
import { openDevice } from '../../src/disk/file-device.js';
import { createArena } from '../../src/disk/memory.js';
import { type EngineKind, OP } from '../../src/disk/native.js';
import { PacedFlush } from '../../src/disk/paced-flush.js';
import { syncDevice } from '../../src/disk/promises.js';
import { FakeBinding, Results } from '../helpers/fake-binding.js';
import { Workspace } from '../helpers/workspace.js';

const MIB = 1024 * 1024;
const PIECE = 4 * MIB;
const work = new Workspace('paced-flush');
t.teardown(() => work.dispose());

type World = { native: FakeBinding; engine: IoEngine; flush: PacedFlush; results: Results };

function faked(sizeBytes: number, { kind = 'io_uring' as EngineKind, canWriteBack = true } = {}): World {
  const native = new FakeBinding();
  const engine = new IoEngine({ kind, depth: 64, native });
  return { native, engine, flush: new PacedFlush(engine, new OpenFile(9), sizeBytes, canWriteBack), results: new Results() };
}

/** Starts a flush, told as `tag`. */
function start({ engine, flush, results }: World, tag = 1): void {
  flush.start(results, tag);
  engine.kick();
}

/** What is in flight: the piece that is written back, or 'sync'. */
function inFlight({ native }: World): (number | 'sync')[] {
  return native.rows.map(({ op, offset }) => (op === OP.datasync ? 'sync' : offset / PIECE));
}

t.test('what was never written is flushed at once', async (t) => {
  const world = faked(1024 * PIECE);
  start(world, 7);
  t.same(inFlight(world), ['sync']);
  world.native.complete(0);
  t.same([...world.results.byTag], [[7, 0]]);
});

t.test('written pieces leave a few MiB at a time, then comes fdatasync; the next flush has nothing to write back', async (t) => {
  const world = faked(8 * PIECE);
  world.flush.mark(PIECE - 4096, 8192);
  world.flush.mark(2 * PIECE, 5 * PIECE);
  start(world);
  t.same(inFlight(world), [0, 1, 2, 3], 'two of them hold 4 KiB each');
  world.native.complete(0);
  t.same(inFlight(world), [1, 2, 3], 'the limit counts what was written, not the length of the piece');
  world.native.complete(0, 0);
  t.same(inFlight(world), [3, 4]);
  world.native.complete(0, 0);
  t.same(inFlight(world), [5, 6]);
  world.native.complete(0);
  t.same(inFlight(world), [6]);
  t.equal(world.results.byTag.size, 0, 'nothing is told before the end');
  world.native.complete(0);
  t.same(inFlight(world), ['sync']);
  world.native.complete(0);
  t.same([...world.results.byTag], [[1, 0]]);
  start(world, 2);
  t.same(inFlight(world), ['sync']);
});

t.test('of pieces with little in them sixteen leave at once', async (t) => {
  const world = faked(100 * PIECE);
  for (let piece = 0; piece < 100; piece += 2) world.flush.mark(piece * PIECE, 4096);
  start(world);
  t.equal(world.native.rows.length, 16);
  world.native.complete(0, 0, 0);
  t.equal(world.native.rows.length, 16);
  t.same(inFlight(world)[0], 6);
});

t.test('what is marked while a flush runs is written back by the next one at the latest', async (t) => {
  const world = faked(4 * PIECE);
  world.flush.mark(0, PIECE);
  start(world);
  world.flush.mark(0, 4096);
  world.native.complete(0);
  world.native.complete(0);
  t.same([...world.results.byTag], [[1, 0]]);
  start(world, 2);
  t.same(inFlight(world), [0]);
});

t.test('a failed writeback fails the flush when the others have ended; fdatasync is not asked any more', async (t) => {
  const world = faked(8 * PIECE);
  world.flush.mark(0, 8 * PIECE);
  start(world, 3);
  world.native.complete(-os.errno.EIO);
  t.same(inFlight(world), [1]);
  t.equal(world.results.byTag.size, 0);
  world.native.complete(0);
  t.same(inFlight(world), []);
  t.same([...world.results.byTag], [[3, os.errno.EIO]]);
});

t.test('a failed fdatasync fails the flush', async (t) => {
  const world = faked(PIECE);
  world.flush.mark(0, 512);
  start(world);
  world.native.complete(0);
  world.native.complete(-os.errno.ENOSPC);
  t.same([...world.results.byTag], [[1, os.errno.ENOSPC]]);
});

t.test('whatever a writeback answers is an error of the flush: fdatasync is not told of it a second time', async (t) => {
  for (const errno of [os.errno.EOPNOTSUPP, os.errno.EPERM, os.errno.ENOSYS]) {
    const world = faked(PIECE);
    world.flush.mark(0, 4096);
    start(world);
    world.native.complete(-errno);
    t.same(inFlight(world), []);
    t.same([...world.results.byTag], [[1, errno]]);
  }
});

t.test('where nobody can write back a range, fdatasync does all of it', async (t) => {
  const world = faked(8 * PIECE, { canWriteBack: false });
  world.flush.mark(0, 8 * PIECE);
  start(world);
  t.same(inFlight(world), ['sync']);
});

t.test('the thread pool, which log writes need as well, writes back one piece at a time', async (t) => {
  const world = faked(8 * PIECE, { kind: 'threads' });
  for (let piece = 0; piece < 8; piece++) world.flush.mark(piece * PIECE, 4096);
  start(world);
  t.same(inFlight(world), [0]);
  world.native.complete(0);
  t.same(inFlight(world), [1]);
});

t.test('a flush waits for the one before it, and fails with it: the kernel tells an error only once', async (t) => {
  const world = faked(2 * PIECE);
  world.flush.mark(0, 2 * PIECE);
  start(world, 1);
  start(world, 2);
  t.same(inFlight(world), [0, 1]);
  world.native.complete(0);
  start(world, 3);
  world.native.complete(-os.errno.EIO);
  t.same(world.results.order, [1, 2, 3]);
  t.same(new Set(world.results.byTag.values()), new Set([os.errno.EIO]));
  start(world, 4);
  t.same(inFlight(world), ['sync'], 'a later one is its own');
});

t.test('flushes that end well take turns', async (t) => {
  const world = faked(2 * PIECE);
  world.flush.mark(0, 4096);
  start(world, 1);
  start(world, 2);
  world.native.complete(0);
  world.flush.mark(PIECE, 4096);
  world.native.complete(0);
  t.same(world.results.order, [1]);
  t.same(inFlight(world), [1], 'the second one has begun');
  world.native.complete(0);
  world.native.complete(0);
  t.same(world.results.order, [1, 2]);
});

t.test('a grown device is written back to its new end', async (t) => {
  const world = faked(PIECE);
  world.flush.mark(0, 4096);
  world.flush.resize(3 * PIECE);
  world.flush.mark(3 * PIECE - 4096, 4096);
  start(world);
  t.same(inFlight(world), [0, 2]);
});

for (const kind of ['io_uring', 'threads'] as const satisfies readonly EngineKind[]) {
  t.test(`${kind}: a real file is written back and flushed`, async (t) => {
    const path = work.file(`${kind}.img`);
    ftruncateSync(openSync(path, constants.O_RDWR | constants.O_CREAT), 64 * MIB);
    const engines = createEngines(kind);
    const device = await openDevice({ path, io: 'buffered', engines });
    const arena = createArena(MIB);
    arena.bytes.fill(7);
    const results = new Results();
    for (let at = 0; at < 64; at += 3) device.write(arena, 0, MIB, at * MIB, false, results, at);
    device.kick();
    await results.until(22);
    await syncDevice(device);
    t.ok(device.extents(3 * MIB, MIB, 1)[0]?.zero === false);
    await device.close();
    engines.close();
  });
}
