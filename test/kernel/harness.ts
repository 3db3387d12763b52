// The harness itself: machines start, run scripts, see each other, end at their deadlines, and leave nothing behind.

import t from 'tap';
import { Workspace } from '../helpers/workspace.js';
import { vmMissing } from './vm/image.js';
import { LanSwitch } from './vm/lan.js';
import { Vm } from './vm/vm.js';

const DRIVERS = ['nbd', 'loop', 'fuse', 'brd', 'dm-log-writes', 'dm-flakey', 'drbd', 'sch_netem', 'ext4', 'xfs'];

const skip = vmMissing() ?? false;
const workspace = new Workspace('vm');
t.teardown(() => workspace.dispose());
t.setTimeout(300_000);

t.test('two machines start, run scripts and reach each other until the network is cut', { skip }, async (t) => {
  const lan = await LanSwitch.make(workspace);
  const machines = [1, 2].map((host) => new Vm(workspace, { name: `vm${host}`, memoryMib: 1024, lan: { socket: lan.socket, host } }));
  const [a, b] = machines as [Vm, Vm];
  const times = await Promise.all(machines.map((vm) => vm.start()));
  t.comment(`figures: ready after ${times.map((ms) => (ms / 1000).toFixed(1)).join(' and ')} s`);

  t.equal((await a.run('hostname')).trim(), 'vm1');
  t.same(await a.script('echo to the console; echo to the other >&2; printf unfinished; exit 7'), {
    code: 7,
    output: 'to the console\nto the other\nunfinished\n',
  });
  const seen: string[] = [];
  await a.run('for i in 1 2 3; do echo $i; sleep 0.1; done', { onLine: (line) => seen.push(line) });
  t.same(seen, ['1', '2', '3'], 'lines come one by one');
  await t.rejects(a.run('false | true'), /exit 1/, 'any failing part of a pipe counts');

  await a.run(`modprobe -a ${DRIVERS.join(' ')}`);
  await a.run('busybox ping -c 1 -W 5 10.9.0.2');
  lan.cut = true;
  t.not((await a.script('busybox ping -c 1 -W 1 10.9.0.2')).code, 0, 'nothing gets through a cut network');
  lan.cut = false;
  await b.run('busybox ping -c 1 -W 5 10.9.0.1');

  const late = await a.script('sleep 100', { timeoutMs: 1000 });
  t.equal(late.code, 124, 'a script ends at its deadline');
  const waiting = b.script('sleep 100');
  await b.kill();
  t.equal((await waiting).code, -1, 'a script in a killed machine ends');
  t.equal(b.running, false);
  await a.stop();
  t.equal(a.running, false);
});
