// Lines of scripts about bitmaps and resyncs: waiting for a phase of one, and damage to a page of a bitmap.

import { BITMAP_PAGE_BYTES } from '../format/bitmap-page.js';
import type { Script } from './script.js';
import type { SimSite } from './site.js';
import type { World } from './world.js';

/** What `until` can wait for, of a site and the primaries that track it. */
const STATES: Readonly<Record<string, (world: World, site: SimSite) => boolean>> = {
  bitmap: (world, site) => bitmapsOf(world, site).some(({ isKept }) => !isKept),
  kept: (world, site) => bitmapsOf(world, site).some(({ isKept }) => isKept),
  log: (world, site) => bitmapsOf(world, site).length === 0,
  copying: (_, site) => site.isUp && site.group.log.store.current.resync?.endLsn === 0,
  ending: (_, site) => site.isUp && (site.group.log.store.current.resync?.endLsn ?? 0) > 0,
  refused: (world, site) => primaries(world).some(({ group }) => group.links.get(site.name)?.state().session === 'refused'),
  streaming: (world, site) => primaries(world).some(({ group }) => group.links.get(site.name)?.state().replication === 'streaming'),
};

function primaries(world: World): SimSite[] {
  return world.sites.filter((site) => site.isUp && site.group.role === 'primary');
}

function bitmapsOf(world: World, site: SimSite) {
  return primaries(world).flatMap(({ group }) => group.sites.find(site.name)?.bitmap ?? []);
}

/** Lets time pass until a site is in a state, or the limit is reached. */
export async function until(script: Script, [name = '', state = '', ms]: readonly string[]): Promise<void> {
  const { world } = script;
  const site = world.site(name);
  const isThere = STATES[state] ?? (() => true);
  await world.clock.run(world.nowMs + Number(ms), () => isThere(world, site));
  if (isThere(world, site)) world.count(`until ${state}`);
}

/**
 * Damages a page of the bitmap of some site: one copy of it, or (`bit` is even) both. Nothing is lost by that: what a page does not say any
 * more counts as dirty, so the site is not excused for anything.
 */
export function rotBitmap(script: Script, site: SimSite, page: number, bit: number): void {
  const { world } = script;
  const [disk] = site.stores;
  if (site.isUp || disk === undefined) return;
  const pages = site.volumes.length;
  const slot = Math.floor(page / pages) % Math.max(1, world.sites.length - 1);
  const at = (slot * 2 * pages + (page % pages)) * BITMAP_PAGE_BYTES;
  disk.corrupt(at + (bit % BITMAP_PAGE_BYTES), bit % 8);
  if (bit % 2 === 0) disk.corrupt(at + pages * BITMAP_PAGE_BYTES + (bit % BITMAP_PAGE_BYTES), bit % 8);
  world.rottenBitmaps.add(site.name);
  world.count(bit % 2 === 0 ? 'page of a bitmap damaged in both copies' : 'page of a bitmap damaged in one copy');
}
