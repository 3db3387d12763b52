// FileDevice and openDevice over real files, a small tmpfs and a loop device.

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { LvrError } from '../../src/core/errors.js';
import type { Arena, Device, ExtentRun } from '../../src/core/ports.js';
import { createEngines } from '../../src/disk/engine.js';
import { openDevice } from '../../src/disk/file-device.js';
import { createArena } from '../../src/disk/memory.js';
import { type IoMode, resizeFile } from '../../src/disk/open-descriptor.js';
import { discardDevice, writeDurably } from '../../src/disk/promises.js';
import { Random } from '../helpers/random.js';
import { Workspace } from '../helpers/workspace.js';

const MIB = 1 << 20;
const work = new Workspace('device');
const engines = createEngines();
const arena = createArena(4 * MIB);
t.teardown(() => {
  engines.close();
  work.dispose();
});

/** Runs one queued operation to its end and returns its errno. */
function run(device: Device, queue: (target: { ioDone(tag: number, error: number): void }) => void): Promise<number> {
  return new Promise((resolve) => {
    queue({ ioDone: (_tag, error) => resolve(error) });
    device.kick();
  });
}

const write = (device: Device, from: Arena, length: number, offset: number, durable = false): Promise<number> =>
  run(device, (target) => device.write(from, 0, length, offset, durable, target, 0));
const read = (device: Device, into: Arena, length: number, offset: number): Promise<number> =>
  run(device, (target) => device.read(into, 0, length, offset, target, 0));
const zero = (device: Device, offset: number, length: number, mayUnmap: boolean): Promise<number> =>
  run(device, (target) => device.zero(offset, length, mayUnmap, target, 0));
const sync = (device: Device): Promise<number> => run(device, (target) => device.sync(target, 0));

/** Whether the run that holds `offset` reads as zeroes; undefined when the runs end before. */
function zeroAt(runs: readonly ExtentRun[], offset: number): boolean | undefined {
  let end = 0;
  for (const run of runs) {
    end += run.length;
    if (end > offset) return run.zero;
  }
  return undefined;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof LvrError ? error.code : String(error);
  }
  return 'no error';
}

function command(name: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(name, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

for (const io of ['buffered', 'direct'] as const satisfies IoMode[]) {
  t.test(`${io}: what is written is read back and is in the file`, async (t) => {
    const path = work.file(`data-${io}`);
    const device = await openDevice({ path, io, create: { sizeBytes: 8 * MIB }, engines });
    t.equal(device.sizeBytes, 8 * MIB);
    t.equal(statSync(path).mode & 0o777, 0o600);
    const random = new Random();
    for (let i = 0; i < MIB; i++) arena.bytes[i] = random.below(256);
    const sum = Buffer.from(arena.bytes.subarray(0, MIB));
    t.equal(await write(device, arena, MIB, 4096), 0);
    t.equal(await write(device, arena, MIB, 4 * MIB, true), 0);
    t.equal(await write(device, arena, MIB, 6 * MIB + device.blockBytes), 0);
    t.equal(await sync(device), 0);
    arena.bytes.fill(0);
    t.equal(await read(device, arena, MIB, 4 * MIB), 0);
    t.ok(sum.equals(arena.bytes.subarray(0, MIB)), `seed ${random.seed}`);
    await device.close();
    const content = readFileSync(path);
    t.ok(sum.equals(content.subarray(4096, 4096 + MIB)));
    t.ok(sum.equals(content.subarray(6 * MIB + device.blockBytes, 7 * MIB + device.blockBytes)), 'between the pieces of the page cache');
    t.equal(content.length, 8 * MIB);
  });

  t.test(`${io}: what needs no disk is read at once`, async (t) => {
    const device = await openDevice({ path: work.file(`now-${io}`), io, create: { sizeBytes: 4 * MIB }, engines });
    arena.bytes.fill(0x5a);
    t.equal(await write(device, arena, MIB, 0), 0);
    const bytes = Buffer.alloc(8192);
    t.equal(device.readNow(bytes, 100, 4096, 65536), io === 'buffered');
    t.ok(bytes.equals(Buffer.concat([Buffer.alloc(100), Buffer.alloc(4096, io === 'buffered' ? 0x5a : 0), Buffer.alloc(3996)])));
    t.throws(() => device.readNow(bytes, 0, 4096, 4 * MIB), /does not fit/);
    t.equal(await sync(device), 0);
    device.dropCached?.();
    // A file system without a disk keeps what it has.
    if (!device.readNow(bytes, 0, 4096, 65536)) {
      t.equal(device.readNow(bytes, 0, 4096, 65536), false, 'to ask does not bring it');
      t.equal(await read(device, arena, 4096, 65536), 0);
    }
    await device.close();
    t.throws(() => device.readNow(bytes, 0, 4096, 0), /closed device/);
  });

  t.test(`${io}: zeroed ranges read as zeroes; holes only where they are allowed`, async (t) => {
    const path = work.file(`zero-${io}`);
    const device = await openDevice({ path, io, create: { sizeBytes: 4 * MIB }, reserve: true, engines });
    arena.bytes.fill(0xaa);
    t.equal(await write(device, arena, 4 * MIB, 0, true), 0);
    const full = statSync(path).blocks;
    t.equal(await zero(device, MIB, MIB, false), 0);
    t.equal(statSync(path).blocks, full, 'still allocated');
    t.equal(await zero(device, 2 * MIB, MIB, true), 0);
    t.equal(await sync(device), 0);
    t.ok(statSync(path).blocks < full, 'given back');
    const runs = device.extents(0, 4 * MIB, 16);
    t.equal(await read(device, arena, 4 * MIB, 0), 0);
    const expected = Buffer.alloc(4 * MIB, 0xaa).fill(0, MIB, 3 * MIB);
    t.ok(expected.equals(arena.bytes.subarray(0, 4 * MIB)));
    // The range that was only zeroed may show as either, depending on the file system and on what is cached.
    t.same(
      [0, 0.5 * MIB, 2 * MIB, 3 * MIB - 4096, 3 * MIB, 4 * MIB - 4096].map((offset) => zeroAt(runs, offset)),
      [false, false, true, true, false, false],
    );
    t.equal(device.extents(0, 4 * MIB, 1).length, 1, 'no more runs than asked for');
    await device.close();
  });

  t.test(`${io}: a log file is allocated and written once`, async (t) => {
    const path = work.file(`log-${io}`);
    const device = await openDevice({ path, io, create: { sizeBytes: 3 * MIB + 4096 }, reserve: true, engines });
    t.same(device.extents(0, device.sizeBytes, 4), [{ length: 3 * MIB + 4096, zero: false }]);
    await device.close();
  });
}

t.test('a file becomes longer, with blocks that are written, and shorter', async (t) => {
  const path = work.file('resized');
  const device = await openDevice({ path, io: 'direct', create: { sizeBytes: MIB }, reserve: true, engines });
  arena.bytes.fill(7);
  t.equal(await write(device, arena, MIB, 0), 0);
  await device.resize(3 * MIB + 4096);
  t.same([device.sizeBytes, statSync(path).size], [3 * MIB + 4096, 3 * MIB + 4096]);
  t.same(device.extents(0, device.sizeBytes, 4), [{ length: 3 * MIB + 4096, zero: false }]);
  t.equal(await read(device, arena, 2 * MIB, 0), 0);
  t.ok(arena.bytes.subarray(0, 2 * MIB).every((byte, i) => byte === (i < MIB ? 7 : 0)));
  await device.resize(2 * MIB);
  t.same([device.sizeBytes, statSync(path).size], [2 * MIB, 2 * MIB]);
  await t.rejects(device.resize(2 ** 50), { code: /DISK_FULL|DEVICE_UNUSABLE/ });
  t.same([device.sizeBytes, statSync(path).size], [2 * MIB, 2 * MIB], 'as it was');
  await device.close();
});

t.test('a log file whose creation a crash cut off gets its blocks at the next start, and keeps what is in it', async (t) => {
  const path = work.file('cut-off');
  // As after its size was set: the blocks are not there.
  const content = Buffer.alloc(4 * MIB).fill(7, 2 * MIB, 2 * MIB + 4096);
  writeFileSync(path, '');
  truncateSync(path, 4 * MIB);
  const before = await openDevice({ path, io: 'direct', engines });
  arena.bytes.fill(7, 0, 4096);
  await writeDurably(before, arena, 0, 4096, 2 * MIB);
  await before.close();
  t.ok(statSync(path).blocks * 512 < MIB);
  const device = await openDevice({ path, io: 'direct', create: { sizeBytes: 4 * MIB }, reserve: true, engines });
  t.ok(statSync(path).blocks * 512 >= 4 * MIB, 'all of it has blocks');
  t.same(device.extents(0, 4 * MIB, 10), [{ length: 4 * MIB, zero: false }], 'and all of it was written');
  await device.close();
  t.ok(readFileSync(path).equals(content));
  truncateSync(path, 0);
  truncateSync(path, 5 * MIB);
  const other = await openDevice({ path, io: 'direct', create: { sizeBytes: 4 * MIB }, reserve: true, engines });
  t.equal(statSync(path).blocks, 0, 'a file of another size is not one whose creation was cut off');
  await other.close();
});

t.test('I/O outside the device or its blocks is a defect', async (t) => {
  const device = await openDevice({ path: work.file('bounds'), io: 'direct', create: { sizeBytes: MIB }, engines });
  const target = { ioDone() {} };
  t.throws(() => device.read(arena, 0, 4096, MIB, target, 0), /does not fit/);
  t.throws(() => device.write(arena, 0, 100, 0, false, target, 0), /does not fit/);
  t.throws(() => device.zero(-4096, 4096, true, target, 0), /does not fit/);
  await device.close();
  t.throws(() => device.read(arena, 0, 4096, 0, target, 0), /closed/);
});

t.test('close waits for what is queued', async (t) => {
  const path = work.file('close');
  const device = await openDevice({ path, io: 'buffered', create: { sizeBytes: 4 * MIB }, engines });
  let done = 0;
  arena.bytes.fill(7);
  for (let i = 0; i < 4; i++) {
    device.write(arena, 0, MIB, i * MIB, i % 2 === 0, { ioDone: (_tag, error) => (done += error === 0 ? 1 : 0) }, i);
  }
  await device.close();
  t.equal(done, 4);
  t.ok(readFileSync(path).equals(Buffer.alloc(4 * MIB, 7)));
});

t.test('an existing file keeps its content, its size is checked, an empty one is made', async (t) => {
  const path = work.file('existing');
  writeFileSync(path, Buffer.alloc(MIB + 700, 3));
  const device = await openDevice({ path, io: 'buffered', create: { sizeBytes: MIB }, engines });
  t.equal(device.sizeBytes, MIB + 512, 'whole blocks');
  t.equal(await read(device, arena, 512, MIB), 0);
  t.equal(arena.bytes[511], 3);
  await device.close();
  t.equal(await codeOf(openDevice({ path, io: 'buffered', create: { sizeBytes: 2 * MIB }, engines })), 'DEVICE_UNUSABLE');
  t.ok(readFileSync(path).equals(Buffer.alloc(MIB + 700, 3)), 'untouched by the refusal');
  truncateSync(path, 0);
  t.equal(await codeOf(openDevice({ path, io: 'buffered', engines })), 'DEVICE_UNUSABLE', 'empty without a size');
  const again = await openDevice({ path, io: 'buffered', create: { sizeBytes: 2 * MIB }, engines });
  t.equal(again.sizeBytes, 2 * MIB);
  await again.close();
});

t.test('a file is opened once at a time', async (t) => {
  const path = work.file('once');
  const first = await openDevice({ path, io: 'buffered', create: { sizeBytes: MIB }, engines });
  await t.rejects(openDevice({ path, io: 'direct', engines }), {
    code: 'DEVICE_BUSY',
    message: new RegExp(`locked by .*pid ${process.pid}`),
  });
  const shared = await openDevice({ path, io: 'buffered', exclusive: false, engines });
  await shared.close();
  await first.close();
  const second = await openDevice({ path, io: 'buffered', engines });
  await second.close();
});

const root = process.getuid?.() === 0 ? false : 'needs root';

t.test('what cannot be a device is refused with its reason', async (t) => {
  mkdirSync(work.file('directory'));
  symlinkSync(work.file('loop-b'), work.file('loop-a'));
  symlinkSync(work.file('loop-a'), work.file('loop-b'));
  for (const [path, reason] of [
    [work.file('missing'), /does not exist/],
    [work.file('directory'), /is a directory/],
    [work.file('loop-a'), /loop of symbolic links/],
    ['/dev/null', /neither a file nor a block device/],
    [work.file('existing/below'), /not a directory/],
    ['/proc/version', /./],
  ] as const) {
    await t.rejects(openDevice({ path, io: 'buffered', engines }), { message: reason }, path);
  }
  t.equal(await codeOf(openDevice({ path: work.file('missing'), io: 'buffered', engines })), 'DEVICE_UNUSABLE');
});

t.test('blocks larger than those of the log are refused, directly and through the page cache', { skip: root }, async (t) => {
  const path = work.file('large-blocks');
  writeFileSync(path, Buffer.alloc(MIB));
  let loop: string;
  try {
    loop = command('losetup', '--find', '--show', '--sector-size', '8192', path).trim();
  } catch (error) {
    t.match(String(error), /invalid|failed/i, 'this kernel has no such devices');
    return;
  }
  try {
    for (const io of ['direct', 'buffered'] as const) {
      await t.rejects(openDevice({ path: loop, io, engines }), {
        code: 'DEVICE_UNUSABLE',
        message: /blocks of 8192 bytes, 4096 is the most/,
      });
    }
  } finally {
    command('losetup', '--detach', loop);
  }
});

t.test('space is given back to the file system', async (t) => {
  const path = work.file('given-back');
  writeFileSync(path, Buffer.alloc(MIB, 7));
  const device = await openDevice({ path, io: 'direct', engines });
  const before = statSync(path).blocks;
  await discardDevice(device, 0, MIB);
  t.ok(before >= MIB / 512 && statSync(path).blocks < before / 2, `${statSync(path).blocks} of ${before} blocks are left`);
  t.equal(statSync(path).size, MIB);
  await device.close();
});

t.test('a symbolic link leads to its file', async (t) => {
  symlinkSync(work.file('linked'), work.file('link'));
  writeFileSync(work.file('linked'), Buffer.alloc(4096));
  const device = await openDevice({ path: work.file('link'), io: 'buffered', engines });
  t.equal(device.path, work.file('link'), 'the configured name stays');
  await device.close();
});

t.test(
  'on a full file system: DISK_FULL, nothing left behind, ENOSPC for writes, zeroing without zero-range',
  { skip: root },
  async (t) => {
    const directory = work.directory('tmpfs');
    command('mount', '-t', 'tmpfs', '-o', 'size=4m', 'lvr-test', directory);
    try {
      const path = `${directory}/log`;
      await t.rejects(openDevice({ path, io: 'buffered', create: { sizeBytes: 16 * MIB }, reserve: true, engines }), { code: 'DISK_FULL' });
      t.notOk(existsSync(path), 'the half-made file is gone');
      const device = await openDevice({ path, io: 'buffered', create: { sizeBytes: 16 * MIB }, engines });
      arena.bytes.fill(9);
      const results = [];
      for (let i = 0; i < 3; i++) results.push(await write(device, arena, 1.5 * MIB, i * 1.5 * MIB));
      t.same(results, [0, 0, 28], 'the write that fits only in part fails as a whole');
      t.equal(await zero(device, 4096, MIB, false), 0);
      t.equal(await read(device, arena, MIB + 8192, 0), 0);
      t.ok(
        Buffer.alloc(MIB + 8192, 9)
          .fill(0, 4096, MIB + 4096)
          .equals(arena.bytes.subarray(0, MIB + 8192)),
        'zeroes written',
      );
      const before = statSync(path).blocks;
      t.equal(await zero(device, 0, MIB, true), 0);
      t.ok(statSync(path).blocks < before, 'punched');
      await device.close();
    } finally {
      command('umount', directory);
    }
  },
);

t.test('block devices: size, blocks, exclusive use, mounted and read-only ones', { skip: root }, async (t) => {
  const image = work.file('image');
  writeFileSync(image, Buffer.alloc(16 * MIB));
  const loop = command('losetup', '--find', '--show', image);
  const mountPoint = work.directory('mnt');
  try {
    const device = await openDevice({ path: loop, io: 'direct', create: { sizeBytes: 64 * MIB }, engines });
    t.match(device, { kind: 'block', sizeBytes: 16 * MIB, blockBytes: 512 });
    arena.bytes.fill(5);
    t.equal(await write(device, arena, MIB, MIB, true), 0);
    t.equal(await zero(device, MIB, MIB / 2, true), 0);
    t.equal(await zero(device, 1.5 * MIB, MIB / 4, false), 0);
    t.equal(await sync(device), 0);
    t.equal(await read(device, arena, MIB, MIB), 0);
    t.ok(
      Buffer.alloc(MIB, 5)
        .fill(0, 0, 0.75 * MIB)
        .equals(arena.bytes.subarray(0, MIB)),
    );
    t.same(device.extents(0, 8 * MIB, 10), [{ length: 8 * MIB, zero: false }]);
    t.equal(await codeOf(openDevice({ path: loop, io: 'buffered', engines })), 'DEVICE_BUSY');
    await device.close();
    command('mkfs.ext4', '-q', loop);
    command('mount', loop, mountPoint);
    await t.rejects(openDevice({ path: loop, io: 'direct', engines }), {
      code: 'DEVICE_BUSY',
      message: new RegExp(`mounted on ${mountPoint}`),
    });
    command('umount', mountPoint);
    command('blockdev', '--setro', loop);
    await t.rejects(openDevice({ path: loop, io: 'direct', engines }), { code: 'DEVICE_UNUSABLE', message: /read-only/ });
  } finally {
    command('blockdev', '--setrw', loop);
    spawnSync('umount', [mountPoint]);
    command('losetup', '--detach', loop);
  }
});

t.test('a file whose device takes neither the new size nor the old one: an error that names it, not one of the system', (t) => {
  const path = work.file('unresizable');
  writeFileSync(path, Buffer.alloc(4096));
  const fd = openSync(path, 'r');
  t.teardown(() => closeSync(fd));
  t.throws(() => resizeFile(path, fd, 'buffered', 4096, 8192), { code: 'DEVICE_FAILED', message: new RegExp(path) });
  t.equal(statSync(path).size, 4096);
  t.end();
});
