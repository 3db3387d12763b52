// xfs as a judge of an attached volume: recorded by dm-log-writes, checked at flushes spread over the whole record.

import t from 'tap';
import { Workspace } from '../helpers/workspace.js';
import { JudgeVm } from './judge/judge.js';
import { vmMissing } from './vm/image.js';

const XFS = { kind: 'xfs', size: '320MiB' } as const;

const skip = vmMissing() ?? false;
const workspace = new Workspace('judge');
t.teardown(() => workspace.dispose());
t.setTimeout(850_000);

t.test('xfs is clean at every flush, holds what was synced, and the device holds what was written', { skip }, async (t) => {
  const vm = await JudgeVm.start(workspace, XFS);
  await vm.judge(t, XFS);
  await vm.kill();
});
