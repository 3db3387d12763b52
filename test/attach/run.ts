// Waiting with a deadline: what it comes to when the work fails, or never ends.

import t from 'tap';
import { flushFailure, within } from '../../src/attach/run.js';

const never = (): Promise<never> => new Promise(() => undefined);

t.test('within: the result, the rejection, or undefined in the end', async (t) => {
  t.equal(await within(Promise.resolve(5), 1000), 5);
  await t.rejects(within(Promise.reject(new Error('no')), 1000), { message: 'no' });
  t.equal(await within(never(), 10), undefined);
});

t.test('a flush that fails says why, once and as a word: whoever removes a device goes on', async (t) => {
  t.equal(await flushFailure({ sync: async () => undefined }, 1000), '');
  t.match(await flushFailure({ sync: () => Promise.reject(new Error('EIO: i/o error, fsync')) }, 1000), 'EIO: i/o error, fsync');
  t.equal(await flushFailure({ sync: never }, 10), '', 'one that hangs keeps nobody');
});
