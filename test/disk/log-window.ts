// A window on the ring: whatever is asked for is there and stays, in any order of completions; what fails is told when it is needed.

import t from 'tap';
import { BLOCK_BYTES, MIB, RECORD_PAYLOAD_BYTES_MAX } from '../../src/core/limits.js';
import { Ring } from '../../src/core/ring.js';
import { LogWindow, WINDOW_BYTES_MIN } from '../../src/disk/log-window.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { Random } from '../helpers/random.js';
import { drive } from '../helpers/sim-log.js';

const RING_BYTES = 20 * MIB;
const BATCH_BYTES_MAX = BLOCK_BYTES + RECORD_PAYLOAD_BYTES_MAX;
const disk = new SimDisk('log', RING_START + RING_BYTES, 4096);
const content = Buffer.alloc(RING_BYTES);
for (let at = 0; at < RING_BYTES; at += 8) content.writeUInt32LE(at, at);
disk.put(RING_START, content, true);

/** A window, and every range of the ring that it has read. */
function open(bytes = 12 * MIB) {
  const device = disk.open();
  const arena = { bytes: new Uint8Array(bytes), address: 0 };
  const ring = new Ring(RING_BYTES);
  const reads: [number, number][] = [];
  device.onQueued = ({ offset, length }) => void reads.push([offset - RING_START, offset - RING_START + length]);
  return { device, arena, ring, reads, window: new LogWindow(device, arena, ring) };
}

t.test('what is held is what stands in the ring, and stays until the next call', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  let calls = 0;
  for (const bytes of [WINDOW_BYTES_MIN, 12 * MIB, 32 * MIB]) {
    const { device, arena, ring, window } = open(bytes);
    device.shuffle = random;
    const wrong: string[] = [];
    let position = 3 * MIB;
    for (let i = 0; i < 400; i++) {
      const kind = random.below(20);
      if (kind === 0) position = BLOCK_BYTES * random.below((2 * RING_BYTES) / BLOCK_BYTES);
      if (kind === 1) position = Math.max(0, position - BLOCK_BYTES * random.below(300));
      const wanted = random.below(3) === 0 ? BLOCK_BYTES * (1 + random.below(256)) : BLOCK_BYTES;
      const length = Math.min(wanted, BATCH_BYTES_MAX, ring.toEnd(position));
      const end = random.below(4) === 0 ? position + length : position + 40 * MIB;
      const at = await drive([device], window.hold(position, length, end));
      // What is read ahead meanwhile goes elsewhere.
      while (random.below(3) > 0 && device.step());
      const offset = ring.offset(position);
      if (Buffer.compare(arena.bytes.subarray(at, at + length), content.subarray(offset, offset + length)) !== 0)
        wrong.push(`[${position}, ${position + length})`);
      position += length;
      calls++;
    }
    t.same(wrong.slice(0, 3), []);
    await drive([device], window.settled());
    t.notOk(device.step(), 'nothing is under way any more');
  }
  t.equal(calls, 1200);
});

t.test('a run through the ring reads each byte once, and never across the end of a lap or beyond the end', async (t) => {
  const { device, ring, reads, window } = open();
  const from = 15 * MIB;
  const end = from + RING_BYTES - 3 * MIB;
  for (let position = from; position < end; position += BLOCK_BYTES) await drive([device], window.hold(position, BLOCK_BYTES, end));
  await drive([device], window.settled());
  t.equal(
    reads.reduce((sum, [start, stop]) => sum + stop - start, 0),
    end - from,
  );
  t.ok(reads.every(([, stop]) => stop <= RING_BYTES));
  t.notOk(
    reads.some(([start, stop]) => start < 15 * MIB && stop > ring.offset(end)),
    'nothing of what is not asked for',
  );
});

t.test('the first read is small, and more are under way before they are needed', async (t) => {
  const { device, reads, window } = open();
  await drive([device], window.hold(0, BLOCK_BYTES, RING_BYTES));
  t.same(reads, [[0, MIB / 4]]);
  t.ok(window.holds(MIB / 4 - 1));
  t.notOk(window.holds(MIB / 4));
  const next = window.hold(MIB / 4, BLOCK_BYTES, RING_BYTES);
  t.ok(reads.length > 3, `${reads.length} reads`);
  await drive([device], next);
});

t.test('a read that fails is told when it is needed, again when it is tried again, and not when it is not', async (t) => {
  const { device, window } = open();
  device.intercept = ({ offset }) => (offset >= RING_START + 4 * MIB && offset < RING_START + 12 * MIB ? 5 : 0);
  const hold = (position: number): Promise<number> => drive([device], window.hold(position, BLOCK_BYTES, RING_BYTES));
  await hold(0);
  await hold(MIB);
  await t.rejects(hold(5 * MIB), { code: 'DEVICE_FAILED' });
  await t.rejects(hold(5 * MIB), { code: 'DEVICE_FAILED' });
  await hold(MIB);
  await hold(15 * MIB);
  device.intercept = undefined;
  await hold(5 * MIB);
  await drive([device], window.settled());
});
