// Turns of resyncs: so many at a time, in the order in which they asked.

import t from 'tap';
import { ResyncTurn, ResyncTurns } from '../../src/core/resync-turns.js';

t.test('so many run at a time, the others wait in order, and a paused one holds no place', async (t) => {
  const turns = new ResyncTurns(2);
  const granted: number[] = [];
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => new ResyncTurn(turns, i === 3, () => granted.push(i))) as [
    ResyncTurn,
    ResyncTurn,
    ResyncTurn,
    ResyncTurn,
  ];
  for (const turn of [a, b, c, d, a]) turn.start();
  t.same(granted, [0, 1]);
  t.same(
    [a, b, c, d].map((turn) => turn.state),
    ['running', 'running', 'waiting', 'paused'],
  );
  t.match(c.reason, /waits for its turn: 2 resyncs/);
  t.match(d.reason, /paused/);
  t.equal(a.reason, '');
  d.setPaused(false);
  d.setPaused(false);
  t.equal(d.state, 'waiting');
  t.equal(d.isRunning, false);
  a.setPaused(true);
  t.equal(a.isRunning, false);
  t.same(granted, [0, 1, 2], 'the one that asked first is next');
  c.setPaused(true);
  t.same(granted, [0, 1, 2, 3]);
  a.stop();
  a.setPaused(false);
  b.stop();
  t.equal(turns.isRunning(a), false, 'one that was stopped asks no more');
  c.setPaused(false);
  t.same(granted, [0, 1, 2, 3, 2]);
  t.equal(new ResyncTurns().max, 2);
});
