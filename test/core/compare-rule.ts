// When pieces of a resync are compared before they are sent.

import t from 'tap';
import {
  COMPARE_BEGIN,
  COMPARE_PROBE_EVERY,
  COMPARE_SAMPLE_PIECES,
  COMPARE_SHARE_MIN,
  type CompareState,
  comparesNext,
  pieceCompared,
  pieceGoes,
  worthwhileShare,
} from '../../src/core/compare-rule.js';

const MIB = 1 << 20;

/** Lets `pieces` go, of which `share` is the same; returns the state behind them and how many were compared. */
function run(
  state: CompareState,
  pieces: number,
  share: number,
  worthwhile = COMPARE_SHARE_MIN,
): { state: CompareState; compared: number } {
  let now = state;
  let compared = 0;
  for (let i = 0; i < pieces; i++) {
    const isCompared = comparesNext(now, 1e8);
    now = pieceGoes(now, isCompared);
    if (!isCompared) continue;
    compared++;
    now = pieceCompared(now, MIB, MIB * share, worthwhile);
  }
  return { state: now, compared };
}

const COMPARING: CompareState = { ...COMPARE_BEGIN, isComparing: true };

t.test('nothing is compared as long as it is not known what the link carries', async (t) => {
  const { state } = run(COMPARE_BEGIN, 1000, 1);
  t.equal(comparesNext(state, 0), false);
  t.equal(comparesNext(COMPARE_BEGIN, 0), false);
  t.equal(comparesNext(COMPARE_BEGIN, 1), true, 'a probe is due at once then');
});

t.test('after a probe that pays, it goes on while enough is the same', async (t) => {
  t.equal(run(COMPARE_BEGIN, 10_000, 1).compared, 10_000);
  t.equal(run(COMPARE_BEGIN, 10_000, COMPARE_SHARE_MIN + 0.001).compared, 10_000);
  const { state } = run(COMPARING, 1_000_000, 0.5);
  t.ok(state.comparedBytes < 2 * COMPARE_SAMPLE_PIECES * MIB, 'sums do not grow without bound');
});

t.test('where nothing is the same only one piece of thirty-two is compared', async (t) => {
  const { compared, state } = run(COMPARE_BEGIN, 32_000, 0);
  t.equal(state.isComparing, false);
  t.equal(compared, 32_000 / COMPARE_PROBE_EVERY);
});

t.test('a probe that pays begins it again, and an area that differs ends it again', async (t) => {
  const stopped = run(COMPARE_BEGIN, 100, 0).state;
  const again = run(stopped, COMPARE_PROBE_EVERY, 0.9).state;
  t.equal(again.isComparing, true);
  t.equal(run(again, 1000, 0.9).compared, 1000);
  const area = run(again, 1000, 0);
  t.equal(area.state.isComparing, false);
  t.ok(area.compared < 3 * COMPARE_SAMPLE_PIECES, `${area.compared} compared`);
});

t.test('an area of what is the same that is over is noticed after at most two samples', async (t) => {
  const long = run(COMPARE_BEGIN, 100_000, 1).state;
  const { compared } = run(long, 1000, 0);
  t.ok(compared <= 5 * COMPARE_SAMPLE_PIECES, `${compared} compared`);
});

t.test('on a fast link more must be the same, and on one as fast as the hash it is never worth it', async (t) => {
  t.equal(worthwhileShare(Number.POSITIVE_INFINITY, 1e9), COMPARE_SHARE_MIN);
  t.equal(worthwhileShare(2e9, 1e8), COMPARE_SHARE_MIN);
  t.equal(worthwhileShare(2e9, 1e9), 0.5);
  t.ok(worthwhileShare(4e8, 1e9) > 1);
  t.equal(run(COMPARING, 1000, 0.4, worthwhileShare(2e9, 1e9)).state.isComparing, false);
  t.equal(run(COMPARING, 1000, 0.6, worthwhileShare(2e9, 1e9)).state.isComparing, true);
  t.equal(run(COMPARING, 1000, 1, 2).state.isComparing, false);
});

t.test('pieces of different lengths count by their bytes', async (t) => {
  let state = COMPARING;
  for (let i = 0; i < COMPARE_SAMPLE_PIECES; i++) {
    const bytes = i === 0 ? 64 * MIB : 65536;
    state = pieceCompared(state, bytes, i === 0 ? 0 : bytes, COMPARE_SHARE_MIN);
  }
  t.equal(state.isComparing, false, 'half of the pieces are the same, and next to nothing of the bytes');
});
