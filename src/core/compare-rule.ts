// Whether a piece of a resync is compared before it is sent: the source sends the hashes of its blocks, the other site says which of them
// it has, and only the others travel.
//
// It costs the hash at both ends and a read at the other one, and spares the link what is the same. So while little is the same nothing is
// compared but a piece now and then, a probe, and when a probe pays it is begun again. Pure: answers and rates come in, the decision goes
// out.

import { assert } from './assert.js';

/** `on`: every piece that is long enough, `off`: none, `auto`: as long as it pays. */
export type Checksum = 'auto' | 'on' | 'off';

/** Pieces after whose answers it is decided anew. */
export const COMPARE_SAMPLE_PIECES = 32;
/** While nothing is compared, one piece of so many is. */
export const COMPARE_PROBE_EVERY = 32;
/** Part that must be the same on any link: reading twice and waiting for an answer are not for nothing. */
export const COMPARE_SHARE_MIN = 0.1;

/**
 * `pieces`, `comparedBytes`, `sameBytes`: answers in this sample. `passed`: pieces that were not compared since the last one that was.
 */
export type CompareState = {
  readonly isComparing: boolean;
  readonly pieces: number;
  readonly comparedBytes: number;
  readonly sameBytes: number;
  readonly passed: number;
};

/** A copy begins with sending: what comparing spares is not known before what the link carries is. Then a probe is due. */
export const COMPARE_BEGIN: CompareState = {
  isComparing: false,
  pieces: 0,
  comparedBytes: 0,
  sameBytes: 0,
  passed: COMPARE_PROBE_EVERY - 1,
};

/** The next piece is compared. `linkBytesPerSecond`: 0 as long as it is not known. */
export function comparesNext({ isComparing, passed }: CompareState, linkBytesPerSecond: number): boolean {
  return linkBytesPerSecond > 0 && (isComparing || passed >= COMPARE_PROBE_EVERY - 1);
}

/** A piece goes, compared or not. */
export function pieceGoes(state: CompareState, isCompared: boolean): CompareState {
  return { ...state, passed: isCompared ? 0 : state.passed + 1 };
}

/**
 * The part that must be the same for comparing to pay: hashes are made on the thread that also sends, so they may not take longer than what
 * they spare it. Rates in bytes per second; a hash rate of Infinity is not known.
 */
export function worthwhileShare(hashBytesPerSecond: number, linkBytesPerSecond: number): number {
  return Math.max(COMPARE_SHARE_MIN, linkBytesPerSecond / hashBytesPerSecond);
}

/** The other site has answered: of `bytes` it has `sameBytes`. `worthwhile`: see worthwhileShare(). */
export function pieceCompared(state: CompareState, bytes: number, sameBytes: number, worthwhile: number): CompareState {
  assert(sameBytes <= bytes, 'a part of a piece is the same');
  if (!state.isComparing) {
    if (sameBytes < bytes * worthwhile) return state;
    return { ...state, isComparing: true, pieces: 1, comparedBytes: bytes, sameBytes };
  }
  const sample = {
    pieces: state.pieces + 1,
    comparedBytes: state.comparedBytes + bytes,
    sameBytes: state.sameBytes + sameBytes,
  };
  if (sample.pieces < COMPARE_SAMPLE_PIECES) return { ...state, ...sample };
  if (sample.sameBytes < sample.comparedBytes * worthwhile) return { ...COMPARE_BEGIN, passed: 0 };
  // What was long ago counts less and less.
  return { ...state, pieces: sample.pieces / 2, comparedBytes: sample.comparedBytes / 2, sameBytes: sample.sameBytes / 2 };
}
