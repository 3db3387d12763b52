// A batch of the log that cannot be read when what the log was kept for is to be marked in a bitmap: all of the site counts as dirty then,
// and nothing that it lacks is forgotten.

import t from 'tap';
import { RING_START } from '../../src/format/superblock.js';
import { PIECE, PIECES, SlowCopy } from '../helpers/slow-copy.js';

const EIO = 5;

/** The next read of records of a's log fails. */
function failRead({ a }: SlowCopy): void {
  let left = 1;
  a.logDevice.intercept = (op) => (op.kind === 'read' && op.offset >= RING_START && left-- > 0 ? EIO : 0);
}

function allWasDirty({ a }: SlowCopy): boolean {
  return a.lines.some((line) => line.startsWith('bitmap-all-dirty '));
}

t.test('a site that comes back in the last phase of its resync gets what was written over what it has', async (t) => {
  const story = await SlowCopy.begin(t);
  await story.untilLogKept();
  story.lose();
  await story.world.advance(1000);
  await story.write(0, 0);
  await story.world.advance(3000);
  failRead(story);
  story.world.blocked.clear();
  await story.world.advance(600_000);
  t.ok(allWasDirty(story));
  story.alike(t);
});

for (const isLost of [true, false]) {
  t.test(`a demotion in the last phase of a resync, ${isLost ? 'which was cut off' : 'which goes on'}, and a promotion`, async (t) => {
    const story = await SlowCopy.begin(t);
    await story.untilLogKept();
    if (isLost) story.lose();
    await story.world.advance(1000);
    await story.write(0, 0);
    await story.world.advance(200);
    t.ok(story.isLogKept);
    story.client.disconnect();
    failRead(story);
    await story.world.drive(story.a.group.demote());
    t.equal(story.a.group.role, 'secondary');
    await story.world.drive(story.a.group.promote({ force: false }));
    story.world.blocked.clear();
    await story.world.advance(600_000);
    t.ok(allWasDirty(story));
    story.alike(t);
  });
}

t.test('a log that is full of what a site lacks: its bitmap begins with everything, and the group goes on', async (t) => {
  const story = await SlowCopy.begin(t, { resync: { minDwellMs: 1 } });
  await story.write(0, 0);
  await story.world.advance(3000);
  story.lose();
  failRead(story);
  for (let i = 0; i < 400; i++) await story.write(i % 2, i % PIECES);
  t.match(story.a.group.status(), { health: 'degraded', sites: [{ tracking: 'bitmap', dirtyBytes: 2 * PIECES * PIECE }] });
  story.world.blocked.clear();
  await story.world.advance(600_000);
  t.ok(allWasDirty(story));
  story.alike(t);
});
