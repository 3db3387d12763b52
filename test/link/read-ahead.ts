// Batches that are read back from the log for a site: in order, a few at a time, and given back whatever happens.

import t from 'tap';
import type { LogBatch } from '../../src/disk/log-batch.js';
import { ReadAhead } from '../../src/link/read-ahead.js';
import { FakeGroup } from './fake-group.js';

/** A log of `batches` batches of ten records, all of it out of memory, whose reads end when they are told to. */
class Source {
  readonly group = new FakeGroup('a', 'primary');
  readonly reads: { readonly lsn: number; readonly end: (error?: Error) => void }[] = [];
  held = 0;
  ended = 0;
  readonly ahead: ReadAhead;

  constructor(batches: number, inMemoryFrom = batches * 10 + 1) {
    for (let i = 0; i < batches; i++) this.group.append(10, 512);
    this.group.forget(inMemoryFrom - 1);
    const { group } = this;
    const source = {
      holdBatch: (lsn: number) => this.#counted(group.holdBatch(lsn)),
      lastOfBatch: (lsn: number) => group.lastOfBatch(lsn),
      readBatch: (lsn: number) => {
        const batch = group.readBatch(lsn);
        return new Promise<LogBatch>((resolve, reject) => {
          const end = (error?: Error): void => {
            if (error === undefined) resolve(batch.then((read) => this.#counted(read) as LogBatch));
            else reject(error);
          };
          this.reads.push({ lsn, end });
        });
      },
    };
    this.ahead = new ReadAhead(source, { readEnded: () => this.ended++ });
  }

  #counted(batch: LogBatch | undefined): LogBatch | undefined {
    if (batch === undefined) return undefined;
    this.held++;
    const release = batch.release.bind(batch);
    batch.release = () => {
      this.held--;
      batch.release = release;
      release();
    };
    return batch;
  }

  /** The read of this LSN ends. */
  async end(lsn: number, error?: Error): Promise<void> {
    this.reads.find((read) => read.lsn === lsn)?.end(error);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

t.test('reads go on together and are handed out in order; the first LSN may be in the middle of its batch', async (t) => {
  const source = new Source(10);
  const { ahead } = source;
  ahead.fill(7, 100, 3);
  ahead.fill(7, 100, 3);
  t.same([source.reads.map(({ lsn }) => lsn), ahead.count], [[7, 11, 21], 3]);
  await source.end(21);
  await source.end(11);
  t.equal(source.ended, 0, 'it is not their turn');
  t.equal(ahead.take(7), undefined);
  await source.end(7);
  t.equal(source.ended, 1);
  for (const [lsn, first] of [
    [7, 1],
    [11, 11],
    [21, 21],
  ] as const) {
    const batch = ahead.take(lsn);
    t.equal(batch?.firstLsn, first);
    batch?.release();
  }
  t.same([ahead.count, source.held], [0, 0]);
});

t.test('nothing is read beyond the end, nor what is in memory, nor more than is allowed', async (t) => {
  const source = new Source(10, 41);
  source.ahead.fill(21, 100, 10);
  t.same([source.reads.map(({ lsn }) => lsn), source.held], [[21, 31], 0]);
  const short = new Source(10);
  short.ahead.fill(1, 15, 10);
  t.same(
    short.reads.map(({ lsn }) => lsn),
    [1, 11],
  );
  for (const max of [0, -3]) {
    const none = new Source(10);
    none.ahead.fill(1, 100, max);
    t.equal(none.ahead.count, 0);
  }
});

t.test('a read that failed is reported when its turn has come, and again when asked again', async (t) => {
  const source = new Source(10);
  const { ahead } = source;
  ahead.fill(1, 100, 3);
  await source.end(11, new Error('damaged'));
  await source.end(1);
  ahead.take(1)?.release();
  t.throws(() => ahead.take(11), { message: 'damaged' });
  t.throws(() => ahead.take(11), { message: 'damaged' });
  await source.end(21);
  ahead.stop();
  t.equal(source.held, 0);
});

t.test('a stop gives everything back, also what is still being read, and is settled when that has ended', async (t) => {
  const source = new Source(10);
  const { ahead } = source;
  ahead.fill(1, 100, 4);
  await source.end(11);
  t.equal(source.held, 1);
  ahead.stop();
  t.equal(source.held, 0);
  let isSettled = false;
  const settled = ahead.settled().then(() => {
    isSettled = true;
  });
  await source.end(1);
  await source.end(31, new Error('damaged'));
  t.same([isSettled, source.ended], [false, 0]);
  await source.end(21);
  await settled;
  t.equal(source.held, 0);
});
