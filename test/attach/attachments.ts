// attach/: a real export becomes a real block device and goes again, in every state it can be found in. Needs root, nbdfuse and loop.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Attachments } from '../../src/attach/attachments.js';
import { FuseAttacher } from '../../src/attach/fuse.js';
import { backingFile, findHolders, isMountPoint } from '../../src/attach/holders.js';
import type { AttachRequest } from '../../src/attach/ports.js';
import { runTool } from '../../src/attach/run.js';
import { LvrError } from '../../src/core/errors.js';
import type { Log } from '../../src/core/ports.js';

const SIZE_BYTES = 64 * 1024 * 1024;
const TARGET = 'test.attach/data';

/** A state directory with an NBD server of one export beside it; `lines` collects the events. */
type Place = { dir: string; socket: string; server: ChildProcess; attachments: Attachments; lines: string[]; again(): Attachments };

async function makePlace(test: Test): Promise<Place> {
  const dir = mkdtempSync(join(tmpdir(), 'lvr-attach-'));
  const socket = join(dir, 'nbd.sock');
  const server = await serve(socket);
  const lines: string[] = [];
  const note = (event: string): void => void lines.push(event);
  const log: Log = { info: note, warn: note, error: note };
  const made: Attachments[] = [];
  const again = (): Attachments => {
    const attachments = new Attachments(dir, [new FuseAttacher(join(dir, 'attach'))], (path, text) => writeFileSync(path, text), log);
    made.push(attachments);
    return attachments;
  };
  const attachments = again();
  test.teardown(async () => {
    for (const each of made) for (const a of each.list()) await each.detach(a, false).catch(() => undefined);
    server.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  return { dir, socket, server, attachments, lines, again };
}

/** What is mounted below a directory. */
function mountsBelow(dir: string): string {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(dir))
    .join('; ');
}

async function serve(socket: string): Promise<ChildProcess> {
  const server = spawn('nbdkit', ['--foreground', '--unix', socket, '--export-name', TARGET, 'memory', String(SIZE_BYTES)], {
    stdio: 'ignore',
  });
  for (let i = 0; i < 250 && !existsSync(socket); i++) await sleep(20);
  return server;
}

function request(place: Place, more: Partial<AttachRequest> = {}): AttachRequest {
  return {
    target: TARGET,
    socketPath: place.socket,
    sizeBytes: SIZE_BYTES,
    blockBytes: 512,
    readOnly: false,
    device: undefined,
    identity: 'lvr:test',
    ...more,
  };
}

async function errorOf(work: Promise<unknown>): Promise<LvrError> {
  const error: unknown = await work.then(
    () => new Error('it worked'),
    (reason: unknown) => reason,
  );
  if (error instanceof LvrError) return error;
  throw error;
}

t.test('a volume becomes a block device of its size and sector size, and goes without a trace', async (t) => {
  const place = await makePlace(t);
  for (const blockBytes of [512, 4096]) {
    const made = await place.attachments.attach(request(place, { blockBytes }));
    const queue = `/sys/class/block/${made.device.slice(5)}`;
    t.equal(Number(readFileSync(`${queue}/size`, 'utf8')) * 512, SIZE_BYTES, 'size');
    t.equal(Number(readFileSync(`${queue}/queue/logical_block_size`, 'utf8')), blockBytes, 'sector size');
    t.match(made.how, /nbdfuse and a loop device/);
    t.equal(readlinkSync(made.link), made.device, 'stable name');
    t.equal(place.attachments.find(TARGET), made);
    t.equal(place.attachments.find(made.device), made);
    await place.attachments.detach(made, false);
    t.equal(backingFile(made.device), '', 'no loop device');
    t.notOk(existsSync(made.link), 'no name');
    t.notOk(existsSync(made.mountPoint), 'no mount point');
    t.notOk(existsSync(`/proc/${made.pid}/exe`), 'no nbdfuse');
    t.equal(place.attachments.find(TARGET), undefined);
  }
});

t.test('what is written arrives at the server', async (t) => {
  const place = await makePlace(t);
  const made = await place.attachments.attach(request(place));
  t.equal((await runTool('mkfs.ext4', ['-q', made.device])).code, 0, 'mkfs');
  await place.attachments.detach(made, false);
  const next = await place.attachments.attach(request(place, { readOnly: true }));
  const checked = await runTool('fsck.ext4', ['-fn', next.device]);
  t.equal(checked.code, 0, checked.stdout);
  const written = await runTool('dd', ['if=/dev/zero', `of=${next.device}`, 'bs=4096', 'count=1', 'conv=fsync']);
  t.not(written.code, 0, 'a read-only device refuses writes');
});

t.test('a device that is mounted or open is not detached, and the holders are named', async (t) => {
  const place = await makePlace(t);
  const made = await place.attachments.attach(request(place));
  await runTool('mkfs.ext4', ['-q', made.device]);
  const where = join(place.dir, 'mnt');
  mkdirSync(where);
  t.equal((await runTool('mount', [made.device, where])).code, 0, 'mount');
  const mounted = await errorOf(place.attachments.detach(made, false));
  t.equal(mounted.code, 'IN_USE');
  t.equal(mounted.exit, 12);
  t.same(mounted.details['holders'], [`mounted on ${where}`]);
  t.equal((await runTool('umount', [where])).code, 0, 'umount');
  const fd = openSync(made.device, 'r');
  const open = await errorOf(place.attachments.detach(made, false));
  closeSync(fd);
  t.match((open.details['holders'] as string[]).join(), new RegExp(`open in .* \\(pid ${process.pid}\\)`));
  await place.attachments.detach(made, false);
  t.equal(backingFile(made.device), '');
});

t.test('what a killed agent left is removed, and asked for again', async (t) => {
  const place = await makePlace(t);
  const left = await place.attachments.attach(request(place, { blockBytes: 4096 }));
  const next = place.again();
  const wanted = await next.restore();
  t.same(
    wanted.map((each) => [each.target, each.resumes]),
    [[TARGET, false]],
  );
  t.equal(backingFile(left.device), '', 'the old loop device is gone');
  t.notOk(isMountPoint(left.mountPoint), 'the old mount is gone');
  const made = await next.attach(request(place));
  t.ok(backingFile(made.device).startsWith(place.dir));
});

t.test('what a killed agent left in use stays, and is said so', async (t) => {
  const place = await makePlace(t);
  const left = await place.attachments.attach(request(place));
  const fd = openSync(left.device, 'r');
  const next = place.again();
  t.same(await next.restore(), [], 'nothing to attach again');
  t.ok(place.lines.includes('device-lost'), 'reported');
  t.equal(next.find(TARGET)?.device, left.device, 'still shown');
  closeSync(fd);
  await next.detach(left, false);
  t.equal(backingFile(left.device), '', 'detached when free');
});

t.test('a device whose nbdfuse died is reported and can be detached', async (t) => {
  const place = await makePlace(t);
  const made = await place.attachments.attach(request(place));
  process.kill(made.pid, 'SIGKILL');
  for (let i = 0; i < 100 && !place.lines.includes('device-lost'); i++) await sleep(20);
  t.ok(place.lines.includes('device-lost'), 'reported');
  t.ok(place.attachments.isDead(made));
  await place.attachments.detach(made, false);
  t.notOk(isMountPoint(made.mountPoint));
  t.equal(backingFile(made.device), '');
});

t.test('a detach to be remembered is attached again by the next agent', async (t) => {
  const place = await makePlace(t);
  const made = await place.attachments.attach(request(place));
  await place.attachments.detach(made, true);
  t.same(place.attachments.list(), []);
  t.same(
    (await place.again().restore()).map((each) => each.target),
    [TARGET],
  );
});

t.test('a device that cannot be remembered is not made', async (t) => {
  const place = await makePlace(t);
  const full = new Attachments(
    place.dir,
    [new FuseAttacher(join(place.dir, 'attach'))],
    () => {
      throw new LvrError('FAILED', 'attachments.json cannot be written: ENOSPC');
    },
    { info: () => undefined, warn: () => undefined, error: () => undefined },
  );
  await t.rejects(full.attach(request(place)), { code: 'FAILED', message: /ENOSPC/ });
  t.same(full.list(), []);
  t.equal(mountsBelow(place.dir), '', 'no mount of nbdfuse is left');
});

t.test('what cannot be attached leaves nothing behind', async (t) => {
  const place = await makePlace(t);
  const nbd = await errorOf(place.attachments.attach(request(place, { device: '/dev/nbd0' })));
  t.match(nbd.message, /cannot be attached as \/dev\/nbd0: expected/);
  const big = await errorOf(place.attachments.attach(request(place, { blockBytes: 65_536 })));
  t.match(big.message, /blocks of 65536 bytes/);
  const nowhere = await errorOf(place.attachments.attach(request(place, { socketPath: '/nowhere/nbd.sock' })));
  t.match(nowhere.message, /\/nowhere\/nbd\.sock does not exist/);
  place.server.kill('SIGKILL');
  const dead = await errorOf(place.attachments.attach(request(place)));
  t.equal(dead.code, 'ATTACH');
  t.match(dead.message, /test\.attach\/data cannot be attached: nbdfuse ended \(exit 1\): .*[Cc]onnection refused/s);
  t.notOk(existsSync(join(place.dir, 'attach', 'test.attach.data')), 'no mount point');
  t.same(place.attachments.list(), []);
});

t.test('a device is in use while a partition of it is', async (t) => {
  const place = await makePlace(t);
  const made = await place.attachments.attach(request(place));
  await runTool('addpart', [made.device, '1', '2048', '65536']);
  const fd = openSync(`${made.device}p1`, 'r');
  try {
    t.match(findHolders(made.device, []), [/^\/dev\/loop\d+p1: open in .* \(pid \d+\)$/]);
    const error = await errorOf(place.attachments.detach(made, false));
    t.equal(error.code, 'IN_USE');
    t.match(error.message, /is in use/);
  } finally {
    closeSync(fd);
    await runTool('delpart', [made.device, '1']);
  }
  await place.attachments.detach(made, false);
  t.same(place.attachments.list(), []);
});

t.test('a device is in use while a file system without a number of its own, or another loop device, is on it', async (t) => {
  const place = await makePlace(t);
  const made = await place.attachments.attach(request(place));
  const where = join(place.dir, 'mnt');
  mkdirSync(where);
  // btrfs shows such a line: an anonymous device number, and the device as its source.
  t.equal((await runTool('mount', ['-t', 'tmpfs', made.device, where])).code, 0);
  t.same(findHolders(made.device, []), [`mounted on ${where}`]);
  t.equal((await errorOf(place.attachments.detach(made, false))).code, 'IN_USE');
  await runTool('umount', [where]);
  const { stdout: upper } = await runTool('losetup', ['--find', '--show', made.device]);
  t.match(findHolders(made.device, []), [`held by ${upper}`]);
  t.equal((await errorOf(place.attachments.detach(made, false))).code, 'IN_USE');
  await runTool('losetup', ['--detach', upper]);
  await place.attachments.detach(made, false);
});

t.test('a device nobody uses has no holders', async (t) => {
  t.same(findHolders('/dev/lvr-no-such-device', []), []);
});
