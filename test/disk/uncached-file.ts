// readOnce() of buffered devices: the same content as read(), also while the page cache holds newer bytes than the disk, and nothing of it
// stays in the page cache.

import { spawnSync } from 'node:child_process';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import type { Arena, Device } from '../../src/core/ports.js';
import { createEngines } from '../../src/disk/engine.js';
import { openDevice } from '../../src/disk/file-device.js';
import { createArena } from '../../src/disk/memory.js';
import { binding } from '../../src/disk/native.js';
import { readDevice, readDeviceOnce, syncDevice, writeDevice } from '../../src/disk/promises.js';
import { Random } from '../helpers/random.js';
import { Workspace } from '../helpers/workspace.js';

const MIB = 1 << 20;
const work = new Workspace('uncached');
const engines = createEngines();
t.teardown(() => {
  engines.close();
  work.dispose();
});

/** A buffered device of 4 MiB, and its content. */
async function device(name: string): Promise<{ path: string; device: Device; content: Buffer }> {
  const path = work.file(name);
  const content = Buffer.from(new Uint8Array(4 * MIB).map((_, i) => (i * 7 + (i >> 12)) & 0xff));
  writeFileSync(path, content);
  return { path, device: await openDevice({ path, io: 'buffered', engines }), content };
}

/** Everything written is on the disk and nothing in the page cache. */
function drop(path: string): void {
  spawnSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']);
}

const same = (arena: Arena, start: number, content: Buffer, offset: number, length: number): boolean =>
  Buffer.compare(arena.bytes.subarray(start, start + length), content.subarray(offset, offset + length)) === 0;

t.test('what is not in the page cache is read and does not get there; what is there stays', async (t) => {
  const { path, device: file, content } = await device('cold');
  const fd = openSync(path, 'r');
  const arena = createArena(2 * MIB);
  drop(path);
  if (binding.isCached(fd, 0, 4096)) {
    t.comment('the page cache of this file system is not to be emptied');
  } else {
    await readDeviceOnce(file, arena, 4096, MIB, 2 * MIB);
    t.ok(same(arena, 4096, content, 2 * MIB, MIB));
    t.notOk(binding.isCached(fd, 2 * MIB, 4096));
  }
  readFileSync(path);
  await readDeviceOnce(file, arena, 4096, MIB, MIB);
  t.ok(same(arena, 4096, content, MIB, MIB));
  await file.close();
});

t.test('a flushed device forgets what its cache has, and reads as before', async (t) => {
  const { path, device: file, content } = await device('forgotten');
  const fd = openSync(path, 'r');
  const arena = createArena(4 * MIB);
  arena.bytes.fill(9, 0, MIB);
  await writeDevice(file, arena, 0, MIB, MIB);
  content.fill(9, MIB, 2 * MIB);
  file.dropCached?.();
  await readDevice(file, arena, 0, 4 * MIB, 0);
  t.ok(same(arena, 0, content, 0, 4 * MIB), 'what was not on the disk is not forgotten');
  await syncDevice(file);
  drop(path);
  const isEmptied = !binding.isCached(fd, 0, 4096);
  await readDevice(file, arena, 0, 4 * MIB, 0);
  t.ok(binding.isCached(fd, 0, MIB));
  file.dropCached?.();
  if (isEmptied) t.notOk(binding.isCached(fd, 0, 4096) || binding.isCached(fd, 3 * MIB, 4096));
  else t.comment('the page cache of this file system is not to be emptied');
  await readDevice(file, arena, 0, 4 * MIB, 0);
  t.ok(same(arena, 0, content, 0, 4 * MIB));
  await file.close();
});

t.test('a range that does not suit O_DIRECT is read all the same', async (t) => {
  const { path, device: file, content } = await device('odd');
  const arena = createArena(MIB);
  drop(path);
  for (const [start, length, offset] of [
    [8, 4096, 0],
    [0, 512, 512],
    [512, 8192, 4096],
  ] as const) {
    await readDeviceOnce(file, arena, start, length, offset);
    t.ok(same(arena, start, content, offset, length), `${length} bytes at ${offset}`);
  }
  await file.close();
});

t.test('what was written and not flushed is seen, wherever it is', async (t) => {
  const { path, device: file, content } = await device('dirty');
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const arena = createArena(2 * MIB);
  let wrong = 0;
  for (let round = 0; round < 200; round++) {
    if (random.chance(4)) drop(path);
    if (random.chance(4)) await syncDevice(file);
    const length = 512 * (1 + random.below(64));
    const offset = 512 * random.below((4 * MIB - length) / 512);
    content.fill(round, offset, offset + length);
    arena.bytes.fill(round, MIB, MIB + length);
    await writeDevice(file, arena, MIB, length, offset);
    // Around it, so that some of it is in the page cache and the rest is not.
    const from = Math.max(0, offset - (offset % 65536));
    const to = Math.min(4 * MIB, from + 131072);
    await readDeviceOnce(file, arena, 0, to - from, from);
    if (!same(arena, 0, content, from, to - from)) wrong++;
  }
  t.equal(wrong, 0);
  await file.close();
});

t.test('a device closes when its last such read has ended', async (t) => {
  const { path, device: file } = await device('closing');
  const arena = createArena(MIB);
  drop(path);
  const read = readDeviceOnce(file, arena, 0, MIB, 0);
  await Promise.all([file.close(), read]);
  const again = await openDevice({ path, io: 'buffered', engines });
  t.equal(again.sizeBytes, 4 * MIB, 'its lock is gone');
  await again.close();
});
