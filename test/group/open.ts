// Opening a group from real files: what is created, what is replayed, and what is refused with nothing changed.

import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { ErrorCode } from '../../src/core/errors.js';
import type { GroupConfig } from '../../src/core/group-config.js';
import { createEngines } from '../../src/disk/engine.js';
import { crc32c, crc32cSpans, createArena } from '../../src/disk/memory.js';
import { UUID_NONE } from '../../src/format/bytes.js';
import { MARK_AT, putPassthroughMark } from '../../src/format/passthrough-mark.js';
import { encodeSuperblock, SUPERBLOCK_BYTES } from '../../src/format/superblock.js';
import type { Group } from '../../src/group/group.js';
import { openGroup } from '../../src/group/open.js';
import { systemClock } from '../helpers/clock.js';
import { GROUP_SETTINGS } from '../helpers/group-config.js';

const MIB = 1 << 20;
const silent = { info: () => {}, warn: () => {}, error: () => {} };
let uuids = 0;

function place(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'lvr-open-'));
  const engines = createEngines();
  t.teardown(() => {
    engines.close();
    rmSync(directory, { recursive: true });
  });
  const volumes = ['data', 'wal'].map((name) => ({ name, device: join(directory, name), sizeBytes: MIB, io: undefined }));
  const log = { path: join(directory, 'log'), sizeBytes: 16 * MIB };
  const config: GroupConfig = {
    name: 'app',
    role: 'primary',
    ...GROUP_SETTINGS,
    log,
    volumes,
    sites: [],
  };
  const open = async (change: Partial<GroupConfig> = {}, site = 'a'): Promise<Group> => {
    const newUuid = (): string => (++uuids).toString(16).padStart(32, 'd');
    const memory = { createArena, crc32c, crc32cSpans, newUuid };
    const network = { connect: () => Promise.reject(new Error('none')), listen: () => Promise.reject(new Error('none')) };
    const env = {
      site,
      insecure: false,
      clock: systemClock,
      network,
      memory,
      log: silent,
      random: Math.random,
      stateDir: directory,
      engines,
    };
    const group = await openGroup({ ...config, ...change }, env);
    await group.start();
    return group;
  };
  return { directory, config, open };
}

async function write(group: Group, offset: number, fill: number): Promise<void> {
  const backend = group.backends.get('data');
  if (backend === undefined) throw new Error('no volume');
  const epoch = backend.connect(() => {});
  const owner = { completed: (_: unknown, _errno: number) => {}, roomAvailable() {} };
  await new Promise<void>((resolve, reject) => {
    owner.completed = (_, errno) => (errno === 0 ? resolve() : reject(new Error(`errno ${errno}`)));
    backend.write(
      { op: 'write', offset, length: 4096, fua: true, noHole: false, epoch, slabs: [], owner },
      new Uint8Array(4096).fill(fill),
      0,
    );
    backend.commit();
  });
  backend.disconnect(epoch, owner);
}

t.test('a group is created, written, stopped and opened again', async (t) => {
  const { directory, config, open } = place(t);
  const first = await open();
  t.match(first.status(), { role: 'primary', health: 'healthy', epoch: '1' });
  t.equal(first.log.store.current.bornZero, true);
  await write(first, 8192, 7);
  await first.stop();
  t.match(readFileSync(join(directory, 'groups', 'app.log'), 'utf8'), /^log [0-9a-f]{32}\nspare\n$/);
  const second = await open();
  t.equal(second.log.appendedLsn, 1);
  await write(second, 12288, 8);
  await second.stop();
  const data = readFileSync(config.volumes[0]?.device ?? '');
  t.same([data[8192], data[12287], data[12288], data[16384]], [7, 7, 8, 0]);
});

t.test('a volume that held data is not called zero at birth', async (t) => {
  const { config, open } = place(t);
  writeFileSync(config.volumes[1]?.device ?? '', Buffer.alloc(MIB, 3));
  const group = await open();
  t.equal(group.log.store.current.bornZero, false);
  await group.stop();
});

t.test('volumes are known to be zero also when the power went off between the first two superblocks', async (t) => {
  const { directory, config, open } = place(t);
  const first = await open();
  await first.stop();
  // As after the first write: no history, nothing known about the volumes, and no binding yet.
  const log = readFileSync(config.log.path);
  const made = first.log.store.current;
  const bare = { ...made, sequence: 1, groupUuid: UUID_NONE, epoch: 0, incarnation: 0, bornZero: false, lineage: [] };
  log.fill(0, 0, 2 * SUPERBLOCK_BYTES);
  encodeSuperblock({ ...bare, voidAfter: { lsn: 0, epoch: 0, incarnation: 0 } }, log.subarray(0, SUPERBLOCK_BYTES));
  writeFileSync(config.log.path, log);
  rmSync(join(directory, 'groups', 'app.log'));
  const second = await open();
  t.match(second.log.store.current, { bornZero: true, logUuid: made.logUuid, epoch: 1 });
  await write(second, 0, 9);
  await second.stop();
  const third = await open();
  t.equal(third.log.store.current.bornZero, true, 'and it stays true when they no longer read as zeroes');
  await third.stop();
});

t.test('what says whether the log counts is missed when it is gone, and made for a group that never had it', async (t) => {
  const { directory, open } = place(t);
  await (await open()).stop();
  const [binding, spare] = ['app.log', 'app.passthrough'].map((name) => join(directory, 'groups', name)) as [string, string];
  for (const lose of [() => rmSync(spare), () => writeFileSync(spare, '')]) {
    lose();
    await t.rejects(open(), { code: 'LOG_SUPERBLOCK', message: /app\.passthrough is missing or empty/, hint: /put it back/ });
  }
  rmSync(spare);
  const text = readFileSync(binding, 'utf8');
  writeFileSync(binding, text.replace('spare\n', ''));
  await (await open()).stop();
  t.equal(readFileSync(binding, 'utf8'), text);
  // A mark that is left of another group.
  const mark = new Uint8Array(4096);
  putPassthroughMark(mark, 0, { logUuid: 'ab'.repeat(16), lsn: 5 });
  const bytes = readFileSync(spare);
  bytes.set(mark, MARK_AT);
  bytes.set(readFileSync(join(directory, 'log')).subarray(0, MARK_AT));
  writeFileSync(spare, bytes);
  rmSync(binding);
  await t.rejects(open(), { code: 'LOG_FOREIGN', message: /app\.passthrough is of a group that had a log/ });
});

t.test('a log that was given up is begun anew on what is there, whatever size the configuration says, or made', async (t) => {
  const { directory, config, open } = place(t);
  const spare = join(directory, 'groups', 'app.passthrough');
  const first = await open();
  await write(first, 0, 5);
  await first.stop();
  for (const prepare of [() => {}, () => writeFileSync(config.log.path, ''), () => rmSync(config.log.path)]) {
    const bytes = readFileSync(spare);
    bytes.set(readFileSync(config.log.path).subarray(0, MARK_AT));
    putPassthroughMark(bytes, MARK_AT, { logUuid: 'ab'.repeat(16), lsn: 50 });
    writeFileSync(spare, bytes);
    prepare();
    const sizeBytes = statSync(config.log.path, { throwIfNoEntry: false })?.size ? 32 * MIB : 16 * MIB;
    const again = await open({ onLogError: 'passthrough', log: { ...config.log, sizeBytes } });
    t.match(again.status(), { health: 'healthy' });
    t.ok(again.log.trimmedLsn > 50);
    await again.stop();
    t.ok(
      readFileSync(spare)
        .subarray(MARK_AT)
        .every((byte) => byte === 0),
      'the mark is gone',
    );
  }
  // A superblock that nobody needs is gone with the next start.
  await (await open()).stop();
  t.ok(readFileSync(spare).every((byte) => byte === 0));
  t.equal(readFileSync(config.volumes[0]?.device ?? '')[0], 5);
});

t.test('a log with a history is refused when nothing else is known of its group, and can be taken up again', async (t) => {
  const { directory, config, open } = place(t);
  const first = await open();
  await write(first, 0, 1);
  await first.stop();
  const { logUuid } = first.log.store.current;
  const groups = join(directory, 'groups');
  const before = readFileSync(config.log.path);
  renameSync(groups, `${groups}.lost`);
  for (const prepare of [() => {}, () => cpSync(join(`${groups}.lost`, 'app.passthrough'), join(groups, 'app.passthrough'))]) {
    prepare();
    const hint = new RegExp(`put ${groups} back .* write the line "log ${logUuid}" to ${join(groups, 'app.log')}`);
    await t.rejects(open(), { code: 'LOG_FOREIGN', message: /has a history, but .*groups knows nothing of group app/, hint });
    t.ok(Buffer.compare(readFileSync(config.log.path), before) === 0);
  }
  writeFileSync(join(groups, 'app.log'), `log ${logUuid}\n`);
  const again = await open();
  t.equal(again.log.appendedLsn, 1);
  await again.stop();
  rmSync(groups, { recursive: true });
  renameSync(`${groups}.lost`, groups);
  await (await open()).stop();
});

t.test('the wrong log, or none, is refused and everything stays as it is', async (t) => {
  const { directory, config, open } = place(t);
  const group = await open();
  await write(group, 0, 1);
  await group.stop();
  const binding = join(directory, 'groups', 'app.log');
  const refused = async (code: ErrorCode, change: Partial<GroupConfig> = {}, site = 'a'): Promise<void> => {
    const files = [config.log.path, ...config.volumes.map((volume) => volume.device), binding].filter((path) =>
      statSync(path, { throwIfNoEntry: false }),
    );
    const before = files.map((path) => readFileSync(path));
    await t.rejects(open(change, site), { code }, code);
    t.ok(files.every((path, i) => Buffer.compare(readFileSync(path), before[i] ?? Buffer.alloc(0)) === 0));
  };
  await refused('LOG_FOREIGN', {}, 'b');
  await refused('LOG_FOREIGN', { volumes: [...config.volumes].reverse() });
  const bound = readFileSync(binding);
  writeFileSync(binding, `log ${'0'.repeat(32)}\n`);
  await refused('LOG_FOREIGN');
  writeFileSync(binding, 'rubbish');
  await refused('LOG_FOREIGN');
  writeFileSync(binding, bound);
  renameSync(config.log.path, `${config.log.path}.kept`);
  writeFileSync(config.log.path, Buffer.alloc(16 * MIB));
  await refused('LOG_FOREIGN');
  rmSync(config.log.path);
  const isGone = { code: 'LOG_FOREIGN', message: /does not exist, or is empty, but group app had it before/ } as const;
  await t.rejects(open(), isGone, 'a log that vanished is not made anew');
  t.equal(statSync(config.log.path, { throwIfNoEntry: false }), undefined);
  writeFileSync(config.log.path, '');
  await t.rejects(open(), isGone);
  renameSync(`${config.log.path}.kept`, config.log.path);
  const again = await open();
  t.equal(again.log.appendedLsn, 1, 'the right one opens');
  await again.stop();
});

t.test('a volume that vanished, or is empty, is not made anew under the log of the group, and nothing is changed', async (t) => {
  const { config, open } = place(t);
  const group = await open();
  await write(group, 0, 1);
  await group.stop();
  const path = config.volumes[0]?.device ?? '';
  const log = readFileSync(config.log.path);
  renameSync(path, `${path}.kept`);
  // As when the file system it stands on is not mounted.
  await t.rejects(open(), { code: 'DEVICE_UNUSABLE', message: /does not exist, but the group had it before/ });
  t.equal(statSync(path, { throwIfNoEntry: false }), undefined);
  writeFileSync(path, '');
  await t.rejects(open(), { code: 'DEVICE_UNUSABLE', message: /is empty/ });
  t.equal(statSync(path).size, 0);
  t.equal(Buffer.compare(readFileSync(config.log.path), log), 0);
  renameSync(`${path}.kept`, path);
  const again = await open();
  t.equal(readFileSync(path)[0], 1);
  await again.stop();
});

t.test('a path that cannot be looked at is an error of the volume, no defect', async (t) => {
  const { directory, config, open } = place(t);
  writeFileSync(join(directory, 'plain'), 'x');
  symlinkSync(join(directory, 'circle'), join(directory, 'circle'));
  for (const [device, message] of [
    [join(directory, 'plain/below'), /path through something that is not a directory/],
    [join(directory, 'circle'), /loop of symbolic links/],
    [join(directory, 'x'.repeat(300)), /ENAMETOOLONG/],
  ] as const) {
    const volumes = [{ name: 'data', device, sizeBytes: MIB, io: undefined }];
    await t.rejects(open({ volumes }), { name: 'LvrError', message }, device);
  }
  t.equal(statSync(config.log.path, { throwIfNoEntry: false }), undefined);
});

t.test('an open that is refused at its end leaves nothing under way on the devices that it closes', async (t) => {
  const { directory, open } = place(t);
  await (await open({ undo: 'auto' })).stop();
  const groups = join(directory, 'groups');
  const undo = join(groups, 'app.undo');
  // As older versions left it: with what a resync had overwritten, in many pieces.
  const fd = openSync(undo, 'r+');
  for (let at = 0; at < statSync(undo).size - 8192; at += 16384) writeSync(fd, Buffer.alloc(4096, 7), 0, 4096, at);
  closeSync(fd);
  const binding = join(groups, 'app.log');
  const text = readFileSync(binding, 'utf8');
  writeFileSync(binding, text.replace('spare\n', ''));
  mkdirSync(`${binding}.new`);
  await t.rejects(open({ undo: 'auto' }), { code: 'FAILED', message: /cannot write .*app\.log/ });
  await new Promise((resolve) => setTimeout(resolve, 200));
  rmSync(`${binding}.new`, { recursive: true });
  writeFileSync(binding, text);
  const group = await open({ undo: 'auto' });
  await group.stop();
  t.equal(group.failure, undefined);
});
