// The helpers that judge others are judged here: the history check must notice every kind of damage, and the TAP reader must count right.

import t from 'tap';
import { figuresIn, tableOf } from './figures.js';
import { History } from './history.js';
import { parseTap } from './tap-output.js';

/** A history over two volumes of 8 blocks in which writes 1, 3, 4 went to volume 0 and 2, 5 to volume 1; all but 5 are answered. */
function sample(): History {
  const history = new History(2, 8);
  const plan: readonly [number, number, number][] = [
    [0, 0, 1],
    [1, 0, 2],
    [0, 1, 2],
    [0, 0, 1],
    [1, 4, 3],
  ];
  for (const [volume, block, count] of plan) {
    const write = history.sent(volume, block, count);
    if (write.sequence < 5) history.answered(volume, write, false);
  }
  return history;
}

function images(first: readonly number[], second: readonly number[]): Float64Array[] {
  return [Float64Array.from(first), Float64Array.from(second)];
}

const COMPLETE = images([4, 3, 3, 0, 0, 0, 0, 0], [2, 2, 0, 0, 5, 5, 5, 0]);

t.test('history: the complete image and every true prefix are accepted', async (t) => {
  t.same(sample().check(COMPLETE, [4, 2]), { cuts: [4, 5], problems: [] });
  t.same(sample().check(images([1, 3, 3, 0, 0, 0, 0, 0], [2, 2, 0, 0, 0, 0, 0, 0]), [0, 0]).problems, []);
  t.same(sample().check(images([0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]), [0, 0]).problems, []);
});

t.test('history: the last write may be there in part, an earlier one may not', async (t) => {
  t.same(sample().check(images([4, 3, 3, 0, 0, 0, 0, 0], [2, 2, 0, 0, 5, 0, 0, 0]), [4, 2]).problems, []);
  t.match(sample().check(images([4, 3, 0, 0, 0, 0, 0, 0], [2, 2, 0, 0, 0, 0, 0, 0]), [4, 2]).problems, [/volume 0 block 2/]);
});

t.test('history: a promised write that is gone is noticed', async (t) => {
  t.match(sample().check(images([1, 3, 3, 0, 0, 0, 0, 0], [2, 2, 0, 0, 0, 0, 0, 0]), [4, 2]).problems, [
    /volume 0: cut at 3, but 4 was promised/,
  ]);
});

t.test('history: a hole, an old value and a block of nobody are noticed', async (t) => {
  for (const first of [
    [4, 0, 0, 0, 0, 0, 0, 0],
    [1, 3, 3, 4, 0, 0, 0, 0],
    [4, 3, 3, 0, 0, 0, 0, 1],
  ]) {
    t.not(sample().check(images(first, [2, 2, 0, 0, 0, 0, 0, 0]), [0, 0]).problems.length, 0, String(first));
  }
});

t.test('history: a write without what was answered before it on the other volume is noticed', async (t) => {
  const verdict = sample().check(images([4, 3, 3, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]), [0, 0]);
  t.match(verdict.problems, [/volume 0 has write 4, sent after 2 was answered on volume 1/]);
});

t.test('history: missing() counts answered writes beyond the cut only', async (t) => {
  t.same(sample().missing([3, 0]), { writes: 2, bytes: 3 * 4096 });
  t.same(sample().missing([4, 5]), { writes: 0, bytes: 0 });
});

t.test('history: after a rebase the old content is the base and is not promised again', async (t) => {
  const history = sample();
  history.rebase(COMPLETE);
  t.same(history.check(COMPLETE, history.answeredMax), { cuts: [0, 0], problems: [] });
  history.sent(0, 7, 1);
  t.same(history.check(images([4, 3, 3, 0, 0, 0, 0, 6], [2, 2, 0, 0, 5, 5, 5, 0]), [0, 0]), { cuts: [6, 0], problems: [] });
});

t.test('TAP: leaves are counted once, with their outcome and reason', async (t) => {
  const text = `TAP version 14
# Subtest: outer
    ok 1 - direct
    # Subtest: inner
        ok 1 - fine
        not ok 2 - broken
          ---
          found: 1
          ...
        1..2
    not ok 2 - inner # time=1ms
    1..2
not ok 1 - outer # time=2ms
ok 2 - later # SKIP no root
ok 3 - top
1..3
`;
  const { leaves, planned } = parseTap(text);
  t.equal(planned, true);
  t.same(
    leaves.map((leaf) => [leaf.title, leaf.outcome, leaf.reason]),
    [
      ['outer > inner', 'failed', ''],
      ['outer > direct', 'passed', ''],
      ['later', 'skipped', 'no root'],
      ['top', 'passed', ''],
    ],
  );
  t.match(leaves[0]?.detail, /broken\nfound: 1/);
});

t.test('TAP: a file that ends early has no plan, a file without tests is skipped as a whole', async (t) => {
  t.equal(parseTap('TAP version 14\nok 1 - a\n').planned, false);
  t.match(parseTap('TAP version 14\n1..0 # SKIP not here\n').leaves, [{ outcome: 'skipped', reason: 'not here' }]);
});

t.test('TAP: a parent that fails for itself is a failure although every part passed', async (t) => {
  const { leaves } = parseTap(
    '# Subtest: p\n    # Subtest: c\n        ok 1 - x\n        1..1\n    ok 1 - c\n    1..1\nnot ok 1 - p\n1..1\n',
  );
  t.same(
    leaves.map((leaf) => leaf.outcome),
    ['passed', 'failed'],
  );
});

t.test('figures: those of one kind are added up, and a whole run that misses a minimum is told so', async (t) => {
  const said =
    '    # figure simulator, seeds: 1500 (30 twice)\n# figure simulator, seeds, further: 600 from 7\n# figures: not one\n# figure other: x';
  const figures = figuresIn(said);
  t.same(
    figures.map(({ name }) => name),
    ['simulator, seeds', 'simulator, seeds, further', 'other'],
  );
  const part = tableOf(figures, false);
  t.same(part.missed, [], 'a part of the tests need not reach anything');
  t.match(part.lines.at(-1), /^ {2}seeds of three and more sites +2100 +2000$/);
  const { missed } = tableOf(figures, true);
  t.ok(missed.length > 3 && missed.every((what) => what.includes(': 0, at least ')), missed.join('; '));
  t.match(tableOf(figures.slice(0, 1), true).missed[0], /^seeds of three and more sites: 1500, at least 2000/);
  t.same(tableOf([], false), { lines: [], missed: [] });
});
