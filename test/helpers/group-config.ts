// What a group's configuration says where a test does not care.

import { type GroupConfig, RESYNC_DEFAULTS } from '../../src/core/group-config.js';

/** Settings of a group as its defaults are, but for a region of 64 KiB. */
export const GROUP_SETTINGS = {
  writeCache: true,
  regionBytes: 65536,
  undo: 'auto',
  onLogError: 'fail',
  onIoError: 'retry-remote',
  resync: RESYNC_DEFAULTS,
} as const satisfies Partial<GroupConfig>;
