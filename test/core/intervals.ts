import t from 'tap';
import { IntervalMap } from '../../src/core/intervals.js';

type Piece = [start: number, end: number, value: string, base: number];

function look(map: IntervalMap<string>, start: number, end: number): Piece[] {
  const pieces: Piece[] = [];
  map.visit(start, end, { segment: (s, e, value, base) => void pieces.push([s, e, value, base]) });
  return pieces;
}

t.test('a newer range cuts the middle out of an older one', async (t) => {
  const map = new IntervalMap<string>();
  map.assign(0, 100, 'a', 1000);
  map.assign(40, 60, 'b', 0);
  t.same(look(map, 0, 100), [
    [0, 40, 'a', 1000],
    [40, 60, 'b', 0],
    [60, 100, 'a', 1060],
  ]);
  map.remove(0, 100, 'b');
  t.same(look(map, 30, 70), [
    [30, 40, 'a', 1030],
    [60, 70, 'a', 1060],
  ]);
});

t.test('a negative base stands for constant content and is not moved', async (t) => {
  const map = new IntervalMap<string>();
  map.assign(0, 100, 'zero', -1);
  map.assign(0, 10, 'a', 5);
  t.same(look(map, 5, 50), [
    [5, 10, 'a', 10],
    [10, 50, 'zero', -1],
  ]);
});

t.test('a visit that stops after some segments says how far it looked', async (t) => {
  const map = new IntervalMap<string>();
  for (const start of [10, 30, 50]) map.assign(start, start + 10, 'a', start);
  const starts: number[] = [];
  const visit = (start: number, end: number, most: number): number =>
    map.visit(start, end, { segment: (from) => void starts.push(from) }, most);
  t.equal(visit(0, 100, 2), 50);
  t.same(starts, [10, 30]);
  t.equal(visit(0, 100, 3), 100, 'all of them');
  t.equal(visit(0, 45, 2), 45);
  t.equal(visit(35, 100, 0), 35);
  t.equal(new IntervalMap<string>().visit(0, 100, { segment: () => t.fail() }, 0), 100);
});

t.test('random assignments, removals and look-ups equal a byte-wise model', async (t) => {
  let seed = 12345;
  const random = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 0x1_0000_0000) * n);
  };
  for (const space of [200, 3000]) {
    const map = new IntervalMap<string>();
    const model: ({ value: string; at: number } | undefined)[] = new Array(space).fill(undefined);
    for (let step = 0; step < 6000; step++) {
      const start = random(space - 1);
      const end = Math.min(space, start + 1 + random(step % 7 === 0 ? space : 12));
      const value = `v${random(5)}`;
      if (random(3) > 0) {
        const base = random(4) === 0 ? -1 : random(10_000);
        map.assign(start, end, value, base);
        for (let k = start; k < end; k++) model[k] = { value, at: base < 0 ? -1 : base + k - start };
      } else {
        map.remove(start, end, value);
        for (let k = start; k < end; k++) if (model[k]?.value === value) model[k] = undefined;
      }
      const from = random(space - 1);
      const to = from + 1 + random(space - from - 1);
      const seen: typeof model = new Array(space).fill(undefined);
      for (const [s, e, v, base] of look(map, from, to)) {
        for (let k = s; k < e; k++) seen[k] = { value: v, at: base < 0 ? -1 : base + k - s };
      }
      for (let k = from; k < to; k++) {
        if (seen[k]?.value !== model[k]?.value || seen[k]?.at !== model[k]?.at) {
          t.fail(`step ${step}, byte ${k}: ${JSON.stringify(seen[k])} instead of ${JSON.stringify(model[k])}`);
          return;
        }
      }
    }
    t.ok(map.size <= space, 'segments are disjoint');
    for (let v = 0; v < 5; v++) map.remove(0, space, `v${v}`);
    t.equal(map.size, 0, 'everything can be removed');
  }
});
