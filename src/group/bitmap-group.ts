// What the bitmaps of sites need of their group.

import type { DirtyMap } from '../core/dirty-map.js';
import type { LvrError } from '../core/errors.js';
import type { FoldGroup } from './fold-choice.js';
import type { SiteProgress } from './sites.js';

/** What the bitmaps need of their group. */
export interface BitmapGroup extends FoldGroup {
  readonly name: string;
  readonly role: 'primary' | 'secondary';
  readonly changing: boolean;
  /** Payload bytes that clients have written in this run up to this retained record; at most, never more. */
  writtenUpTo(lsn: number): number;
  newUuid(): string;
  newMap(): DirtyMap;
  /** The log no longer keeps what the site lacks: a session that ships from it must end. */
  siteFolded(site: SiteProgress): void;
  /** The log keeps what the site lacks again: it counts like any other. */
  siteReturned(site: SiteProgress): void;
  /** The log may forget more. */
  logFreed(): void;
  failed(error: LvrError): void;
}
