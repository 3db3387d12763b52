// How long a primary that starts waits before it lets clients write.

import type { SiteLink } from '../link/link.js';
import type { GroupEnv } from './env.js';

/** A primary that starts waits this long to hear from its sites whether it was replaced. */
const START_GRACE_MS = 3_000;
/** The same when another process served the volumes a moment ago: it would have heard, and clients wait. */
const TAKE_OVER_GRACE_MS = 300;

/** What this looks at. */
export interface StartingGroup {
  readonly role: 'primary' | 'secondary';
  readonly env: GroupEnv;
  readonly links: ReadonlyMap<string, SiteLink>;
}

/** Resolves when no site can say any more that this primary was replaced, or the time is over. At once on a secondary. */
export async function startGrace(group: StartingGroup, takesOver: boolean): Promise<void> {
  const { clock } = group.env;
  const deadline = clock.nowMs() + (takesOver ? TAKE_OVER_GRACE_MS : START_GRACE_MS);
  const waiting = (): boolean => [...group.links.values()].some((l) => ['connecting', 'handshaking'].includes(l.state().session));
  while (group.role === 'primary' && waiting() && clock.nowMs() < deadline) {
    await new Promise<void>((resolve) => void clock.after(20, resolve));
  }
}
