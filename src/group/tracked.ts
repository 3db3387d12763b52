// A site whose log is a bitmap.

import type { DirtyMap } from '../core/dirty-map.js';
import type { SiteProgress } from './sites.js';

/** A site that is, or is becoming, tracked by a bitmap. */
export type Tracked = {
  readonly site: SiteProgress;
  readonly map: DirtyMap;
  readonly slot: number;
  readonly uuid: string;
  /** Regions are marked as records are applied; else the log keeps those records, and they are marked when that must end. */
  marks: boolean;
  /** The site is consistent once it has applied this; undefined while it is not being finished. */
  endLsn: number | undefined;
};
