// What must be true of bitmaps: what a site lacks is in a dirty region, a site does not flap between log and bitmap, and nobody is alarmed
// about damage that there is not.

import type { SiteBitmap } from '../format/superblock.js';
import { type SimSite, VOLUMES } from './site.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

export class BitmapOracle {
  readonly #world: World;
  /** Site, process and tracked site, and when it was last given a bitmap, or taken off it. */
  readonly #changedMs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  /** A site said something about a bitmap or a resync. */
  reported(site: SimSite, event: string): void {
    const { rottenBitmaps, tainted, faulted, knobs, nowMs } = this.#world;
    const line = site.lines.at(-1) ?? '';
    if (event === 'resync-ended') return this.#world.copiedTo(site);
    if (event === 'bitmap-damaged' || event === 'bitmap-all-dirty') {
      if ((event === 'bitmap-damaged' && rottenBitmaps.has(site.name)) || tainted.has(site.name) || faulted.has(site.name)) return;
      throw new Violation('no false alarm', `${site.name} says: ${line}`);
    }
    if (event === 'bitmap-left') this.#countCompared(site);
    const key = `${site.name} ${site.boots} ${/ site (\S+) /.exec(line)?.[1]}`;
    const sinceMs = nowMs - (this.#changedMs.get(key) ?? Number.NEGATIVE_INFINITY);
    // Clocks of processes go up to a hundredth too fast. Writers need not wait for a site that cannot catch up.
    if (event === 'bitmap-mode' && sinceMs < knobs.dwellMs * 0.98 && !line.includes(' (away) '))
      throw new Violation('flapping', `${site.name} says ${sinceMs.toFixed(0)} ms after the last change: ${line}`);
    this.#changedMs.set(key, nowMs);
  }

  #countCompared({ group }: SimSite): void {
    for (const { name } of group.config.sites) {
      const { comparedBytes, sameBytes } = group.resyncs.progress.resynced(name);
      if (sameBytes > 0) this.#world.count('compared and the same');
      if (comparedBytes > sameBytes) this.#world.count('compared and different');
    }
  }

  /** What a site has behind a copy that is not consistent could still be taken back: it counts for nothing. */
  checkCounted(primary: SimSite, other: SimSite, countedLsn: number): void {
    const fromLsn = other.group.log.store.current.resync?.fromLsn ?? Number.POSITIVE_INFINITY;
    if (other.group.links.get(primary.name)?.state().session !== 'connected' || countedLsn <= fromLsn) return;
    throw new Violation(
      'status',
      `${primary.name} counts LSN ${countedLsn} of ${other.name}, which is in the middle of a resync from ${fromLsn}`,
    );
  }

  /** Every sector that differs is in a dirty region, if the site can make use of the bitmap at all. */
  check(primary: SimSite, other: SimSite, bitmap: SiteBitmap): void {
    const [ours, theirs] = [primary.group, other.group];
    const { resync } = theirs.log.store.current;
    const isQuiet = (group: SimSite['group']): boolean => group.applier.startedLsn === group.applier.appliedLsn;
    if (!isQuiet(ours) || !isQuiet(theirs) || theirs.role === 'primary') return;
    if (resync === undefined) {
      // Consistent: it has a prefix, of this history or another, and what is in its log and not on its volumes comes first.
      const { appliedLsn } = theirs.applier;
      // What only it has keeps it apart (rules C11 and C12).
      if (theirs.log.appendedLsn > ours.log.appendedLsn) return;
      if (bitmap.base === undefined || theirs.log.durableLsn < bitmap.base || appliedLsn < theirs.log.durableLsn) return;
    } else if (resync.uuid !== bitmap.uuid) return;
    const map = ours.resyncs.bitmaps.mapOf(other.name);
    if (map === undefined) return;
    this.#world.count(resync === undefined ? 'bitmap of a consistent site checked' : 'bitmap of a site in resync checked');
    for (const [volume, disk] of primary.volumes.entries()) {
      const [a, b] = [disk.view, (other.volumes[volume] as { view: Uint8Array }).view];
      for (let region = 0; region < map.regions(volume); region++) {
        const from = region * map.regionBytes;
        if (map.isDirty(volume, region)) continue;
        if (Buffer.compare(a.subarray(from, from + map.regionBytes), b.subarray(from, from + map.regionBytes)) === 0) continue;
        const what = `region ${region} of ${VOLUMES[volume]} differs between ${primary.name} and ${other.name} and is not dirty`;
        throw new Violation('master invariant', what);
      }
    }
  }
}
