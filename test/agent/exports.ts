// Which volume an export name stands for.

import t from 'tap';
import { findBackend } from '../../src/agent/parts.js';
import type { AgentGroup } from '../../src/agent/ports.js';
import type { Backend } from '../../src/core/ports.js';

t.test('an export has a group and a volume in its name, and no other name leads to it', async (t) => {
  const backend = {} as Backend;
  const groups = [{ name: 'dat', backends: new Map([['data', backend]]) }] as unknown as AgentGroup[];
  t.equal(findBackend(groups, 'dat/data'), backend);
  for (const name of ['', '/', 'data', 'dat', 'dat/', '/data', 'dat/data/', 'dat/data/data', 'data/data', 'dat/dat'])
    t.equal(findBackend(groups, name), undefined, name);
});
