// Work in a thread of its own comes back as it is, and what goes wrong in it is heard of.

import t from 'tap';
import { plainKnobs } from '../../src/sim/knobs.js';
import { apart } from './apart.js';
import type { doubled, failing, forgotten, runWithRejection } from './work-apart.js';

const WORK = new URL('./work-apart.js', import.meta.url);

t.test('what is given and returned is copied', async (t) => {
  const given = new Map([['a', Uint8Array.of(1, 2)]]);
  t.same(await apart<typeof doubled>(WORK, 'doubled', given), new Map([['a', [2, 4]]]));
  t.same(given.get('a'), Uint8Array.of(1, 2));
});

t.test('what is thrown in the thread is thrown here', async (t) => {
  await t.rejects(apart<typeof failing>(WORK, 'failing'), { name: 'RangeError', message: 'it went wrong' });
  await t.rejects(apart<typeof forgotten>(WORK, 'forgotten'), { name: 'RangeError', message: 'nobody waits for this' });
  await t.rejects(apart<typeof failing>(WORK, 'fallen'), /exports no fallen/);
});

t.test('a simulated run in the thread is violated by a rejection that nobody handles', async (t) => {
  const outcome = await apart<typeof runWithRejection>(WORK, 'runWithRejection', plainKnobs(1));
  t.match(outcome.message, /nobody waits for this/);
});
