// What may be changed about a site while its group runs (`lvr site set`): as the configuration has it, what is absent stays.

import type { FallBehindLimits } from './fall-behind.js';
import type { LogFull, OnDisconnect, SiteMode } from './group-config.js';
import type { PaceLimits } from './resync-pace.js';

export type SiteSettings = {
  readonly mode: SiteMode;
  readonly onDisconnect: OnDisconnect;
  readonly logFull: LogFull;
  readonly limits: FallBehindLimits;
  readonly pace: PaceLimits;
};
