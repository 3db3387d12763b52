// The master invariant for a site that is tracked by a bitmap: what differs between the volumes of two sites is dirty.

import type { SiteBitmap } from '../format/superblock.js';
import type { Group } from '../group/group.js';
import { type SimSite, VOLUMES } from './site.js';

function isQuiet({ applier }: Group): boolean {
  return applier.startedLsn === applier.appliedLsn;
}

/** Whether `other` can make use of the bitmap as it stands: in its resync, or consistent with everything up to the base on its volumes. */
function isUsable(other: Group, bitmap: SiteBitmap): boolean {
  const { resync } = other.log.store.current;
  if (resync !== undefined) return resync.uuid === bitmap.uuid;
  const { durableLsn } = other.log;
  return bitmap.base !== undefined && durableLsn >= bitmap.base && other.applier.appliedLsn >= durableLsn;
}

/** A region that differs and is not dirty, in words; undefined when there is none, or nothing can be said now. Their histories agree. */
export function bitmapProblem(primary: SimSite, other: SimSite, bitmap: SiteBitmap): string | undefined {
  const [ours, theirs] = [primary.group, other.group];
  if (!isQuiet(ours) || !isQuiet(theirs) || theirs.role === 'primary' || !isUsable(theirs, bitmap)) return undefined;
  const map = ours.resyncs.bitmaps.mapOf(other.name);
  if (map === undefined) return undefined;
  for (const [volume, disk] of primary.volumes.entries()) {
    const [a, b] = [disk.view, (other.volumes[volume] as { view: Uint8Array }).view];
    for (let region = 0; region < map.regions(volume); region++) {
      const from = region * map.regionBytes;
      const to = from + map.regionBytes;
      if (map.isDirty(volume, region) || Buffer.compare(a.subarray(from, to), b.subarray(from, to)) === 0) continue;
      return `region ${region} of ${VOLUMES[volume]} differs between ${primary.name} and ${other.name} and is not dirty`;
    }
  }
  return undefined;
}
