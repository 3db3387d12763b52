// What the pairs of images reached, and what was found wrong with them.

export class PairFigures {
  pairs = 0;
  /** At least one write is torn. */
  torn = 0;
  /** Cut before clients could write for the first time. */
  creation = 0;
  /** Both sites started and came together. */
  reunions = 0;
  /** The secondary lacked records; it had some that the primary had lost. */
  caughtUp = 0;
  tailsCut = 0;
  /** The power went off again while they came together. */
  twice = 0;
  /** They were started once more after they had. */
  again = 0;
  /** The secondary was promoted; it could not be because it had not joined yet. */
  takeovers = 0;
  neverJoined = 0;
  /** The old primary came back and followed, or was refused because it has writes of its own. */
  followed = 0;
  refused = 0;
  /** At the cut the primary tracked the secondary by a bitmap; the secondary was in the middle of a resync. */
  tracked = 0;
  inResync = 0;
  laps = 0;
  readonly writes = { a: 0, b: 0 };
  readonly flushes = { a: 0, b: 0 };
  readonly violations = { reunion: 0, failover: 0 };
  readonly problems: string[] = [];

  line(): string {
    const { pairs, torn, creation, reunions, caughtUp, tailsCut, twice, again, takeovers, neverJoined, followed, refused, laps } = this;
    const { tracked, inResync } = this;
    const { writes, flushes, violations } = this;
    return (
      `${writes.a} writes and ${flushes.a} flushes of site a, ${writes.b} and ${flushes.b} of b, log wrapped ${laps} times; ` +
      `${pairs} pairs: ${torn} torn, ${creation} during creation; ${reunions} came together (b behind ${caughtUp}, ` +
      `with a tail to cut ${tailsCut}), ${twice} cut again meanwhile and ${again} afterwards; ${takeovers} took over ` +
      `(${neverJoined} had not joined), then the old primary followed ${followed} times and was refused ${refused} times; ` +
      `${tracked} tracked by a bitmap, ${inResync} in a resync; ${violations.reunion + violations.failover} violations`
    );
  }
}
