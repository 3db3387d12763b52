// The agent's log when its lines cannot be written: the process that serves volumes goes on.

import t from 'tap';
import { runCommand } from '../helpers/command.js';

for (const human of [false, true]) {
  t.test(`a full disk costs lines, not the agent (${human ? 'text' : 'JSON'})`, async (t) => {
    const source = `
      import { createLog } from '${new URL('../../src/agent/logger.js', import.meta.url)}';
      const log = createLog('a', ${human});
      for (let i = 0; i < 5000; i++) log.info('event', 'x'.repeat(200));
      setTimeout(() => console.log('alive', process.memoryUsage().arrayBuffers < 64 << 20), 50);`;
    const parameters = ['-c', '"$0" --input-type=module -e "$1" 2> /dev/full', process.execPath, source];
    t.match(await runCommand('sh', parameters), { code: 0, stdout: 'alive true\n' });
  });
}
