// What counts as an expected error, and what ends the process.

import { readFileSync } from 'node:fs';
import t from 'tap';
import { expectedError, LvrError, messageOf } from '../../src/core/errors.js';

t.test('an error of a system call is expected, a defect is not', async (t) => {
  const known = new LvrError('DISK_FULL', 'no room');
  t.equal(expectedError(known), known);
  try {
    readFileSync('/nonexistent/file');
    t.fail('there is such a file');
  } catch (error) {
    t.match(expectedError(error), { code: 'FAILED', message: /ENOENT/, cause: error });
  }
  const half = Object.assign(new Error('x'), { syscall: 'stat' });
  for (const defect of [new Error('x'), half, new TypeError('y'), 'words', undefined]) t.equal(expectedError(defect), undefined);
});

t.test('whatever was thrown has a message', async (t) => {
  t.equal(messageOf(new Error('x')), 'x');
  t.equal(messageOf('y'), 'y');
});
