// When a site must be seeded, judged from what happened: with a bitmap for every site that the log does not cover, only a site that the
// primary has never tracked, or that left the history the bitmap is about, needs more than a resync.

import type { Oracle } from './oracle.js';
import type { SimSite } from './site.js';

/** True when the primary really cannot bring this site back. */
export function isSeedNeeded(oracle: Oracle, primary: SimSite, site: SimSite): boolean {
  const { resync } = site.group.log.store.current;
  const bitmap = primary.group.sites.find(site.name)?.bitmap;
  // Only the primary that began a resync can end it.
  if (resync !== undefined) return bitmap?.uuid !== resync.uuid;
  // A promotion in mid-resync takes a site back to where no bitmap reaches.
  if (oracle.rolledBack.has(site.name)) return true;
  // As a secondary the primary forgot records without asking what other sites have.
  return oracle.trimmedAtPromotion(primary) > oracle.common(primary, site);
}
