// Replays a dm-log-writes log onto a device and stops at flushes to have the state checked:
//   node replay.js LOG TARGET POINTS COMMAND [ARGUMENT...]
// COMMAND gets the last mark as one more argument (`none` at first, at the end one of the recorder's own); its failure ends the replay.
// Points are spread evenly over all flushes, and the state at the end is always one of them. Runs inside a test machine.

import { spawnSync } from 'node:child_process';
import { fdatasyncSync, openSync } from 'node:fs';
import { applyEntry, readEntries } from './write-log.js';

const [logPath, targetPath, points, command, ...parameters] = process.argv.slice(2) as [string, string, string, string, ...string[]];
const log = openSync(logPath, 'r');
const target = openSync(targetPath, 'r+');
const entries = readEntries(log);
const flushes = entries.flatMap((entry, at) => (entry.flush && at > 0 ? [at] : []));
const wanted = Math.min(Number(points), flushes.length);
const chosen = new Set(Array.from({ length: wanted }, (_, at) => flushes[Math.floor((at * flushes.length) / wanted)] as number));
chosen.add(entries.length);

// Negative control: with every n-th write missing the checks must fail.
const drop = Number(process.env['LVR_JUDGE_DROP'] ?? 0);
let writes = 0;
let mark = 'none';
let checks = 0;
for (let at = 0; at <= entries.length; at++) {
  if (chosen.has(at)) {
    fdatasyncSync(target);
    const ended = spawnSync(command, [...parameters, mark], { encoding: 'utf8', timeout: 150_000 });
    if (ended.status !== 0) {
      console.log(`entry ${at} of ${entries.length}, after mark ${mark}: ${command} failed with ${ended.status ?? ended.signal}`);
      console.log(`${ended.stdout}${ended.stderr}`);
      process.exit(1);
    }
    checks++;
  }
  const entry = entries[at];
  if (entry === undefined) break;
  if (!(drop > 0 && entry.length > 0 && ++writes % drop === 0)) applyEntry(log, entry, target);
  mark = entry.mark ?? mark;
}
console.log(`entries ${entries.length} flushes ${flushes.length} checks ${checks} mark ${mark}`);
