// IoEngine: against a model on real files with both backends, and against a fake binding for what real disks do rarely.

import { constants, readFileSync, writeFileSync } from 'node:fs';
import { constants as system } from 'node:os';
import t from 'tap';
import type { Arena, IoTarget } from '../../src/core/ports.js';
import { createEngines, ENGINE_OPERATIONS_MAX, IoEngine, OpenFile } from '../../src/disk/engine.js';
import { createArena } from '../../src/disk/memory.js';
import { binding, OP } from '../../src/disk/native.js';
import { mustRun } from '../helpers/command.js';
import { FakeBinding, Results } from '../helpers/fake-binding.js';
import { Random } from '../helpers/random.js';
import { Workspace } from '../helpers/workspace.js';

const work = new Workspace('engine');
t.teardown(() => work.dispose());

const ARENA: Arena = { bytes: new Uint8Array(0), address: 1_000_000 };

function faked(depth = 4): { native: FakeBinding; engine: IoEngine; file: OpenFile; results: Results } {
  const native = new FakeBinding();
  return { native, engine: new IoEngine({ kind: 'io_uring', depth, native }), file: new OpenFile(9), results: new Results() };
}

t.test('a short transfer goes on where it stopped until it is complete', async (t) => {
  const { native, engine, file, results } = faked();
  engine.queue(OP.read, file, ARENA, 100, 4096, 8192, results, 5);
  engine.kick();
  native.complete(1000);
  t.match(native.rows, [{ op: OP.read, fd: 9, offset: 9192, address: 1_001_100, length: 3096 }]);
  native.complete(3000);
  t.match(native.rows, [{ offset: 12_192, address: 1_004_100, length: 96 }]);
  t.equal(results.byTag.size, 0, 'nothing reported before the end');
  native.complete(96);
  t.same([...results.byTag], [[5, 0]]);
  t.equal(engine.busy, 0);
});

t.test('a transfer without progress fails: EIO for reads, ENOSPC for writes', async (t) => {
  const { native, engine, file, results } = faked();
  engine.queue(OP.read, file, ARENA, 0, 4096, 0, results, 1);
  engine.queue(OP.write, file, ARENA, 0, 4096, 0, results, 2);
  engine.kick();
  native.complete(4000, 512);
  native.complete(0, 0);
  t.same([...results.byTag].sort(), [
    [1, 5],
    [2, 28],
  ]);
});

t.test('an error is reported as it is, also after a part was transferred', async (t) => {
  const { native, engine, file, results } = faked();
  engine.queue(OP.writeDurable, file, ARENA, 0, 4096, 0, results, 1);
  engine.queue(OP.datasync, file, undefined, 0, 0, 0, results, 2);
  engine.kick();
  native.complete(2048, -5);
  native.complete(-28);
  t.same(
    [...results.byTag],
    [
      [2, 5],
      [1, 28],
    ],
  );
  t.equal(file.inFlight, 0);
});

t.test('a zero range longer than a transfer is one operation', async (t) => {
  const { native, engine, file, results } = faked();
  engine.queue(OP.punchHole, file, undefined, 0, 2 ** 40, 0, results, 1);
  engine.kick();
  t.match(native.rows, [{ op: OP.punchHole, length: 2 ** 40 }]);
  native.complete(0);
  t.same([...results.byTag], [[1, 0]]);
});

t.test('what exceeds the depth waits in order', async (t) => {
  const { native, engine, file, results } = faked(4);
  for (let tag = 0; tag < 3000; tag++) engine.queue(OP.write, file, ARENA, 0, 512, tag * 512, results, tag);
  t.same(native.submits, [], 'nothing starts before kick()');
  engine.kick();
  t.same(native.submits, [4]);
  const offsets: number[] = [];
  while (results.order.length < 3000) {
    t.ok(native.rows.length <= 4, 'depth') || t.bailout('depth exceeded');
    offsets.push((native.rows[0] as { offset: number }).offset);
    native.complete(512);
  }
  t.same(
    offsets,
    Array.from({ length: 3000 }, (_, i) => i * 512),
  );
  t.equal(engine.busy, 0);
});

t.test('operations queued from inside completions are submitted once, after the batch', async (t) => {
  const { native, engine, file } = faked(4);
  let left = 20;
  const target: IoTarget = {
    ioDone(tag) {
      if (left-- <= 0) return;
      engine.queue(OP.read, file, ARENA, 0, 512, 0, target, tag);
      engine.kick();
    },
  };
  for (let tag = 0; tag < 4; tag++) engine.queue(OP.read, file, ARENA, 0, 512, 0, target, tag);
  engine.kick();
  for (let i = 0; i < 5; i++) native.complete(512, 512, 512, 512);
  t.same(native.submits, [4, 4, 4, 4, 4, 4]);
});

t.test('targets that always find their data in the cache do not starve the event loop', async (t) => {
  const { native, engine, file } = faked(4);
  native.inline = (row) => row.length;
  let done = 0;
  let stopped = false;
  const target: IoTarget = {
    ioDone() {
      done++;
      if (!stopped) engine.queue(OP.read, file, ARENA, 0, 512, 0, target, 0);
    },
  };
  engine.queue(OP.read, file, ARENA, 0, 512, 0, target, 0);
  engine.kick();
  const first = done;
  t.ok(first > 1 && first < 1000, `${first} completions in one kick`);
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.ok(done > first, 'and it goes on by itself');
  stopped = true;
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.equal(engine.busy, 0);
});

t.test('unbounded queueing and closing under work are defects', async (t) => {
  const { engine, file, results } = faked();
  engine.queue(OP.nop, file, undefined, 0, 0, 0, results, 0);
  t.throws(() => engine.close(), /1 operations in flight/);
  t.throws(
    () => {
      for (;;) engine.queue(OP.nop, file, undefined, 0, 0, 0, results, 0);
    },
    new RegExp(`more than ${ENGINE_OPERATIONS_MAX} `),
  );
});

const FILE_BYTES = 1 << 20;
const BLOCK = 4096;
const BLOCKS = FILE_BYTES / BLOCK;

/** One round of the model test: writes, checks or zeroes `blocks`, all different, in one batch. */
async function round(engine: IoEngine, file: OpenFile, arena: Arena, model: Uint8Array, random: Random): Promise<string> {
  const results = new Results();
  const expected: (readonly [at: number, block: number])[] = [];
  const used = new Set<number>();
  const count = 1 + random.below(200);
  for (let tag = 0; tag < count; tag++) {
    const block = random.below(BLOCKS);
    if (used.has(block)) continue;
    used.add(block);
    const at = used.size - 1;
    const kind = random.below(8);
    if (kind < 4) {
      expected.push([at, block]);
      engine.queue(OP.read, file, arena, at * BLOCK, BLOCK, block * BLOCK, results, tag);
    } else if (kind < 7) {
      model.fill(random.below(256), block * BLOCK, (block + 1) * BLOCK);
      arena.bytes.set(model.subarray(block * BLOCK, (block + 1) * BLOCK), at * BLOCK);
      engine.queue(kind === 6 ? OP.writeDurable : OP.write, file, arena, at * BLOCK, BLOCK, block * BLOCK, results, tag);
    } else {
      model.fill(0, block * BLOCK, (block + 1) * BLOCK);
      engine.queue(random.below(2) === 0 ? OP.punchHole : OP.zeroRange, file, undefined, 0, BLOCK, block * BLOCK, results, tag);
    }
    if (random.below(20) === 0) engine.kick();
  }
  engine.kick();
  await results.until(used.size);
  for (const [tag, error] of results.byTag) if (error !== 0) return `operation ${tag}: errno ${error}`;
  for (const [at, block] of expected) {
    if (Buffer.compare(arena.bytes.subarray(at * BLOCK, (at + 1) * BLOCK), model.subarray(block * BLOCK, (block + 1) * BLOCK)) !== 0)
      return `block ${block}`;
  }
  return '';
}

const needsRoot = process.getuid?.() === 0 ? false : 'mounting needs root';
const { ENOSPC } = system.errno;

/** System calls of this process that write. */
function systemWrites(): number {
  return Number(/^syscw: (\d+)/m.exec(readFileSync('/proc/self/io', 'latin1'))?.[1]);
}

for (const kind of ['io_uring', 'threads'] as const) {
  for (const direct of [false, true]) {
    t.test(`${kind}, ${direct ? 'direct' : 'buffered'}: the file is what a model says after random operations`, async (t) => {
      const random = new Random();
      const path = work.file(`model-${kind}-${direct}`);
      const model = new Uint8Array(FILE_BYTES);
      writeFileSync(path, model);
      const file = new OpenFile(binding.open(path, constants.O_RDWR | (direct ? constants.O_DIRECT : 0), 0));
      const engine = new IoEngine({ kind, depth: 32, workers: 4 });
      const arena = createArena(256 * BLOCK);
      for (let i = 0; i < 60; i++) {
        const wrong = await round(engine, file, arena, model, random);
        t.equal(wrong, '', `round ${i}, seed ${random.seed}`);
      }
      t.equal(engine.busy, 0);
      engine.close();
      binding.close(file.fd);
    });
  }

  t.test(`${kind}: durable writes that follow each other and are submitted together`, async (t) => {
    const path = work.file(`joined-${kind}`);
    writeFileSync(path, Buffer.alloc(256 * BLOCK));
    const file = new OpenFile(binding.open(path, constants.O_RDWR | constants.O_DIRECT, 0));
    const engine = new IoEngine({ kind, depth: 64, workers: 1 });
    const arena = createArena(64 * BLOCK);
    const results = new Results();
    // From all over the memory, more than are joined, with gaps: one of the file, a plain write, another file.
    const other = new OpenFile(binding.open(path, constants.O_RDWR | constants.O_DIRECT, 0));
    const blocks = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22, 23, 24, 25];
    for (const [i, block] of blocks.entries()) {
      const at = ((i * 7) % 64) * BLOCK;
      arena.bytes.fill(i + 1, at, at + BLOCK);
      const op = block === 22 ? OP.write : OP.writeDurable;
      engine.queue(op, block === 24 ? other : file, arena, at, BLOCK, block * BLOCK, results, i);
    }
    const before = systemWrites();
    engine.kick();
    await results.until(blocks.length);
    // 8 + 4, then 2 + 1 + 1 + 1 + 1; and what else the process writes meanwhile.
    if (kind === 'threads') t.ok(systemWrites() - before < 16, `${systemWrites() - before} calls`);
    t.ok([...results.byTag.values()].every((error) => error === 0));
    const content = readFileSync(path);
    for (const [i, block] of blocks.entries()) {
      t.ok(content.subarray(block * BLOCK, (block + 1) * BLOCK).equals(Buffer.alloc(BLOCK, i + 1)), `block ${block}`);
    }
    engine.close();
    for (const { fd } of [file, other]) binding.close(fd);
  });

  t.test(`${kind}: a failure is that of all of them, and is not tried again`, async (t) => {
    const path = work.file(`joined-errors-${kind}`);
    writeFileSync(path, Buffer.alloc(8 * BLOCK));
    const readOnly = new OpenFile(binding.open(path, constants.O_RDONLY, 0));
    const engine = new IoEngine({ kind, workers: 1 });
    const arena = createArena(8 * BLOCK);
    const results = new Results();
    for (let i = 0; i < 8; i++) engine.queue(OP.writeDurable, readOnly, arena, i * BLOCK, BLOCK, i * BLOCK, results, i);
    const before = systemWrites();
    engine.kick();
    await results.until(8);
    t.same([...results.byTag.values()], new Array(8).fill(system.errno.EBADF));
    t.equal(results.order.length, 8, 'each is told once');
    if (kind === 'threads') t.ok(systemWrites() - before < 8, `${systemWrites() - before} calls`);
    engine.close();
    binding.close(readOnly.fd);
  });

  t.test(`${kind}: what fits of them is written`, { skip: needsRoot }, async (t) => {
    const directory = work.directory(`small-${kind}`);
    await mustRun('mount', ['-t', 'tmpfs', '-o', `size=${16 * BLOCK}`, 'lvr-test', directory]);
    try {
      const file = new OpenFile(binding.open(`${directory}/file`, constants.O_RDWR | constants.O_CREAT, 0o600));
      const engine = new IoEngine({ kind, depth: 64, workers: 1 });
      const arena = createArena(32 * BLOCK);
      arena.bytes.fill(7);
      const results = new Results();
      // Joined by eights: of the second eight six fit, of the third none.
      for (let i = 0; i < 24; i++)
        engine.queue(OP.writeDurable, file, arena, i * BLOCK, i === 0 ? 3 * BLOCK : BLOCK, (i === 0 ? 0 : i + 2) * BLOCK, results, i);
      engine.kick();
      await results.until(24);
      for (let i = 0; i < 24; i++) t.equal(results.byTag.get(i), i < 14 ? 0 : ENOSPC, `write ${i}`);
      t.ok(readFileSync(`${directory}/file`).equals(Buffer.alloc(16 * BLOCK, 7)));
      engine.close();
      binding.close(file.fd);
    } finally {
      await mustRun('umount', [directory]);
    }
  });

  t.test(`${kind}: errors of the kernel arrive as errno`, async (t) => {
    const path = work.file(`errors-${kind}`);
    writeFileSync(path, Buffer.alloc(8192));
    const engine = new IoEngine({ kind, workers: 2 });
    const readOnly = new OpenFile(binding.open(path, constants.O_RDONLY, 0));
    const results = new Results();
    const arena = createArena(8192);
    engine.queue(OP.write, readOnly, arena, 0, 512, 0, results, 1);
    engine.queue(OP.read, new OpenFile(1_000_000), arena, 0, 512, 0, results, 2);
    engine.queue(OP.read, readOnly, arena, 0, 8192, 4096, results, 3);
    engine.kick();
    await results.until(3);
    t.same(Object.fromEntries(results.byTag), { 1: 9, 2: 9, 3: 5 }, 'EBADF, EBADF, and EIO for data that is not there');
    engine.close();
    binding.close(readOnly.fd);
  });
}

t.test('LVR_IO=threads keeps io_uring out; without it the probe decides', async (t) => {
  const before = process.env['LVR_IO'];
  process.env['LVR_IO'] = 'threads';
  const threads = createEngines();
  t.match(threads, { ring: { kind: 'threads' }, writer: { kind: 'threads' }, fallbackReason: 'LVR_IO=threads' });
  threads.close();
  delete process.env['LVR_IO'];
  const usual = createEngines();
  t.equal(usual.fallbackReason, binding.probeIoUring());
  t.equal(usual.ring.kind, usual.fallbackReason === '' ? 'io_uring' : 'threads');
  usual.close();
  if (before !== undefined) process.env['LVR_IO'] = before;
});
