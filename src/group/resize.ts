// The size of a group's log, changed while the group is in use: writers wait for the few milliseconds in which the layout changes. On a
// secondary a session in which records arrive just then begins anew.

import { LvrError } from '../core/errors.js';
import { resizeLog } from '../disk/log-resize.js';
import { RING_START } from '../format/superblock.js';
import type { Group } from './group.js';

/** Rejects as resizeLog() does, with ROLE while the role of the group changes. `changed`: false when nothing had to be done. */
export async function resizeGroupLog(group: Group, sizeBytes: number): Promise<{ changed: boolean }> {
  if (group.failure !== undefined) throw group.failure;
  group.passthrough.assertWhole();
  if (group.changing || group.joining) {
    throw new LvrError('ROLE', `group ${group.name}: it is changing its role or joining a primary`, { hint: 'try again' });
  }
  const { log, env, name } = group;
  const before = log.ring.bytes + RING_START;
  const work = resizeLog(log, sizeBytes, () => group.writePath?.sealAll());
  group.resizing = work.catch(() => undefined);
  try {
    const changed = await work;
    if (changed) env.log.info('log-resized', `group ${name}: the log has ${sizeBytes} bytes, it had ${before}`, { group: name, sizeBytes });
    return { changed };
  } finally {
    group.roomAvailable();
  }
}
