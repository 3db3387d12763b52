// Mode logged on two machines: the first one, whose file systems lie on attached volumes, is destroyed under load; the second one takes
// over, and everything that was synced is there, LVR_TAKEOVERS (10) times. Each destruction counts for two groups.

import t from 'tap';
import { sleep, until } from '../helpers/command.js';
import { Random } from '../helpers/random.js';
import { Workspace } from '../helpers/workspace.js';
import { vmMissing } from './vm/image.js';
import { type Held, VmPair, workload } from './vm/pair.js';

const TAKEOVERS = Number(process.env['LVR_TAKEOVERS'] ?? 10);
const GROUPS = ['one', 'two'];
/** After something is synced in each group the load goes on for up to this long. */
const LOAD_MS_MAX = 2000;

const skip = vmMissing() ?? false;
const workspace = new Workspace('takeover');
t.teardown(() => workspace.dispose());
t.setTimeout(850_000);

t.test(`${TAKEOVERS} takeovers after the first machine was destroyed, and every synced file is at the second`, { skip }, async (t) => {
  const random = new Random();
  t.comment(`figures: SEED=${random.seed}`);
  const pair = await VmPair.make(workspace, 'logged', GROUPS);
  const promised: number[] = [];
  const bad: string[] = [];
  for (let round = 1; promised.length < TAKEOVERS; round++) {
    const [primary, secondary] = await pair.fresh();
    const synced = new Map<string, number>();
    const loads = GROUPS.map((group) => {
      const onLine = (line: string): void => {
        if (line.startsWith('synced ')) synced.set(group, Number(line.slice(7)));
      };
      return primary.vm.script(workload(group, 1, Number.MAX_SAFE_INTEGER), { onLine });
    });
    const started = async (): Promise<true | undefined> => (synced.size === GROUPS.length ? true : undefined);
    await until('both groups have synced something', 60_000, started);
    await sleep(random.below(LOAD_MS_MAX));
    await primary.vm.kill();
    await Promise.all(loads);
    // It comes back empty and without an agent: its kernel refuses the old connection, so the second site need not wait for silence.
    const back = pair.boot(primary.vm);
    const found = await pair.takeOver(secondary);
    for (const group of GROUPS) {
      const { lines, files } = found.get(group) as Held;
      const count = synced.get(group) ?? 0;
      promised.push(count);
      if (lines < count || files < lines)
        bad.push(`round ${round}, ${group}: ${count} synced, ${lines} lines and ${files} files are there`);
    }
    await back;
  }
  t.comment(`figures: ${promised.length - bad.length} of ${promised.length} takeovers hold what was synced (${promised.join(', ')} files)`);
  t.same(bad, []);
  t.ok(
    promised.every((count) => count > 0),
    'each was destroyed after something had been synced',
  );
  await pair.kill();
});
