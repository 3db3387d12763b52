// File systems as judges: ext4 and xfs on volumes attached in a machine, recorded by dm-log-writes, checked at every flush that fits
// into LVR_JUDGE_POINTS (8). Negative control: a record with writes left out must be
// found wanting.

import t from 'tap';
import { configText } from '../helpers/agent.js';
import { REPOSITORY, Workspace } from '../helpers/workspace.js';
import { GuestAgent } from './vm/guest-agent.js';
import { vmMissing } from './vm/image.js';
import { Vm } from './vm/vm.js';

const POINTS = Number(process.env['LVR_JUDGE_POINTS'] ?? 8);
const VOLUMES = { ext4: '96MiB', xfs: '320MiB' };
const JUDGE_MS = 400_000;
const REPLAY = `${REPOSITORY}/dist/test/kernel/judge/replay.js`;
const JUDGE = `${REPOSITORY}/test/kernel/judge`;

const skip = vmMissing() ?? false;
const workspace = new Workspace('judges');
t.teardown(() => workspace.dispose());
t.setTimeout(850_000);

t.test('ext4 and xfs are clean at every flush, hold what was synced, and the device holds what was written', { skip }, async (t) => {
  const vm = await Vm.start(workspace, { name: 'judge', memoryMib: 3072 });
  await vm.run(`modprobe brd rd_nr=2 rd_size=$((640 * 1024))
modprobe -a dm-log-writes dm-snapshot nbd loop fuse
mkfs.ext4 -q /dev/ram0 && mkdir -p /mnt && mount /dev/ram0 /mnt`);
  const options = { site: 'a', role: 'primary', volumes: VOLUMES, logSize: '64MiB' } as const;
  const agent = new GuestAgent(vm, '/mnt/agent', configText('/mnt/agent', options));
  await agent.start();
  for (const kind of ['ext4', 'xfs']) {
    const device = await agent.attach(`app/${kind}`);
    const script = `bash ${JUDGE}/judge.sh ${device} ${kind} ${POINTS} ${REPLAY}`;
    const startMs = performance.now();
    const { code, output } = await vm.script(script, { timeoutMs: JUDGE_MS });
    const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
    t.comment(`figures: ${kind} on ${device}, ${seconds} s: ${output.trim().split('\n').slice(-2).join('; ')}`);
    if (!t.equal(code, 0, `${kind} is content`)) t.comment(output.slice(-4000), await agent.story());
    const checks = Number(/checks (\d+)/.exec(output)?.[1] ?? 0);
    t.ok(checks > POINTS / 2, `${checks} states were checked`);
  }
  const dropped = await vm.script(`LVR_JUDGE_DROP=9 bash ${JUDGE}/judge.sh /dev/ram1 ext4 3 ${REPLAY}`, { timeoutMs: JUDGE_MS });
  t.comment(`figures: with writes left out: ${dropped.output.trim().split('\n')[0]}`);
  t.equal(dropped.code, 1, 'a record with writes left out is found wanting');
  t.match(dropped.output, /check-point\.sh failed|bash failed|differ/);
  await vm.kill();
});
