// Foreign clients against an export of a real agent: libnbd, qemu, fio and nbdkit, with valid and with invalid requests.

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { TestAgent } from '../helpers/agent.js';
import { mustRun, runCommand } from '../helpers/command.js';
import { CMD, NbdClient } from '../helpers/nbd-client.js';
import { freePort, Workspace } from '../helpers/workspace.js';

const MIB = 1048576;
const SIZE_MIB = 64;
const EINVAL = 22;
const ENOSPC = 28;

const workspace = new Workspace('interop');
const port = await freePort();
const agent = new TestAgent(workspace, {
  site: 'a',
  role: 'primary',
  volumes: { data: `${SIZE_MIB}MiB`, wal: '16MiB' },
  nbdTcp: `127.0.0.1:${port}`,
});
await agent.start();
const uri = agent.uri('data');
t.teardown(() => workspace.dispose());
t.setTimeout(590_000);

/** A file of the export's size: random data at both ends and in the middle, holes between. */
function makeImage(name: string): string {
  const path = workspace.file(name);
  const bytes = Buffer.alloc(SIZE_MIB * MIB);
  for (const at of [0, 20 * MIB + 4096, SIZE_MIB * MIB - 3 * MIB]) randomBytes(3 * MIB).copy(bytes, at);
  writeFileSync(path, bytes);
  return path;
}

/** Runs Python in nbdsh; `attempt(name, call)` prints the name and `ok` or the error's name. Debian's own Python has the module. */
async function nbdsh(script: string): Promise<string[]> {
  const attempt = [
    'h.set_strict_mode(0)',
    'def attempt(name, call):',
    '    try:',
    '        call(); print(name, "ok")',
    '    except nbd.Error as e:',
    '        print(name, e.errno)',
    `h.connect_uri(${JSON.stringify(uri)})`,
  ];
  const output = await mustRun('nbdsh', ['-c', `${attempt.join('\n')}\n${script}`], { env: { PATH: '/usr/bin:/bin' } });
  return output.trim().split('\n');
}

/** Sends one request and resolves with its error number, or -1 when the connection is lost instead. */
function errnoOf(client: NbdClient, type: number, flags: number, offset: number, length: number, payloadBytes = 0): Promise<number> {
  const answer = new Promise<number>((resolve) => client.send(type, flags, offset, length, NbdClient.frame(payloadBytes), resolve));
  return Promise.race([answer, client.closed.then(() => -1)]);
}

t.test('nbdinfo sees size, flags, block sizes and base:allocation', async (t) => {
  const document = JSON.parse(await mustRun('nbdinfo', ['--json', uri])) as { structured: boolean; exports: Record<string, unknown>[] };
  const info = document.exports[0] as Record<string, unknown>;
  t.equal(info['export-size'], SIZE_MIB * MIB);
  t.equal(document.structured, true);
  for (const flag of ['can_flush', 'can_fua', 'can_multi_conn', 'can_trim', 'can_zero', 'can_df']) t.equal(info[flag], true, flag);
  t.equal(info['is_read_only'], false);
  t.same(info['contexts'], ['base:allocation']);
  t.match(await mustRun('nbdinfo', [uri]), /block_size_maximum: 33554432/);
});

t.test('nbdinfo --list names every export, over the unix socket and over TCP', async (t) => {
  for (const base of [`nbd+unix:///?socket=${agent.nbdSocket}`, `nbd://127.0.0.1:${port}`]) {
    const list = await mustRun('nbdinfo', ['--list', base]);
    t.match(list, /export="app\/data"/);
    t.match(list, /export="app\/wal"/);
  }
});

t.test('nbdcopy writes and reads back over four connections, and nbdinfo --map covers the volume', async (t) => {
  const image = makeImage('in.img');
  const back = workspace.file('out.img');
  await mustRun('nbdcopy', ['-C', '4', '--flush', image, uri]);
  await mustRun('nbdcopy', ['-C', '4', uri, back]);
  t.equal((await runCommand('cmp', [image, back])).code, 0, 'the copy is equal');
  const map = JSON.parse(await mustRun('nbdinfo', ['--map', '--json', uri])) as { offset: number; length: number; type: number }[];
  let end = 0;
  for (const extent of map) {
    t.equal(extent.offset, end, 'extents follow each other');
    end += extent.length;
  }
  t.equal(end, SIZE_MIB * MIB);
  t.equal(map.find((extent) => extent.offset <= 0 && extent.length > 0)?.type, 0, 'data is reported as data');
});

t.test('qemu-img compare finds the export equal to the image, and different after one byte', async (t) => {
  const image = makeImage('compare.img');
  await mustRun('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', image, uri]);
  t.equal((await runCommand('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, uri])).code, 0);
  await mustRun('qemu-io', ['-f', 'raw', '-c', 'write -P 0x11 5M 512', uri]);
  t.equal((await runCommand('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, uri])).code, 1);
});

t.test('qemu-io writes with FUA, discards, zeroes with and without unmapping, and reads its patterns back', async (t) => {
  const commands = [
    'write -P 0xaa -f 1M 64k',
    'read -P 0xaa 1M 64k',
    'write -P 0xbb 1088k 512',
    'read -P 0xbb 1088k 512',
    'write -P 0xcc 2M 1M',
    'write -z -u 2M 64k',
    'read -P 0 2M 64k',
    'write -z 2112k 64k',
    'read -P 0 2112k 64k',
    'read -P 0xcc 2176k 896k',
    'discard 2M 1M',
    'flush',
    'read -P 0xaa 1M 64k',
    'aio_write -P 0xdd 8M 2M',
    'aio_write -P 0xee 12M 2M',
    'aio_flush',
    'read -P 0xdd 8M 2M',
    'read -P 0xee 12M 2M',
  ];
  const result = await runCommand('qemu-io', ['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), uri]);
  t.equal(result.code, 0);
  t.notMatch(result.stdout + result.stderr, /verification failed|error|failed/i);
});

t.test('nbdsh: invalid requests get their errors and the connection goes on', async (t) => {
  const lines = await nbdsh(`
size = h.get_size()
attempt("usable", lambda: h.pwrite(b"x" * 4096, 0))
attempt("read-past-end", lambda: h.pread(4096, size))
attempt("read-across-end", lambda: h.pread(8192, size - 4096))
attempt("write-past-end", lambda: h.pwrite(bytearray(4096), size))
attempt("write-across-end", lambda: h.pwrite(bytearray(8192), size - 4096))
attempt("zero-past-end", lambda: h.zero(4096, size))
attempt("trim-past-end", lambda: h.trim(4096, size))
attempt("read-offset-overflow", lambda: h.pread(4096, 2**63 - 4096))
attempt("zero-length-read", lambda: h.pread(0, 0))
attempt("zero-length-write", lambda: h.pwrite(b"", 0))
attempt("zero-length-trim", lambda: h.trim(0, 0))
attempt("misaligned-read", lambda: h.pread(3, 7))
attempt("misaligned-write", lambda: h.pwrite(b"abc", 7))
attempt("unknown-flag-read", lambda: h.pread(4096, 0, 0x80))
attempt("unknown-flag-write", lambda: h.pwrite(bytearray(4096), 0, 0x80))
attempt("unadvertised-cache", lambda: h.cache(4096, 0) if not h.can_cache() else h.pread(3, 7))
attempt("still-usable", lambda: h.pread(4096, 0))
print("content", h.pread(4096, 0) == b"x" * 4096)
`);
  t.same(lines, [
    'usable ok',
    'read-past-end EINVAL',
    'read-across-end EINVAL',
    'write-past-end ENOSPC',
    'write-across-end ENOSPC',
    'zero-past-end ENOSPC',
    'trim-past-end EINVAL',
    'read-offset-overflow EINVAL',
    'zero-length-read ok',
    'zero-length-write ok',
    'zero-length-trim ok',
    'misaligned-read EINVAL',
    'misaligned-write EINVAL',
    'unknown-flag-read EINVAL',
    'unknown-flag-write EINVAL',
    'unadvertised-cache EINVAL',
    'still-usable ok',
    'content True',
  ]);
});

t.test('nbdsh: a request of 32 MiB is served, a longer read is refused', async (t) => {
  const lines = await nbdsh(`
data = bytes([7]) * (32 * 1024 * 1024)
attempt("write-32M", lambda: h.pwrite(data, 1024 * 1024))
print("content", h.pread(len(data), 1024 * 1024) == data)
try:
    h.pread(32 * 1024 * 1024 + 4096, 0); print("longer ok")
except nbd.Error as e:
    print("longer", e.errno in ("EINVAL", "EOVERFLOW", "ERANGE"))
`);
  t.same(lines.slice(0, 2), ['write-32M ok', 'content True']);
  t.match(lines[2], /^longer True/);
});

t.test('unknown commands and flags on the wrong command are refused in step', async (t) => {
  const client = await agent.connect('data');
  const mark = Buffer.alloc(4096, 0x5a);
  await client.write(0, mark);
  t.equal(await errnoOf(client, 99, 0, 0, 0), EINVAL, 'unknown command');
  t.equal(await errnoOf(client, 8, 0, 0, 0), EINVAL, 'RESIZE');
  t.equal(await errnoOf(client, CMD.flush, 0x80, 0, 0), EINVAL, 'unknown flag on a flush');
  t.equal(await errnoOf(client, CMD.flush, 0, 4096, 4096), EINVAL, 'a flush with a range');
  t.equal(await errnoOf(client, CMD.trim, 2, 0, 4096), EINVAL, 'NO_HOLE on a trim');
  t.equal(await errnoOf(client, CMD.write, 0, SIZE_MIB * MIB, 4096, 4096), ENOSPC, 'the payload of a refused write is consumed');
  t.same(await client.read(0, 4096), mark, 'the connection is in step');
  await client.close();
});

t.test('a write longer than 32 MiB ends that connection and no other', async (t) => {
  const client = await agent.connect('data');
  const other = await agent.connect('data');
  const frame = NbdClient.frame(4096);
  const answer = new Promise<number>((resolve) => client.send(CMD.write, 0, 0, 33 * MIB, frame, resolve));
  t.equal(await Promise.race([answer, client.closed.then(() => -1)]), -1, 'dropped');
  await other.write(0, Buffer.alloc(4096, 1));
  t.same(await other.read(0, 4096), Buffer.alloc(4096, 1));
  await other.close();
});

t.test('fio verifies what it wrote with crc32c at depth 16', async (t) => {
  const parameters = [
    '--ioengine=nbd',
    `--uri=${uri}`,
    '--size=32M',
    '--iodepth=16',
    '--verify=crc32c',
    '--verify_fatal=1',
    '--verify_state_save=0',
    '--do_verify=1',
  ];
  for (const mix of [
    ['--rw=randrw', '--bs=4k'],
    ['--rw=randwrite', '--bsrange=4k-256k', '--bs_unaligned=0', '--blockalign=4k'],
    ['--rw=write', '--bs=1M'],
  ]) {
    const result = await runCommand('fio', ['--name=verify', ...parameters, ...mix, '--output-format=terse'], { timeoutMs: 120_000 });
    t.equal(result.code, 0, `${mix[0]} ${result.stderr}`);
  }
});

t.test("nbdkit's nbd plugin in front of lvr passes data through unchanged", async (t) => {
  const image = makeImage('proxy.img');
  const back = workspace.file('proxy-out.img');
  const proxy = ['-U', '-', '--filter=retry', 'nbd', `socket=${agent.nbdSocket}`, 'export=app/data'];
  await mustRun('nbdkit', [...proxy, '--run', `nbdcopy --flush ${image} "$uri" && nbdcopy "$uri" ${back}`]);
  t.equal((await runCommand('cmp', [image, back])).code, 0);
});

t.test('the volume holds the same bytes after an orderly restart', async (t) => {
  const before = workspace.file('before.img');
  const after = workspace.file('after.img');
  await mustRun('nbdcopy', [uri, before]);
  t.equal(await agent.stop(), 0, 'SIGTERM ends the agent with exit code 0');
  await agent.start();
  await mustRun('nbdcopy', [uri, after]);
  t.equal((await runCommand('cmp', [before, after])).code, 0);
});
