// Takes back a resync that did not come to its end: the site is then what it was before it.

import { LvrError } from '../core/errors.js';
import { cutLineage } from '../core/lineage.js';
import { UUID_NONE } from '../format/bytes.js';
import type { TargetGroup } from './resync-target.js';
import type { SavedContent } from './saved-content.js';

/** Puts back what the resync has overwritten. Nothing of it may be under way. Rejects when that cannot be, with nothing changed. */
export async function rollBackCopy(group: TargetGroup, saved: SavedContent): Promise<void> {
  const { log, applier, name } = group;
  const { resync } = log.store.current;
  if (resync === undefined) return;
  if (resync.undo !== undefined && !saved.hasStore) {
    throw new LvrError('NOT_CONSISTENT', `group ${name}: what a resync has overwritten is in the undo store, but undo = "off"`, {
      hint: `set undo = "auto" for group ${name} and start again`,
    });
  }
  if (resync.undo === undefined || !(await saved.open(resync.undo))) {
    throw new LvrError('NOT_CONSISTENT', `group ${name}: a resync was cut off and nothing was kept of what it has overwritten`, {
      hint: 'connect the primary again and let the resync end, or promote another site',
    });
  }
  await saved.check();
  await log.quiet();
  // The primary has struck off what this site is about to lose again: the resync must not go on from there.
  await log.store.update((current) => ({ ...current, resync: { ...resync, uuid: UUID_NONE, endLsn: 0 } }));
  await saved.putBack();
  const { fromLsn, fromChain } = resync;
  await log.rebase(fromLsn, fromChain, cutLineage(log.lineage, fromLsn), { resync: undefined });
  applier.rebase(fromLsn);
  saved.forget();
}
