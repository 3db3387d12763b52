// Names, assertions and errors: what an error says about itself.

import t from 'tap';
import { AssertionError, assert, unreachable } from '../../src/core/assert.js';
import { ERRORS, EXIT, LvrError, messageOf } from '../../src/core/errors.js';
import { NAME_PATTERN } from '../../src/core/ids.js';

t.test('names are short, lower case and never a path', async (t) => {
  for (const good of ['a', 'db-1', '0', 'x.y_z', 'a'.repeat(63)]) t.match(good, NAME_PATTERN);
  for (const bad of ['', 'A', '-a', '.a', '_a', 'a/b', 'a b', 'a\n', '__proto__', 'ä', 'a'.repeat(64)]) t.notMatch(bad, NAME_PATTERN);
});

t.test('a broken invariant throws AssertionError', async (t) => {
  t.doesNotThrow(() => assert(true, 'fine'));
  t.throws(() => assert(false, 'the words'), new AssertionError('the words'));
  t.throws(() => unreachable('x' as never), { message: 'unreachable value "x"' });
});

t.test('every error has an id of its own, a known exit code and a sentence', async (t) => {
  const entries = Object.values(ERRORS);
  t.equal(new Set(entries.map((entry) => entry.id)).size, entries.length);
  for (const { id, exit, summary } of entries) {
    t.match(id, /^LVR-E1\d{3}$/);
    t.ok(Object.entries(EXIT).some(([name, code]) => name !== 'ok' && code === exit));
    t.match(summary, /^[A-Z].*\.$/s);
  }
});

t.test('an LvrError carries code, hint, details and cause', async (t) => {
  const cause = new Error('below');
  const error = new LvrError('DISK_FULL', 'no room', { hint: 'make room', details: { errno: 28 }, cause });
  t.match(error, {
    id: 'LVR-E1113',
    exit: EXIT.failed,
    code: 'DISK_FULL',
    hint: 'make room',
    details: { errno: 28 },
    cause,
    name: 'LvrError',
  });
  const plain = new LvrError('FAILED', 'x');
  t.same([plain.hint, plain.details, 'cause' in plain], [undefined, {}, false]);
  t.equal(messageOf(error), 'no room');
  t.equal(messageOf('text'), 'text');
});
