// The bitmap store and the undo store on real files, with O_DIRECT and without: alignment, sizes and durability calls as the devices want
// them.

import t from 'tap';
import { DirtyMap } from '../../src/core/dirty-map.js';
import { BLOCK_BYTES } from '../../src/core/limits.js';
import type { Device } from '../../src/core/ports.js';
import { BitmapStore } from '../../src/disk/bitmap-store.js';
import { createEngines } from '../../src/disk/engine.js';
import { openDevice } from '../../src/disk/file-device.js';
import { crc32c, createArena } from '../../src/disk/memory.js';
import { readDevice, writeDurably } from '../../src/disk/promises.js';
import { UndoStore } from '../../src/disk/undo-store.js';
import { undoEntryBytes } from '../../src/format/undo-entry.js';
import { Workspace } from '../helpers/workspace.js';

const REGION = 64 * 1024;
const UUID = 'ab'.repeat(16);
const memory = { createArena, crc32c };
const work = new Workspace('stores');
const engines = createEngines();
t.teardown(() => {
  engines.close();
  work.dispose();
});

function file(name: string, io: 'direct' | 'buffered', sizeBytes: number): Promise<Device> {
  return openDevice({ path: work.file(`${name}-${io}`), io, create: { sizeBytes }, engines });
}

for (const io of ['direct', 'buffered'] as const) {
  t.test(`a bitmap comes back from a file, ${io}`, async (t) => {
    const volumes = [2 ** 40, 2 ** 30 + 512];
    const device = await file('bitmap', io, BitmapStore.sizeBytes(volumes, REGION));
    const map = new DirtyMap(volumes, REGION);
    const store = new BitmapStore(device, memory, volumes, REGION);
    await store.create(15, UUID, map);
    for (let i = 0; i < 5000; i++) map.mark(0, i * 199_229_440, 4096);
    map.mark(1, 2 ** 30, 512);
    await store.flush(15, map, UUID);
    const again = new DirtyMap(volumes, REGION);
    t.same(await new BitmapStore(device, memory, volumes, REGION).load(15, again, UUID), { badPages: 0 });
    t.same([again.dirtyRegions, again.dirtyBytes], [map.dirtyRegions, map.dirtyBytes]);
    t.ok(again.isDirty(0, Math.floor((4999 * 199_229_440) / REGION)));
    await device.close();
  });

  t.test(`old content comes back from a file, ${io}`, async (t) => {
    const volume = await file('volume', io, 33 * REGION - 4096);
    const device = await file('undo', io, UndoStore.sizeBytes(33, REGION));
    const ENTRY = undoEntryBytes(REGION);
    const arena = createArena(34 * ENTRY);
    const before = arena.bytes.map((_, i) => (i * 31 + (i >> 9)) & 0xff).subarray(0, volume.sizeBytes);
    arena.bytes.set(before);
    await writeDurably(volume, arena, 0, volume.sizeBytes, 0);
    const store = new UndoStore(device, memory);
    await store.begin(UUID, REGION);
    const ranges = Array.from({ length: 33 }, (_, i) => {
      const offset = i * REGION;
      const length = Math.min(REGION, volume.sizeBytes - offset);
      arena.bytes.set(before.subarray(offset, offset + length), i * ENTRY + BLOCK_BYTES);
      return { volume: 0, offset, length };
    });
    const saves = [0, 16, 32].map((first) => store.save(ranges.slice(first, first + 16), arena, first * ENTRY));
    await Promise.all(saves);
    arena.bytes.fill(0xee);
    await writeDurably(volume, arena, 0, volume.sizeBytes, 0);
    const again = new UndoStore(device, memory);
    let saved = 0;
    t.ok(await again.open(UUID, [volume], (_, __, length) => (saved += length)));
    t.equal(saved, volume.sizeBytes);
    await again.rollback([volume]);
    await readDevice(volume, arena, 0, volume.sizeBytes, 0);
    t.ok(Buffer.compare(arena.bytes.subarray(0, volume.sizeBytes), before) === 0);
    await Promise.all([device.close(), volume.close()]);
  });
}
