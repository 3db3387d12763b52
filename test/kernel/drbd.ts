// lvr beside DRBD 8.4: two machines, the same ramdisks, network, kernel and fio jobs; 4 KiB random writes at depth 32 and 1 (row B11 of
// the benchmark: async against protocol A, logged against protocol C). The figures are printed, not judged: user code pays most under TCG.
// LVR_FIO_SECONDS (3) for each job.

import t from 'tap';
import { REPOSITORY, Workspace } from '../helpers/workspace.js';
import { fioJob, fioResult } from './vm/fio.js';
import { GuestAgent } from './vm/guest-agent.js';
import { vmMissing } from './vm/image.js';
import { LanSwitch } from './vm/lan.js';
import { Vm } from './vm/vm.js';

const SECONDS = Number(process.env['LVR_FIO_SECONDS'] ?? 3);
const DEPTHS = [32, 1];
const DRBD = `bash ${REPOSITORY}/test/kernel/drbd.sh`;
const RAMDISK_KIB = 128 * 1024;
const DRIVERS = ['nbd', 'loop', 'fuse', 'drbd'];

const skip = vmMissing() ?? false;
const workspace = new Workspace('drbd');
t.teardown(() => workspace.dispose());
t.setTimeout(600_000);

/** Writes per second at each depth. */
async function measure(vm: Vm, device: string): Promise<number[]> {
  const rates: number[] = [];
  for (const depth of DEPTHS) {
    const more = `--runtime=${SECONDS} --time_based --ramp_time=1`;
    const job = fioJob(device, { engine: 'libaio', direct: 1, size: '100m', rw: 'randwrite', depth, more });
    const result = fioResult(await vm.run(job, { timeoutMs: 60_000 }));
    if (result.error !== 0) throw new Error(`fio failed on ${device}: error ${result.error}`);
    rates.push(result.writesPerSecond);
  }
  return rates;
}

/** A file system for the agent's state: bitmaps are opened with O_DIRECT, which the machine's own file system in memory lacks. */
const STATE = 'mkfs.ext4 -q /dev/ram5; mkdir -p /mnt/lvr; mount -t ext4 /dev/ram5 /mnt/lvr';

/** Config of one of the two agents: groups `async` and `logged`, each with a log and a volume on ramdisks. */
function config(site: 'a' | 'b'): string {
  const [own, other, peer] = site === 'a' ? ['10.9.0.1', '10.9.0.2', 'b'] : ['10.9.0.2', '10.9.0.1', 'a'];
  const groups = ['async', 'logged'].map(
    (mode, at) => `[groups.${mode}]
role = "${site === 'a' ? 'primary' : 'secondary'}"
log = { path = "/dev/ram${1 + 2 * at}" }
[groups.${mode}.volumes.data]
device = "/dev/ram${2 + 2 * at}"
[groups.${mode}.sites.${peer}]
address = "${other}:7749"
mode = "${mode}"
`,
  );
  return `[agent]
site = "${site}"
state_dir = "/mnt/lvr"
control = "/run/lvr/agent.sock"
nbd = ["unix:/run/lvr/nbd.sock"]
listen = "${own}:7749"
insecure = true
${groups.join('')}`;
}

async function measureDrbd(a: Vm, b: Vm, protocol: string): Promise<number[]> {
  try {
    await Promise.all([a, b].map((vm) => vm.run(`${DRBD} up ${protocol}`)));
    await a.run(`${DRBD} primary`);
    return await measure(a, '/dev/drbd0');
  } finally {
    await Promise.all([a, b].map((vm) => vm.script(`${DRBD} down`)));
  }
}

/** Rates in both modes, and what kind of device it was. */
async function measureLvr(a: Vm, b: Vm): Promise<{ rates: number[][]; device: string }> {
  const primary = new GuestAgent(a, '/run/lvr', config('a'));
  const secondary = new GuestAgent(b, '/run/lvr', config('b'));
  await Promise.all([primary.start(), secondary.start()]);
  const rates: number[][] = [];
  let device = '';
  for (const mode of ['async', 'logged']) {
    device = await primary.attach(`${mode}/data`);
    rates.push(await measure(a, device));
  }
  const sites = (await primary.status()).flatMap((group) => group.sites);
  const wrong = sites.filter((site) => site.effectiveMode !== site.mode);
  if (wrong.length > 0) throw new Error(`not in its mode: ${JSON.stringify(wrong)}\n${await primary.story()}`);
  return { rates, device };
}

t.test('4 KiB random writes on lvr and DRBD, two machines', { skip }, async (t) => {
  const lan = await LanSwitch.make(workspace);
  const machines = [1, 2].map((host) => new Vm(workspace, { name: `vm${host}`, memoryMib: 1536, lan: { socket: lan.socket, host } }));
  const [a, b] = machines as [Vm, Vm];
  await Promise.all(machines.map((vm) => vm.start()));
  await Promise.all(
    machines.map((vm) => vm.run(`modprobe brd rd_nr=6 rd_size=${RAMDISK_KIB}; modprobe -a ${DRIVERS.join(' ')}; ${STATE}`)),
  );
  const peer = [await measureDrbd(a, b, 'A'), await measureDrbd(a, b, 'C')];
  const { rates, device } = await measureLvr(a, b);
  t.comment(`figures: lvr on ${device}; ${lan.dropped} frames dropped`);
  for (const [row, name] of ['async / DRBD A', 'logged / DRBD C'].entries()) {
    for (const [at, depth] of DEPTHS.entries()) {
      const [own, other] = [rates[row]?.[at] ?? 0, peer[row]?.[at] ?? 0];
      const line = `${name}, depth ${depth}: ${own.toFixed(0)}/s / ${other.toFixed(0)}/s = ${(own / other).toFixed(2)}`;
      t.comment(`figures: ${line}`);
      t.ok(own > 0 && other > 0, line);
    }
  }
  await Promise.all(machines.map((vm) => vm.kill()));
});
