// ext4 as a judge of an attached volume: recorded by dm-log-writes, checked at flushes spread over the whole record. Negative control: a
// record with writes left out must be found wanting.

import t from 'tap';
import { Workspace } from '../helpers/workspace.js';
import { JudgeVm } from './judge/judge.js';
import { vmMissing } from './vm/image.js';

const EXT4 = { kind: 'ext4', size: '96MiB' } as const;

const skip = vmMissing() ?? false;
const workspace = new Workspace('judge');
t.teardown(() => workspace.dispose());
t.setTimeout(850_000);

t.test('ext4 is clean at every flush, holds what was synced, and the device holds what was written', { skip }, async (t) => {
  const vm = await JudgeVm.start(workspace, EXT4);
  await vm.judge(t, EXT4);
  const dropped = await vm.run('/dev/ram1', 'ext4', 3, 'LVR_JUDGE_DROP=9');
  t.comment(`figures: with writes left out: ${dropped.output.trim().split('\n')[0]}`);
  t.equal(dropped.code, 1, 'a record with writes left out is found wanting');
  t.match(dropped.output, /check-point\.sh failed|bash failed|differ/);
  await vm.kill();
});
