// The device of a log that can be given up: what goes where in each of its states, and who hears of a failure.

import t from 'tap';
import { LogDevice } from '../../src/disk/log-device.js';
import { RING_START } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';

const EIO = 5;
const BLOCK = 4096;
const arena = { bytes: new Uint8Array(4 * BLOCK).fill(0x5a), address: 0 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A log of 1 MiB over a device whose writes fail as `errnoOf` says; the owner takes a failure over when `takes`. */
function world(takes: boolean) {
  const disks = { log: new SimDisk('log', 1 << 20, BLOCK), spare: new SimDisk('spare', RING_START + BLOCK, BLOCK) };
  const [device, spare] = [disks.log.open(), disks.spare.open()];
  const log = new LogDevice(device, spare, 'log', device.sizeBytes);
  const results = new Map<number, number>();
  const target = { ioDone: (tag: number, errno: number): void => void results.set(tag, errno) };
  let open = (): void => {};
  const failures: number[] = [];
  log.setOwner({
    deviceFailing: (errno) => {
      failures.push(errno);
      return takes;
    },
    gate: () =>
      new Promise((resolve) => {
        open = resolve;
      }),
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) {
      log.kick();
      while (device.step() || spare.step());
      await turn();
    }
  };
  const write = (offset: number, tag: number): void => log.write(arena, 0, BLOCK, offset, true, target, tag);
  const fail = (): void => {
    device.intercept = ({ kind }) => (kind === 'write' ? EIO : 0);
  };
  return { disks, device, log, results, target, failures, settle, write, fail, openGate: () => open() };
}

t.test('while it is whole it is the device, and a failure that nobody takes over is told', async (t) => {
  const { disks, log, results, failures, settle, write, fail } = world(false);
  write(RING_START, 1);
  await settle();
  t.equal(disks.log.durable[RING_START], 0x5a);
  fail();
  write(0, 2);
  write(RING_START, 3);
  await settle();
  t.same(
    [...results],
    [
      [1, 0],
      [2, EIO],
      [3, EIO],
    ],
  );
  t.same(failures, [EIO, EIO]);
  t.equal(log.isGivenUp, false);
  await log.close();
});

t.test('records wait until it is given up and the gate is open; superblocks are on the spare at once', async (t) => {
  const { disks, log, results, target, failures, settle, write, fail, openGate } = world(true);
  fail();
  write(0, 1);
  write(RING_START, 2);
  write(RING_START + BLOCK, 3);
  await settle();
  t.same([...results], [[1, 0]], 'the superblock');
  t.equal(disks.spare.durable[0], 0x5a);
  t.same(failures, [EIO], 'once');
  log.resume();
  await settle();
  t.equal(results.size, 1, 'the gate is closed');
  openGate();
  await settle();
  t.same([results.get(2), results.get(3), log.isGivenUp], [0, 0, true]);
  t.equal(disks.log.durable[RING_START], 0, 'they are nowhere');
  log.zero(RING_START, BLOCK, true, target, 4);
  log.sync(target, 5);
  await settle();
  openGate();
  await settle();
  t.same([results.get(4), results.get(5)], [0, 0]);
  await log.close();
});

t.test('when it cannot be given up nothing is written any more, neither to it nor to the spare', async (t) => {
  const { disks, device, log, results, target, settle, write, fail } = world(true);
  fail();
  write(RING_START, 1);
  await settle();
  t.equal(results.size, 0);
  log.giveUp(EIO);
  t.same([...results], [[1, EIO]]);
  device.intercept = undefined;
  const before = disks.log.writes + disks.spare.writes;
  write(0, 2);
  write(RING_START, 3);
  log.sync(target, 4);
  await settle();
  t.same(
    [2, 3, 4].map((tag) => results.get(tag)),
    [EIO, EIO, EIO],
  );
  t.equal(disks.log.writes + disks.spare.writes, before);
  await log.close();
});

t.test('without a device its ring is empty, and its superblocks are those of the spare', async (t) => {
  const disk = new SimDisk('spare', RING_START + BLOCK, BLOCK);
  disk.put(0, new Uint8Array(BLOCK).fill(7), true);
  const spare = disk.open();
  const log = new LogDevice(undefined, spare, 'log', 1 << 20);
  const into = { bytes: new Uint8Array(2 * BLOCK).fill(1), address: 0 };
  const results: number[] = [];
  const target = { ioDone: (tag: number): void => void results.push(tag) };
  log.read(into, 0, BLOCK, 0, target, 1);
  log.read(into, BLOCK, BLOCK, RING_START, target, 2);
  log.kick();
  while (spare.step());
  await turn();
  t.same(results.sort(), [1, 2]);
  t.same([into.bytes[0], into.bytes[BLOCK], log.isGivenUp, log.sizeBytes], [7, 0, true, 1 << 20]);
  t.equal(log.resize, undefined);
  await log.close();
});

t.test('it is made longer while it is whole, and refuses that afterwards', async (t) => {
  const { device, spare } = {
    device: new SimDisk('log', 1 << 20, BLOCK).open(),
    spare: new SimDisk('spare', RING_START + BLOCK, BLOCK).open(),
  };
  const sizes: number[] = [];
  const sized = Object.assign(device, { resize: async (bytes: number): Promise<void> => void sizes.push(bytes) });
  const log = new LogDevice(sized, spare, 'log', 1 << 20);
  log.setOwner({ deviceFailing: () => true, gate: async () => undefined });
  await log.resize?.(2 << 20);
  t.same(sizes, [2 << 20]);
  device.intercept = () => EIO;
  log.write(arena, 0, BLOCK, RING_START, true, { ioDone: () => undefined }, 1);
  log.kick();
  while (device.step());
  await t.rejects(Promise.resolve(log.resize?.(4 << 20)), { code: 'LOG_FAILED', hint: /restart the agent/ });
  t.same(sizes, [2 << 20]);
});
