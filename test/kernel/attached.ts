// Volumes attached in a machine through the kernel's own nbd client: file systems, verified fio loads, and an agent that is killed,
// restarted in order, or asked to detach what is mounted, while the devices are in use.

import t from 'tap';
import { configText } from '../helpers/agent.js';
import { Workspace } from '../helpers/workspace.js';
import { fioJob, fioResult } from './vm/fio.js';
import { GuestAgent } from './vm/guest-agent.js';
import { vmMissing } from './vm/image.js';
import { Vm } from './vm/vm.js';

const VOLUMES = { data: '128MiB', wal: '320MiB' };
const DRIVERS = ['nbd', 'loop', 'fuse', 'ext4', 'xfs'];
/** Request timeout of the kernel's client, and what a restart may take on top (the figures of docs/operations.md). */
const CRASH_STALL_MS_MAX = 17_000;
const PLANNED_STALL_MS_MAX = 1000;
const TRIES_MAX = 5;

type Tap = Pick<typeof t, 'comment' | 'equal' | 'ok'>;

const skip = vmMissing() ?? false;
const workspace = new Workspace('attached');
t.teardown(() => workspace.dispose());
t.setTimeout(850_000);

let vm: Vm;
let agent: GuestAgent;
let data = '';
let wal = '';

t.before(async () => {
  if (skip !== false) return;
  vm = await Vm.start(workspace, { name: 'vm1', memoryMib: 2048 });
  await vm.run(`modprobe brd rd_nr=1 rd_size=$((768 * 1024)); modprobe -a ${DRIVERS.join(' ')}
mkfs.ext4 -q -E nodiscard /dev/ram0; mkdir -p /mnt /data /wal; mount /dev/ram0 /mnt`);
  const options = { site: 'a', role: 'primary', volumes: VOLUMES, logSize: '64MiB' } as const;
  agent = new GuestAgent(vm, '/mnt/agent', configText('/mnt/agent', options));
  await agent.start();
});

/** Fails with the agent's own words beside the reason. */
async function run(script: string, timeoutMs = 120_000): Promise<string> {
  try {
    return await vm.run(script, { timeoutMs });
  } catch (error) {
    throw new Error(`${String(error)}\n${await agent.story()}`, { cause: error });
  }
}

t.test('ext4 and xfs on two attached volumes keep what was written through detach and attach', { skip }, async (t) => {
  data = await agent.attach('app/data');
  wal = await agent.attach('app/wal');
  t.match(data, /^\/dev\/nbd\d+$/, 'the kernel of the machine has nbd, so it is used');
  await run(`mkfs.ext4 -q ${data}; mkfs.xfs -q ${wal}
mount ${data} /data; mount ${wal} /wal
seq 1 300000 >/data/numbers; seq 1 2 300000 >/wal/numbers
mkdir /data/dir; cp /etc/* /data/dir/ 2>/dev/null || true
rm /data/dir/*; fstrim /data; fstrim /wal
sha256sum /data/numbers /wal/numbers >/run/sums`);

  const refused = await agent.lvr('detach app/data');
  t.not(refused.code, 0, 'detach of a mounted volume is refused');
  t.match(refused.output, /in use/);
  t.match(refused.output, /data/, 'the answer names it');

  await run('sync; umount /data /wal');
  for (const target of ['app/data', 'app/wal']) t.equal((await agent.lvr(`detach ${target}`)).code, 0, `${target} is detached`);
  data = await agent.attach('app/data');
  wal = await agent.attach('app/wal');
  await run(`mount ${data} /data; mount ${wal} /wal; sha256sum -c --quiet /run/sums; umount /data /wal
e2fsck -fn ${data}; xfs_repair -n ${wal}`);
});

t.test('fio verifies what it wrote: libaio and io_uring, direct and buffered, with trims and zeroes among it', { skip }, async (t) => {
  for (const [engine, direct] of [
    ['libaio', 1],
    ['io_uring', 1],
    ['io_uring', 0],
  ] as const) {
    const text = await run(
      fioJob(data, { engine, direct, size: '24m', rw: 'randwrite', more: '--verify=crc32c --verify_fatal=1 --bsrange=4k-64k' }),
    );
    const result = fioResult(text);
    t.equal(result.error, 0, `${engine}, direct=${direct}: ${result.writes} writes verified`);
  }
  // What was zeroed or trimmed in the middle of content reads as zeroes, the content around it stays.
  await run(`head -c 16M /dev/urandom >/run/random; dd if=/run/random of=${data} bs=1M oflag=direct status=none
blkdiscard -z -o 4194304 -l 2097152 ${data}; blkdiscard -o 8388608 -l 2097152 ${data}
cp /run/random /run/expected
for at in 4 8; do dd if=/dev/zero of=/run/expected bs=1M seek=$at count=2 conv=notrunc status=none; done
cmp <(dd if=${data} bs=1M count=16 iflag=direct status=none) /run/expected`);
});

/** Does `disturb` in the middle of a verified load and returns the longest time a request took. Fails when fio saw an error. */
async function stallUnderLoad(t: Tap, seconds: number, disturb: () => Promise<void>): Promise<number> {
  const more = `--verify=crc32c --verify_fatal=1 --loops=200 --runtime=${seconds}`;
  // Not deeper: fio would take the emulated processors from the agent whose restart is measured.
  const load = run(fioJob(data, { engine: 'libaio', direct: 1, size: '16m', rw: 'randwrite', depth: 4, more }));
  await vm.run('sleep 3');
  await disturb();
  const result = fioResult(await load);
  t.equal(result.error, 0, `fio saw no error in ${result.writes} writes`);
  return result.stallMs;
}

/**
 * The machine is emulated and shares its processors with whatever else runs, so one long stall says little: up to TRIES_MAX tries, all of
 * them verified and printed, and one of them has to keep the bound.
 */
async function bounded(t: Tap, what: string, boundMs: number, seconds: number, disturb: () => Promise<void>): Promise<void> {
  const stalls: number[] = [];
  while (stalls.length < TRIES_MAX && !stalls.some((stallMs) => stallMs <= boundMs)) {
    stalls.push(Math.round(await stallUnderLoad(t, seconds, disturb)));
  }
  t.comment(`figures: ${what} under fio: longest stall ${stalls.join(', then ')} ms, allowed are ${boundMs} ms`);
  t.ok(Math.min(...stalls) <= boundMs, `a stall of ${stalls.join(', then ')} ms, allowed are ${boundMs} ms`);
}

t.test('kill -9 of the agent under fio: no error, the data is right, the longest stall is bounded', { skip }, async (t) => {
  await bounded(t, 'kill -9 and restart', CRASH_STALL_MS_MAX, 12, async () => {
    await agent.kill();
    await agent.start();
  });
});

t.test('a planned restart under fio: no error, the data is right, the longest stall is short', { skip }, async (t) => {
  await bounded(t, 'planned restart', PLANNED_STALL_MS_MAX, 14, async () => {
    const restarted = await agent.lvr('agent restart');
    t.equal(restarted.code, 0, restarted.output);
  });
});

t.test('a mounted file system outlives a killed agent', { skip }, async (t) => {
  await run(`mkfs.ext4 -q ${data}; mount ${data} /data; seq 1 100000 >/data/before; sync`);
  await agent.kill();
  await agent.start();
  await run(`seq 1 200000 >/data/after; sync; echo 3 >/proc/sys/vm/drop_caches
cmp <(seq 1 100000) /data/before; cmp <(seq 1 200000) /data/after; umount /data; e2fsck -fn ${data}`);
  t.match(await vm.run('dmesg'), /nbd/, 'the kernel spoke of nbd');
  t.notMatch(await vm.run('dmesg'), /I\/O error|BUG:|Oops|blocked for more than/, 'the kernel saw no error');
  await vm.kill();
});
