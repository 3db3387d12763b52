// The agent's log when its lines cannot be written: the process that serves volumes goes on.

import { readFileSync } from 'node:fs';
import t from 'tap';
import { runCommand } from '../helpers/command.js';
import { Workspace } from '../helpers/workspace.js';

const work = new Workspace('logger');
t.teardown(() => work.dispose());

const LINES = 2000;

/** Logs more than a file of at most 8 KiB takes, makes room, and logs once more. */
function source(human: boolean): string {
  return `
    import { truncateSync } from 'node:fs';
    import { createLog } from '${new URL('../../src/agent/logger.js', import.meta.url)}';
    const log = createLog('a', ${human});
    for (let i = 0; i < ${LINES}; i++) log.info('event', 'x'.repeat(200) + i);
    truncateSync(process.argv[1], 5000);
    log.info('event', 'y'.repeat(200));
    log.info('event', 'z'.repeat(200));
    setTimeout(() => console.log('alive'), 50);`;
}

for (const human of [false, true]) {
  t.test(`no room costs the lines of that time, not the agent (${human ? 'text' : 'JSON'})`, async (t) => {
    const path = work.file(`log-${human}`);
    // In blocks of 512 bytes; the signal of a file that gets too long is ignored, and a write says EFBIG.
    const command = 'trap "" XFSZ; ulimit -f 16; exec "$0" --input-type=module -e "$1" "$2" 2>> "$2"';
    t.match(await runCommand('sh', ['-c', command, process.execPath, source(human), path]), { code: 0, stdout: 'alive\n' });
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    t.ok(lines.length > 10 && lines.length < LINES / 10, `${lines.length} lines`);
    t.match(lines.at(-2), human ? /^<info> event y{200}$/ : /^\{.*"y{200}"\}$/, 'behind a torn line');
    t.match(lines.at(-1), human ? /^<info> event z{200}$/ : /^\{.*"z{200}"\}$/);
  });
}
