// What is saved before a resync overwrites it: each unit once, whatever pieces share it, with the content that it had before.

import t from 'tap';
import { crc32c } from '../../src/disk/memory.js';
import { UNDO_SAVE_MAX, UndoStore } from '../../src/disk/undo-store.js';
import type { RegionMeta } from '../../src/format/frame.js';
import { SavedContent, UNDO_UNIT_BYTES } from '../../src/group/saved-content.js';
import { SimDisk } from '../../src/sim/disk.js';
import { drive } from '../helpers/sim-log.js';

const UUID = 'ab'.repeat(16);
const UNITS = 4 * UNDO_SAVE_MAX;
const memory = { createArena: (bytes: number) => ({ bytes: new Uint8Array(bytes), address: 0 }), crc32c };
const piece = (offset: number, length: number): RegionMeta => ({ volume: 0, offset, length, isZero: false, crc: 0 });

function site() {
  const disk = new SimDisk('volume', UNITS * UNDO_UNIT_BYTES - 4096);
  disk.put(
    0,
    new Uint8Array(disk.sizeBytes).map((_, i) => (i >> 9) & 0xff),
    true,
  );
  const volume = disk.open();
  const undo = new SimDisk('undo', UndoStore.sizeBytes(UNITS, UNDO_UNIT_BYTES)).open();
  const store = new UndoStore(undo, memory);
  const saved = new SavedContent(store, [volume], memory.createArena);
  return { disk, volume, undo, store, saved, devices: [undo, volume] };
}

t.test('pieces that share a unit save it once, and none of them goes before it is durable', async (t) => {
  const { disk, store, saved, devices } = site();
  await drive(devices, saved.begin(UUID));
  const first = piece(UNDO_UNIT_BYTES - 4096, 4096);
  const second = piece(UNDO_UNIT_BYTES - 8192, 4096);
  const third = piece(UNDO_UNIT_BYTES - 8192, 12288);
  const save = saved.save([first, second]);
  t.equal(saved.saves, 1);
  t.equal(saved.save([second]), undefined, 'it is under way');
  t.ok(saved.lacks(first));
  await drive(devices, save as Promise<void>);
  t.same([saved.saves, store.entries, saved.lacks(first), saved.lacks(second), saved.lacks(third)], [0, 1, false, false, true]);
  const before = disk.durable.slice();
  disk.put(UNDO_UNIT_BYTES - 8192, new Uint8Array(8192).fill(0xee), true);
  await drive(devices, saved.save([third]) as Promise<void>);
  t.equal(store.entries, 2, 'the unit that was overwritten is not saved again');
  disk.put(UNDO_UNIT_BYTES, new Uint8Array(4096).fill(0xdd), true);
  await drive(devices, saved.putBack());
  t.ok(Buffer.compare(disk.durable, before) === 0);
});

t.test('a large piece goes in several saves, whole ones side by side, a small one behind them', async (t) => {
  const { disk, store, saved, devices } = site();
  await drive(devices, saved.begin(UUID));
  const all = piece(0, disk.sizeBytes);
  const small = piece((UNITS - 1) * UNDO_UNIT_BYTES, 4096);
  const saves = [saved.save([all]), saved.save([all])];
  t.equal(saved.saves, 2);
  t.equal(saved.save([all]), undefined, 'no more room');
  await drive(devices, Promise.all(saves));
  t.equal(store.entries, 2 * UNDO_SAVE_MAX);
  const third = saved.save([all]) as Promise<void>;
  t.equal(saved.save([small]), undefined, 'it waits and grows');
  const fourth = saved.save([all]) as Promise<void>;
  await drive(devices, Promise.all([third, fourth]));
  t.same([store.entries, saved.lacks(all), saved.saves], [UNITS, false, 0]);
  t.equal(saved.save([all]), undefined, 'nothing is left');
});

t.test('what could not be saved is still to be saved, and the room is given back', async (t) => {
  const { volume, store, saved, devices } = site();
  await drive(devices, saved.begin(UUID));
  volume.intercept = (op) => (op.kind === 'read' ? 5 : 0);
  await t.rejects(drive(devices, saved.save([piece(0, 4096)]) as Promise<void>), { code: 'DEVICE_FAILED' });
  t.same([saved.saves, saved.lacks(piece(0, 4096)), store.entries], [0, true, 0]);
  volume.intercept = undefined;
  await drive(devices, saved.save([piece(0, 4096)]) as Promise<void>);
  t.notOk(saved.lacks(piece(0, 4096)));
});
