// Mode async on two machines: the first one is destroyed with writes that were never shipped. What the second one has is a prefix over
// both volumes, and what is missing is within the lag that was reported before the end.

import t from 'tap';
import { until } from '../helpers/command.js';
import { Workspace } from '../helpers/workspace.js';
import { vmMissing } from './vm/image.js';
import { type Held, VmPair, workload } from './vm/pair.js';

const GROUP = 'one';
const SHIP_MS = 30_000;

const skip = vmMissing() ?? false;
const workspace = new Workspace('takeover');
t.teardown(() => workspace.dispose());
t.setTimeout(300_000);

t.test('the second site has a prefix, and the reported lag covers what is missing', { skip }, async (t) => {
  const pair = await VmPair.make(workspace, 'async', [GROUP]);
  const [primary, secondary] = await pair.fresh();
  t.match(await primary.vm.run(workload(GROUP, 1, 10)), /synced 10/);
  // Once the link has shipped what was written so far, nothing gets through any more.
  const shipped = async (): Promise<true | undefined> => ((await primary.status())[0]?.sites[0]?.lagIos === 0 ? true : undefined);
  await until('the link has shipped everything', SHIP_MS, shipped);
  pair.lan.cut = true;
  t.match(await primary.vm.run(workload(GROUP, 11, 25)), /synced 25/, 'an absent site does not stop the writers');
  const site = (await primary.status())[0]?.sites[0];
  await primary.vm.kill();
  pair.lan.cut = false;
  const { lines, files } = (await pair.takeOver(secondary)).get(GROUP) as Held;
  const bytesEach = Buffer.byteLength(Array.from({ length: 2001 }, (_, at) => `${at + 1}\n`).join(''));
  t.comment(
    `figures: async: 25 synced, 10 before the cut; ${lines} lines and ${files} files there; reported lag ${site?.lagBytes} bytes, ${site?.lagIos} records`,
  );
  t.ok(lines >= 10 && lines < 25, 'what came before the cut is there, what came after is not');
  t.ok(files >= lines, 'a line on one volume is never there without the file on the other that was synced before');
  t.ok((site?.lagBytes ?? 0) >= (25 - files) * bytesEach, 'the lag covers the missing files');
  await pair.kill();
});
